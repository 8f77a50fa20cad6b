"""``drift`` over a simulated past: each kind of finding, and what is none."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from orchestrator.core.change import Action
from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, Repository
from orchestrator.core.override import Override, OverrideKind
from pipelines.drift import Drift, drift
from pipelines.drift_finding import Finding, Kind
from pipelines.looking import Wanted
from tests.servers.git_repositories import Link
from tests.simulation.past import API, WORKER, Past, change, image, kustomization, path
from tests.simulators.registry import SimulatedRegistry

SECRET = b"kind: Secret\nmetadata: {name: db}\nstringData:\n  password: hunter2-canary\n"


def look(past: Past, *kinds: Kind, application: str | None = "shop", wanted: Wanted | None = None) -> Drift:
    return drift(past.looking(application), wanted or Wanted(), kinds or frozenset(Kind))


def told(found: Iterable[Finding]) -> list[tuple[str, str | None, str]]:
    return [(one.kind.value, one.environment, one.where) for one in found]


def serve(past: Past, *, moved: bool = False) -> None:
    """The registry has every tag at what is pinned, or somewhere else."""
    for repository in (API, WORKER):
        for version in range(1, 10):
            one = image(repository, version)
            digest = Digest.of(b"another") if moved else one.digest
            past.registry.stored(repository).tags[one.tag or ""] = digest


def test_a_repository_without_drift_has_no_finding() -> None:
    past = Past().begin()
    serve(past)

    found = look(past)

    assert (found.findings, found.unanswered) == ((), ())
    assert found.looked_at == ("dev", "staging", "prod")


# --- pins ----------------------------------------------------------------------------------------------------------


def test_a_tag_alone_and_no_tag_at_all_are_unpinned() -> None:
    past = Past().begin({path("dev"): kustomization(f"{API}:1.0.0", image(WORKER)), path("prod"): kustomization()})
    past.commit({"apps/shop/prod/api.yaml": f"kind: Pod\nspec: {{containers: [{{image: {API}}}]}}\n".encode()}, "Add")

    one, other = look(past, Kind.UNPINNED).findings

    assert told([one, other]) == [
        ("unpinned", "dev", f"{path('dev')}:3"),
        ("unpinned", "prod", "apps/shop/prod/api.yaml:2"),
    ]
    assert one.what == f"{API} runs by the tag 1.0.0 alone"
    assert one.fix == "hybrid-ci pin api=:1.0.0 --env dev"
    assert other.what == f"{API} has no tag"


def test_a_manifest_that_a_kustomization_replaces_is_not_what_runs() -> None:
    base = f"kind: Pod\nspec: {{containers: [{{image: '{API}:dev'}}]}}\n".encode()
    past = Past().begin({path("dev"): kustomization(image(API)), "apps/shop/dev/api.yaml": base})

    assert look(past, Kind.UNPINNED).findings == ()


def test_other_peoples_images_are_looked_at_where_everything_is() -> None:
    past = Past().begin({path("dev"): kustomization(image(API), "nginx:1.27")})

    assert look(past, Kind.UNPINNED).findings == ()
    (found,) = look(past, Kind.UNPINNED, application=None).findings
    assert "nginx" in found.what
    assert "set-image" in found.fix


def test_a_place_that_speaks_of_an_image_and_cannot_be_read_is_told() -> None:
    text = f"kind: Pod\nspec: {{containers: [{{image: '{API}:${{TAG}}'}}]}}\n".encode()
    past = Past().begin({path("prod"): kustomization(image(API)), "apps/shop/dev/job.yaml": text})

    assert told(look(past, Kind.UNREADABLE).findings) == [("unreadable", "dev", "apps/shop/dev/job.yaml:2")]


# --- the registry --------------------------------------------------------------------------------------------------


def test_a_tag_that_moved_and_one_that_is_gone_are_told_for_each_environment() -> None:
    past = Past().begin(
        {path("dev"): kustomization(image(API)), path("prod"): kustomization(image(API), image(WORKER))}
    )
    serve(past, moved=True)
    past.registry.stored(WORKER).tags.clear()

    found = look(past, Kind.MOVED_TAG).findings

    assert [one.environment for one in found] == ["dev", "prod", "prod"]
    assert f"points to {Digest.of(b'another').short} now" in found[0].what
    assert "is gone" in found[2].what
    assert past.registry.faults.calls["resolve"] == 2  # each tag once


def test_what_a_registry_does_not_answer_is_not_known_and_not_asked_again() -> None:
    images = [Repository.parse(f"ghcr.io/acme/i{number}") for number in range(30)]
    past = Past().begin({path("dev"): kustomization(*(image(one) for one in images))})
    past.registry = Silent()

    found = drift(past.looking(images=images), Wanted(), {Kind.MOVED_TAG})

    assert found.findings == ()
    assert len(found.unanswered) == 30
    assert past.registry.faults.calls["resolve"] <= 8  # as many as are asked side by side


class Silent(SimulatedRegistry):
    """It never answers."""

    def resolve(self, image: object) -> Digest | None:
        self.faults.calls["resolve"] += 1
        raise RemoteError("the registry does not answer")


def test_a_login_that_one_repository_refuses_says_nothing_of_others() -> None:
    past = Past().begin()
    serve(past)
    past.registry.refused.add(API)
    past.registry.stored(WORKER).tags["1.1.0"] = Digest.of(b"another")

    found = look(past, Kind.MOVED_TAG)

    assert len(found.unanswered) == 1
    assert {one.image for one in found.findings} == {WORKER}


def test_the_registry_is_asked_only_for_tags() -> None:
    past = Past().begin()

    look(past, *(set(Kind) - {Kind.MOVED_TAG}))

    assert not past.registry.faults.calls


# --- order ---------------------------------------------------------------------------------------------------------


def brought(past: Past, name: str, version: int, *, skip: str | None = None) -> None:
    overrides = (Override(OverrideKind.SKIP, "outage 42", skip),) if skip else ()
    action = Action.RELEASE if name == "dev" else Action.PROMOTE
    made = change(name, image(API, version), count=version, action=action, overrides=overrides)
    past.merge(made, {path(name): kustomization(image(API, version), image(WORKER))}, number=version)


ORDER = (Kind.AHEAD, Kind.NEVER_BEFORE, Kind.SKIPPED)


def test_environments_that_follow_each_other_are_in_step() -> None:
    past = Past().begin()
    for name in ("dev", "staging", "prod"):
        brought(past, name, 2)
    brought(past, "dev", 3)

    assert look(past, *ORDER).findings == ()


def test_an_image_that_never_ran_in_the_environment_before_is_told() -> None:
    past = Past().begin()
    brought(past, "prod", 4)

    (found,) = look(past, *ORDER).findings

    assert (found.kind, found.environment, found.where) == (Kind.NEVER_BEFORE, "prod", f"{path('prod')}:3")
    assert found.what == f"{API} 1.4.0 never ran in staging"


def test_what_ran_before_and_left_again_did_run() -> None:
    past = Past().begin()
    for name in ("dev", "staging"):
        brought(past, name, 2)
        brought(past, name, 3)
    brought(past, "prod", 2)

    assert look(past, *ORDER).findings == ()


def test_an_environment_that_is_ahead_of_the_one_before_it_is_told() -> None:
    past = Past().begin()
    for name in ("dev", "staging", "prod"):
        brought(past, name, 5)
    brought(past, "staging", 2)

    found = look(past, *ORDER).findings

    assert [(one.kind, one.environment) for one in found] == [(Kind.AHEAD, "prod"), (Kind.NEVER_BEFORE, "staging")]
    assert "staging runs 1.2.0" in found[0].what


def test_a_skipped_environment_is_told_until_it_is_made_good() -> None:
    past = Past().begin()
    brought(past, "dev", 2)
    brought(past, "prod", 2, skip="staging")

    (found,) = look(past, *ORDER).findings
    assert found.kind is Kind.SKIPPED
    assert "outage 42" in found.what

    brought(past, "staging", 2)
    assert look(past, *ORDER).findings == ()


def test_an_environment_that_is_not_asked_for_is_still_compared_with() -> None:
    past = Past().begin()
    brought(past, "staging", 3)
    brought(past, "prod", 4)

    found = look(past, *ORDER, wanted=Wanted(environments=("prod",))).findings

    assert {one.environment for one in found} == {"prod"}


# --- images of no environment --------------------------------------------------------------------------------------


def test_a_configured_image_that_no_environment_has_is_told_with_its_line() -> None:
    past = Past().begin({path("dev"): kustomization(image(API))})

    (found,) = look(past, Kind.NO_ENVIRONMENT).findings

    assert (found.image, found.where) == (WORKER, "hybrid-ci.yaml:11")
    assert look(past, Kind.NO_ENVIRONMENT, wanted=Wanted(environments=("dev",))).findings == ()


def test_an_image_in_a_file_of_no_environment_is_told_unless_a_kustomization_renames_it() -> None:
    renamed = f'images:\n- name: shop-api\n  newName: {API}\n  newTag: "1"\n'.encode()
    base = b"kind: Pod\nspec: {containers: [{image: shop-api}, {image: 'docker.io/acme/lost:1'}]}\n"
    past = Past().begin(
        {path("dev"): renamed, "apps/shop/base/api.yaml": base, ".github/x.yaml": b"image: acme/ci:1\n"}
    )

    (found,) = look(past, Kind.NO_ENVIRONMENT, application=None).findings

    assert str(found.image) == "docker.io/acme/lost"
    assert found.where == "apps/shop/base/api.yaml:2"


# --- Secrets -------------------------------------------------------------------------------------------------------


def test_plaintext_secrets_are_told_by_their_keys_and_never_by_their_values() -> None:
    past = Past().begin({path("dev"): kustomization(image(API)), "apps/shop/dev/db.yaml": SECRET})

    result = look(past, Kind.PLAINTEXT_SECRET)

    (found,) = result.findings
    assert (found.environment, found.where) == ("dev", "apps/shop/dev/db.yaml:4")
    assert "password" in found.what
    assert "hunter2" not in repr(result)


def test_secrets_of_no_environment_are_found_where_the_whole_repository_is_looked_at() -> None:
    past = Past().begin({path("dev"): kustomization(image(API)), "apps/shop/base/db.yaml": SECRET})

    assert look(past, Kind.PLAINTEXT_SECRET).findings == ()
    (found,) = look(past, Kind.PLAINTEXT_SECRET, application=None).findings
    assert found.environment is None


def test_secrets_in_the_bases_that_an_environment_loads_are_found_too() -> None:
    generator = b"secretGenerator:\n- {name: a, literals: [k=v]}\n"
    overlay = b"resources: [../base, https://example.com/x]\n" + kustomization(image(API))
    past = Past().begin(
        {
            path("dev"): overlay,
            "apps/shop/base/kustomization.yaml": b"resources: [../../common]\n" + generator,
            "apps/common/kustomization.yaml": b"resources: [db.yaml]\n",
            "apps/common/db.yaml": SECRET,
            "apps/unused/db.yaml": SECRET,
        }
    )

    found = look(past, Kind.PLAINTEXT_SECRET).findings

    assert [one.where for one in found] == ["apps/common/db.yaml:4", "apps/shop/base/kustomization.yaml:3"]
    whole = look(past, Kind.PLAINTEXT_SECRET, application=None).findings
    assert [one.where for one in whole] == [
        "apps/common/db.yaml:4",
        "apps/shop/base/kustomization.yaml:3",
        "apps/unused/db.yaml:4",
    ]


def test_bases_that_can_not_be_followed_are_told() -> None:
    past = Past().begin(
        {path("dev"): b"resources: [../link]\n" + kustomization(image(API)), "apps/shop/link": Link("../x")}
    )

    result = look(past, Kind.PLAINTEXT_SECRET)

    assert (result.findings, result.unanswered) == ((), ())
    assert any("the bases on main are not searched for Secrets" in line for line in past.reporter.warnings)


# --- all of it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind)
def test_what_is_not_asked_for_is_not_told(kind: Kind) -> None:
    past = Past().begin({path("dev"): kustomization(f"{API}:1.0.0"), "apps/shop/dev/db.yaml": SECRET})
    brought(past, "prod", 4)

    assert {one.kind for one in look(past, kind).findings} <= {kind}


def test_the_questions_to_git_do_not_grow_with_what_is_found() -> None:
    def calls(images: int) -> list[str]:
        repositories = [Repository.parse(f"ghcr.io/acme/i{number}") for number in range(images)]
        entries = kustomization(*(f"{one}:1" for one in repositories))
        past = Past().begin({path(name): entries for name in ("dev", "staging", "prod")})
        assert len(look(past, application=None).findings) >= images
        return list(past.repository.calls)

    assert calls(2) == calls(40)
