"""Markdown from untrusted text: nothing in it can mention, close, hide or format anything."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from orchestrator.ci.redact import redactor
from orchestrator.core.text import printable

# cmark, which GitHub and others render with, gives up on code spans that need more than 80 backticks around them.
_TOO_MANY_TICKS = re.compile("`{9,}")
_TICKS = "`" * 8
_ADDRESS = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/?#\[\]@!$&'*+,;=%-]{0,1000}")


def code(text: str, limit: int = 120) -> str:
    """The text as inline code: forges resolve no mention, keyword, link or HTML inside it.

    Secrets are masked here already: one that is cut off would no longer be recognised. No comment begins in it,
    since comments are how we find our own part of a pull request again.
    """
    cleaned = _without_comments(redactor(printable(text))).strip() or " "
    cleaned = _TOO_MANY_TICKS.sub(_TICKS, cleaned)
    if len(cleaned) > limit:
        cleaned = cleaned[: limit - 1] + "…"
    fence = "`" * (_longest_run(cleaned) + 1)
    space = " " if cleaned.startswith("`") or cleaned.endswith("`") else ""
    return f"{fence}{space}{cleaned}{space}{fence}"


def summary(text: str, limit: int = 200) -> str:
    """The text as code in HTML, for places where a forge reads no Markdown, such as the head of a folded part."""
    cleaned = _without_comments(redactor(printable(text))).strip() or " "
    return f"<code>{html.escape(cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + '…')}</code>"


def folded(head: str, content: str) -> str:
    """A part that opens when a reader asks for it; ``head`` is HTML already, ``content`` Markdown."""
    return f"<details><summary>{head}</summary>\n\n{content}\n\n</details>"


def link(text: str, url: str) -> str:
    """The Markdown ``text`` as a link; without one when the address could be anything else than an address."""
    return f"[{text}](<{url}>)" if _ADDRESS.fullmatch(url) else text


def quoted(text: str, language: str = "") -> str:
    """Text of several lines from outside, as a block of code: printable, masked, and no comment begins in it."""
    return fenced(_without_comments(redactor(printable(text, keep_newlines=True))), language)


def fenced(text: str, language: str = "") -> str:
    """The text as a block of code that nothing in it can end."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{fence}"


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table; the cells are Markdown already, and what looks like a border in them is none."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _without_comments(text: str) -> str:
    return text.replace("<!--", "<!- -")


def _longest_run(text: str) -> int:
    """How many backticks stand side by side."""
    return max(map(len, re.findall("`+", text)), default=0)
