"""One thing that has drifted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.image import Repository


class Kind(StrEnum):
    """What can be found, in the order in which it is told."""

    PLAINTEXT_SECRET = "plaintext-secret"  # noqa: S105  (not a password)
    UNPINNED = "unpinned"
    MOVED_TAG = "moved-tag"
    AHEAD = "ahead"
    NEVER_BEFORE = "never-before"
    SKIPPED = "skipped"
    NO_ENVIRONMENT = "no-environment"
    UNREADABLE = "unreadable"


WHY = {
    Kind.PLAINTEXT_SECRET: "whoever can read the repository, or a clone of it, has these values; so has its history",
    Kind.UNPINNED: "a tag can be pushed again, so what runs may change without a commit and differ between nodes",
    Kind.MOVED_TAG: "the tag does not say any more what runs: whoever looks it up gets something else",
    Kind.AHEAD: "it has not been through the environment that should have shown its faults first",
    Kind.NEVER_BEFORE: "it came here without being tried where it should have been tried first",
    Kind.SKIPPED: "the environment that was left out does not show any more what comes next",
    Kind.NO_ENVIRONMENT: "hybrid-ci neither moves nor watches what no environment names",
    Kind.UNREADABLE: "what stands there can't be compared, pinned or promoted, so this report may be incomplete",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What, where (``file:line``) and how to fix it; why it matters goes with the kind."""

    kind: Kind
    what: str
    where: str
    fix: str
    environment: str | None = None
    image: Repository | None = None

    @property
    def why(self) -> str:
        """Why it matters."""
        return WHY[self.kind]
