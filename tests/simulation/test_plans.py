"""What a plan says of each image, what it stands on, and what a release does once that has moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.errors import Conflict, Refused
from orchestrator.core.image import Digest, Repository
from orchestrator.images.content_key import is_key_tag
from orchestrator.reports.plans import ImagePlan, PlanDocument
from pipelines.plan import make_plan, moved, release_planned
from pipelines.release import ReleaseOptions
from tests.simulation.workshop import Workshop
from tests.unit.gitops.changes import API

BASE = Repository.parse("ghcr.io/acme/base")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def plan(workshop: Workshop, options: ReleaseOptions | None = None) -> PlanDocument:
    return make_plan(workshop.ports(), workshop.job(), options or ReleaseOptions()).document


def image(document: PlanDocument, name: str) -> ImagePlan:
    return next(one for one in document.images if one.name == name)


def newer_commit(workshop: Workshop, *changed: str) -> None:
    workshop.source += 1
    for name in changed:
        (workshop.root / name / "content").write_text(f"of commit {workshop.source}\n")


def upon_a_base(workshop: Workshop, name: str, tag: str) -> None:
    (workshop.root / name / "Dockerfile").write_text(f"FROM {BASE}:{tag}\nCOPY . /\n")
    # The bytes of a base only matter by their digest here.
    workshop.registry.resolve = lambda tag: workshop.registry.stored(tag.repository).tags.get(tag.tag)  # type: ignore[method-assign]


def base_is(workshop: Workshop, content: bytes) -> None:
    workshop.registry.store_manifest(BASE, MANIFEST, content, "1")


def refused(workshop: Workshop, document: PlanDocument) -> str:
    """What the refusal of a planned release says; nothing was built for it."""
    calls = workshop.engine.faults.calls["build"]
    with pytest.raises(Refused, match="the world has moved since the plan was made") as error:
        release_planned(workshop.ports(), workshop.job(), document, ReleaseOptions())
    assert workshop.engine.faults.calls["build"] == calls
    return "\n".join(error.value.details)


# --- what it says ------------------------------------------------------------------------------------------------


def test_what_the_registry_never_held_is_built_and_tested(workshop: Workshop) -> None:
    api = image(plan(workshop), "api")
    assert (api.action, api.reason, api.tests) == (
        "build",
        "nothing in the registry was built from the same",
        "tested",
    )
    assert (len(api.key or ""), api.key_digest) == (64, None)


def test_an_unchanged_image_is_a_key_hit_and_tested_again_until_it_is_merged(workshop: Workshop) -> None:
    workshop.release()
    newer_commit(workshop, "worker")

    waiting = plan(workshop)
    api = image(waiting, "api")
    assert api.action == "skip"
    assert api.reason.startswith("unchanged, sha256:")
    assert api.tests == "tested again: nothing on the GitOps base branch says that it passed"
    assert api.key_digest is not None
    assert api.reason == f"unchanged, {api.key_digest[:19]} in the registry"
    assert image(waiting, "worker").action == "build"

    workshop.town.merge(1)
    assert image(plan(workshop), "api").tests == "not tested: the GitOps base branch says that it was tested"


def test_a_release_that_is_pinned_asks_for_no_key(workshop: Workshop) -> None:
    workshop.release()
    api = image(plan(workshop), "api")
    assert (api.action, api.reason, api.tests, api.key) == (
        "skip",
        "released already",
        "not tested: released already",
        None,
    )


def test_no_skip_and_a_project_that_reuses_nothing_say_so(workshop: Workshop) -> None:
    workshop.release()
    newer_commit(workshop)
    assert image(plan(workshop, ReleaseOptions(no_skip=True)), "api").reason == "--no-skip asks for it"
    config = workshop.root / "hybrid-ci.yaml"
    config.write_text(config.read_text().replace("context: api", "context: api\n    reuse: never"))
    api = image(plan(workshop), "api")
    assert (api.action, api.reason[19:]) == ("build", " was built from the same, and its reuse is not allowed")


def test_what_can_not_be_told_before_the_build_is_said(workshop: Workshop) -> None:
    upon_a_base(workshop, "api", "unknown")
    api = image(plan(workshop), "api")
    assert (api.action, api.reason, api.key) == ("build", "what goes into it is not known before the build", None)


# --- what it stands on -------------------------------------------------------------------------------------------


def test_a_base_that_moved_refuses_the_plan(workshop: Workshop) -> None:
    base_is(workshop, b'{"config": {}}')
    upon_a_base(workshop, "api", "1")
    document = plan(workshop)
    (before,) = image(document, "api").bases.values()

    base_is(workshop, b'{"config": {} }')

    said = refused(workshop, document)
    assert f"api is built upon {BASE}:1: {before} then, sha256:" in said
    assert "worker" not in said


def test_a_key_tag_that_came_in_between_refuses_the_plan(workshop: Workshop) -> None:
    document = plan(workshop)
    workshop.source += 1
    workshop.release()  # another commit of the same content
    workshop.source -= 1

    assert "the content key of api leads to: not there then, sha256:" in refused(workshop, document)


def test_a_key_tag_that_was_moved_refuses_the_plan(workshop: Workshop) -> None:
    (older, _) = workshop.release().release.images
    newer_commit(workshop, "api")
    (newer, _) = workshop.release().release.images
    newer_commit(workshop, "worker")
    document = plan(workshop)
    tags = workshop.registry.stored(API).tags
    (key,) = (tag for tag, digest in tags.items() if is_key_tag(tag) and digest == newer.pinned.digest)

    tags[key] = older.pinned.digest

    told = f"the content key of api leads to: {newer.pinned.digest} then, {older.pinned.digest} now"
    assert told in refused(workshop, document)


def test_a_context_that_changed_without_a_commit_refuses_the_plan(workshop: Workshop) -> None:
    document = plan(workshop)
    (workshop.root / "api" / "content").write_text("something else\n")
    assert "what api is built from" in refused(workshop, document)


def test_a_plan_of_a_world_that_stands_still_is_done(workshop: Workshop) -> None:
    base_is(workshop, b'{"config": {}}')
    upon_a_base(workshop, "api", "1")
    document = plan(workshop)
    result = release_planned(workshop.ports(), workshop.job(), document, ReleaseOptions())
    assert {one.name for one in result.release.images} == {"api", "worker"}


def test_an_unchanged_image_behind_a_stage_is_skipped_unless_that_changes_it(workshop: Workshop) -> None:
    config = workshop.root / "hybrid-ci.yaml"
    config.write_text(config.read_text() + 'stages:\n  lint: {run: "true", before: [build api]}\n')
    workshop.release()
    workshop.town.merge(1)
    newer_commit(workshop)
    document = plan(workshop)
    api = image(document, "api")
    assert (api.action, api.tests) == ("skip", "not tested: the GitOps base branch says that it was tested")
    assert "unless lint changes what it is built from" in api.reason
    calls = workshop.engine.faults.calls
    before = (calls["build"], calls["run"], calls["push"])
    release_planned(workshop.ports(), workshop.job(), document, ReleaseOptions())
    assert (calls["build"], calls["run"], calls["push"]) == before


def test_a_digest_that_the_plan_knew_is_part_of_its_promise(workshop: Workshop) -> None:
    workshop.release()
    newer_commit(workshop, "api")
    document = plan(workshop)
    other = str(Digest.of(b"another"))

    def with_digests(known: str, unknown: str | None) -> PlanDocument:
        pins = [pin.model_copy(update={"digest": known if pin.digest else unknown}) for pin in document.pins]
        return document.model_copy(update={"pins": pins})

    (kept,) = (pin.digest for pin in document.pins if pin.digest)
    assert moved(document, with_digests(kept, None)) is None
    assert moved(document, with_digests(kept, other)) is None
    assert isinstance(moved(document, with_digests(other, None)), Conflict)
