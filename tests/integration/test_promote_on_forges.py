"""The story of the demo after the release, on GitHub and GitLab: promote, waves, holds; real Git, calls over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.ci.environment import CIEnvironment
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.errors import Refused
from orchestrator.core.holds import Hold
from orchestrator.core.image import Repository
from orchestrator.core.rule_change import RuleChange
from orchestrator.forges.base import PullRequest, PullRequestState
from orchestrator.gitops.outcome import Opened, Outcome, Unchanged, Updated
from pipelines import describing
from pipelines.ports import Standpoint
from pipelines.promote import promote
from pipelines.promotion import PromoteOptions, PromotionResult
from pipelines.rules import change_rule
from tests.e2e.promotions import FOLDERS, POLICY, UNSET
from tests.integration.places import PLACES, RUN, Place
from tests.servers.git_repositories import commit_files, git
from tests.simulation.fleet import states
from tests.simulation.town import IDENTITY

API = Repository("ghcr.io", "acme/shop/api")


@pytest.fixture(autouse=True)
def _nothing_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendered manifests are no part of this, and start processes where a renderer is installed."""
    monkeypatch.setattr(describing, "render_plan", lambda repository, plan: (None, None))


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A release of the first commit is live in dev."""
    with PLACES[request.param](tmp_path) as made:
        later = [folder for folder in FOLDERS if folder != "apps/shop/dev"]
        files = {f"{folder}/kustomization.yaml": UNSET.format(folder=folder).encode() for folder in later}
        commit_files(made.gitops, {POLICY_PATH: POLICY.encode(), **files})
        made.release(0)
        made.merge()
        yield made


def promoted(place: Place, source: str, target: str, wave: int | None = None, **more: bool) -> PromotionResult:
    at = Standpoint(
        CIEnvironment("ci", run_url=RUN), (), IDENTITY, application="shop", sources=f"{place.web}/acme/shop"
    )
    with place.ports() as ports:
        return promote(ports, at, PromoteOptions(source, (target,), wave=wave, **more))


def outcome_of(result: PromotionResult) -> Outcome:
    (one,) = result.targets
    assert one.outcome is not None, one.error
    return one.outcome


def held(place: Place, environment: str, *, lift: bool = False) -> None:
    """Somebody proposes to set or to lift a hold, and somebody merges it."""
    hold = Hold(environment, "checkout is slow", "ada", place.clock.now().replace(microsecond=0), None, API)
    with place.ports() as ports:
        result = change_rule(ports, place.job(), RuleChange.about(hold, lift=lift))
    assert isinstance(result.outcome, Opened)
    merge(place, result.outcome.pull_request)


def merge(place: Place, *pulls: PullRequest) -> None:
    """People merge these; none named: all that are open."""
    forge = place.client()
    try:
        for pull in pulls or place.pulls(PullRequestState.OPEN):
            assert pull.head_commit is not None
            forge.merge(pull.number, pull.head_commit)
    finally:
        forge.close_connections()


def pins(place: Place, folder: str) -> str:
    return git(place.gitops, "show", f"refs/heads/main:{folder}/kustomization.yaml")


def waiting(place: Place) -> str:
    """What is proposed for staging."""
    return git(place.gitops, "show", "refs/heads/hybrid-ci/staging/shop:apps/shop/staging/kustomization.yaml")


def put_back(place: Place, folder: str, newest: str) -> None:
    """The folder as it was before the newest digest came, as somebody would do it by hand."""
    commits = git(place.gitops, "log", "--format=%H", "refs/heads/main", "--", folder).split()
    names = git(place.gitops, "ls-tree", "--name-only", "-r", "refs/heads/main", folder).split()
    before = next(one for one in commits if newest not in git(place.gitops, "show", f"{one}:{names[0]}"))
    files = {name: git(place.gitops, "show", f"{before}:{name}").encode() + b"\n" for name in names}
    commit_files(place.gitops, dict(files))


def test_the_story_of_a_promotion_through_all_waves(place: Place) -> None:
    result = promoted(place, "dev", "staging")
    assert states(result) == {"staging": "opened"}
    assert f"[CI run](<{RUN}>)" in place.open.body
    assert result.calls["api"].keys() == {place.kind}
    assert isinstance(outcome_of(promoted(place, "dev", "staging")), Unchanged)
    place.merge()
    assert states(promoted(place, "dev", "staging")) == {"staging": "unchanged"}

    assert states(promoted(place, "staging", "prod", 1)) == {"prod/ap": "opened"}
    ahead = promoted(place, "staging", "prod", 2, dry_run=True)
    assert states(ahead) == {"prod/eu": "waiting", "prod/us": "waiting"}
    place.merge()

    held(place, "prod/us")
    second = promoted(place, "staging", "prod", 2)
    assert states(second) == {"prod/eu": "opened", "prod/us": "refused"}
    failure = second.failure()
    assert isinstance(failure, Refused)
    assert "checkout is slow" in failure.details[0]
    held(place, "prod/us", lift=True)
    assert states(promoted(place, "staging", "prod", 2)) == {"prod/eu": "unchanged", "prod/us": "opened"}
    merge(place)

    assert states(promoted(place, "staging", "prod", 2)) == {"prod/eu": "unchanged", "prod/us": "unchanged"}
    digest = str(place.release(0).release.pins[0].digest)
    for folder in FOLDERS:
        assert digest in pins(place, folder)
    assert place.pulls(PullRequestState.OPEN) == []


def test_a_newer_release_updates_the_open_promotion_and_outdates_an_older_one(place: Place) -> None:
    first = promoted(place, "dev", "staging")
    for number in (1, 2):
        place.release(number)
        (found,) = [pull for pull in place.pulls(PullRequestState.OPEN) if pull.head.value == "hybrid-ci/dev/shop"]
        merge(place, found)
        again = outcome_of(promoted(place, "dev", "staging"))
        assert isinstance(again, Updated)
        assert again.pull_request.number == getattr(outcome_of(first), "pull_request").number  # noqa: B009
    newest = str(place.release(2).release.pins[0].digest)
    assert newest in waiting(place)
    put_back(place, "apps/shop/dev", newest)

    late = promoted(place, "dev", "staging")

    assert states(late) == {"staging": "superseded"}
    assert newest in waiting(place)
    assert len(place.pulls(PullRequestState.OPEN)) == 1


def test_an_open_promotion_is_a_draft_while_a_hold_stands(place: Place) -> None:
    promoted(place, "dev", "staging")
    (proposed,) = place.pulls(PullRequestState.OPEN)
    held(place, "staging")

    result = promoted(place, "dev", "staging")

    assert states(result) == {"staging": "refused"}
    assert place.open.draft
    assert "checkout is slow" in place.open.body
    held(place, "staging", lift=True)
    assert states(promoted(place, "dev", "staging")) == {"staging": "updated"}
    assert (place.open.number, place.open.draft) == (proposed.number, False)
    assert "checkout is slow" not in place.open.body
