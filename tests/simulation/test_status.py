"""``status`` over a simulated past: what runs, since when, how far behind, what is on its way."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from orchestrator.core.change import Action
from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.holds import Hold, Veto
from orchestrator.core.image import Repository
from orchestrator.core.names import CommitId
from orchestrator.core.override import Override, OverrideKind
from orchestrator.core.rule_change import RuleChange
from orchestrator.forges.base import Comparison
from pipelines.looking import Wanted
from pipelines.looking_distance import MOST_COMPARED, Told
from pipelines.status import Status, status
from tests.simulation.past import API, POLICY, START, WORKER, Past, change, image, kustomization, path
from tests.simulators.forge import SimulatedForge
from tests.simulators.gitops_repository import SimulatedGitServer


def released(past: Past, version: int, *, count: int | None = None) -> None:
    made = change("dev", image(API, version), count=version if count is None else count)
    past.merge(made, {path("dev"): kustomization(image(API, version), image(WORKER))}, number=version)


def tags(found: Status, environment: str, repository: Repository = API) -> list[str | None]:
    return [one.tag for one in found.cells[environment, repository].versions]


def test_each_environment_tells_what_it_runs_and_since_when() -> None:
    past = Past().begin()
    released(past, 2)

    found = status(past.looking(), Wanted())

    assert found.environments == ("dev", "staging", "prod")
    assert found.images == (API, WORKER)
    assert (tags(found, "dev"), tags(found, "prod")) == (["1.2.0"], ["1.1.0"])
    assert found.cells["dev", API].since == START + timedelta(hours=2)  # the merge, not the commit that it merged
    assert found.cells["dev", WORKER].since == START
    assert not found.cells["dev", WORKER].older


def test_a_commit_that_was_made_earlier_than_it_was_merged_wins_no_time() -> None:
    past = Past().begin()
    past.hours = 40
    past.commit({"README.md": b"late\n"}, "Late")
    past.hours = 3  # a clock that goes wrong
    released(past, 2)

    assert status(past.looking(), Wanted()).cells["dev", API].since == START + timedelta(hours=40)


def test_what_ran_before_the_last_commits_is_told_as_older() -> None:
    past = Past().begin()
    for number in range(4):
        past.commit({"README.md": f"{number}\n".encode()}, "Say something")

    cell = status(past.looking(), Wanted(), depth=3).cells["dev", API]

    assert cell.older
    assert cell.since == START + timedelta(hours=2)


def test_what_left_and_came_back_counts_from_its_return() -> None:
    past = Past().begin()
    released(past, 2)
    released(past, 1, count=3)

    assert status(past.looking(), Wanted()).cells["dev", API].since == START + timedelta(hours=4)


# --- behind --------------------------------------------------------------------------------------------------------


def test_the_distance_is_that_of_the_positions_in_the_trailers() -> None:
    past = Past().begin()
    released(past, 2)
    promoted = change("staging", image(API, 2), count=2, action=Action.PROMOTE)
    past.merge(promoted, {path("staging"): kustomization(image(API, 2), image(WORKER))})
    released(past, 5)

    found = status(past.looking(), Wanted())

    behind = found.cells["staging", API].behind
    assert behind is not None
    assert (behind.first, behind.commits, behind.told) == ("dev", 3, Told.POSITION)
    assert found.cells["dev", API].behind is None
    assert found.cells["prod", WORKER].behind is not None
    assert found.cells["prod", WORKER].behind.told is Told.DIGEST


def test_an_image_of_unknown_origin_is_behind_by_nobody_knows_what() -> None:
    past = Past().begin()
    released(past, 2)

    behind = status(past.looking(), Wanted()).cells["prod", API].behind

    assert behind is not None
    assert behind.commits is None
    assert "nobody recorded" in behind.reason


def test_the_checkout_counts_where_the_branches_are_not_the_same() -> None:
    past = Past().begin()
    for name, version, branch in (("dev", 7, "main"), ("staging", 3, "release")):
        made = change(name, image(API, version), count=version, branch=branch)
        past.merge(made, {path(name): kustomization(image(API, version), image(WORKER))})
    asked: list[tuple[CommitId, CommitId]] = []

    def distance(older: CommitId, newer: CommitId) -> int:
        asked.append((older, newer))
        return 11

    behind = status(past.looking(distance=distance), Wanted()).cells["staging", API].behind

    assert behind is not None
    assert (behind.commits, behind.told) == (11, Told.CHECKOUT)
    assert asked == [(CommitId(f"{3:040x}"), CommitId(f"{7:040x}"))]


class ComparingForge(SimulatedForge):
    """The simulator, and what lies between two commits of the application."""

    def compare(self, repository: str, base: CommitId, head: CommitId) -> Comparison | None:
        with self._call("compare"):
            return Comparison(ahead=4, behind=0)


def test_the_forge_is_asked_a_few_times_at_most_however_many_images_there_are() -> None:
    past = Past().begin()
    images = [Repository.parse(f"ghcr.io/acme/shop/i{number}") for number in range(20)]
    for name, version, branch in (("dev", 100, "main"), ("staging", 1, "release")):
        for number, one in enumerate(images):
            files = {f"apps/shop/{name}/i{number}.yaml": b"image: " + str(image(one, version)).encode() + b"\n"}
            past.merge(change(name, image(one, version), count=version + number, branch=branch), files)
    past.forge = ComparingForge(past.forge_server)

    found = status(past.looking(images=images, sources="https://git.example/acme/shop"), Wanted())

    assert past.forge.calls.count("compare") == MOST_COMPARED
    known = [cell.behind for cell in found.cells.values() if cell.environment == "staging"]
    assert [one.commits for one in known if one is not None].count(4) == MOST_COMPARED


# --- what is on its way, and what is in the way --------------------------------------------------------------------


def test_open_pull_requests_are_told_by_their_branches() -> None:
    past = Past().begin()
    number = past.propose(change("staging", image(API, 2)), {path("staging"): b"images: []\n"}, "Promote")
    other = change("staging", image(API, 3))
    past.propose(type(other)(**{**_fields(other), "scope": "other"}), {path("staging", "other"): b"x: 1\n"})

    found = status(past.looking(), Wanted())

    assert found.pull_requests is not None
    assert [(one.pull_request.number, one.environment, one.scope) for one in found.pull_requests] == [
        (number, "staging", "shop")
    ]
    every = status(past.looking(application=None), Wanted()).pull_requests
    assert every is not None
    assert {one.scope for one in every} == {"shop", "other"}


def test_a_hold_of_all_clusters_is_told_while_it_is_only_proposed() -> None:
    policy = (
        "version: 1\nenvironments:\n  dev: {paths: [dev]}\n"
        "  prod: {paths: ['{cluster}'], after: [dev], waves: {clusters: 'clusters/*'}}\n"
    )
    files = {f"{name}/kustomization.yaml": kustomization(image(API)) for name in ("dev", "clusters/a", "clusters/b")}
    past = Past().begin(files, policy)
    rule = RuleChange.about(Hold("prod", "incident 42", "Mary", START, None, API))
    number = past.propose(rule, {rule.rule.path.value: rule.rule.render()}, "Hold")

    for shown in ((), ("prod/b",)):
        found = status(past.looking(), Wanted(shown)).pull_requests
        assert found is not None
        assert [(one.pull_request.number, one.environment) for one in found] == [(number, "prod")]
    assert status(past.looking(), Wanted(("dev",))).pull_requests == ()


def test_a_hold_by_the_name_of_a_mirror_marks_the_image() -> None:
    policy = "version: 1\nenvironments:\n  prod: {paths: [prod], mirrors: {ghcr.io/acme: mirror.example/acme}}\n"
    here = Repository("mirror.example", API.path)
    past = Past().begin({"prod/kustomization.yaml": kustomization(image(here))}, policy)
    hold = Hold("prod", "incident 42", "Mary", START, None, here)
    past.commit({hold.path.value: hold.render()}, "Hold")

    assert status(past.looking(application=None), Wanted()).cells["prod", API].hold == hold


def _fields(made: object) -> dict[str, object]:
    return {name: getattr(made, name) for name in made.__dataclass_fields__}  # type: ignore[attr-defined]


def test_a_forge_that_fails_or_is_not_there_leaves_the_rest_told() -> None:
    past = Past().begin()
    past.forge.fail(method="list", error=RemoteError("no"))

    assert status(past.looking(), Wanted()).pull_requests is None
    assert any("could not be listed" in one for one in past.reporter.warnings)
    assert status(past.looking(forge=False), Wanted()).pull_requests is None


def test_holds_and_vetoes_mark_what_they_are_about_until_they_expire() -> None:
    past = Past().begin()
    now = past.clock.now()
    hold = Hold("prod", "incident 42", "Mary", START, now + timedelta(hours=1), API)
    over = Hold("prod", "long ago", "Mary", START, now, WORKER)
    veto = Veto("dev", "it leaks", "Mary", START, None, image(API).digest)
    past.commit({one.path.value: one.render() for one in (hold, over, veto)}, "Set rules")

    found = status(past.looking(), Wanted())

    assert found.cells["prod", API].hold == hold
    assert found.cells["prod", WORKER].hold is None
    assert found.cells["dev", API].veto == veto
    assert found.cells["staging", API].veto is None
    assert set(found.rules) == {hold, veto}


def test_an_environment_that_was_left_out_is_shown_until_somebody_makes_it_good() -> None:
    past = Past().begin()
    released(past, 2)
    skip = Override(OverrideKind.SKIP, "outage", "staging")
    made = change("prod", image(API, 2), count=2, action=Action.PROMOTE, overrides=(skip,), taken_from="dev")
    past.merge(made, {path("prod"): kustomization(image(API, 2), image(WORKER))})

    (found,) = status(past.looking(), Wanted()).skips
    assert (found.environment, found.left_out, found.reason) == ("prod", "staging", "outage")

    good = change("staging", image(API, 2), count=2, action=Action.PROMOTE)
    past.merge(good, {path("staging"): kustomization(image(API, 2), image(WORKER))})
    assert status(past.looking(), Wanted()).skips == ()


# --- where it looks from, and at what ------------------------------------------------------------------------------


def test_filters_narrow_environments_and_images() -> None:
    past = Past().begin()

    found = status(past.looking(), Wanted(environments=("prod",), images=("worker",)))

    assert (found.environments, found.images) == (("prod",), (WORKER,))
    assert set(found.cells) == {("prod", WORKER)}
    assert found.cells["prod", WORKER].behind is not None  # compared with dev all the same


@pytest.mark.parametrize("wanted", [Wanted(environments=("prodd",)), Wanted(images=("nothing",))])
def test_a_name_that_is_not_there_is_an_error(wanted: Wanted) -> None:
    with pytest.raises(ConfigurationError):
        status(Past().begin().looking(), wanted)


def test_the_address_alone_shows_every_application() -> None:
    past = Past().begin()
    billing = Repository.parse("ghcr.io/acme/billing")
    past.commit({path("dev", "billing"): kustomization(image(billing))}, "Add billing")

    assert status(past.looking(application=None), Wanted()).images == (billing, API, WORKER)
    assert status(past.looking(), Wanted()).images == (API, WORKER)
    assert status(past.looking(), Wanted(everything=True)).images == (billing, API, WORKER)


def test_without_a_policy_the_layout_tells_the_environments_and_status_says_so() -> None:
    past = Past().begin(
        {f"apps/shop/overlays/{name}/kustomization.yaml": kustomization(image(API)) for name in ("dev", "prod")},
        policy=None,
    )

    found = status(past.looking(), Wanted())

    assert found.environments == ("dev", "prod")
    assert len(found.discovered) == 2
    assert any("layout" in one for one in past.reporter.warnings)


def test_an_environment_on_a_branch_of_its_own_is_read_there() -> None:
    policy = POLICY + '  lab: {paths: ["apps/{application}/lab/**"], strategy: commit, branch: lab}\n'
    past = Past().begin({path("dev"): kustomization(image(API))}, policy)
    past.commit({path("lab"): kustomization(image(API, 9))}, "Use the lab", "refs/heads/lab")

    found = status(past.looking(), Wanted())

    assert tags(found, "lab") == ["1.9.0"]
    assert found.cells["lab", API].since == START + timedelta(hours=1)


def test_a_branch_that_is_not_there_is_told_and_the_rest_shown() -> None:
    policy = POLICY + '  lab: {paths: ["apps/{application}/lab/**"], strategy: commit, branch: lab}\n'
    past = Past().begin({path("dev"): kustomization(image(API))}, policy)

    found = status(past.looking(), Wanted())

    assert ("lab", API) not in found.cells
    assert any("no branch lab" in one for one in past.reporter.warnings)


# --- cost ----------------------------------------------------------------------------------------------------------


def town(environments: int, images: int) -> Past:
    """A ring of clusters that follow dev, each with all images, each image released once and promoted to some."""
    names = ["dev", *(f"prod-{number}" for number in range(environments - 1))]
    policy = "version: 1\nenvironments:\n  dev: {paths: [dev]}\n" + "".join(
        f"  {name}: {{paths: [{name}], after: [dev]}}\n" for name in names[1:]
    )
    repositories = [Repository.parse(f"ghcr.io/acme/i{number}") for number in range(images)]
    entries = kustomization(*(image(one) for one in repositories))
    past = Past(SimulatedGitServer()).begin({f"{name}/kustomization.yaml": entries for name in names}, policy)
    for number, one in enumerate(repositories):
        newer = [image(other, 2) if other in repositories[: number + 1] else image(other) for other in repositories]
        past.merge(change("dev", image(one, 2), count=2), {"dev/kustomization.yaml": kustomization(*newer)})
    return past


def calls_of(past: Past) -> tuple[dict[str, dict[str, int]], list[str], list[str]]:
    looking = past.looking(application=None)
    found = status(looking, Wanted())
    return {kind: dict(methods) for kind, methods in found.calls.items()}, past.repository.calls, past.forge.calls


def test_neither_images_nor_environments_make_more_questions() -> None:
    few, many = calls_of(town(2, 2)), calls_of(town(12, 30))

    assert few == many
    told, to_git, to_forge = many
    assert sum(told["git"].values()) == len(to_git) <= 8
    assert told["forge"] == {"list": 1}
    assert to_forge == ["list"]


def test_a_hundred_environments_with_fifty_images_are_told_in_seconds() -> None:
    past = town(100, 50)
    began = time.monotonic()

    found = status(past.looking(application=None), Wanted())

    assert len(found.cells) == 5000
    assert time.monotonic() - began < 20  # about 3 on a quiet machine
