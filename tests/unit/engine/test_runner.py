"""The runner: schedules, what a failure stops, what an interruption ends, and what it says of it."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.errors import ConfigurationError, RemoteError, WorkFailed
from orchestrator.core.machine import killed
from orchestrator.engine.clock import SystemClock
from orchestrator.engine.runner import Ran, run_stages
from orchestrator.engine.stage import Stage, State
from tests.simulators.clock import FakeClock
from tests.simulators.reporter import RecordingReporter

Needs = dict[str, tuple[str, ...]]


@dataclass
class Works:
    """Stages that note when they begin and end, and how many are under way at once."""

    needs: Needs
    fail: dict[str, Exception] = field(default_factory=dict)
    began: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)  # begun before what they need had ended
    most: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stages(self, **changed: Callable[[Stage], Stage]) -> list[Stage]:
        made = [Stage(name, self._work(name), needs) for name, needs in self.needs.items()]
        return [changed[one.name](one) if one.name in changed else one for one in made]

    def _work(self, name: str) -> Callable[[], None]:
        def work() -> None:
            with self._lock:
                if any(need not in self.ended for need in self.needs[name]):
                    self.early.append(name)
                self.began.append(name)
                self.most = max(self.most, len(self.began) - len(self.ended))
            try:
                if name in self.fail:
                    raise self.fail[name]
            finally:
                with self._lock:
                    self.ended.append(name)

        return work


def run(stages: Sequence[Stage], jobs: int = 1, reporter: RecordingReporter | None = None) -> Ran:
    return run_stages(stages, jobs=jobs, clock=FakeClock(), reporter=reporter or RecordingReporter())


DIAMOND: Needs = {"a": (), "b": (), "c": ("a", "b"), "d": ("a",), "e": ("c", "d")}


def test_one_job_runs_in_the_declared_order_in_the_thread_that_asked() -> None:
    works, threads = Works(DIAMOND), set[int]()
    stages = works.stages(a=lambda one: Stage("a", lambda: threads.add(threading.get_ident())))

    ran = run(stages)

    assert works.began == ["b", "c", "d", "e"]
    assert threads == {threading.get_ident()}
    assert list(ran.ended) == ["a", "b", "c", "d", "e"]


def test_what_could_come_next_is_taken_as_it_was_declared() -> None:
    works = Works({"z": (), "y": (), "x": ("w",), "w": ()})
    run(works.stages())
    assert works.began == ["z", "y", "w", "x"]


@pytest.mark.parametrize("jobs", [2, 3])
def test_stages_run_side_by_side_as_far_as_their_needs_allow(jobs: int) -> None:
    meeting = threading.Barrier(2, timeout=10)  # both have to be there at once, or it breaks
    stages = [Stage("a", lambda: None), Stage("b", _meet(meeting), ("a",)), Stage("c", _meet(meeting), ("a",))]

    assert all(one.state is State.DONE for one in run(stages, jobs).ended.values())


def _meet(meeting: threading.Barrier) -> Callable[[], None]:
    def work() -> None:
        meeting.wait()

    return work


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_failure_stops_what_needs_it_and_nothing_else(jobs: int) -> None:
    works = Works(DIAMOND, fail={"b": WorkFailed("b broke")})

    ran = run(works.stages(), jobs)

    assert sorted(works.began) == ["a", "b", "d"]
    states = {name: one.state for name, one in ran.ended.items()}
    assert states == {
        "a": State.DONE, "b": State.FAILED, "c": State.STOPPED, "d": State.DONE, "e": State.STOPPED,
    }  # fmt: skip
    assert (ran.ended["c"].reason, ran.ended["e"].reason) == ("b failed", "c was not run")
    with pytest.raises(WorkFailed, match="b broke"):
        ran.raise_failure()


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_failures_are_told_and_the_one_that_needs_a_person_decides(jobs: int) -> None:
    fail = {"a": RemoteError("the registry is away", where="here"), "b": WorkFailed("a test failed", details=["line"])}
    ran = run(Works({"a": (), "b": ()}, fail=fail).stages(), jobs)

    with pytest.raises(WorkFailed, match="2 stages failed") as caught:
        ran.raise_failure()
    assert caught.value.details == ("a: the registry is away (here)", "b: a test failed", "  line")


def test_when_running_again_would_heal_all_of_it_the_exit_code_says_so() -> None:
    fail: dict[str, Exception] = {"a": RemoteError("away"), "b": killed("the stage lint")}
    ran = run(Works({"a": (), "b": ()}, fail=fail).stages())
    with pytest.raises(RemoteError, match="2 stages failed"):
        ran.raise_failure()


def test_a_failure_that_is_allowed_stops_nothing_and_is_warned_about() -> None:
    works, reporter = Works(DIAMOND, fail={"b": WorkFailed("broke")}), RecordingReporter()
    stages = works.stages(b=lambda one: Stage(one.name, one.work, one.needs, allow_failure=True))

    ran = run(stages, reporter=reporter)

    ran.raise_failure()
    assert (ran.ended["b"].state, ran.ended["e"].state) == (State.ALLOWED, State.DONE)
    assert reporter.warnings == ["b failed, as it may: broke"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_skipped_stage_counts_as_done_unless_what_it_needs_failed(jobs: int) -> None:
    works = Works(DIAMOND)
    skip = {name: (lambda one: Stage(one.name, one.work, one.needs, skip="not today")) for name in "abc"}
    ran = run(works.stages(**skip), jobs)
    assert (sorted(works.began), ran.ended["a"].reason) == (["d", "e"], "not today")

    works = Works(DIAMOND, fail={"a": WorkFailed("broke")})
    ran = run(works.stages(c=skip["c"]), jobs)
    assert ran.ended["c"].state is State.STOPPED


@pytest.mark.parametrize("jobs", [1, 2])
def test_stages_that_wait_for_each_other_are_named(jobs: int) -> None:
    with pytest.raises(ConfigurationError, match=r"wait for each other: (a → b → a|b → a → b)"):
        run(Works({"a": ("b",), "b": ("a",)}).stages(), jobs)


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_no_failure_of_a_stage_ends_the_run(jobs: int) -> None:
    works = Works({"a": (), "b": ("a",), "c": ("b",)}, fail={"b": OSError(28, "No space left on device")})
    with pytest.raises(OSError, match="No space left"):
        run(works.stages(), jobs)
    assert works.began == ["a", "b"]


def test_an_interruption_tells_what_was_done_and_ends_what_is_under_way() -> None:
    reporter, released, tidied = RecordingReporter(), threading.Event(), threading.Event()
    begun = threading.Barrier(3, timeout=10)

    def hang() -> None:
        begun.wait()
        released.wait(10)

    def interrupt() -> None:
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    def tidy() -> None:
        tidied.set()
        released.set()  # as removing a container lets go of what waits for it

    stages = [
        Stage("a", lambda: None),
        Stage("b", hang, ("a",)),
        Stage("c", hang, ("a",)),
        Stage("d", lambda: None, ("b", "c")),
    ]
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_stages(stages, jobs=2, clock=SystemClock(), reporter=reporter, on_interrupt=tidy)

    assert tidied.is_set()
    (told,) = reporter.warnings
    assert told.startswith("interrupted; done: a; broken off: b, c; not begun: d.")


def test_what_tidying_up_fails_at_is_not_told_on_top_of_the_error_that_ends_the_run() -> None:
    def exhausted() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    stages = [Stage("a", exhausted), Stage("b", lambda: None)]
    with pytest.raises(OSError, match="Too many open files"):  # an error of the thread itself would be a warning here
        run_stages(stages, jobs=2, clock=SystemClock(), reporter=RecordingReporter(), on_interrupt=exhausted)


def test_an_interruption_of_a_single_job_is_told_as_well() -> None:
    reporter = RecordingReporter()

    def interrupted() -> None:
        raise KeyboardInterrupt

    stages = [Stage("a", lambda: None), Stage("b", interrupted, ("a",)), Stage("c", lambda: None, ("b",))]
    with pytest.raises(KeyboardInterrupt):
        run(stages, reporter=reporter)
    assert reporter.warnings[0].startswith("interrupted; done: a; broken off: b; not begun: c.")


@st.composite
def graphs(draw: st.DrawFn) -> Needs:
    """A graph without a circle: a stage needs only such as come before it in a hidden order; declared in another."""
    count = draw(st.integers(1, 12))
    needs = {
        f"s{number}": tuple(f"s{need}" for need in draw(st.sets(st.integers(0, number - 1), max_size=3)))
        if number
        else ()
        for number in range(count)
    }
    return {name: needs[name] for name in draw(st.permutations(sorted(needs)))}


@given(graphs(), st.integers(1, 5), st.sets(st.integers(0, 11)))
@settings(max_examples=150)
def test_any_graph_runs_every_stage_once_after_its_needs_and_never_too_many_at_once(
    needs: Needs, jobs: int, failing: set[int]
) -> None:
    broken: dict[str, Exception] = {f"s{number}": WorkFailed("broke") for number in failing if f"s{number}" in needs}
    works = Works(needs, fail=broken)

    ran = run(works.stages(), jobs)

    assert works.early == []
    assert works.most <= jobs
    assert len(works.began) == len(set(works.began))
    assert set(ran.ended) == set(needs)
    for name, one in ran.ended.items():
        healthy = all(ran.ended[need].state is State.DONE for need in needs[name])
        expected = State.STOPPED if not healthy else State.FAILED if name in broken else State.DONE
        assert one.state is expected
        assert (name in works.began) is healthy
