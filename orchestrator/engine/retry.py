"""Waiting between tries: by deadline and with jitter, never by a number of attempts."""

from __future__ import annotations

import random
from typing import Protocol

from orchestrator.engine.clock import Clock, Deadline

_BASE_SECONDS = 0.5
_CAP_SECONDS = 60.0
_SHORTEST_CYCLE = 0.05  # seconds


class Jitter(Protocol):
    """Where random waits come from; ``random.Random`` is one, and a test brings its own."""

    def uniform(self, a: float, b: float, /) -> float:
        """A number between the two."""


class Backoff:
    """The waits of one piece of work that is tried again until its deadline.

    ``wait`` is for a remote that is well but contended: between nothing and four times the writer's own cycle (read,
    recompute, push: measured since the wait before) for each race lost so far. Of the writers that look at the same
    state only one can win, so they spread over about twice the time that they need together: with less they need no
    less time, and more tries. ``wait_for_recovery`` is for a remote that is ill: decorrelated
    jitter, growing up to a cap.
    """

    def __init__(
        self,
        clock: Clock,
        deadline: Deadline,
        rng: Jitter | None = None,
        *,
        base: float = _BASE_SECONDS,
        cap: float = _CAP_SECONDS,
    ) -> None:
        self._clock, self._deadline = clock, deadline
        self._rng: Jitter = rng or random.Random()  # noqa: S311  (jitter, not a secret)
        self._base, self._cap = base, cap
        self._last = base
        self._races = 0
        self.over = False  # a wait was refused: the deadline leaves no room
        self._cycle_began = clock.monotonic()

    @property
    def races(self) -> int:
        """How many races were lost so far."""
        return self._races

    def wait(self) -> bool:
        """Wait after a lost race. False, without a wait, when the deadline leaves no room for it."""
        self._races += 1
        cycle = max(_SHORTEST_CYCLE, self._clock.monotonic() - self._cycle_began)
        return self._sleep(min(self._cap, self._rng.uniform(0, 4 * cycle * self._races)))

    def wait_for_recovery(self) -> bool:
        """Wait after a failure that may pass. False as above."""
        self._last = min(self._cap, self._rng.uniform(self._base, self._last * 3))
        return self._sleep(self._last)

    def _sleep(self, seconds: float) -> bool:
        if seconds >= self._deadline.remaining:
            self.over = True
            return False
        self._clock.sleep(seconds)
        self._cycle_began = self._clock.monotonic()
        return True
