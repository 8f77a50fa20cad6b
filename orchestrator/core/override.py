"""What a person set aside in writing for one change: it travels in the trailers and is shown until it is made good."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.names import InvalidName


class OverrideKind(StrEnum):
    """Which rule was set aside."""

    SKIP = "skip"  # an environment that should have come before
    UNKNOWN_ORDER = "unknown-order"  # nobody can tell which image is newer


@dataclass(frozen=True, slots=True)
class Override:
    """A rule that was set aside, with the reason. ``environment`` is the skipped one.

    Raises InvalidName for a reason that is empty or no single line, and for a skip of no environment.
    """

    kind: OverrideKind
    reason: str
    environment: str | None = None

    def __post_init__(self) -> None:
        if not self.reason.strip() or self.reason.splitlines() != [self.reason]:
            raise InvalidName(
                f"{self.reason!r} is no reason", hint="say in one line why, for those who review the pull request"
            )
        if (self.kind is OverrideKind.SKIP) != bool(self.environment):
            raise InvalidName("a skip names the environment that it leaves out, and nothing else does")
