"""Gates of what is released or pinned straight to an environment: whoever says no means every change."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.errors import ExitCode, Refused
from orchestrator.core.holds import Hold, Rule, Veto
from orchestrator.gitops.outcome import Committed, Opened, Waiting
from pipelines.pin import PinOptions, pin
from pipelines.ports import Ports
from pipelines.release import ReleaseOptions
from tests.simulation.workshop import Workshop, git_of
from tests.unit.gitops.changes import API, POLICY, WORKER

DAY = 86_400.0


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def land(shop: Workshop, rule: Rule) -> None:
    """It is on the base branch."""
    shop.town.git.commit_files({rule.path.value: rule.render()})


def hold(shop: Workshop, environment: str = "dev", *, days: float | None = None) -> Hold:
    now = shop.town.clock.now()
    ends = now + timedelta(days=days) if days is not None else None
    return Hold(environment, "incident 42", "ada", now, ends, API)


def policy(shop: Workshop, environment: str, more: str) -> None:
    """The environment gets something more in the policy."""
    lines = POLICY.decode().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(f"  {environment}:"))
    lines[at] = lines[at].removesuffix("}") + f", {more}}}"
    shop.town.git.commit_files({POLICY_PATH: "\n".join(lines).encode() + b"\n"})


FROZEN = "freezes: [{begin: 2026-03-01, end: 2026-03-04, reason: inventory}]"


@pytest.mark.parametrize("environment", ["dev", "lab"])
def test_a_release_of_what_is_held_is_refused_and_writes_nothing(shop: Workshop, environment: str) -> None:
    land(shop, hold(shop, environment))
    before = dict(shop.town.git.refs)
    with pytest.raises(Refused, match="hold: api is held: incident 42") as caught:
        shop.release(ReleaseOptions(environment=environment))
    assert caught.value.exit_code is ExitCode.REFUSED
    assert caught.value.hint is not None
    assert "hybrid-ci hold lift" in caught.value.hint
    assert (dict(shop.town.git.refs), shop.town.pulls()) == (before, [])


def test_what_is_held_is_refused_before_anything_is_built(shop: Workshop) -> None:
    land(shop, hold(shop))
    with pytest.raises(Refused, match="api is held"):
        shop.release()
    assert shop.engine.faults.calls["build"] == 0


def test_what_is_not_held_goes_and_an_expired_hold_holds_nothing(shop: Workshop) -> None:
    land(shop, hold(shop, days=1))
    assert isinstance(shop.release(ReleaseOptions(only=("worker",))).outcome, Opened)
    shop.town.clock.advance(DAY)
    shop.release()
    (pull,) = shop.town.open_pulls()
    assert not pull.draft
    assert "| `hold` | pass |" in pull.body


def test_a_hold_of_an_image_that_the_release_leaves_as_it_is_is_in_nobodys_way(shop: Workshop) -> None:
    shop.release(ReleaseOptions(only=("api",), environment="lab"))
    land(shop, hold(shop, "lab"))
    assert isinstance(shop.release(ReleaseOptions(environment="lab")).outcome, Committed)


def test_a_release_that_joins_what_is_held_by_now_is_refused(shop: Workshop) -> None:
    """The pull request would hold both."""
    shop.release(ReleaseOptions(only=("api",)))
    land(shop, hold(shop))
    with pytest.raises(Refused, match="api is held"):
        shop.release(ReleaseOptions(only=("worker",)))
    assert shop.town.pinned("hybrid-ci/dev/shop", WORKER) == set()
    (pull,) = shop.town.open_pulls()
    assert pull.draft
    assert "api is held: incident 42" in pull.body


def test_what_was_proposed_before_the_hold_becomes_a_draft_until_it_is_lifted(shop: Workshop) -> None:
    shop.release()
    rule = hold(shop)
    land(shop, rule)
    shop.commit(4)
    for _ in range(2):
        with pytest.raises(Refused, match="api is held"):
            shop.release()
        assert [(pull.number, pull.draft) for pull in shop.town.pulls()] == [(1, True)]
    shop.town.git.commit_files({rule.path.value: None})
    shop.release()
    assert [(pull.number, pull.draft) for pull in shop.town.pulls()] == [(1, False)]


def test_a_hold_of_another_image_leaves_what_is_proposed_as_it_is(shop: Workshop) -> None:
    shop.release(ReleaseOptions(only=("worker",)))
    land(shop, hold(shop))
    with pytest.raises(Refused, match="api is held"):
        shop.release()
    assert [pull.draft for pull in shop.town.pulls()] == [False]


@pytest.mark.parametrize("environment", ["dev", "lab"])
def test_a_hold_that_lands_while_the_release_is_made_counts(shop: Workshop, environment: str) -> None:
    rule, landed = hold(shop, environment), list[str]()

    def prepare(ports: Ports) -> None:
        def told(method: str) -> None:
            if method == "check_push" and not landed:
                landed.append(method)
                land(shop, rule)
                shop.town.clock.advance(60.0)  # as long as a build takes

        git_of(ports)._before_call = told

    with pytest.raises(Refused, match="api is held"):
        shop.release(ReleaseOptions(environment=environment), prepare=prepare)
    assert shop.town.pulls() == []
    assert shop.town.pinned("lab", API) == set()


def test_a_digest_that_is_vetoed_is_not_pinned(shop: Workshop) -> None:
    made = shop.release(ReleaseOptions(only=("api",))).release.images[0].pinned
    land(shop, Veto("staging", "it loses orders", "ada", shop.town.clock.now(), None, made.digest))
    with pytest.raises(Refused, match="api is vetoed: it loses orders"):
        pin(shop.ports(), shop.job(), [f"api=@{made.digest}"], PinOptions("staging"))
    assert [pull.head.value for pull in shop.town.pulls()] == ["hybrid-ci/dev/shop"]


def test_a_release_waits_for_a_freeze_as_a_draft(shop: Workshop) -> None:
    policy(shop, "dev", FROZEN)
    result = shop.release()
    assert result.outcome is not None
    assert result.outcome.state == "waiting"
    assert shop.town.open_pulls()[0].draft
    shop.town.clock.advance(5 * DAY)
    shop.release()
    assert not shop.town.open_pulls()[0].draft


def test_a_release_that_waits_is_not_committed(shop: Workshop) -> None:
    policy(shop, "lab", FROZEN)
    assert isinstance(shop.release(ReleaseOptions(environment="lab")).outcome, Waiting)
    assert shop.town.pinned("lab", API) == set()
    shop.town.clock.advance(5 * DAY)
    assert isinstance(shop.release(ReleaseOptions(environment="lab")).outcome, Committed)


def test_nothing_that_nobody_approved_merges_by_itself(shop: Workshop) -> None:
    """However it comes there: a job that names the environment itself goes around no gate."""
    policy(shop, "staging", "gates: [{approvals: {count: 1}}], pull-request: {merge: auto}")
    shop.release(ReleaseOptions(environment="staging"))
    shop.town.forge.settle()
    (pull,) = shop.town.open_pulls()
    shop.town.forge.approve(pull.number, "ada")
    shop.commit(4)
    shop.release(ReleaseOptions(environment="staging"))
    shop.town.forge.settle()
    assert len(shop.town.open_pulls()) == 1, "what was approved was another release"
    shop.town.forge.approve(pull.number, "ada")
    result = shop.release(ReleaseOptions(environment="staging"))
    assert result.outcome is not None
    assert result.outcome.state == "merged"


def test_a_missing_review_makes_no_draft_where_a_person_merges(shop: Workshop) -> None:
    policy(shop, "dev", "gates: [{approvals: {count: 1}}]")
    shop.release()
    (pull,) = shop.town.open_pulls()
    assert not pull.draft
    assert "there is no pull request yet that somebody could approve" in pull.body
