"""A clock that only its test moves: ``sleep`` lets time pass at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

_START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


class FakeClock:
    """The Clock port over a number. Safe to share between threads; every sleep is remembered in ``slept``."""

    def __init__(self, start: datetime = _START, monotonic: float = 1000.0) -> None:
        self._lock = threading.Lock()
        self._now = start
        self._monotonic = monotonic
        self._slept: list[float] = []

    def now(self) -> datetime:
        """The time of day, with its zone."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        with self._lock:
            return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Advance by this much; a negative wait raises ValueError, as ``time.sleep`` does."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        with self._lock:
            self._slept.append(seconds)
            self._advance(seconds)

    def advance(self, seconds: float) -> None:
        """Time passes without anybody having slept."""
        if seconds < 0:
            raise ValueError("time does not run backwards; set the time of day with set_now")
        with self._lock:
            self._advance(seconds)

    def set_now(self, now: datetime) -> None:
        """The time of day jumps (somebody corrects the machine's clock); monotonic time does not."""
        with self._lock:
            self._now = now

    @property
    def slept(self) -> tuple[float, ...]:
        """Every sleep so far, in order."""
        with self._lock:
            return tuple(self._slept)

    def _advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds
