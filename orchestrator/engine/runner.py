"""Runs a graph of stages: side by side where their needs allow, at most so many at once.

With one job, stages run in the calling thread, in the graph's own order, one after the other. With more, worker
threads take them as they become ready, the ones that were declared first before the others. A stage that fails stops
what needs it, and nothing else; so one run tells every failure. An interruption (Ctrl-C, SIGTERM) begins no further
stage, ends the children and whatever else the caller names, and says what was done and what was not.
"""

from __future__ import annotations

import contextlib
import heapq
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from orchestrator.core.errors import HybridCIError, RemoteError, TimedOut
from orchestrator.core.machine import MachineExhausted
from orchestrator.core.stages import sorted_order
from orchestrator.engine.clock import Clock
from orchestrator.engine.events import Reporter
from orchestrator.engine.process import terminate_all
from orchestrator.engine.stage import Ended, Stage, State

_MAY_PASS = (RemoteError, TimedOut, MachineExhausted)
_LOOK_UP_SECONDS = 0.5  # a signal that comes just before a wait without end would be slept over
_TIDY_SECONDS = 3.0  # a run has 5 s to end after a signal: for children and containers to go
_ENDING_SECONDS = 1.0  # and for the stages to clean up behind them


@dataclass(frozen=True, slots=True)
class Ran:
    """How every stage ended, in the order of the graph."""

    ended: Mapping[str, Ended]

    @property
    def failures(self) -> tuple[Ended, ...]:
        """The stages that failed and should not have."""
        return tuple(one for one in self.ended.values() if one.state is State.FAILED)

    def raise_failure(self) -> None:
        """Raise what failed: one error as it is, several as one that tells them all."""
        failures = self.failures
        if len(failures) == 1 and failures[0].error is not None:
            raise failures[0].error
        if failures:
            raise several(failures)


def run_stages(
    stages: Sequence[Stage],
    *,
    jobs: int,
    clock: Clock,
    reporter: Reporter,
    on_interrupt: Callable[[], None] = lambda: None,
) -> Ran:
    """Run them all. Raises ConfigurationError for a circle; what is no HybridCIError (a bug, a full disk, an
    interruption) ends the run and comes out here.

    ``on_interrupt`` ends what the stages wait for besides children; it is called from another thread.
    """
    run = _Run(stages, clock, reporter)
    try:
        if jobs <= 1:
            run.one_by_one()
        else:
            _side_by_side(run, jobs, on_interrupt)
    except KeyboardInterrupt:
        reporter.warn(run.account())
        raise
    return Ran({stage.name: run.ended[stage.name] for stage in run.ordered})


def several(failures: Sequence[Ended]) -> HybridCIError:
    """One error for several: its kind is that of the first which running again would not heal."""
    errors = [(one.name, one.error) for one in failures if one.error is not None]
    _, decisive = next((pair for pair in errors if not isinstance(pair[1], _MAY_PASS)), errors[0])
    names = ", ".join(name for name, _ in errors)
    details: list[str] = []
    for name, error in errors:
        details.append(f"{name}: {error.message}" + (f" ({error.where})" if error.where else ""))
        details += [f"  {line}" for line in error.details]
        details += [f"  fix: {error.hint}"] if error.hint else []
    return type(decisive)(
        f"{len(errors)} stages failed",
        where=names,
        details=details,
        hint="each failure above says what to do about it",
        causes=[error for _, error in errors],
    )


