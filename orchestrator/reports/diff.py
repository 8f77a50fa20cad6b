"""Unified diffs of planned edits, as people and ``git apply`` read them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from orchestrator.core.change import FileEdit
from orchestrator.core.text import printable

_NEEDS_QUOTES = re.compile(r'[\x00-\x1f\x7f"\\\ud800-\udfff]')
_NOTHING = "/dev/null"  # a file that is not there, as git has it
_ESCAPES = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}


def unified(edits: Iterable[FileEdit]) -> str:
    """The diff of all edits; empty when there are none.

    Bytes that are not UTF-8 travel as surrogate escapes, so that the encoded text is the exact patch.
    """
    return "".join(_one(edit) for edit in edits)


def readable(diff: str, *, terminal: bool) -> str:
    """The diff for a reader: on a terminal nothing in it can act on it, elsewhere (a pipe, a file) it is exact."""
    return printable(diff, keep_newlines=True) if terminal else diff


def _one(edit: FileEdit) -> str:
    before = _lines(edit.before)
    after = _lines(edit.after)
    old = _NOTHING if edit.new else _side("a", str(edit.path))
    new = _NOTHING if edit.removed else _side("b", str(edit.path))
    lines = difflib.unified_diff(before, after, old, new)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(content: bytes) -> list[str]:
    """Lines as git counts them: only LF ends one, so a diff of CRLF files shows no extra line."""
    text = content.decode("utf-8", "surrogateescape")
    pieces = text.split("\n")
    return [piece + "\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def _side(side: str, path: str) -> str:
    """``a/path`` and ``b/path``; a full path stands as it is, since nothing could be put in front of it."""
    return _name(path if path.startswith("/") else f"{side}/{path}")


def _name(path: str) -> str:
    """The name as git quotes it, so that no name can end its line (git-diff(1), core.quotePath)."""
    if not _NEEDS_QUOTES.search(path):
        return path
    return '"' + "".join(map(_escaped, path.encode("utf-8", "surrogateescape"))) + '"'


def _escaped(byte: int) -> str:
    if byte in _ESCAPES:
        return f"\\{_ESCAPES[byte]}"
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"
