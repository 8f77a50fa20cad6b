"""Promotion by scenario: what it moves, what holds it, and what it leaves behind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.ci.environment import CIEnvironment
from orchestrator.ci.guard import Signal
from orchestrator.core.change import Action, branch_for
from orchestrator.core.errors import ConfigurationError, Conflict, ExitCode, HybridCIError, Refused, RemoteError
from orchestrator.core.holds import Hold, Veto
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.core.order import Ancestry
from orchestrator.core.override import Override, OverrideKind
from orchestrator.core.trailers import read_trailers
from orchestrator.forges.base import Comparison, PullRequestDraft
from orchestrator.gitops.outcome import Committed, Opened, Unchanged, Updated
from pipelines import describing
from pipelines.ports import Ports
from pipelines.promotion import PromotionResult
from pipelines.promotion_record import record_of_promotion
from tests.simulation.fleet import (
    API,
    MAIN,
    POLICY,
    WORKER,
    Fleet,
    Hook,
    calls,
    digest_of,
    manifest,
    path_of,
    pinned,
    states,
)
from tests.simulators.forge import SimulatedForge
from tests.simulators.reporter import RecordingReporter
from tests.unit.gitops.changes import digest

DAY = 86_400.0
WRITES = {"push", "open", "update", "close", "set_draft", "commit_on"}


@pytest.fixture(autouse=True)
def _nothing_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendered manifests are no part of this, and start processes where a renderer is installed."""
    monkeypatch.setattr(describing, "render_plan", lambda repository, plan: (None, None))


@pytest.fixture
def fleet() -> Fleet:
    made = Fleet()
    made.release(2)
    return made


def with_gates(gates: str, environment: str = "staging") -> Fleet:
    """The policy with gates for one environment, and a release in dev."""
    text = re.sub(rf"(  {environment}: {{.*)}}", rf"\1, {gates}}}", POLICY)
    assert text != POLICY
    made = Fleet(text)
    made.release(2)
    return made


def landed(fleet: Fleet) -> None:
    """dev and staging run version 2, by promotion."""
    fleet.promote("dev", "staging")
    fleet.merge(max(fleet.forge.pulls))


def error_of(result: PromotionResult, **options: bool) -> HybridCIError:
    failure = result.failure(**options)
    assert failure is not None
    return failure


def hold(fleet: Fleet, environment: str, repository: Repository, expires: str | None = None) -> None:
    """Somebody's hold is on the base branch."""
    made = Hold(environment, "incident 42", "ada", fleet.clock.now(), None, repository)
    fleet.write({made.path.value: made.render()})


def lift(fleet: Fleet, environment: str, repository: Repository) -> None:
    made = Hold(environment, "it is over", "ada", fleet.clock.now(), None, repository)
    fleet.write({made.path.value: None})


def veto(fleet: Fleet, environment: str, repository: Repository, version: int) -> None:
    made = Veto(environment, "it loses orders", "ada", fleet.clock.now(), None, digest_of(repository, version))
    fleet.write({made.path.value: made.render()})


def warnings_of(ports: Ports) -> list[str]:
    assert isinstance(ports.reporter, RecordingReporter)
    return list(ports.reporter.warnings)


# --- what moves -----------------------------------------------------------------------------------------------------


def test_what_runs_together_goes_together_in_one_pull_request(fleet: Fleet) -> None:
    result = fleet.promote("dev", "staging")

    (one,) = result.targets
    assert isinstance(one.outcome, Opened)
    (pull,) = fleet.pulls()
    assert (pull.head, pull.draft) == (branch_for("staging", "shop"), False)
    for repository in (API, WORKER):
        assert fleet.version("staging", repository, str(pull.head)) == 2
        assert fleet.version("staging", repository) is None
    assert result.failure() is None


def test_promote_copies_digest_not_tag(fleet: Fleet) -> None:
    fleet.write({path_of("dev"): manifest({API: 2, WORKER: 2}).replace(b'"1.2"', b'"stable"')})
    fleet.promote("dev", "staging", allow_unknown_order="tags only")
    files = fleet.git.commits[fleet.tip(branch_for("staging", "shop").value)].files
    content = next(data for path, data in files.items() if path.value == path_of("staging"))
    assert isinstance(content, bytes)
    source = [line.replace('"', "") for line in manifest({API: 2, WORKER: 2}).decode().splitlines()]
    assert content.decode().splitlines() == [line.replace("newTag: 1.2", "newTag: stable") for line in source]


def test_the_trailers_tell_everything_that_the_plan_is_made_of(fleet: Fleet) -> None:
    fleet.promote("dev", "staging")

    change = read_trailers(fleet.git.commits[fleet.tip(branch_for("staging", "shop").value)].info.message)
    assert change is not None
    assert (change.action, change.taken_from, change.scope) == (Action.PROMOTE, "dev", "shop")
    assert set(change.images) == {pinned(API, 2), pinned(WORKER, 2)}
    assert (change.source, change.position and change.position.count) == (CommitId(f"{2:040x}"), 2)


def test_images_of_several_releases_keep_their_own_origins(fleet: Fleet) -> None:
    fleet.release(3, WORKER)
    fleet.promote("dev", "staging")

    change = read_trailers(fleet.git.commits[fleet.tip(branch_for("staging", "shop").value)].info.message)
    assert change is not None
    assert change.source is None
    assert [change.origin(one).source for one in (API, WORKER)] == [CommitId(f"{n:040x}") for n in (2, 3)]


def test_a_second_run_changes_nothing(fleet: Fleet) -> None:
    fleet.promote("dev", "staging")
    ports = fleet.ports()

    result = fleet.promote("dev", "staging", ports=ports)

    assert isinstance(result.targets[0].outcome, Unchanged)
    assert not WRITES & set(calls(ports))
    landed(fleet)
    assert states(fleet.promote("dev", "staging")) == {"staging": "unchanged"}


