"""How long a remote that is ill is asked again: by deadline, with one try never taking all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from orchestrator.engine.clock import Clock, Deadline
from orchestrator.engine.retry import Backoff, Jitter
from orchestrator.git.failures import Failure, RemoteFailure

LONGEST_TRY = 300.0
_SHORTEST_TRY = 5.0  # a push that ran into the deadline is still read back
_Result = TypeVar("_Result")


class Attempts:
    """One operation that is tried again until its deadline."""

    def __init__(self, clock: Clock, seconds: float, rng: Jitter) -> None:
        self._deadline = Deadline(clock, seconds)
        self._backoff = Backoff(clock, self._deadline, rng)

    @property
    def seconds(self) -> float:
        """How long the next try may take."""
        return max(_SHORTEST_TRY, min(LONGEST_TRY, self._deadline.remaining))

    def wait(self) -> bool:
        """Wait before the next try; False, without a wait, where there is no time for one."""
        return self._backoff.wait_for_recovery()


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds an operation is tried again."""

    clock: Clock
    seconds: float
    rng: Jitter

    def begin(self) -> Attempts:
        """The tries of one operation."""
        return Attempts(self.clock, self.seconds, self.rng)

    def __call__(self, call: Callable[[float], _Result]) -> _Result:
        """Try until it works, fails for good, or the patience is over; ``call`` takes the seconds it may use."""
        attempts = self.begin()
        while True:
            try:
                return call(attempts.seconds)
            except RemoteFailure as failure:
                if failure.failure is not Failure.TRANSIENT or not attempts.wait():
                    raise
