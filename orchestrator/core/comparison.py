"""What lies between two commits of an application's repository."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.names import CommitId


@dataclass(frozen=True, slots=True)
class SourceChange:
    """One commit of an application's repository, as reviewers want to see it."""

    commit: CommitId
    subject: str
    author: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What lies between two commits of one repository. ``commits`` are newest first and may be fewer than ``ahead``.

    ``behind`` above zero: the second commit does not hold all of the first one's history.
    """

    ahead: int
    behind: int
    commits: tuple[SourceChange, ...] = ()
    url: str = ""