def test_some_images_only(fleet: Fleet) -> None:
    for name in ("worker", str(WORKER)):
        fleet.promote("dev", "staging", images=(name,))
        head = branch_for("staging", "shop").value
        assert (fleet.version("staging", API, head), fleet.version("staging", WORKER, head)) == (None, 2)


def test_the_rest_joins_the_open_pull_request(fleet: Fleet) -> None:
    fleet.promote("dev", "staging", images=("worker",))
    result = fleet.promote("dev", "staging")
    head = branch_for("staging", "shop").value
    assert isinstance(result.targets[0].outcome, Updated)
    assert (fleet.version("staging", API, head), fleet.version("staging", WORKER, head)) == (2, 2)
    assert len(fleet.pulls(None)) == 1


def test_several_environments_at_once_whatever_their_strategy(fleet: Fleet) -> None:
    result = fleet.promote("dev", "staging", "edge")
    assert states(result) == {"staging": "opened", "edge": "committed"}
    assert isinstance(result.targets[1].outcome, Committed)
    assert fleet.version("edge", API, "edge") == 2


def test_dry_run_writes_nothing_and_shows_the_plan(fleet: Fleet) -> None:
    ports = fleet.ports()
    result = fleet.promote("dev", "staging", "prod", "edge", ports=ports, dry_run=True)
    assert states(result) == {"staging": "planned", "prod": "refused", "edge": "planned"}
    assert not WRITES & set(calls(ports))
    assert "check_push" not in calls(ports)
    assert all(one.plan is not None and one.plan.pins for one in result.targets)


def test_images_that_belong_to_others_stay_where_they_are(fleet: Fleet) -> None:
    other = Repository("docker.io", "library/redis")
    for environment in ("dev", "staging"):
        fleet.write({f"apps/shop/{environment}/redis.yaml": f"image: {other}:7@{digest(7)}\n".encode()})
    fleet.write({"apps/shop/staging/redis.yaml": f"image: {other}:6@{digest(6)}\n".encode()})
    result = fleet.promote("dev", "staging")
    assert {str(one.repository) for one in result.targets[0].left} == {str(other)}
    assert states(result) == {"staging": "opened"}
    with pytest.raises(Refused, match="not allowed"):
        fleet.promote("dev", "staging", images=(str(other),))


def test_a_base_of_squashes_that_lost_the_trailers_is_told_and_versions_still_tell_the_order(fleet: Fleet) -> None:
    fleet.promote("dev", "staging")
    fleet.write({path_of("staging"): manifest({API: 2, WORKER: 2})}, "Promote (#1)")  # squashed by hand
    fleet.write({path_of("dev"): manifest({API: 3, WORKER: 3})}, "Release (#2)")

    error = error_of(fleet.promote("dev", "staging"))

    assert "the position of the image that" in error.details[0]
    assert "after a squash by hand, which drops the trailers" in str(error.hint)
    versions = {f"1.{number}": f"1.{number}.0" for number in (2, 3)}
    for name in ("dev", "staging"):
        text = fleet.git.commits[fleet.tip()].files[RepoPath(path_of(name))]
        assert isinstance(text, bytes)
        for short, long in versions.items():
            text = text.replace(f'"{short}"'.encode(), f'"{long}"'.encode())
        fleet.write({path_of(name): text})
    fleet.write({".hybrid-ci/environments.yaml": f'{POLICY}order: {{"**": semver}}\n'.encode()})
    assert states(fleet.promote("dev", "staging", dry_run=True)) == {"staging": "planned"}


# --- what can't move ------------------------------------------------------------------------------------------------


def nothing_written(fleet: Fleet, expected: type[HybridCIError], match: str, **options: Any) -> HybridCIError:
    ports = fleet.ports()
    with pytest.raises(expected, match=match) as caught:
        fleet.promote("dev", "staging", ports=ports, **options)
    assert not WRITES & set(calls(ports))
    return caught.value


def test_manifest_missing_in_target_env(fleet: Fleet) -> None:
    fleet.write({path_of("staging"): None})
    error = nothing_written(fleet, ConfigurationError, "has no file of 'shop'")
    assert error.exit_code is ExitCode.CONFIGURATION
    fleet.write({path_of("staging"): manifest({API: None})})
    error = nothing_written(fleet, ConfigurationError, "nothing can be promoted", images=("worker",))
    assert "does not have it" in error.details[0]


def test_kustomize_newName_already_set(fleet: Fleet) -> None:
    fleet.write({path_of("staging"): manifest({API: 1, WORKER: 1})})
    fleet.promote("dev", "staging", allow_unknown_order="placed by hand")
    files = fleet.git.commits[fleet.tip(branch_for("staging", "shop").value)].files
    assert manifest({API: 2, WORKER: 2}) in files.values()


def test_invalid_yaml_elsewhere_in_repo(fleet: Fleet) -> None:
    broken = f"images: [\n# {API}\n".encode()
    fleet.write({"apps/other/staging/a.yaml": broken, "apps/shop/staging/unrelated.yaml": b"a: [\n"})
    assert states(fleet.promote("dev", "staging")) == {"staging": "opened"}
    fleet.write({"apps/shop/staging/broken.yaml": broken})
    error = nothing_written(fleet, ConfigurationError, "nothing can be promoted")
    assert any("broken.yaml" in line for line in error.details)


def test_an_image_without_a_digest_in_the_source_holds_the_set_back(fleet: Fleet) -> None:
    fleet.write(
        {path_of("dev"): manifest({API: 2, WORKER: 2}).replace(f"  digest: {pinned(API, 2).digest}\n".encode(), b"")}
    )
    result = fleet.promote("dev", "staging")
    assert states(result) == {"staging": "refused"}
    assert "pins no digest" in str(error_of(result).details)
    assert fleet.pulls() == []
    assert states(fleet.promote("dev", "staging", images=("worker",))) == {"staging": "opened"}


@pytest.mark.parametrize("there", ["6", "7"])
def test_a_tag_of_an_image_that_belongs_to_others_holds_nothing_back(fleet: Fleet, there: str) -> None:
    for environment, tag in (("dev", "7"), ("staging", there)):
        fleet.write({f"apps/shop/{environment}/redis.yaml": f"image: redis:{tag}\n".encode()})
    (one,) = fleet.promote("dev", "staging").targets
    assert one.state == "opened"
    assert [(left.repository.name, left.refused) for left in one.left] == [("redis", False)]


def test_one_image_in_several_versions_is_not_guessed(fleet: Fleet) -> None:
    pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n"
    two = "".join(f"  - {{name: c{v}, image: '{API}:1.{v}@{pinned(API, v).digest}'}}\n" for v in (1, 2))
    none = "".join(f"  - {{name: c{v}, image: '{API}'}}\n" for v in (1, 2))
    fleet.write({path_of("dev"): None, path_of("staging"): None})
    fleet.write({"apps/shop/dev/pod.yaml": (pod + two).encode(), "apps/shop/staging/pod.yaml": (pod + none).encode()})
    result = fleet.promote("dev", "staging")
    assert states(result) == {"staging": "refused"}
    assert "several versions" in error_of(result).details[0]


@pytest.mark.parametrize(
    ("source", "targets", "options", "match"),
    [
        ("dev", ("dev",), {}, "to itself"),
        ("staging", ("dev",), {}, "comes before"),
        ("prod", ("dev",), {}, "comes before"),
        ("nowhere", ("staging",), {}, "no environment 'nowhere'"),
        ("dev", ("stagin",), {}, "no environment 'stagin'"),
        ("dev", ("staging",), {"wave": 1}, "no waves"),
        ("dev", ("staging",), {"images": ("web",)}, "no image 'web'"),
        ("dev", ("staging",), {"skip": ("prod",), "reason": "x"}, "nothing to skip"),
        ("dev", ("prod",), {"skip": ("staging",)}, "needs its reason"),
        ("dev", ("prod",), {"reason": "x"}, "needs its reason"),
    ],
)
def test_what_makes_no_sense_is_said(
    fleet: Fleet, source: str, targets: tuple[str, ...], options: dict[str, Any], match: str
) -> None:
    ports = fleet.ports()
    with pytest.raises(ConfigurationError, match=match):
        fleet.promote(source, *targets, ports=ports, **options)
    assert not WRITES & set(calls(ports))


def test_a_job_for_a_pull_request_promotes_nothing(fleet: Fleet) -> None:
    at = replace(fleet.at(), ci=CIEnvironment("github", pull_request="7"))
    with pytest.raises(Refused):
        fleet.promote("dev", "staging", at=at)
    assert states(fleet.promote("dev", "staging", at=at, dry_run=True)) == {"staging": "planned"}


def test_a_job_with_a_credential_of_the_cluster_promotes_nothing(fleet: Fleet) -> None:
    at = replace(fleet.at(), signals=(Signal("KUBECONFIG", "unset it"),))
    ports = fleet.ports()
    with pytest.raises(Refused, match="cluster"):
        fleet.promote("dev", "staging", at=at, ports=ports)
    assert not WRITES & set(calls(ports))


def test_the_scope_has_to_be_known(fleet: Fleet) -> None:
    fleet.write(
        {
            ".hybrid-ci/environments.yaml": POLICY.replace(
                "applications:", "applications:\n  web: {images: ['x']}"
            ).encode()
        }
    )
    with pytest.raises(ConfigurationError, match="which application"):
        fleet.promote("dev", "staging")
    assert states(fleet.promote("dev", "staging", application="shop")) == {"staging": "opened"}
    assert states(fleet.promote("dev", "staging", at=replace(fleet.at(), application="shop"))) == {
        "staging": "unchanged"
    }


# --- order ----------------------------------------------------------------------------------------------------------


def test_an_environment_never_moves_backwards(fleet: Fleet) -> None:
    fleet.release(3)
    landed(fleet)
    fleet.write({path_of("dev"): manifest({API: 2, WORKER: 2})})  # a release of old, put back by hand
    result = fleet.promote("dev", "staging")
    assert states(result) == {"staging": "refused"}
    assert "backwards" in error_of(result).details[0]
    assert error_of(result).exit_code is ExitCode.REFUSED


def test_an_unknown_order_is_refused_and_can_be_allowed_in_writing(fleet: Fleet) -> None:
    fleet.write({path_of("staging"): manifest({API: 1, WORKER: 1})})
    result = fleet.promote("dev", "staging")
    assert "--allow-unknown-order" in str(error_of(result).hint)
    assert fleet.pulls() == []

    allowed = fleet.promote("dev", "staging", allow_unknown_order="first promotion")

    assert states(allowed) == {"staging": "opened"}
    change = read_trailers(fleet.git.commits[fleet.tip(branch_for("staging", "shop").value)].info.message)
    assert change is not None
    assert change.overrides == (Override(OverrideKind.UNKNOWN_ORDER, "first promotion"),)
    assert "first promotion" in fleet.pulls()[0].body


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (Ancestry.DESCENDANT, "opened"),
        (Ancestry.ANCESTOR, "refused"),
        (Ancestry.DIVERGED, "refused"),
        (Ancestry.UNKNOWN, "refused"),
    ],
)
def test_the_source_history_tells_the_order_where_the_policy_asks_it(told: Ancestry, state: str) -> None:
    fleet = with_gates('order: {"**": ancestry}')
    landed(fleet)
    fleet.release(3)
    asked: list[tuple[CommitId, CommitId]] = []

    def ancestry(current: CommitId, proposed: CommitId) -> Ancestry:
        asked.append((current, proposed))
        return told

    assert states(fleet.promote("dev", "staging", at=replace(fleet.at(), ancestry=ancestry))) == {"staging": state}
    assert asked == [(CommitId(f"{2:040x}"), CommitId(f"{3:040x}"))]  # once for both images


@pytest.mark.parametrize(
    ("comparison", "state"),
    [(Comparison(2, 0), "opened"), (Comparison(0, 2), "refused"), (Comparison(1, 1), "refused")],
)
def test_the_forge_tells_the_order_where_it_can(comparison: Comparison, state: str) -> None:
    fleet = with_gates('order: {"**": ancestry}')
    landed(fleet)
    fleet.release(3)
    fleet.forge.compared[CommitId(f"{2:040x}"), CommitId(f"{3:040x}")] = comparison
    at = replace(fleet.at(), sources="https://git.example/acme/shop")
    assert states(fleet.promote("dev", "staging", at=at)) == {"staging": state}


def test_what_did_not_come_through_the_environment_before_is_refused_unless_that_is_skipped(fleet: Fleet) -> None:
    assert states(fleet.promote("dev", "prod")) == {"prod": "refused"}

    result = fleet.promote("dev", "prod", skip=("staging",), reason="outage 42")

    assert states(result) == {"prod": "opened"}
    assert "outage 42" in fleet.pulls()[0].body
    fleet.merge(1)
    (open_one,) = fleet.promote("dev", "edge").skips
    assert (open_one.environment, open_one.left_out, open_one.reason) == ("prod", "staging", "outage 42")
    landed(fleet)
    assert fleet.promote("dev", "edge").skips == ()


def test_a_skip_of_an_environment_that_is_up_to_date_hides_nothing(fleet: Fleet) -> None:
    landed(fleet)
    result = fleet.promote("staging", "prod", skip=("staging",), reason="not needed")
    assert states(result) == {"prod": "opened"}
    fleet.merge(2)
    assert fleet.promote("staging", "prod").skips == ()


# --- gates ----------------------------------------------------------------------------------------------------------


def test_a_hold_refuses_one_environment_and_no_other(fleet: Fleet) -> None:
    hold(fleet, "staging", API)
    result = fleet.promote("dev", "staging", "edge")
    assert states(result) == {"staging": "refused", "edge": "committed"}
    error = error_of(result)
    assert (error.exit_code, error.message) == (ExitCode.REFUSED, "the promotion to staging is refused")
    assert "incident 42" in error.details[0]
    assert "hold lift" in str(error.hint)
    assert fleet.pulls() == []


def test_what_was_proposed_before_the_hold_becomes_a_draft_until_it_is_lifted(fleet: Fleet) -> None:
    fleet.promote("dev", "staging")
    hold(fleet, "staging", API)
    ports = fleet.ports()

    result = fleet.promote("dev", "staging", ports=ports)

    assert states(result) == {"staging": "refused"}
    (pull,) = fleet.pulls()
    assert pull.draft
    assert "incident 42" in pull.body
    assert result.targets[0].held == pull
    assert warnings_of(ports) == ["pull request #1 for staging is refused by now, so it is a draft"]
    assert record_of_promotion(result, fleet.clock.now()).environments[0].pull_request is not None
    again = fleet.ports()
    fleet.promote("dev", "staging", ports=again)
    assert WRITES.isdisjoint(calls(again))
    lift(fleet, "staging", API)
    assert states(fleet.promote("dev", "staging")) == {"staging": "updated"}
    (pull,) = fleet.pulls()
    assert not pull.draft
    assert "incident 42" not in pull.body


def test_a_hold_is_on_an_older_promotion_that_still_waits_too(fleet: Fleet) -> None:
    """The source has moved on; what is open for it was proposed before."""
    fleet.promote("dev", "staging")
    fleet.release(3)
    hold(fleet, "staging", API)

    assert states(fleet.promote("dev", "staging")) == {"staging": "refused"}

    (pull,) = fleet.pulls()
    assert pull.draft
    assert fleet.version("staging", API, str(pull.head)) == 2


def test_a_refusal_of_newer_images_says_nothing_about_what_waits(fleet: Fleet) -> None:
    fleet.promote("dev", "staging")
    fleet.release(3)
    veto(fleet, "staging", API, 3)

    assert states(fleet.promote("dev", "staging")) == {"staging": "refused"}

    (pull,) = fleet.pulls()
    assert not pull.draft


def test_somebody_elses_pull_request_from_our_branch_is_left_alone_by_a_refusal() -> None:
    fleet = Fleet(POLICY.replace("writers: [ci@acme.example]", "writers: [ci@acme.example, hybrid-ci]"))
    fleet.release(2)
    fleet.promote("dev", "staging")
    SimulatedForge(fleet.forge).close(1, "no")
    theirs = PullRequestDraft("Mine", "", branch_for("staging", "shop"), MAIN)
    SimulatedForge(fleet.forge, "mallory").open(theirs)
    hold(fleet, "staging", API)
    ports = fleet.ports()
    assert states(fleet.promote("dev", "staging", ports=ports)) == {"staging": "refused"}
    assert [(pull.author, pull.draft, pull.body) for pull in fleet.pulls()] == [("mallory", False, "")]
    assert any("none of the policy's writers" in told for told in warnings_of(ports))


