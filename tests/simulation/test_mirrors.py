"""Promotion to an environment that gets its images from a registry of its own: other names, the same digests."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core.change import branch_for
from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.holds import Hold
from orchestrator.core.image import Repository
from orchestrator.core.names import RepoPath
from orchestrator.core.trailers import read_trailers
from pipelines.drift import drift
from pipelines.drift_finding import Kind
from pipelines.looking import Looking, Wanted
from pipelines.promotion import PromotionResult
from pipelines.status import status
from tests.simulation.fleet import API, POLICY, Fleet, digest_of, path_of, states

HERE = Repository.parse("registry.prod.example/mirror/shop/api")
MIRRORED = POLICY.replace(
    'prod"], after: [staging]}',
    'prod"], after: [staging], mirrors: {ghcr.io/acme: registry.prod.example/mirror},\n'
    "    gates: [{soak: {duration: 1h}}]}",
).replace('registries: ["ghcr.io/acme/**"]', 'registries: ["ghcr.io/acme/**", "registry.prod.example/**"]')
UNSET = "images:\n- name: api\n  newName: registry.prod.example/mirror/shop/api\n"


@pytest.fixture
def fleet() -> Fleet:
    """Staging runs version 2, and prod none yet."""
    made = Fleet(MIRRORED)
    made.write({path_of("prod"): UNSET.encode()})
    made.release(2)
    made.promote("dev", "staging")
    made.merge(1)
    made.clock.advance(timedelta(hours=2).total_seconds())
    return made


def to_prod(fleet: Fleet, **options: object) -> PromotionResult:
    return fleet.promote("staging", "prod", **options)


def looking(fleet: Fleet) -> Looking:
    return Looking.through(fleet.ports(), replace(fleet.at(), images={"api": API}))


def test_the_name_of_the_target_stays_and_the_digest_comes(fleet: Fleet) -> None:
    result = to_prod(fleet)

    assert states(result) == {"prod": "opened"}
    assert {one.gate: one.result.value for one in result.targets[0].verdicts} == dict.fromkeys(
        ("hold", "veto", "order", "soak"), "pass"
    )
    commit = fleet.git.commits[fleet.tip(branch_for("prod", "shop").value)]
    text = commit.files[RepoPath(path_of("prod"))]
    assert isinstance(text, bytes)
    assert text.decode().startswith(UNSET)
    assert f"digest: {digest_of(API, 2)}" in text.decode()
    change = read_trailers(commit.info.message)
    assert change is not None
    assert [str(one.repository) for one in change.images] == [str(HERE)]
    assert change.origin(HERE).position is not None, "where it was built from came along"


def test_the_next_one_knows_the_order_and_an_older_one_is_refused(fleet: Fleet) -> None:
    to_prod(fleet)
    fleet.merge(2)
    fleet.release(3)
    fleet.promote("dev", "staging")
    fleet.merge(3)
    fleet.clock.advance(7200)
    assert states(to_prod(fleet)) == {"prod": "opened"}
    fleet.merge(4)
    fleet.write(
        {path_of("staging"): fleet_file(fleet, "staging").replace(b"1.3", b"1.2").replace(_digest(3), _digest(2))}
    )
    fleet.clock.advance(7200)

    refused = to_prod(fleet, images=("api",))

    assert states(refused) == {"prod": "refused"}
    assert "would move backwards" in str(details(refused))


def details(result: PromotionResult) -> object:
    failure = result.failure()
    assert failure is not None
    return failure.details


def fleet_file(fleet: Fleet, environment: str) -> bytes:
    content = fleet.git.commits[fleet.tip()].files[RepoPath(path_of(environment))]
    assert isinstance(content, bytes)
    return content


def _digest(version: int) -> bytes:
    return str(digest_of(API, version)).encode()


def test_what_staging_does_not_run_is_refused_under_any_name(fleet: Fleet) -> None:
    fleet.release(3)
    refused = fleet.promote("dev", "prod", skip=(), dry_run=True)
    assert states(refused) == {"prod": "refused"}
    assert "staging does not run api" in str(details(refused))


@pytest.mark.parametrize("name", [API, HERE])
def test_a_hold_counts_by_either_name(fleet: Fleet, name: Repository) -> None:
    rule = Hold("prod", "incident 42", "ada", fleet.clock.now(), None, name)
    fleet.write({rule.path.value: rule.render()})
    assert states(to_prod(fleet)) == {"prod": "refused"}


@pytest.mark.parametrize("name", ["api", str(API)])
def test_an_image_is_named_as_it_is_called_at_first(fleet: Fleet, name: str) -> None:
    assert states(to_prod(fleet, images=(name,), at=replace(fleet.at(), images={"api": API}))) == {"prod": "opened"}


def test_a_promotion_out_of_a_mirrored_environment_gives_the_original_name_back(fleet: Fleet) -> None:
    fleet.write(
        {".hybrid-ci/environments.yaml": MIRRORED.replace("after: [dev], strategy", "after: [prod], strategy").encode()}
    )
    to_prod(fleet)
    fleet.merge(2)

    result = fleet.promote("prod", "edge", images=(str(API),))

    assert states(result) == {"edge": "committed"}
    assert fleet.version("edge", API, "edge") == 2


def test_those_who_look_see_one_image(fleet: Fleet) -> None:
    to_prod(fleet)
    fleet.merge(2)

    seen = status(looking(fleet), Wanted(("dev", "staging", "prod"), ("api",), everything=True))
    found = drift(looking(fleet), Wanted(("prod",), ("api",), everything=True), {Kind.NEVER_BEFORE, Kind.AHEAD})

    assert seen.images == (API,)
    assert [seen.cells[name, API].versions[0].digest for name in ("dev", "staging", "prod")] == [digest_of(API, 2)] * 3
    behind = seen.cells["prod", API].behind
    assert behind is not None
    assert behind.commits == 0
    assert found.findings == ()


def test_the_rules_for_registries_are_about_the_name_that_is_pinned(fleet: Fleet) -> None:
    text = MIRRORED.replace(', "registry.prod.example/**"]', "]")
    fleet.write({".hybrid-ci/environments.yaml": text.encode()})
    with pytest.raises((Refused, ConfigurationError)):
        to_prod(fleet, images=("api",))


def test_a_mirror_of_two_originals_is_a_mistake_of_the_policy(fleet: Fleet) -> None:
    text = MIRRORED.replace(
        "{ghcr.io/acme: registry", "{quay.io/acme: registry.prod.example/mirror, ghcr.io/acme: registry"
    )
    fleet.write({".hybrid-ci/environments.yaml": text.encode()})
    with pytest.raises(ConfigurationError) as caught:
        to_prod(fleet)
    assert "is a mirror of quay.io/acme and of ghcr.io/acme" in str(caught.value.details)
