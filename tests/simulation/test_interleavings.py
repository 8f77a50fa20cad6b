"""Every interleaving of two handoffs, and a crash at every step: the invariants hold at the end of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import pytest

from orchestrator.core.change import Change
from orchestrator.core.delivery import Merge
from orchestrator.core.errors import RemoteError
from orchestrator.gitops import plan
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Outcome, Superseded, Unchanged
from tests.simulation.explorer import Crash, Killed, Run, Step, explore, replay
from tests.simulation.town import Hook, Town
from tests.unit.gitops.changes import API, WORKER, change, pinned

BRANCH = "hybrid-ci/dev/shop"
_IMMUTABLE = {"files", "commits", "commit_info", "commit"}  # by commit id: the same whenever they are asked
_READS = {"tips", "pull_requests"}
_RECORDS = {"update", "set_draft"}  # of the forge alone: no ref is read for them, and none moves


def commute(one: Step, other: Step) -> bool:
    """Steps that see and leave the same world in either order."""
    if one[1] in _IMMUTABLE or other[1] in _IMMUTABLE:
        return True
    if {one[0], other[0]} == {"git", "forge"} and (one[1] in _RECORDS or other[1] in _RECORDS):
        return True
    return one[1] in _READS and other[1] in _READS


@pytest.fixture(autouse=True)
def _planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of worlds hold the same few files, and editing them is pure: remember the results."""
    monkeypatch.setattr(plan, "set_images", cache(plan.set_images))


def jobs_of(*changes: Change) -> Callable[[Town, Sequence[Hook]], list[Callable[[], object]]]:
    def make(town: Town, hooks: Sequence[Hook]) -> list[Callable[[], object]]:
        if not hooks:
            return [lambda: None for _ in changes]
        return [_job(town, hook, one) for hook, one in zip(hooks, changes, strict=True)]

    return make


def _job(town: Town, hook: Hook, wanted: Change) -> Callable[[], object]:
    return lambda: hand_off(town.desk(hook), wanted)


def _newest_wins(run: Run[Town]) -> None:
    """I2, I3, I4, I5: one open pull request, holding the newest release, in branch and in text."""
    for result in run.results:
        assert isinstance(result, Outcome | RemoteError), repr(result)
    town = run.world
    assert len(town.pulls()) == 1, town.pulls()
    assert town.pinned(BRANCH, API) == {"3"}
    assert town.pinned(BRANCH, WORKER) == {"3"}
    (pull,) = town.open_pulls()
    assert "release release3" in pull.body, pull.body
    assert pull.title == "release3 to dev"


@pytest.mark.scenario(number=32)
def test_two_releases_race_to_create() -> None:
    count = explore(Town, jobs_of(change(2), change(3)), _newest_wins, commute)

    assert count > 50


def test_two_runs_of_same_commit_in_parallel() -> None:
    def check(run: Run[Town]) -> None:
        assert all(isinstance(result, Outcome) for result in run.results), run.results
        assert len(run.world.pulls()) == 1
        assert run.world.pinned(BRANCH, API) == {"3"}

    assert explore(Town, jobs_of(change(3), change(3)), check, commute) > 20


def test_a_newer_release_races_an_open_pull_request_of_an_older_one() -> None:
    def standing() -> Town:
        town = Town()
        town.hand_off(change(1))
        return town

    assert explore(standing, jobs_of(change(2), change(3)), _newest_wins, commute) > 40


@pytest.mark.parametrize("waiting", ["release2", "release3"])
def test_a_release_that_waits_races_one_that_does_not(waiting: str) -> None:
    """The open pull request is a draft when the release that it holds waits, and only then."""

    def there() -> Town:
        town = Town()
        town.waiting = {waiting}
        return town

    def check(run: Run[Town]) -> None:
        _newest_wins(run)
        assert run.world.open_pulls()[0].draft == (waiting == "release3"), run.world.open_pulls()

    assert explore(there, jobs_of(change(2), change(3)), check, commute) > 50


@pytest.mark.parametrize("waiting", ["release2", "release3"])
def test_a_draft_is_never_merged_by_a_race(waiting: str) -> None:
    """Auto-merge is on: whatever the order, what waits for a gate does not reach the base."""

    def there() -> Town:
        town = Town()
        town.waiting = {waiting}
        town.deliver(merge=Merge.AUTO)
        return town

    def check(run: Run[Town]) -> None:
        town = run.world
        assert all(isinstance(one, Outcome | RemoteError) for one in run.results), run.results
        merged = town.pinned("main", API)
        assert waiting.removeprefix("release") not in merged, merged
        town.hand_off(change(3))
        assert town.pinned("main", API) == ({"3"} if waiting == "release2" else merged)

    assert explore(there, jobs_of(change(2), change(3)), check, commute) > 50


def test_two_writers_of_one_branch_lose_nothing() -> None:
    """Environments that are committed to: both releases of different images land, whatever the order."""

    def check(run: Run[Town]) -> None:
        assert (run.world.pinned("lab", API), run.world.pinned("lab", WORKER)) == ({"2"}, {"3"})

    jobs = jobs_of(change(2, "lab", pinned(API, 2)), change(3, "lab", pinned(WORKER, 3)))

    assert explore(Town, jobs, check, commute) > 3


def _steps_alone(wanted: Change) -> int:
    return len(replay(Town, jobs_of(wanted), []).schedule)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_sigkill_at_every_effect(after: bool) -> None:
    """A handoff that dies anywhere is finished by running it again: one pull request, nothing twice."""
    wanted = change(3)
    for step in range(1, _steps_alone(wanted) + 1):
        run = replay(Town, jobs_of(wanted), [], Crash(0, step, after=after))
        assert isinstance(run.results[0], Killed), step
        town = run.world

        again = town.hand_off(wanted)
        once_more = town.hand_off(wanted)

        assert isinstance(again, Outcome), step
        assert isinstance(once_more, Unchanged), step
        assert len(town.pulls()) == 1, step
        assert town.pinned(BRANCH, API) == {"3"}, step


@pytest.mark.parametrize("step", range(1, 12))
def test_a_crash_of_the_older_release_never_harms_the_newer_one(step: int) -> None:
    """Crash point times interleaving: the older job dies at a step, the newer one runs around it in every way."""

    def check(run: Run[Town]) -> None:
        town = run.world
        newest = town.hand_off(change(3))
        assert isinstance(newest, Outcome) and not isinstance(newest, Superseded)
        assert town.pinned(BRANCH, API) == {"3"}
        (pull,) = town.open_pulls()
        assert "release release3" in pull.body
        assert len(town.pulls()) == 1

    explore(Town, jobs_of(change(2), change(3)), check, commute, Crash(0, step))


def test_the_calls_of_a_handoff_are_what_the_crash_tests_kill() -> None:
    """A new effect in the handoff shows up here, so that no crash point is forgotten."""
    run = replay(Town, jobs_of(change(3)), [])

    assert run.steps == [
        ("git", "tips"),
        ("forge", "pull_requests"),
        ("git", "files"),
        ("git", "commit"),
        ("git", "push"),
        ("forge", "open"),
        ("git", "tips"),
    ]