def test_what_was_to_merge_by_itself_does_not_once_it_is_refused() -> None:
    fleet = Fleet(POLICY.replace("staging: {", "staging: {pull-request: {merge: auto}, "))
    fleet.release(2)
    fleet.forge.rules = lambda pull: None if pull.approvals else "an approval is missing"
    fleet.promote("dev", "staging")
    hold(fleet, "staging", API)

    fleet.promote("dev", "staging")

    assert fleet.forge.pulls[1].wish is None


def test_a_dry_run_makes_no_draft_of_what_is_refused(fleet: Fleet) -> None:
    fleet.promote("dev", "staging")
    hold(fleet, "staging", API)
    assert states(fleet.promote("dev", "staging", dry_run=True)) == {"staging": "refused"}
    assert not fleet.pulls()[0].draft


@pytest.mark.parametrize("method", ["pull_requests", "set_draft", "update"])
def test_a_draft_that_can_not_be_made_hides_no_refusal(fleet: Fleet, method: str) -> None:
    fleet.promote("dev", "staging")
    hold(fleet, "staging", API)
    ports = fleet.ports()
    assert isinstance(ports.forge, SimulatedForge)
    ports.forge.fail(method=method)

    result = fleet.promote("dev", "staging", ports=ports)

    assert "incident 42" in error_of(result).details[0]
    (warning,) = warnings_of(ports)
    assert "may still be merged: the simulated remote failed" in warning
    fleet.promote("dev", "staging")
    assert fleet.pulls()[0].draft
    lift(fleet, "staging", API)
    fleet.promote("dev", "staging")
    assert not fleet.pulls()[0].draft


def test_a_hold_of_an_image_that_does_not_move_is_in_nobodys_way(fleet: Fleet) -> None:
    landed(fleet)
    fleet.release(3, WORKER)
    hold(fleet, "staging", API)
    assert states(fleet.promote("dev", "staging")) == {"staging": "opened"}


def test_what_has_to_wait_is_a_draft_until_its_gates_pass() -> None:
    fleet = with_gates("gates: [{soak: {duration: 1d}}]")
    result = fleet.promote("dev", "staging")

    assert (states(result), result.failure()) == ({"staging": "waiting"}, None)
    (pull,) = fleet.pulls()
    assert pull.draft
    fleet.clock.advance(DAY)
    again = fleet.promote("dev", "staging")
    assert again.targets[0].result == "pass"
    (pull,) = fleet.pulls()
    assert (pull.number, pull.draft) == (1, False)


def test_by_policy_what_waits_leaves_nothing_on_the_forge() -> None:
    fleet = with_gates("gates: [{soak: {duration: 1d}}], pull-request: {waiting: none}")
    ports = fleet.ports()
    assert states(fleet.promote("dev", "staging", ports=ports)) == {"staging": "waiting"}
    assert not WRITES & set(calls(ports))
    fleet.clock.advance(DAY)
    assert states(fleet.promote("dev", "staging")) == {"staging": "opened"}


def test_an_environment_that_is_committed_to_waits_without_a_commit() -> None:
    fleet = with_gates("gates: [{soak: {duration: 1d}}]", "edge")
    assert states(fleet.promote("dev", "edge")) == {"edge": "waiting"}
    assert fleet.version("edge", API, "edge") is None
    fleet.clock.advance(DAY)
    assert states(fleet.promote("dev", "edge")) == {"edge": "committed"}


class Unguarded(SimulatedForge):
    """It lets whoever promotes push the branch that holds the policy."""

    def can_push(self, branch: BranchName) -> bool:
        return branch == MAIN


def test_who_can_push_the_policy_commits_to_no_environment() -> None:
    fleet = Fleet(forge_type=Unguarded)
    fleet.release(2)
    with pytest.raises(Refused, match="may also push to main, which holds the policy"):
        fleet.promote("dev", "edge")
    assert fleet.version("edge", API, "edge") is None
    assert states(fleet.promote("dev", "staging")) == {"staging": "opened"}, "a pull request is reviewed"


def test_waiting_looks_again_until_the_soak_is_over() -> None:
    fleet = with_gates("gates: [{soak: {duration: 2h}}]")
    result = fleet.promote("dev", "staging", wait_seconds=3 * 3600.0)
    assert states(result)["staging"] != "waiting"
    assert result.failure() is None
    assert sum(fleet.clock.slept) == pytest.approx(2 * 3600, abs=61)
    assert not fleet.pulls()[0].draft


def test_a_wait_that_runs_out_of_time_ends_with_six() -> None:
    fleet = with_gates("gates: [{soak: {duration: 2h}}]")
    result = fleet.promote("dev", "staging", wait_seconds=600.0)
    assert error_of(result).exit_code is ExitCode.TIMED_OUT
    assert sum(fleet.clock.slept) == pytest.approx(600)
    assert fleet.pulls()[0].draft


def test_a_wait_ends_when_a_gate_refuses() -> None:
    fleet = with_gates("gates: [{soak: {duration: 2h}}]")
    ports = fleet.ports()
    sleep = fleet.clock.sleep

    def sleeping(seconds: float) -> None:
        sleep(seconds)
        hold(fleet, "staging", API)

    fleet.clock.sleep = sleeping  # type: ignore[method-assign]
    result = fleet.promote("dev", "staging", ports=ports, wait_seconds=3600.0)
    assert error_of(result).exit_code is ExitCode.REFUSED
    assert len(fleet.clock.slept) == 1


