"""A stage that can be run, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.errors import HybridCIError


class State(StrEnum):
    """How a stage ended."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    ALLOWED = "failed, as it may"
    STOPPED = "not begun"  # something that it needs failed, or the run was interrupted before it
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Stage:
    """A piece of work with a name. It reports itself (``events.stage``) and raises when it fails.

    ``skip`` is why there is nothing to do: the stage counts as done. With ``allow_failure``, what needs it runs even
    when it failed.
    """

    name: str
    work: Callable[[], None]
    needs: tuple[str, ...] = ()
    skip: str | None = None
    allow_failure: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How one stage ended. ``reason`` is why it was skipped or not begun."""

    name: str
    state: State
    seconds: float = 0.0
    reason: str | None = None
    error: HybridCIError | None = None

    @property
    def satisfied(self) -> bool:
        """What needs it may run."""
        return self.state in (State.DONE, State.SKIPPED, State.ALLOWED)
