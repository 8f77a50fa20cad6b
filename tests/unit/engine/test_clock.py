"""The clocks and the deadline."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.engine.clock import Clock, Deadline, SystemClock
from tests.simulators.clock import FakeClock


@pytest.fixture(params=["system", "fake"])
def clock(request: pytest.FixtureRequest) -> Clock:
    return SystemClock() if request.param == "system" else FakeClock()


def test_the_time_of_day_has_a_zone(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta(0)


def test_a_sleep_lets_both_times_pass(clock: Clock) -> None:
    before, monotonic = clock.now(), clock.monotonic()
    clock.sleep(0.02)
    assert clock.now() - before >= timedelta(seconds=0.02)
    assert clock.monotonic() - monotonic >= 0.0199


def test_a_negative_sleep_is_refused(clock: Clock) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        clock.sleep(-1)


def test_a_deadline_counts_down_and_never_below_nothing() -> None:
    clock = FakeClock()
    deadline = Deadline(clock, 10)
    assert deadline.remaining == 10
    clock.sleep(9.5)
    assert deadline.remaining == pytest.approx(0.5)
    assert not deadline.expired
    clock.advance(0.5)
    assert deadline.expired
    clock.advance(100)
    assert deadline.remaining == 0.0


def test_a_deadline_does_not_care_when_the_time_of_day_jumps() -> None:
    clock = FakeClock()
    deadline = Deadline(clock, 10)
    clock.set_now(datetime(1999, 1, 1, tzinfo=UTC))
    assert deadline.remaining == 10
    assert clock.now().year == 1999


def test_sleeps_of_many_threads_all_count() -> None:
    clock = FakeClock()
    threads = [threading.Thread(target=lambda: [clock.sleep(0.5) for _ in range(100)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 1000.0 + 8 * 100 * 0.5
    assert len(clock.slept) == 800


def test_a_fake_clock_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        FakeClock().advance(-1)
