"""Handing a secret to a child as a file that has no name: it is in no folder, no argument and no environment."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def nameless_file(content: bytes) -> Iterator[int]:
    """A descriptor of a file that no directory holds: in memory where the system can, else unlinked at once."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("hybrid-ci", os.MFD_CLOEXEC)
    else:  # pragma: no cover  (not Linux)
        descriptor, name = tempfile.mkstemp(prefix="hybrid-ci-")
        Path(name).unlink()
    try:
        os.fchmod(descriptor, 0o600)  # ssh takes no key that others may read
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
