"""Who commits, and the commit object itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.core.errors import ConfigurationError

_FORBIDDEN = re.compile(r"[<>\n\r\0]")


@dataclass(frozen=True, slots=True)
class Identity:
    """A name and a mail address, as git writes them. Raises ConfigurationError for what git would not take."""

    name: str = "hybrid-ci"
    address: str = "hybrid-ci@localhost"

    def __post_init__(self) -> None:
        for text in (self.name, self.address):
            if not text.strip() or _FORBIDDEN.search(text):
                raise ConfigurationError(
                    f"{text!r} can't stand in a commit's author",
                    hint="use a plain name and a mail address, without <, > and line breaks",
                )

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>"

    def stamp(self, when: datetime) -> str:
        """``Name <address> seconds zone``; the zone is UTC for a time that has none."""
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return f"{self} {int(when.timestamp())} {when:%z}"


def commit_content(tree: str, parents: Sequence[str], author: str, committer: str, message: str) -> bytes:
    """A commit object's content. ``author`` and ``committer`` are stamps; NUL bytes in the message are dropped."""
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {author}", f"committer {committer}"]
    body = message.replace("\0", "").rstrip("\n") + "\n"
    return ("\n".join(lines) + "\n\n" + body).encode("utf-8", "surrogateescape")