@dataclass
class _Run:
    """One run: what is left, what is under way, and how the rest ended."""

    stages: Sequence[Stage]
    clock: Clock
    reporter: Reporter
    ended: dict[str, Ended] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        needs = {stage.name: stage.needs for stage in self.stages}
        by_name = {stage.name: stage for stage in self.stages}
        self.ordered = tuple(by_name[name] for name in sorted_order(needs))

    def one_by_one(self) -> None:
        for stage in self.ordered:
            if self.settled_without_work(stage):
                continue
            self.begun[stage.name] = self.clock.monotonic()
            try:
                stage.work()
            except HybridCIError as error:
                self.settle(stage, error)
            else:
                self.settle(stage, None)

    def settled_without_work(self, stage: Stage) -> bool:
        """It was skipped, or what it needs failed: that is said, and there is nothing to run."""
        broken = next((need for need in stage.needs if not self.ended[need].satisfied), None)
        if broken is not None:
            self.ended[stage.name] = Ended(stage.name, State.STOPPED, reason=f"{broken} {self._how(broken)}")
            return True
        if stage.skip is not None:
            self.ended[stage.name] = Ended(stage.name, State.SKIPPED, reason=stage.skip)
            return True
        return False

    def settle(self, stage: Stage, error: HybridCIError | None) -> None:
        """Remember how the stage's work ended."""
        seconds = self.clock.monotonic() - self.begun[stage.name]
        state = State.DONE if error is None else State.ALLOWED if stage.allow_failure else State.FAILED
        self.ended[stage.name] = Ended(stage.name, state, seconds, error=error)
        if state is State.ALLOWED and error is not None:
            self.reporter.warn(f"{stage.name} failed, as it may: {error.message}")

    def account(self) -> str:
        """After an interruption: what was done, what was not."""
        done = [one.name for one in self.ended.values() if one.state in (State.DONE, State.ALLOWED)]
        failed = [one.name for one in self.ended.values() if one.state is State.FAILED]
        broken_off = [name for name in self.begun if name not in self.ended]
        begun = {*self.begun, *self.ended}
        left = [stage.name for stage in self.ordered if stage.name not in begun]
        parts = [("done", done), ("failed", failed), ("broken off", broken_off), ("not begun", left)]
        told = "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)
        return f"interrupted; {told}. Run it again: what is done is found and not done twice"

    def _how(self, name: str) -> str:
        return "failed" if self.ended[name].state is State.FAILED else "was not run"


class _Workers:
    """Threads that take stages from a queue. Daemons, since one that hangs in a read must not hold up the end.

    No ThreadPoolExecutor: it joins its threads whatever happens, at the latest when the interpreter ends.
    """

    def __init__(self, count: int) -> None:
        self._todo: queue.SimpleQueue[Stage | None] = queue.SimpleQueue()
        self.ended: queue.SimpleQueue[tuple[Stage, BaseException | None]] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"hybrid-ci-stage-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def give(self, stage: Stage) -> None:
        """Let a thread run it; how it ended comes out of ``ended``."""
        self._todo.put(stage)

    def dismiss(self) -> None:
        """No more stages will come."""
        for _ in self._threads:
            self._todo.put(None)

    def wait(self, seconds: float) -> None:
        """Give the threads this long to end."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(timeout=max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while (stage := self._todo.get()) is not None:
            try:
                stage.work()
            except BaseException as error:  # handed over to the thread that asked
                self.ended.put((stage, error))
            else:
                self.ended.put((stage, None))


def _side_by_side(run: _Run, jobs: int, on_interrupt: Callable[[], None]) -> None:
    workers = _Workers(min(jobs, len(run.stages)))
    try:
        _schedule(run, workers, jobs)
    except BaseException:
        workers.dismiss()
        _tidy(on_interrupt)
        workers.wait(_ENDING_SECONDS)
        raise
    workers.dismiss()
    workers.wait(_ENDING_SECONDS)


def _schedule(run: _Run, workers: _Workers, jobs: int) -> None:
    """Hand out what is ready, first declared first, never more than ``jobs`` at once."""
    place = {stage.name: number for number, stage in enumerate(run.stages)}
    sorter = TopologicalSorter({stage.name: stage.needs for stage in run.stages})
    sorter.prepare()
    ready: list[int] = []
    under_way = 0
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, place[name])
        while ready and under_way < jobs:
            stage = run.stages[heapq.heappop(ready)]
            if run.settled_without_work(stage):
                sorter.done(stage.name)
                continue
            run.begun[stage.name] = run.clock.monotonic()
            workers.give(stage)
            under_way += 1
        if under_way == 0:
            continue  # everything that was ready needed no work: ask what is ready now
        stage, error = _next(workers)
        under_way -= 1
        if error is not None and not isinstance(error, HybridCIError):
            raise error
        run.settle(stage, error)
        sorter.done(stage.name)


def _next(workers: _Workers) -> tuple[Stage, BaseException | None]:
    while True:
        try:
            return workers.ended.get(timeout=_LOOK_UP_SECONDS)
        except queue.Empty:
            continue


def _tidy(on_interrupt: Callable[[], None]) -> None:
    """End children and whatever else stages wait for, at the same time and in bounded time.

    What ends the run is being told already: that an engine can't be reached for it, too, is no news.
    """

    def end_quietly(end: Callable[[], None]) -> None:
        with contextlib.suppress(HybridCIError, OSError):
            end()

    endings = [threading.Thread(target=end_quietly, args=(end,), daemon=True) for end in (terminate_all, on_interrupt)]
    for thread in endings:
        thread.start()
    end = time.monotonic() + _TIDY_SECONDS
    for thread in endings:
        thread.join(timeout=max(0.0, end - time.monotonic()))