def test_reviews_that_are_missing_are_asked_for_and_make_no_draft() -> None:
    fleet = with_gates("gates: [{approvals: {teams: [acme/owners]}}]")
    fleet.forge.teams["acme/owners"] = frozenset({"ada"})
    assert states(fleet.promote("dev", "staging")) == {"staging": "waiting"}
    (pull,) = fleet.pulls()
    assert not pull.draft
    fleet.forge.approve(pull.number, "ada")
    result = fleet.promote("dev", "staging")
    assert (states(result), result.targets[0].result) == ({"staging": "updated"}, "pass")
    assert re.search(r"`approvals`.*\| pass \|", fleet.pulls()[0].body)


def test_nothing_merges_by_itself_while_reviews_are_missing() -> None:
    fleet = with_gates("gates: [{approvals: {count: 1}}], pull-request: {merge: auto}")
    assert states(fleet.promote("dev", "staging")) == {"staging": "waiting"}
    fleet.forge.settle()
    assert fleet.version("staging", API) is None
    fleet.forge.approve(1, "ada")
    assert states(fleet.promote("dev", "staging")) == {"staging": "merged"}
    assert fleet.version("staging", API) == 2


def test_an_approval_of_what_was_proposed_before_is_none_of_what_comes_now() -> None:
    fleet = with_gates("gates: [{approvals: {count: 1}}], pull-request: {merge: auto}")
    fleet.promote("dev", "staging")
    fleet.forge.approve(1, "ada")
    fleet.release(3)
    result = fleet.promote("dev", "staging")
    fleet.forge.settle()
    assert (states(result), fleet.version("staging", API)) == ({"staging": "waiting"}, None)
    assert "held another change" in fleet.pulls()[0].body
    fleet.forge.approve(1, "ada")
    assert states(fleet.promote("dev", "staging")) == {"staging": "merged"}
    assert fleet.version("staging", API) == 3


def test_an_approval_stands_while_something_else_lands_on_the_base() -> None:
    fleet = with_gates("gates: [{approvals: {count: 1}}], pull-request: {merge: auto}")
    fleet.promote("dev", "staging")
    fleet.forge.approve(1, "ada")
    fleet.write({"README.md": b"x"})
    assert states(fleet.promote("dev", "staging")) == {"staging": "merged"}


# --- what waits in the same pull request -----------------------------------------------------------------------------


def test_what_still_soaks_is_not_made_ready_by_another_image_that_does_not() -> None:
    fleet = with_gates("gates: [{soak: {duration: 2d}}], pull-request: {merge: auto}")
    fleet.clock.advance(DAY)
    fleet.release(3, WORKER)
    fleet.promote("dev", "staging", images=("worker",))
    fleet.clock.advance(DAY)
    result = fleet.promote("dev", "staging", images=("api",))
    fleet.forge.settle()
    assert (states(result), fleet.version("staging", WORKER)) == ({"staging": "waiting"}, None)
    assert "worker soaks in dev" in fleet.pulls()[0].body
    fleet.clock.advance(DAY)
    assert states(fleet.promote("dev", "staging", images=("api",))) == {"staging": "merged"}
    assert (fleet.version("staging", API), fleet.version("staging", WORKER)) == (2, 3)


def test_what_was_set_aside_for_one_image_is_not_for_another_in_the_same_pull_request() -> None:
    fleet = with_gates("gates: [{soak: {duration: 1d}}]", "prod")
    fleet.promote("dev", "prod", images=("api",), skip=("staging",), reason="outage 42")
    assert not fleet.pulls()[0].draft
    landed(fleet)
    result = fleet.promote("staging", "prod", images=("worker",))
    assert states(result) == {"prod": "waiting"}
    (soak,) = (one for one in result.targets[0].verdicts if one.gate == "soak")
    assert soak.reason == "worker soaks in staging for 1d more"
    assert [pull.draft for pull in fleet.pulls()] == [True]
    fleet.clock.advance(DAY)
    fleet.promote("staging", "prod", images=("worker",))
    assert [pull.draft for pull in fleet.pulls()] == [False]


@pytest.mark.parametrize("again", [("api",), ()])
def test_what_is_held_comes_into_no_pull_request_that_is_ready(fleet: Fleet, again: tuple[str, ...]) -> None:
    """Also where it came there before the hold, alone or with others."""
    fleet.promote("dev", "staging", images=("worker",))
    if not again:
        fleet.promote("dev", "staging", images=("api",))
    hold(fleet, "staging", WORKER)
    result = fleet.promote("dev", "staging", images=again)
    assert states(result) == {"staging": "refused"}
    assert error_of(result).exit_code is ExitCode.REFUSED
    (pull,) = fleet.pulls()
    assert pull.draft
    assert "worker is held" in pull.body


def test_a_hold_of_what_has_landed_already_makes_no_draft_of_the_rest(fleet: Fleet) -> None:
    """A squash by hand: the branch still carries the image, and moves it no more."""
    fleet.promote("dev", "staging", images=("worker",))
    fleet.write({path_of("staging"): manifest({API: None, WORKER: 2})}, "Squashed")
    fleet.promote("dev", "staging", images=("api",))
    hold(fleet, "staging", WORKER)
    fleet.release(3, WORKER)
    ports = fleet.ports()
    assert states(fleet.promote("dev", "staging", ports=ports, images=("worker",))) == {"staging": "refused"}
    assert not fleet.pulls()[0].draft
    assert not WRITES & set(calls(ports))


