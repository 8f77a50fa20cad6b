"""Calls that do not depend on each other, side by side, and one that begins before its result is needed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from orchestrator.engine.process import terminate_all

_Result = TypeVar("_Result")
_One = TypeVar("_One")
_Other = TypeVar("_Other")
_LOOK_UP_SECONDS = 0.5
_ENDING_SECONDS = 1.0  # after an interruption, for calls to clean up behind a child that was ended


def side_by_side(calls: Sequence[Callable[[], _Result]], workers: int = 8) -> list[_Result]:
    """The results in the order of the calls. When some raise, the first of them in that order is raised.

    An interruption (Ctrl-C, SIGTERM) ends the children that the calls wait for, begins no further call, and does
    not wait for one that hangs in a read.
    """
    if len(calls) <= 1:
        return [call() for call in calls]
    work = _Work(calls)
    with _running(work, min(workers, len(calls))):
        pass
    return work.results()


def both(one: Callable[[], _One], other: Callable[[], _Other]) -> tuple[_One, _Other]:
    """Two calls side by side whose results differ in kind; as ``side_by_side`` in all else."""
    calls: list[Callable[[], Any]] = [one, other]
    first, second = side_by_side(calls)
    return first, second


@contextlib.contextmanager
def ahead(call: Callable[[], _Result]) -> Iterator[Callable[[], _Result]]:
    """Begin a call while the block goes on; what is given waits for its result, or raises what the call raised.

    The end of the block waits for the call too. A block that fails is taken for the end of the run: every child that
    anybody waits for is ended.
    """
    work = _Work([call])

    def result() -> _Result:
        join()
        return work.results()[0]

    with _running(work, 1) as join:
        yield result


@contextlib.contextmanager
def _running(work: _Work[Any], workers: int) -> Iterator[Callable[[], None]]:
    """Threads that do the work while the block goes on; its end waits for them, as does what is given."""
    # No ThreadPoolExecutor: it joins its threads whatever happens, at the latest when the interpreter ends.
    threads = [threading.Thread(target=work.run, name=f"hybrid-ci-{number}", daemon=True) for number in range(workers)]

    def join() -> None:
        for thread in threads:
            while thread.is_alive():
                thread.join(_LOOK_UP_SECONDS)  # a signal that comes just before a join without end would be slept over

    try:
        for thread in threads:
            thread.start()
        yield join
        join()
    except BaseException:
        work.stop()
        terminate_all()
        _join_for(threads, _ENDING_SECONDS)
        raise


def _join_for(threads: Sequence[threading.Thread], seconds: float) -> None:
    end = time.monotonic() + seconds
    for thread in threads:
        if thread.ident is not None:
            thread.join(timeout=max(0.0, end - time.monotonic()))


class _Work(Generic[_Result]):
    """The calls that are left, and how the others ended."""

    def __init__(self, calls: Sequence[Callable[[], _Result]]) -> None:
        self._calls = calls
        self._left = iter(range(len(calls)))
        self._lock = threading.Lock()
        self._done: dict[int, _Result] = {}
        self._failed: dict[int, BaseException] = {}

    def run(self) -> None:
        """Take calls until none is left."""
        while (index := self._next()) is not None:
            try:
                self._done[index] = self._calls[index]()
            except BaseException as error:  # handed over to the thread that asked
                self._failed[index] = error

    def stop(self) -> None:
        """Begin no further call."""
        with self._lock:
            self._left = iter(())

    def results(self) -> list[_Result]:
        """All of them. Raises the first error in the order of the calls."""
        if self._failed:
            raise self._failed[min(self._failed)]
        return [self._done[index] for index in range(len(self._calls))]

    def _next(self) -> int | None:
        with self._lock:
            return next(self._left, None)
