"""Unified diffs of planned edits, as people and ``git apply`` read them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from orchestrator.core.change import FileEdit


def unified(edits: Iterable[FileEdit]) -> str:
    """The diff of all edits; empty when there are none."""
    return "".join(_one(edit) for edit in edits)


def _one(edit: FileEdit) -> str:
    before = _lines(edit.before)
    after = _lines(edit.after)
    lines = difflib.unified_diff(before, after, f"a/{edit.path}", f"b/{edit.path}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(content: bytes) -> list[str]:
    """Lines as git counts them: only LF ends one, so a diff of CRLF files shows no extra line."""
    text = content.decode("utf-8", "backslashreplace")
    pieces = text.split("\n")
    return [piece + "\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