def test_what_waits_and_does_not_run_in_the_source_any_more_has_to_be_promoted_anew(fleet: Fleet) -> None:
    fleet.promote("dev", "staging", images=("worker",))
    fleet.release(3, WORKER)
    result = fleet.promote("dev", "staging", images=("api",))
    assert states(result) == {"staging": "waiting"}
    (verdict,) = (one for one in result.targets[0].verdicts if one.result == "wait")
    assert verdict.hint == "promote worker too, so that what dev runs by now takes its place"
    assert fleet.pulls()[0].draft
    fleet.promote("dev", "staging")
    (pull,) = fleet.pulls()
    assert not pull.draft
    fleet.merge(pull.number)
    assert (fleet.version("staging", API), fleet.version("staging", WORKER)) == (2, 3)


def test_every_verdict_stands_in_the_pull_request(fleet: Fleet) -> None:
    fleet.promote("dev", "staging")
    body = fleet.pulls()[0].body
    for gate in ("hold", "veto", "order"):
        assert f"| `{gate}` | pass |" in body
    assert "`dev` runs these very digests" in body


@pytest.mark.scenario(number=68)
def test_registry_offline_at_promote() -> None:
    fleet = with_gates("gates: [{image-exists: {}}]")
    fleet.registry.faults.fail("manifest")
    ports = fleet.ports()
    with pytest.raises(RemoteError) as caught:
        fleet.promote("dev", "staging", ports=ports)
    assert caught.value.exit_code is ExitCode.REMOTE
    assert not WRITES & set(calls(ports))


@pytest.mark.scenario(number=69)
def test_image_deleted_before_promote() -> None:
    fleet = with_gates("gates: [{image-exists: {}}]")
    result = fleet.promote("dev", "staging")
    assert "the registry does not have api" in error_of(result).details[0]
    assert error_of(result).exit_code is ExitCode.REFUSED
    assert fleet.pulls() == []


def test_a_hold_that_lands_while_we_write_is_seen_before_the_pull_request_is(fleet: Fleet) -> None:
    """The base moves between the judgement and the handoff: the gates are asked again, on what stands there now."""
    ports = fleet.ports(_once("check_push", lambda: hold(fleet, "staging", API)))
    result = fleet.promote("dev", "staging", ports=ports)
    assert states(result) == {"staging": "refused"}
    assert "incident 42" in error_of(result).details[0]
    assert fleet.pulls() == []


def test_a_rule_that_lands_while_we_write_counts_already(fleet: Fleet) -> None:
    stricter = POLICY.replace("after: [dev]}\n  prod", "after: [dev], gates: [{soak: {duration: 1d}}]}\n  prod")
    assert stricter != POLICY
    land = _once("check_push", lambda: fleet.write({".hybrid-ci/environments.yaml": stricter.encode()}))
    fleet.promote("dev", "staging", ports=fleet.ports(land))
    assert fleet.pulls()[0].draft


def test_a_hold_that_lands_counts_where_the_branch_of_an_environment_moves_too(fleet: Fleet) -> None:
    """Its rules are on the base, whatever branch it lives on."""

    def land() -> None:
        hold(fleet, "edge", API)
        fleet.write({"README.md": b"x"}, branch="edge")

    result = fleet.promote("dev", "edge", ports=fleet.ports(_once("check_push", land)))
    assert states(result) == {"edge": "refused"}
    assert fleet.version("edge", API, "edge") is None


def test_a_release_that_lands_while_we_write_is_what_is_promoted(fleet: Fleet) -> None:
    """What was judged does not run in the source any more: that refuses it, and another look finds the newer one."""
    result = fleet.promote("dev", "staging", ports=fleet.ports(_once("check_push", lambda: fleet.release(3))))
    assert states(result) == {"staging": "opened"}
    fleet.merge(1)
    assert fleet.version("staging", API) == 3


def test_an_unrelated_commit_that_lands_while_we_write_holds_nothing_up(fleet: Fleet) -> None:
    ports = fleet.ports(_once("check_push", lambda: fleet.write({"README.md": b"x"})))
    assert states(fleet.promote("dev", "staging", ports=ports)) == {"staging": "opened"}


def _once(method: str, act: Callable[[], None]) -> Hook:
    done: list[str] = []

    def hook(port: str, called: str) -> None:
        if called == method and not done:
            done.append(called)
            act()

    return hook


# --- one pull request for each environment --------------------------------------------------------------------------


def test_a_newer_release_updates_the_open_promotion(fleet: Fleet) -> None:
    fleet.promote("dev", "staging")
    fleet.release(3)
    result = fleet.promote("dev", "staging")
    assert isinstance(result.targets[0].outcome, Updated)
    assert [pull.number for pull in fleet.pulls(None)] == [1]
    assert fleet.version("staging", API, branch_for("staging", "shop").value) == 3


def test_a_late_promotion_is_superseded_and_says_so(fleet: Fleet) -> None:
    fleet.release(3)
    fleet.promote("dev", "staging")
    fleet.write({path_of("dev"): manifest({API: 2, WORKER: 2})})

    result = fleet.promote("dev", "staging")

    assert (states(result), result.failure()) == ({"staging": "superseded"}, None)
    assert error_of(result, fail_superseded=True).exit_code is ExitCode.REFUSED
    assert fleet.version("staging", API, branch_for("staging", "shop").value) == 3


def test_somebody_elses_commits_on_the_branch_stop_one_environment_only(fleet: Fleet) -> None:
    head = branch_for("staging", "shop")
    fleet.git.refs[head.ref] = fleet.tip()
    fleet.write({"apps/shop/staging/own.yaml": b"a: 1\n"}, branch=head.value)
    result = fleet.promote("dev", "staging", "edge")
    assert states(result) == {"staging": "failed", "edge": "committed"}
    assert isinstance(result.failure(), Conflict)


