"""Every interleaving of a promotion with a release, and a crash at every step: the invariants hold at each end.

What is asked by a commit's id, and what nobody changes here (rights, the default branch), commutes with everything, so
the scheduler does not hear of it; some of it is asked side by side, by threads of the job's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial

import pytest

from orchestrator.core.change import Action, Change, Position, branch_for
from orchestrator.core.errors import RemoteError
from orchestrator.core.names import CommitId
from orchestrator.core.trailers import read_trailers
from orchestrator.gitops import plan, running
from orchestrator.gitops.desk import Desk
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Opened, Outcome, Superseded, Unchanged, Updated
from orchestrator.manifests.pins import find_pins
from orchestrator.manifests.running import Side
from pipelines import describing, promote_reading
from pipelines import policy as policies
from pipelines.describing import Describer
from pipelines.policy import policy_at
from pipelines.promotion import PromotionResult
from tests.simulation.explorer import Crash, Killed, Run, Step, explore, replay
from tests.simulation.fleet import API, IDENTITY, MAIN, WORKER, Fleet, Hook, manifest, path_of, pinned, states
from tests.simulators.forge import SimulatedForge

HEAD = branch_for("staging", "shop")
_BY_ID = {"files", "paths", "commits", "commit_info", "commit", "recent", "trail"}  # the same whenever they are asked
_SETTLED = {"default_branch", "check_access", "check_push"}
_READS = {"tips", "pull_requests"}


def commute(one: Step, other: Step) -> bool:
    """Steps that see and leave the same world in either order."""
    return one[1] in _READS and other[1] in _READS


@pytest.fixture(autouse=True)
def _computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of worlds hold the same few files, and reading and editing them is pure: remember the results.

    Rendered manifests are no part of this, and would start a process each time.
    """
    monkeypatch.setattr(plan, "set_images", cache(plan.set_images))
    monkeypatch.setattr(plan, "find_pins", cache(plan.find_pins))
    for module in (promote_reading, running):
        monkeypatch.setattr(module, "Side", partial(Side, find=cache(find_pins)))
    monkeypatch.setattr(policies, "load_policy", cache(policies.load_policy))
    monkeypatch.setattr(describing, "render_plan", lambda repository, plan: (None, None))


def world(version: int = 2) -> Fleet:
    """dev runs a version, staging an older one; both came by releases that landed."""
    made = Fleet()
    made.release(1, environment="staging")
    made.release(version)
    return made


def promotion(fleet: Fleet, hook: Hook) -> Callable[[], object]:
    return lambda: fleet.promote("dev", "staging", ports=fleet.ports(_told(hook)))


def _told(hook: Hook) -> Hook:
    """The hook, told of what does not commute with everything."""

    def told(port: str, method: str) -> None:
        if method not in _BY_ID | _SETTLED:
            hook(port, method)

    return told


def release(version: int) -> Callable[[Fleet, Hook], Callable[[], object]]:
    """A release of this version to staging."""
    change = Change(
        Action.RELEASE,
        "staging",
        "shop",
        (pinned(API, version), pinned(WORKER, version)),
        f"release{version}",
        CommitId(f"{version:040x}"),
        Position("main", version),
    )

    def make(fleet: Fleet, hook: Hook) -> Callable[[], object]:
        return lambda: hand_off(_desk(fleet, hook, change), change)

    return make


def _desk(fleet: Fleet, hook: Hook, change: Change) -> Desk:
    ports = fleet.ports(_told(hook))
    policy = policy_at(fleet.ports().repository, fleet.tip(), MAIN)
    describer = Describer(ports, policy.environment("staging"), change.release)
    return Desk(ports.repository, ports.forge, policy, ports.clock, describer, IDENTITY, policy_at=lambda _: policy)


def merging(fleet: Fleet, hook: Hook) -> Callable[[], object]:
    """A person merges whatever is open, once."""

    def merge() -> None:
        hook("forge", "merge")
        for pull in fleet.pulls():
            fleet.merge(pull.number)

    return merge


