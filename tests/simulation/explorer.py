"""A deterministic scheduler: every interleaving of a few jobs, one port call a step, one job at a time.

Each job runs in a thread, but only the one that holds the baton moves; it gives the baton back before its next port
call. A schedule is the list of jobs in the order in which they took a step. ``explore`` walks the tree of all
schedules by replay, and leaves out those that differ only in the order of steps that commute (sleep sets:
P. Godefroid, "Partial-Order Methods for the Verification of Concurrent Systems", 1996). A failure prints its schedule,
and ``replay`` takes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

World = TypeVar("World")
Step = tuple[str, str]  # port and method: ("git", "push")
Job = Callable[[], object]


class Killed(BaseException):
    """The process of this job ends here, as by SIGKILL: no handler of the code under test may see it."""


@dataclass(frozen=True)
class Crash:
    """Kill this job before its ``step``-th port call, or right after its effect."""

    job: int
    step: int
    after: bool = False


class MakeJobs(Protocol[World]):  # type: ignore[misc]  # a protocol used for its shape only
    """Builds the jobs of one run. Each port calls ``hook(port, method)`` before every call."""

    def __call__(self, world: World, hooks: Sequence[Callable[[str, str], None]]) -> Sequence[Job]: ...


@dataclass
class Run(Generic[World]):
    """What one schedule led to."""

    world: World
    schedule: list[int]
    steps: list[Step]
    results: list[object]
    enabled: list[dict[int, Step]] = field(default_factory=list)  # at each choice: who could move, and how


class _Lane(threading.Thread):
    """One job's thread. ``pending`` is its next step while it waits for the baton; None once it has ended."""

    def __init__(self, index: int, crash: Crash | None) -> None:
        super().__init__(daemon=True)
        self.index = index
        self.job: Job | None = None
        self.pending: Step | None = None
        self.result: object = None
        self._crash = crash
        self._steps = 0
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)

    def hook(self, port: str, method: str) -> None:
        """The job is about to make this call: wait for the baton."""
        self._die_if(after=True)
        self.pending = (port, method)
        self._stopped.release()
        self._go.acquire()
        self._steps += 1
        self._die_if(after=False)

    def _die_if(self, *, after: bool) -> None:
        crash = self._crash
        if crash is not None and crash.job == self.index and (crash.step, crash.after) == (self._steps, after):
            raise Killed

    def advance(self) -> None:
        """Let the job make its pending call and run up to the next one, or to its end."""
        self._go.release()
        self._stopped.acquire()

    def begin(self) -> None:
        """Run up to the first call."""
        self.start()
        self._stopped.acquire()

    def run(self) -> None:
        assert self.job is not None
        try:
            self.result = self.job()
            self._die_if(after=True)
        except Killed as killed:
            self.result = killed
        except Exception as error:
            self.result = error
        self.pending = None
        self._stopped.release()


def replay(
    make_world: Callable[[], World], make_jobs: MakeJobs[World], schedule: Sequence[int], crash: Crash | None = None
) -> Run[World]:
    """Run the jobs by this schedule; where it ends, always the first job that can move."""
    world = make_world()
    count = len(make_jobs(make_world(), []))
    lanes = [_Lane(index, crash) for index in range(count)]
    for lane, job in zip(lanes, make_jobs(world, [lane.hook for lane in lanes]), strict=True):
        lane.job = job
        lane.begin()
    run = Run(world, [], [], [])
    while movable := {lane.index: lane.pending for lane in lanes if lane.pending is not None}:
        run.enabled.append(movable)
        position = len(run.schedule)
        chosen = schedule[position] if position < len(schedule) else min(movable)
        run.schedule.append(chosen)
        run.steps.append(movable[chosen])
        lanes[chosen].advance()
    run.results = [lane.result for lane in lanes]
    return run


def explore(
    make_world: Callable[[], World],
    make_jobs: MakeJobs[World],
    check: Callable[[Run[World]], None],
    commute: Callable[[Step, Step], bool],
    crash: Crash | None = None,
) -> int:
    """Check every interleaving modulo commuting steps. Gives their number; a failure names its schedule."""
    count = 0
    stack: list[tuple[list[int], frozenset[int]]] = [([], frozenset())]
    while stack:
        prefix, asleep = stack.pop()
        run = replay(make_world, make_jobs, prefix, crash)
        complete = _branch(run, len(prefix), asleep, commute, stack)
        if not complete:
            continue
        count += 1
        try:
            check(run)
        except AssertionError as error:
            raise AssertionError(f"schedule {run.schedule} crash {crash}: {error}\nsteps: {run.steps}") from error
    return count


def _branch(
    run: Run[World],
    start: int,
    asleep: frozenset[int],
    commute: Callable[[Step, Step], bool],
    stack: list[tuple[list[int], frozenset[int]]],
) -> bool:
    """Queue the other choices along this run. False when a sleeping job was chosen: that order was seen already."""
    for position in range(start, len(run.schedule)):
        enabled, chosen = run.enabled[position], run.schedule[position]
        if chosen in asleep:
            awake = [job for job in enabled if job not in asleep]
            if awake:  # the default choice is asleep here, so go on with one that is not
                stack.append(([*run.schedule[:position], awake[0]], _wake(asleep, enabled, awake[0], commute)))
            return False
        done = asleep | {chosen}
        for other in enabled:
            if other not in done:
                stack.append(([*run.schedule[:position], other], _wake(done, enabled, other, commute)))
                done |= {other}
        asleep = _wake(asleep, enabled, chosen, commute)
    return True


def _wake(
    asleep: frozenset[int], enabled: dict[int, Step], chosen: int, commute: Callable[[Step, Step], bool]
) -> frozenset[int]:
    """The jobs that stay asleep after this step: those whose pending step commutes with it."""
    return frozenset(
        job for job in asleep if job != chosen and job in enabled and commute(enabled[job], enabled[chosen])
    )