def test_a_promotion_that_a_person_closed_is_not_proposed_again(fleet: Fleet) -> None:
    fleet.promote("dev", "staging")
    SimulatedForge(fleet.forge, "a person").close(1, "no")
    result = fleet.promote("dev", "staging")
    assert (states(result), "--reopen" in str(error_of(result).hint)) == ({"staging": "refused"}, True)
    assert states(fleet.promote("dev", "staging", reopen=True)) == {"staging": "opened"}


# --- waves ----------------------------------------------------------------------------------------------------------

WAVES = POLICY.replace(
    '  prod: {paths: ["apps/{application}/prod"], after: [staging]}',
    '  prod: {paths: ["{cluster}/{application}"], after: [staging], '
    'waves: {clusters: "clusters/prod-*", sizes: [1, 2, rest]}}',
)


def cluster_path(name: str) -> str:
    return f"clusters/prod-{name}/shop/kustomization.yaml"


@pytest.fixture
def waves() -> Fleet:
    made = Fleet(WAVES)
    made.write({cluster_path(name): manifest({API: None, WORKER: None}) for name in ("a1", "a2", "a3", "a10")})
    made.release(2)
    landed(made)
    return made


def test_a_wave_goes_after_the_one_before_it(waves: Fleet) -> None:
    assert WAVES != POLICY
    assert states(waves.promote("staging", "prod", wave=1)) == {"prod/a1": "opened"}
    assert states(waves.promote("staging", "prod", wave=2)) == {"prod/a2": "waiting", "prod/a3": "waiting"}
    waves.merge(2)
    states_of_two = states(waves.promote("staging", "prod", wave=2))
    assert set(states_of_two) == {"prod/a2", "prod/a3"}
    assert not {"waiting", "refused"} & set(states_of_two.values())
    assert all(not pull.draft for pull in waves.pulls())


def test_all_waves_are_proposed_at_once_and_wait_for_each_other(waves: Fleet) -> None:
    result = waves.promote("staging", "prod", all_waves=True)
    assert states(result) == {"prod/a1": "opened", "prod/a2": "waiting", "prod/a3": "waiting", "prod/a10": "waiting"}
    assert [pull.draft for pull in sorted(waves.pulls(), key=lambda pull: pull.number)] == [False, True, True, True]
    assert result.failure() is None


@pytest.mark.parametrize(("options", "match"), [({}, "say which one goes"), ({"wave": 4}, "no wave 4")])
def test_a_wave_has_to_be_named(waves: Fleet, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match) as caught:
        waves.promote("staging", "prod", **options)
    assert "--wave 1: prod/a1" in str(caught.value.hint)


def test_a_cluster_can_be_promoted_to_alone_and_from(waves: Fleet) -> None:
    assert states(waves.promote("staging", "prod/a1")) == {"prod/a1": "opened"}
    waves.merge(2)
    found = states(waves.promote("prod/a1", "prod", all_waves=True))
    assert found == {"prod/a2": "opened", "prod/a3": "opened", "prod/a10": "waiting"}


def test_clusters_that_run_different_versions_are_no_source(waves: Fleet) -> None:
    waves.write({cluster_path("a1"): manifest({API: 2, WORKER: 2}), cluster_path("a2"): manifest({API: 1, WORKER: 2})})
    text = WAVES.replace("  edge: {", '  last: {paths: ["apps/{application}/prod"], after: [prod]}\n  edge: {')
    waves.write({".hybrid-ci/environments.yaml": text.encode()})
    result = waves.promote("prod", "last")
    assert states(result) == {"last": "refused"}
    assert "several versions" in str(error_of(result).details)


# --- how much is asked ----------------------------------------------------------------------------------------------


def _asked(images: int, clusters: int) -> tuple[Counter[str], PromotionResult]:
    fleet = Fleet(WAVES)
    repositories = [Repository("ghcr.io", f"acme/shop/service-{number}") for number in range(images)]
    files = {path_of(name): manifest(dict.fromkeys(repositories, 2)) for name in ("dev", "staging")}
    files |= {cluster_path(str(number)): manifest(dict.fromkeys(repositories)) for number in range(clusters)}
    fleet.write(dict(files))
    ports = fleet.ports()
    result = fleet.promote("staging", "prod", ports=ports, all_waves=True, dry_run=True)
    assert {one.state for one in result.targets} == {"planned", "waiting"}
    return Counter(calls(ports)), result


def test_the_calls_are_counted_and_do_not_grow_with_images_or_environments() -> None:
    few, _ = _asked(images=1, clusters=4)
    many, result = _asked(images=20, clusters=30)
    assert few == many
    assert sum(many.values()) <= 12
    assert many["files"] <= 5  # the policy, holds, vetoes, all environments, and those before them
    assert {kind: sum(methods.values()) for kind, methods in result.calls.items()} == {"git": sum(many.values())}


def test_a_handoff_asks_no_more_for_more_images() -> None:
    def asked(images: int) -> Counter[str]:
        fleet = Fleet()
        repositories = [Repository("ghcr.io", f"acme/shop/service-{number}") for number in range(images)]
        fleet.write({path_of("dev"): manifest(dict.fromkeys(repositories, 2))})
        fleet.write({path_of("staging"): manifest(dict.fromkeys(repositories))})
        ports: Ports = fleet.ports()
        assert states(fleet.promote("dev", "staging", ports=ports)) == {"staging": "opened"}
        return Counter(calls(ports))

    assert asked(1) == asked(25)


def test_the_base_is_the_default_branch_where_nobody_names_one(fleet: Fleet) -> None:
    assert fleet.at().base is None
    assert states(fleet.promote("dev", "staging", at=replace(fleet.at(), base=MAIN))) == {"staging": "opened"}
    fleet.git.default_branch = None
    with pytest.raises(ConfigurationError):
        fleet.promote("dev", "staging")
