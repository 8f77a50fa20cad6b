"""Trying again ends by its deadline, and calls in real time by theirs."""

from __future__ import annotations

import threading
import time

import pytest

from orchestrator.engine.bounded import within
from orchestrator.images.retrying import retry
from tests.simulators.clock import FakeClock


class Ill(Exception):
    """Worth another try."""


class Failing:
    """Fails so many times, then answers."""

    def __init__(self, times: int, error: type[Exception] = Ill) -> None:
        self.left, self.calls, self._error = times, 0, error

    def __call__(self) -> str:
        self.calls += 1
        self.left -= 1
        if self.left >= 0:
            raise self._error
        return "answer"


def is_ill(error: BaseException) -> bool:
    return isinstance(error, Ill)


def test_it_is_tried_until_it_succeeds() -> None:
    work, clock = Failing(4), FakeClock()
    assert retry(work, clock=clock, seconds=600, when=is_ill) == "answer"
    assert (work.calls, len(clock.slept)) == (5, 4)


def test_another_error_is_raised_at_once() -> None:
    work = Failing(1, KeyError)
    with pytest.raises(KeyError):
        retry(work, clock=FakeClock(), seconds=600, when=is_ill)
    assert work.calls == 1


@pytest.mark.parametrize("seconds", [0.0, 1.0, 30.0, 600.0])
def test_it_ends_by_the_deadline_with_the_last_error(seconds: float) -> None:
    clock = FakeClock()
    with pytest.raises(Ill):
        retry(Failing(100_000), clock=clock, seconds=seconds, when=is_ill)
    assert sum(clock.slept) <= seconds


def test_the_time_of_the_work_counts_too() -> None:
    clock = FakeClock()

    def slow() -> None:
        clock.advance(20)
        raise Ill

    with pytest.raises(Ill):
        retry(slow, clock=clock, seconds=60, when=is_ill)
    assert clock.monotonic() <= 1000 + 60 + 20


def test_a_wait_may_be_asked_for_and_is_told() -> None:
    told: list[float] = []
    clock = FakeClock()
    retry(Failing(1), clock=clock, seconds=60, when=is_ill, at_least=lambda _: 25, notice=lambda _, s: told.append(s))
    assert clock.slept == (25,)
    assert told == [25]


def test_the_waits_differ() -> None:
    waits = set()
    for _ in range(5):
        clock = FakeClock()
        retry(Failing(1), clock=clock, seconds=60, when=is_ill)
        waits |= set(clock.slept)
    assert len(waits) > 1


def test_a_bounded_call_gives_its_result_or_its_error() -> None:
    assert within(5, lambda: "answer") == "answer"
    with pytest.raises(Ill):
        within(5, Failing(1))


def test_a_call_that_takes_too_long_is_left_alone() -> None:
    release = threading.Event()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        within(0.1, release.wait)
    assert time.monotonic() - began < 5
    release.set()
