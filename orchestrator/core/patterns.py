"""Path patterns: ``*`` within a name, ``**`` any number of folders, a bare folder means all below it."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression over ``/``-separated paths."""
    parts = pattern.strip("/").split("/")
    translated: list[str] = []
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            translated.append(".+" if last else "(?:[^/]+/)*")
        else:
            translated.append(_name(part) + ("" if last else "/"))
    return re.compile("".join(translated) + "(?:/.*)?", re.DOTALL)


def _name(part: str) -> str:
    return "".join("[^/]*" if c == "*" else "[^/]" if c == "?" else re.escape(c) for c in part)


def matches(pattern: str, path: str) -> bool:
    """The pattern names this path, or a folder above it."""
    return compiled(pattern).fullmatch(path) is not None


def names(pattern: str, ref: str) -> bool:
    """The pattern names exactly this ref: one below it is another one."""
    return _exact(pattern).fullmatch(ref) is not None


@lru_cache(maxsize=256)
def _exact(pattern: str) -> re.Pattern[str]:
    return re.compile("/".join(".+" if part == "**" else _name(part) for part in pattern.split("/")), re.DOTALL)


def literal_prefix(pattern: str) -> str:
    """The folders before the first wildcard: where a walk can start. Empty for the root."""
    fixed: list[str] = []
    for part in pattern.strip("/").split("/"):
        if any(c in part for c in "*?"):
            break
        fixed.append(part)
    return "/".join(fixed)
