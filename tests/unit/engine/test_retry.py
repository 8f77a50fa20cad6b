"""Waiting between tries: by deadline, in proportion, and never for ever."""

from __future__ import annotations

import random

from orchestrator.engine.clock import Deadline
from orchestrator.engine.retry import Backoff
from tests.simulators.clock import FakeClock


class _Highest:
    """Always the upper end."""

    def uniform(self, a: float, b: float, /) -> float:
        return b


def test_a_wait_after_a_race_grows_with_the_races_and_the_writers_own_cycle() -> None:
    clock = FakeClock()
    backoff = Backoff(clock, Deadline(clock, 1000), _Highest())
    waits = []
    for cycle in (1.0, 1.0, 3.0):
        clock.sleep(cycle)
        begin = clock.monotonic()
        assert backoff.wait()
        waits.append(clock.monotonic() - begin)
    assert waits == [4.0, 8.0, 36.0]
    assert backoff.races == 3


def test_a_wait_is_never_longer_than_the_deadline_leaves() -> None:
    clock = FakeClock()
    backoff = Backoff(clock, Deadline(clock, 5), _Highest())
    clock.sleep(3)
    before = clock.monotonic()
    assert not backoff.over
    assert not backoff.wait()
    assert backoff.over
    assert clock.monotonic() == before


def test_races_end_even_when_no_time_passes_between_them() -> None:
    clock = FakeClock()
    backoff = Backoff(clock, Deadline(clock, 60), random.Random(1))
    tries = 0
    while backoff.wait():
        tries += 1
        assert tries < 10_000
    assert tries > 10


def test_recovery_waits_grow_up_to_the_cap() -> None:
    clock = FakeClock()
    backoff = Backoff(clock, Deadline(clock, 10_000), _Highest())
    waits = []
    for _ in range(8):
        begin = clock.monotonic()
        assert backoff.wait_for_recovery()
        waits.append(clock.monotonic() - begin)
    assert waits[:3] == [1.5, 4.5, 13.5]
    assert waits[-1] == 60.0


def test_recovery_gives_up_at_the_deadline() -> None:
    clock = FakeClock()
    backoff = Backoff(clock, Deadline(clock, 120), random.Random(3))
    begin = clock.monotonic()
    while backoff.wait_for_recovery():
        pass
    assert clock.monotonic() - begin <= 120
