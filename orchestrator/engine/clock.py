"""Time as a port: injected everywhere, so that tests own it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for what people read, monotonic time for every deadline."""

    def now(self) -> datetime:
        """The time of day, with its zone."""

    def monotonic(self) -> float:
        """Seconds that never run backwards."""

    def sleep(self, seconds: float) -> None:
        """Let this many seconds pass."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time of day in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """``time.monotonic``."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """``time.sleep``."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Deadline:
    """A point in monotonic time by which a piece of work has ended, whatever servers answer."""

    clock: Clock
    seconds: float
    started: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "started", self.clock.monotonic())

    @property
    def remaining(self) -> float:
        """Seconds left; never negative."""
        return max(0.0, self.started + self.seconds - self.clock.monotonic())

    @property
    def expired(self) -> bool:
        """Nothing left."""
        return self.remaining <= 0