Maker = Callable[[Fleet, Hook], Callable[[], object]]


def jobs_of(*makers: Maker) -> Callable[[Fleet, Sequence[Hook]], list[Callable[[], object]]]:
    def make(world: Fleet, hooks: Sequence[Hook]) -> list[Callable[[], object]]:
        if not hooks:
            return [lambda: None for _ in makers]
        return [maker(world, hook) for maker, hook in zip(makers, hooks, strict=True)]

    return make


def _nobody_failed(run: Run[Fleet]) -> None:
    for result in run.results:
        assert result is None or isinstance(result, PromotionResult | Outcome | RemoteError), repr(result)
        if isinstance(result, PromotionResult):
            assert result.failure() is None, states(result)


def _one_pull_request_holds(run: Run[Fleet], version: int, action: Action) -> None:
    """I2, I3, I4, I5, I7: one pull request, and branch, trailers and text are all of the newest change."""
    _nobody_failed(run)
    fleet = run.world
    (pull,) = fleet.pulls(None)
    assert (fleet.version("staging", API, HEAD.value), fleet.version("staging", WORKER, HEAD.value)) == (
        version,
        version,
    )
    change = read_trailers(fleet.git.commits[fleet.tip(HEAD.value)].info.message)
    assert change is not None
    assert change.action is action
    assert f"hybrid-ci:release {change.release}" in pull.body
    base = fleet.git.commits[fleet.tip()].files
    changed = {path for path, data in fleet.git.commits[fleet.tip(HEAD.value)].files.items() if base.get(path) != data}
    assert {path.value for path in changed} == {path_of("staging")}  # I6


def test_a_release_of_something_newer_wins_over_a_promotion() -> None:
    def check(run: Run[Fleet]) -> None:
        _one_pull_request_holds(run, 3, Action.RELEASE)

    assert explore(world, jobs_of(promotion, release(3)), check, commute) > 50


def test_a_promotion_of_something_newer_wins_over_a_release() -> None:
    def check(run: Run[Fleet]) -> None:
        _one_pull_request_holds(run, 4, Action.PROMOTE)

    assert explore(lambda: world(4), jobs_of(promotion, release(3)), check, commute) > 50


def test_two_promotions_at_once_are_one() -> None:
    def check(run: Run[Fleet]) -> None:
        _one_pull_request_holds(run, 2, Action.PROMOTE)

    assert explore(world, jobs_of(promotion, promotion), check, commute) > 20


def test_a_newer_release_lands_in_the_source_while_two_promotions_run() -> None:
    """The later look wins, whoever writes first; no version is mixed from two looks."""

    def lands(fleet: Fleet, hook: Hook) -> Callable[[], object]:
        def land() -> None:
            hook("git", "lands")
            fleet.release(3)

        return land

    def check(run: Run[Fleet]) -> None:
        fleet = run.world
        versions = {fleet.version("staging", one, HEAD.value) for one in (API, WORKER)}
        assert len(versions) == 1, versions
        assert versions <= {2, 3}
        assert len(fleet.pulls(None)) == 1
        assert states(fleet.promote("dev", "staging")).keys() == {"staging"}
        assert fleet.version("staging", API, HEAD.value) == 3

    assert explore(world, jobs_of(promotion, lands), check, commute) > 5


def test_a_person_merges_a_newer_release_at_any_moment_of_an_older_promotion() -> None:
    """I5: whatever is merged when, staging never gets the older images afterwards."""

    def standing() -> Fleet:
        made = world()
        change_to_three = release(3)(made, lambda port, method: None)
        assert isinstance(change_to_three(), Opened)
        return made

    def check(run: Run[Fleet]) -> None:
        fleet = run.world
        assert fleet.version("staging", API) == 3
        assert all(
            fleet.version("staging", one, pull.head.value) == 3 for pull in fleet.pulls() for one in (API, WORKER)
        )
        result = run.results[0]
        assert isinstance(result, PromotionResult)
        assert states(result)["staging"] in ("superseded", "refused"), states(result)

    assert explore(standing, jobs_of(promotion, merging), check, commute) > 3


