"""What every Clock does: the machine's, and the one that tests own."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.engine.clock import Clock, Deadline, SystemClock
from tests.simulators.clock import FakeClock


@pytest.fixture(params=[SystemClock, FakeClock], ids=["system", "simulator"])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_the_time_of_day_has_a_zone(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta(0)


def test_a_sleep_moves_both_times_on_by_at_least_as_much(clock: Clock) -> None:
    day, monotonic = clock.now(), clock.monotonic()

    clock.sleep(0.02)

    assert clock.monotonic() - monotonic >= 0.0199
    assert clock.now() - day >= timedelta(milliseconds=15)


def test_monotonic_time_never_runs_backwards(clock: Clock) -> None:
    read = [clock.monotonic() for _ in range(100)]

    assert read == sorted(read)


def test_a_negative_sleep_is_a_mistake(clock: Clock) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        clock.sleep(-1)


def test_a_deadline_runs_out(clock: Clock) -> None:
    deadline = Deadline(clock, 0.01)
    assert not deadline.expired

    clock.sleep(0.02)

    assert deadline.expired
    assert deadline.remaining == 0
