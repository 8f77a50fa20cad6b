"""Markdown from untrusted text: nothing in it can mention, close, hide or format anything."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.core.text import printable


def code(text: str, limit: int = 120) -> str:
    """The text as inline code: forges resolve no mention, keyword, link or HTML inside it."""
    cleaned = printable(text).strip() or " "
    if len(cleaned) > limit:
        cleaned = cleaned[: limit - 1] + "…"
    fence = "`" * (max((len(run) for run in re.findall(r"`+", cleaned)), default=0) + 1)
    space = " " if cleaned.startswith("`") or cleaned.endswith("`") else ""
    return f"{fence}{space}{cleaned}{space}{fence}".replace("|", "\\|")


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table; the cells are Markdown already."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