def test_a_person_merges_the_promotion_at_any_moment_of_its_rerun() -> None:
    def standing() -> Fleet:
        made = world()
        made.promote("dev", "staging")
        return made

    def check(run: Run[Fleet]) -> None:
        _nobody_failed(run)
        assert run.world.version("staging", API) == 2
        assert len(run.world.pulls(None)) == 1

    assert explore(standing, jobs_of(promotion, merging), check, commute) > 3


# --- crashes ----------------------------------------------------------------------------------------------------------


def _steps_alone() -> int:
    return len(replay(world, jobs_of(promotion), []).schedule)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_sigkill_at_every_effect_of_a_promotion(after: bool) -> None:
    """I1: one that dies anywhere is finished by running it again, and then there is nothing left to do."""
    for step in range(1, _steps_alone() + 1):
        run = replay(world, jobs_of(promotion), [], Crash(0, step, after=after))
        assert isinstance(run.results[0], Killed), step
        fleet = run.world

        again, once_more = fleet.promote("dev", "staging"), fleet.promote("dev", "staging")

        assert isinstance(again.targets[0].outcome, Opened | Updated | Unchanged), step
        assert isinstance(once_more.targets[0].outcome, Unchanged), step
        assert len(fleet.pulls(None)) == 1, step
        assert fleet.version("staging", API, HEAD.value) == 2, step


@pytest.mark.parametrize("step", range(1, 8))
def test_a_crash_of_a_promotion_never_harms_a_newer_release(step: int) -> None:
    assert _steps_alone() < 8

    def check(run: Run[Fleet]) -> None:
        fleet = run.world
        last = release(3)(fleet, lambda port, method: None)()
        assert isinstance(last, Outcome) and not isinstance(last, Superseded)
        assert fleet.version("staging", API, HEAD.value) == 3
        (pull,) = fleet.pulls(None)
        assert "hybrid-ci:release release3" in pull.body

    explore(world, jobs_of(promotion, release(3)), check, commute, Crash(0, step))


def test_the_calls_of_a_promotion_are_what_the_crash_tests_kill() -> None:
    run = replay(world, jobs_of(promotion), [])
    effects = [step for step in run.steps if step[1] not in _READS]
    assert effects == [("git", "push"), ("forge", "open")]


def test_every_client_that_fails_once_is_finished_by_a_rerun() -> None:
    """A remote that fails at any call, before or after its effect."""
    for port in ("git", "forge"):
        for moment in ("before", "after"):
            for number in range(1, 24 if port == "git" else 5):
                fleet = world()
                ports = fleet.ports()
                client = ports.repository if port == "git" else ports.forge
                client.fail(number, moment)  # type: ignore[union-attr]
                with suppress(RemoteError):
                    fleet.promote("dev", "staging", ports=ports)
                fleet.promote("dev", "staging")
                assert len(fleet.pulls(None)) == 1, (port, moment, number)
                assert fleet.version("staging", API, HEAD.value) == 2


def test_the_newest_of_both_is_what_a_person_merges() -> None:
    """The last word over all: merge what stands, run everything again, and nothing moves back."""
    fleet = world()
    fleet.promote("dev", "staging")
    fleet.release(3)
    fleet.promote("dev", "staging")
    SimulatedForge(fleet.forge, "a person").merge(1, fleet.tip(HEAD.value))
    fleet.write({path_of("dev"): manifest({API: 2, WORKER: 2})})
    assert states(fleet.promote("dev", "staging")) == {"staging": "refused"}
    assert fleet.version("staging", API) == 3
