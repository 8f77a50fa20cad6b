"""Nothing twice: what an unchanged image spares, what it never spares, and what a planted one gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.errors import HybridCIError, Refused, RemoteError, WorkFailed
from orchestrator.core.image import Digest, Repository, TaggedImage
from orchestrator.core.names import BranchName
from orchestrator.core.trailers import read_trailers
from orchestrator.gitops.outcome import Opened, Unchanged, Updated
from orchestrator.images.artifacts import documents_of
from orchestrator.images.content_key import is_key_tag
from orchestrator.images.manifest import RegistryLied
from orchestrator.reports.claims import RECORD_TYPE, read_claim
from pipelines.release import ReleaseOptions, ReleaseResult, release
from tests.simulation.workshop import Workshop, git_of
from tests.simulators.reporter import RecordingReporter
from tests.unit.gitops.changes import API, POLICY, WORKER

BRANCH = "hybrid-ci/dev/shop"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def change(workshop: Workshop, name: str, content: str = "changed\n", commit: int = 4) -> None:
    """A newer commit that changes one image alone."""
    workshop.source = commit
    (workshop.root / name / "content").write_text(content)


def configure(workshop: Workshop, old: str, new: str) -> None:
    config = workshop.root / "hybrid-ci.yaml"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))


def work(workshop: Workshop) -> dict[str, int]:
    """How often the engine built, fetched, ran and pushed so far."""
    return {name: workshop.engine.faults.calls[name] for name in ("build", "fetch", "run", "push")}


def pins(result: ReleaseResult) -> dict[str, tuple[str | None, Digest]]:
    return {image.name: (image.pinned.tag, image.pinned.digest) for image in result.release.images}


def key_tag(workshop: Workshop, repository: Repository) -> str:
    (tag,) = (tag for tag in workshop.registry.stored(repository).tags if is_key_tag(tag))
    return tag


# --- the build -------------------------------------------------------------------------------------------------------


def test_an_image_that_did_not_change_is_not_built_and_keeps_its_tag(workshop: Workshop) -> None:
    first = workshop.release()
    before = work(workshop)
    change(workshop, "api")

    second = workshop.release()

    assert isinstance(second.outcome, Updated)
    assert work(workshop)["build"] == before["build"] + 1
    assert work(workshop)["push"] == before["push"] + 1
    assert pins(second)["worker"] == pins(first)["worker"]
    assert pins(second)["api"][0] == f"{4:040x}"[:12]
    (worker,) = (image for image in second.release.images if image.name == "worker")
    assert str(worker.built_from) == f"{3:040x}"


def test_a_commit_that_changes_no_image_changes_nothing(workshop: Workshop) -> None:
    workshop.release()
    workshop.town.merge(1)
    before = work(workshop)
    workshop.source = 4

    assert isinstance(workshop.release().outcome, Unchanged)
    assert work(workshop) == before


def test_no_skip_builds_everything(workshop: Workshop) -> None:
    workshop.release()
    workshop.source = 4
    workshop.release(ReleaseOptions(no_skip=True))
    assert work(workshop)["build"] == 4


def test_a_dirty_tree_is_always_built_and_leaves_no_key(workshop: Workshop) -> None:
    job = workshop.job()
    dirty = replace(job, source=replace(job.source, dirty=True))
    for _ in range(2):
        release(workshop.ports(), dirty, ReleaseOptions(allow_dirty=True))
    assert work(workshop)["build"] == 4
    assert not any(is_key_tag(tag) for tag in workshop.registry.stored(API).tags)


def test_an_image_upon_a_base_that_moved_is_built_again(workshop: Workshop) -> None:
    base = Repository.parse("ghcr.io/acme/base")
    workshop.registry.store_manifest(base, "application/vnd.oci.image.manifest.v1+json", b'{"config": {}}', "1")
    (workshop.root / "api/Dockerfile").write_text("FROM ghcr.io/acme/base:1\nCOPY . /\n")
    # The bytes of a base only matter by their digest here.
    workshop.registry.resolve = lambda tag: workshop.registry.stored(tag.repository).tags.get(tag.tag)  # type: ignore[method-assign]
    workshop.release()
    workshop.source = 4
    workshop.release()
    assert work(workshop)["build"] == 2
    workshop.registry.store_manifest(base, "application/vnd.oci.image.manifest.v1+json", b'{"config": {} }', "1")
    workshop.source = 5
    workshop.release()
    assert work(workshop)["build"] == 3


@pytest.mark.parametrize(("builder", "builds"), [("", 2), ("buildx_builder: far\n", 3)])
def test_a_builder_elsewhere_builds_upon_what_the_registry_serves(
    workshop: Workshop, builder: str, builds: int
) -> None:
    config = workshop.root / "hybrid-ci.yaml"
    config.write_text(config.read_text() + builder)
    (workshop.root / "api/Dockerfile").write_text("FROM ghcr.io/acme/base:1\nCOPY . /\n")
    served, base = [Digest.of(b"then")], Repository.parse("ghcr.io/acme/base")
    resolve = workshop.registry.resolve
    workshop.registry.resolve = lambda tag: served[-1] if tag.repository == base else resolve(tag)  # type: ignore[method-assign]
    workshop.engine.holds = lambda reference: Digest.of(b"here")  # type: ignore[method-assign]
    workshop.release()
    served.append(Digest.of(b"now"))
    workshop.source = 4
    workshop.release()
    assert work(workshop)["build"] == builds


def test_an_image_whose_base_can_not_be_told_is_built_and_said(workshop: Workshop) -> None:
    (workshop.root / "api/Dockerfile").write_text("FROM ghcr.io/acme/base:unknown\nCOPY . /\n")
    workshop.release()
    workshop.source = 4
    ports = workshop.ports()
    release(ports, workshop.job(), ReleaseOptions())
    assert work(workshop)["build"] == 3
    assert isinstance(ports.reporter, RecordingReporter)
    assert any("api is built every time" in note for note in ports.reporter.notes)


# --- stages that write into a context -------------------------------------------------------------------------------

GENERATE = 'stages:\n  generate: {run: "cp schema api/generated", before: [build api]}\n'


def generating(workshop: Workshop, schema: str) -> None:
    """A stage makes a file of the context out of one beside it, which no commit holds."""
    config = workshop.root / "hybrid-ci.yaml"
    if GENERATE not in config.read_text():
        config.write_text(config.read_text() + GENERATE)
    (workshop.root / "schema").write_text(schema)


def as_checked_out(workshop: Workshop, commit: int) -> None:
    workshop.source = commit
    (workshop.root / "api/generated").unlink(missing_ok=True)


def test_what_a_stage_writes_into_a_context_is_never_skipped_over(workshop: Workshop) -> None:
    generating(workshop, "one")
    first = workshop.release()
    assert not any(is_key_tag(tag) for tag in workshop.registry.stored(API).tags)
    as_checked_out(workshop, 4)
    generating(workshop, "two")
    second = workshop.release()
    assert pins(second)["api"] != pins(first)["api"]
    assert pins(second)["worker"] == pins(first)["worker"]
    assert work(workshop)["build"] == 3


def test_a_stage_that_is_added_before_a_build_counts_although_the_commit_changes_no_image(workshop: Workshop) -> None:
    first = workshop.release()
    workshop.source = 4
    generating(workshop, "one")
    second = workshop.release()
    assert pins(second)["api"] != pins(first)["api"]
    assert work(workshop)["build"] == 3


def test_a_stage_before_a_build_that_writes_nothing_costs_no_build(workshop: Workshop) -> None:
    configure(workshop, "images:", 'stages:\n  lint: {run: "true", before: [build]}\nimages:')
    first = workshop.release()
    workshop.town.merge(1)
    before = work(workshop)
    workshop.source = 4
    second = workshop.release()
    assert isinstance(second.outcome, Unchanged)
    assert pins(second) == pins(first)
    assert work(workshop) == before


def test_an_image_upon_one_that_a_stage_changed_is_built_too(workshop: Workshop) -> None:
    configure(workshop, "    context: worker\n", "    context: worker\n    needs: [{image: api, argument: PARENT}]\n")
    workshop.release()
    workshop.source = 4
    generating(workshop, "one")
    workshop.release()
    assert work(workshop)["build"] == 4


def test_an_image_whose_context_changes_while_it_is_built_gets_no_key(workshop: Workshop) -> None:
    build = workshop.engine.build

    def and_change(spec, reporter):  # type: ignore[no-untyped-def]
        built = build(spec, reporter)
        (workshop.root / "api/late").write_text("x")
        return built

    workshop.engine.build = and_change  # type: ignore[method-assign]
    result = workshop.release()
    assert isinstance(result.outcome, Opened)
    assert not any(is_key_tag(tag) for tag in workshop.registry.stored(API).tags)
    assert any(is_key_tag(tag) for tag in workshop.registry.stored(WORKER).tags)
    assert [tested.repository for tested in result.release.tested] == [WORKER]


# --- the test --------------------------------------------------------------------------------------------------------


def test_what_waits_in_a_pull_request_proves_nothing(workshop: Workshop) -> None:
    """Anybody who may push to the branch could have written its trailers."""
    workshop.release()
    before = work(workshop)
    change(workshop, "api")

    workshop.release()

    assert work(workshop)["fetch"] == before["fetch"] + 1, "the worker was fetched"
    assert work(workshop)["run"] == before["run"] + 2, "and tested again"


def test_what_was_merged_proves_that_it_was_tested(workshop: Workshop) -> None:
    workshop.release()
    workshop.town.merge(1)
    before = work(workshop)
    change(workshop, "api")

    result = workshop.release()

    assert work(workshop)["fetch"] == before["fetch"]
    assert work(workshop)["run"] == before["run"] + 1, "only the changed image was tested"
    reasons = {one.name: one.reason for one in result.stages if one.reason}
    assert "base branch says" in (reasons["test worker"] or "")


def test_another_test_is_another_definition(workshop: Workshop) -> None:
    workshop.release()
    workshop.town.merge(1)
    before = work(workshop)
    workshop.source = 4
    configure(workshop, "echo fine; exit 0", "echo better; exit 0")

    workshop.release()

    assert work(workshop)["build"] == before["build"]
    assert work(workshop)["run"] == before["run"] + 1


def test_a_key_tag_that_somebody_planted_is_tested_and_not_believed(workshop: Workshop) -> None:
    first = workshop.release()
    workshop.town.merge(1)
    planted = workshop.registry.stored(WORKER).tags
    (other,) = (image.pinned.digest for image in first.release.images if image.name == "api")
    kind, content = workshop.registry.stored(API).manifests[other]
    config = workshop.registry.stored(API).blobs
    workshop.registry.stored(WORKER).blobs.update(config)
    workshop.registry.store_manifest(WORKER, kind, content, key_tag(workshop, WORKER))
    before = work(workshop)
    workshop.source = 4
    configure(workshop, "echo fine; exit 0", "echo fine; exit 0")

    workshop.release()

    assert planted[key_tag(workshop, WORKER)] == other
    assert work(workshop)["fetch"] == before["fetch"] + 1
    assert work(workshop)["run"] == before["run"] + 1, "the digest is not the one that the base branch knows"


def test_a_planted_image_that_fails_its_test_goes_nowhere(workshop: Workshop) -> None:
    workshop.release()
    workshop.town.merge(1)
    tags = workshop.registry.stored(WORKER).tags
    change(workshop, "worker", "something else\n", commit=5)
    workshop.release()
    evil = tags[f"{5:040x}"[:12]]
    change(workshop, "worker", "worker\n", commit=6)
    for tag in list(tags):
        if is_key_tag(tag):
            tags[tag] = evil
    configure(workshop, "echo fine; exit 0", "exit 1")

    with pytest.raises(WorkFailed, match="nothing was pushed"):
        workshop.release()


@pytest.mark.parametrize(("reuse", "builds"), [("proven", 1), ("never", 2)])
def test_a_project_can_ask_for_more(workshop: Workshop, reuse: str, builds: int) -> None:
    configure(workshop, "context: api", f"context: api\n    reuse: {reuse}")
    workshop.release()
    workshop.town.merge(1)
    before = work(workshop)["build"]
    workshop.source = 4

    workshop.release()

    assert work(workshop)["build"] == before + builds - 1


def test_proven_reuse_builds_what_was_not_merged(workshop: Workshop) -> None:
    configure(workshop, "context: api", "context: api\n    reuse: proven")
    workshop.release()
    before = work(workshop)["build"]
    change(workshop, "worker")
    workshop.release()
    assert work(workshop)["build"] == before + 2


# --- recovery --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("port", "method"),
    [("registry", "put_manifest"), ("registry", "attach"), ("git", "push"), ("forge", "open")],
)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_ends_after_its_push_is_taken_up_with_the_same_digests(
    workshop: Workshop, port: str, method: str, moment: str
) -> None:
    """A second build would be another image: builds are not reproducible."""

    class Killed(BaseException):
        pass

    ports = workshop.ports()
    if port == "registry":
        workshop.registry.faults.fail(method, when=moment, error=Killed)
    elif port == "git":
        git_of(ports).fail(method=method, moment=moment, error=Killed())  # type: ignore[arg-type]
    else:
        ports.forge.fail(method=method, moment=moment, error=Killed())  # type: ignore[union-attr]
    with pytest.raises(Killed):
        release(ports, workshop.job(), ReleaseOptions())
    left = {repository: workshop.registry.stored(repository).tags.copy() for repository in (API, WORKER)}
    workshop.engine.images.clear()

    result = workshop.release()

    assert isinstance(result.outcome, Opened | Updated | Unchanged)
    assert len(workshop.town.pulls()) == 1
    for repository, tags in left.items():
        for tag, digest in tags.items():
            assert workshop.registry.stored(repository).tags[tag] == digest
    assert {image.pinned.digest for image in result.release.images} == {
        workshop.registry.stored(repository).tags[f"{3:040x}"[:12]] for repository in (API, WORKER)
    }


def test_tags_that_were_published_do_not_move_where_the_policy_says_so(workshop: Workshop) -> None:
    configure(workshop, "version: 1\n", 'version: 1\ntag: "1.0"\n')
    first = workshop.release()
    workshop.town.git.commit_files({POLICY_PATH: POLICY + b"immutable-tags: true\n"})
    change(workshop, "api")

    with pytest.raises(Refused, match="taken by another image"):
        workshop.release()

    assert workshop.registry.resolve(TaggedImage(API, "1.0")) == pins(first)["api"][1]
    assert workshop.town.pinned(BRANCH, API) == {"1.0"}


def test_elsewhere_a_tag_moves_with_a_warning(workshop: Workshop) -> None:
    configure(workshop, "version: 1\n", 'version: 1\ntag: "1.0"\n')
    first = workshop.release()
    change(workshop, "api")
    ports = workshop.ports()

    second = release(ports, workshop.job(), ReleaseOptions())

    assert pins(second)["api"][1] != pins(first)["api"][1]
    assert isinstance(ports.reporter, RecordingReporter)
    assert any("1.0 pointed to" in warning for warning in ports.reporter.warnings)


# --- the record ------------------------------------------------------------------------------------------------------


def test_a_record_lies_beside_each_image_and_its_digest_in_the_trailers(workshop: Workshop) -> None:
    result = workshop.release()

    made = read_trailers(workshop.town.git.commits[workshop.town.tip(BranchName(BRANCH))].info.message)
    assert made is not None
    assert {record.repository for record in made.records} == {API, WORKER}
    assert {tested.digest for tested in made.tested} == {image.pinned.digest for image in result.release.images}
    (api,) = (image for image in result.release.images if image.name == "api")
    (document,) = documents_of(workshop.registry, API, api.pinned.digest, RECORD_TYPE)
    assert document.digest in {record.digest for record in made.records}
    claim = read_claim(document.content)
    assert claim is not None
    assert (claim.digest, [test.name for test in claim.tests]) == (str(api.pinned.digest), ["unit"])


@pytest.mark.parametrize("kind", [RemoteError, RegistryLied])
@pytest.mark.parametrize("asked", ["attach", "referrers"])
def test_a_registry_that_takes_no_artifacts_costs_the_record_and_not_the_release(
    workshop: Workshop, asked: str, kind: type[HybridCIError]
) -> None:
    ports = workshop.ports()
    for number in (1, 2):
        workshop.registry.faults.fail(asked, number, error=lambda: kind("artifacts are not supported"))

    result = release(ports, workshop.job(), ReleaseOptions())

    assert isinstance(result.outcome, Opened)
    assert result.release.records == ()
    assert isinstance(ports.reporter, RecordingReporter)
    assert len([warning for warning in ports.reporter.warnings if "record" in warning]) == 2


def test_an_image_without_tests_claims_none(workshop: Workshop) -> None:
    configure(workshop, '    tests:\n      - {name: unit, run: "echo fine"}\n', "")
    result = workshop.release()
    assert {tested.repository for tested in result.release.tested} == {WORKER}
    assert {record.repository for record in result.release.records} == {WORKER}
