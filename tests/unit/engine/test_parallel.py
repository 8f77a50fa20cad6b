"""Calls side by side."""

from __future__ import annotations

import signal
import threading
import time
from functools import partial

import pytest

from orchestrator.engine.parallel import side_by_side
from orchestrator.engine.process import Completed, run


def test_results_come_in_the_order_of_the_calls() -> None:
    first_may_end = threading.Event()

    def first() -> str:
        assert first_may_end.wait(10)
        return "first"

    def second() -> str:
        first_may_end.set()
        return "second"

    assert side_by_side([first, second]) == ["first", "second"]


def test_calls_run_at_the_same_time() -> None:
    meeting = threading.Barrier(4, timeout=10)
    assert sorted(side_by_side([meeting.wait] * 4)) == [0, 1, 2, 3]


def test_no_more_run_than_there_are_workers() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def call() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    side_by_side([call] * 20, workers=3)
    assert 1 < most <= 3


def test_one_call_or_none_needs_no_thread() -> None:
    assert side_by_side([]) == []
    assert side_by_side([threading.current_thread]) == [threading.current_thread()]


def test_the_first_error_in_the_order_of_the_calls_is_raised_once_all_have_ended() -> None:
    ended: list[str] = []
    late_failed = threading.Event()

    def early() -> None:
        assert late_failed.wait(10)
        ended.append("early")
        raise LookupError("the first in order")

    def late() -> None:
        ended.append("late")
        late_failed.set()
        raise KeyError("the first in time")

    with pytest.raises(LookupError, match="the first in order"):
        side_by_side([early, late, partial(ended.append, "fine")])
    assert sorted(ended) == ["early", "fine", "late"]


class Stop(BaseException):
    """What a signal raises in the main thread."""


def interrupted_after(seconds: float, calls: list[object]) -> float:
    def stop(number: int, frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    started = time.monotonic()
    try:
        with pytest.raises(Stop):
            side_by_side(calls)  # type: ignore[arg-type]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return time.monotonic() - started


def test_an_interruption_ends_the_children_that_the_calls_wait_for() -> None:
    done: list[Completed] = []

    def call() -> None:
        done.append(run(["sleep", "60"]))

    assert interrupted_after(0.5, [call, call]) < 8
    assert [one.returncode for one in done] == [-signal.SIGTERM] * 2


def test_an_interruption_does_not_wait_for_a_call_that_hangs() -> None:
    release = threading.Event()
    try:
        assert interrupted_after(0.2, [partial(release.wait, 60)] * 2) < 8
    finally:
        release.set()


def test_an_interruption_begins_no_further_call() -> None:
    begun: list[int] = []
    release = threading.Event()

    def call(number: int) -> None:
        begun.append(number)
        release.wait(60)

    try:
        interrupted_after(0.3, [partial(call, number) for number in range(20)])
    finally:
        release.set()
    time.sleep(0.1)
    assert begun == sorted(begun)
    assert len(begun) <= 8
