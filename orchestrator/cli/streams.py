"""Our output streams at their edges: bytes that are no text, letters that the terminal lacks, readers that go away.

Imports nothing but the standard library: ``--version`` and ``--help`` use it too.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import sys
from typing import TextIO

_EXACT = "hybrid-ci.exact"


def write_exactly() -> None:
    """From now on stdout writes surrogate escapes as the bytes they stand for, and never fails over a letter.

    So a printed diff is the exact patch, also of a file that is not UTF-8.
    """
    codecs.register_error(_EXACT, _exact)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        with contextlib.suppress(OSError):  # a stream that is broken already
            reconfigure(errors=_EXACT)


def _exact(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    parts = (
        bytes([ord(c) - 0xDC00]) if 0xDC80 <= ord(c) <= 0xDCFF else c.encode("ascii", "backslashreplace") for c in text
    )
    return b"".join(parts), error.end


def drop_broken_output() -> bool:
    """Point a stream that can't be written to at nothing, so that Python does not complain of it at its end.

    True when stdout was such a stream.
    """
    broken = {name for name in ("stdout", "stderr") if _is_broken(name)}
    for name in broken:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, getattr(sys, name).fileno())
        os.close(sink)
    return "stdout" in broken


def _is_broken(name: str) -> bool:
    stream = getattr(sys, name)
    if stream is None:
        return False
    try:
        stream.flush()
        return _has_no_reader(stream.fileno())
    except OSError:  # io.UnsupportedOperation is one: a stream that is no file
        return not _is_no_file(stream)
    except ValueError:  # closed by somebody
        return False


def _has_no_reader(descriptor: int) -> bool:
    """Without a buffer, a write that failed leaves nothing behind for a flush to fail over."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _is_no_file(stream: TextIO) -> bool:
    try:
        stream.fileno()
    except OSError:
        return True
    return False
