"""Calls side by side."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from orchestrator.engine.parallel import ahead, side_by_side
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


def interrupted(calls: list[Callable[[], object]], begun: threading.Semaphore, running: int) -> float:
    """Run the calls, raise Stop in the main thread once so many of them have begun, and say how long that took."""
    raised = 0.0

    def stop(number: int, frame: object) -> None:
        nonlocal raised
        raised = time.monotonic()
        raise Stop

    def raise_when_begun() -> None:
        for _ in range(running):
            assert begun.acquire(timeout=20)
        os.kill(os.getpid(), signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, stop)
    watcher = threading.Thread(target=raise_when_begun)
    watcher.start()
    try:
        with pytest.raises(Stop):
            side_by_side(calls)
    finally:
        watcher.join()
        signal.signal(signal.SIGALRM, before)
    return time.monotonic() - raised


def test_an_interruption_ends_the_children_that_the_calls_wait_for() -> None:
    done: list[Completed] = []
    begun = threading.Semaphore(0)

    def call() -> None:
        done.append(run(["sh", "-c", "echo begun; exec sleep 60"], on_line=lambda line: begun.release()))

    assert interrupted([call, call], begun, 2) < 8
    end = time.monotonic() + 10
    while len(done) < 2 and time.monotonic() < end:  # the threads tidy up behind their children
        time.sleep(0.01)
    assert [one.returncode for one in done] == [-signal.SIGTERM] * 2


def test_an_interruption_does_not_wait_for_a_call_that_hangs() -> None:
    release, begun = threading.Event(), threading.Semaphore(0)

    def call() -> None:
        begun.release()
        release.wait(60)

    try:
        assert interrupted([call, call], begun, 2) < 8
    finally:
        release.set()


def test_an_interruption_begins_no_further_call() -> None:
    numbers: list[int] = []
    release, begun = threading.Event(), threading.Semaphore(0)

    def call(number: int) -> None:
        numbers.append(number)
        begun.release()
        release.wait(60)

    try:
        interrupted([partial(call, number) for number in range(20)], begun, 8)
    finally:
        release.set()
    time.sleep(0.1)
    assert len(numbers) == 8


def test_a_call_ahead_runs_while_the_block_goes_on() -> None:
    meeting = threading.Barrier(2, timeout=10)
    with ahead(lambda: sorted((meeting.wait(), meeting.wait()))) as result:
        meeting.wait()
        meeting.wait()
        assert len(result()) == 2


def test_what_a_call_ahead_raised_is_raised_where_its_result_is_asked_for() -> None:
    def fail() -> None:
        raise ValueError("no context")

    with ahead(fail) as result:
        pass
    with pytest.raises(ValueError, match="no context"):
        result()


def test_the_end_of_the_block_waits_for_a_call_ahead() -> None:
    may_end, ended = threading.Event(), threading.Event()

    def call() -> None:
        assert may_end.wait(10)
        ended.set()

    with ahead(call):
        threading.Timer(0.05, may_end.set).start()
    assert ended.is_set()


def test_a_block_that_fails_ends_the_child_that_a_call_ahead_waits_for() -> None:
    began, ended = threading.Event(), list[Completed]()

    def call() -> None:
        began.set()
        ended.append(run(["sleep", "60"]))

    with pytest.raises(KeyError), ahead(call):
        assert began.wait(10)
        time.sleep(0.2)  # the child is started after the event
        raise KeyError
    assert [one.ok for one in ended] == [False]
