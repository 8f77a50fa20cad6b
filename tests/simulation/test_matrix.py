"""Many runners, one pull request: what each writes down, what the join checks, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.ci.environment import CIEnvironment
from orchestrator.ci.guard import Kind, Signal
from orchestrator.core.difference import Difference
from orchestrator.core.errors import ConfigurationError, Refused, RemoteError, WorkFailed
from orchestrator.core.names import BranchName, CommitId
from orchestrator.core.trailers import read_trailers
from orchestrator.gitops.outcome import Opened, Unchanged, Updated
from orchestrator.images.content_key import is_key_tag
from orchestrator.reports.built import BuildRecord, read_build
from pipelines.building import BuildOptions, build, build_record
from pipelines.handover import HandoverOptions, hand_over
from pipelines.joining import BadRecords
from pipelines.matrix import Matrix, MatrixOptions, matrix
from pipelines.ports import Job
from pipelines.release import ReleaseResult
from tests.simulation.workshop import Workshop, git_of
from tests.unit.gitops.changes import API, WORKER

BRANCH = "hybrid-ci/dev/shop"
BASE = CommitId("b" * 40)
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "app")


def job_of(workshop: Workshop, changed: set[str] | None = None, *, before: bytes | None = None) -> Job:
    """The checkout's job; ``changed`` are the paths that its commit changes, ``before`` the configuration it had."""
    paths = frozenset(changed) if changed is not None else None
    difference = Difference(paths, BASE if changed is not None else None, "" if changed is not None else "new branch")
    return replace(workshop.job(), difference=lambda base: difference, earlier=lambda commit, path: before)


def made(workshop: Workshop, *images: str, job: Job | None = None) -> BuildRecord:
    """What a runner writes down."""
    ports = workshop.ports()
    built = build(ports, job or workshop.job(), BuildOptions(images))
    return build_record(built, ports.clock.now())


def joined(workshop: Workshop, *records: BuildRecord, job: Job | None = None, **options: Any) -> ReleaseResult:
    files = {Path(f"records/{number}.json"): record for number, record in enumerate(records)}
    return hand_over(workshop.ports(), job or job_of(workshop), files, HandoverOptions(**options))


def changed(record: BuildRecord, change: Change) -> BuildRecord:
    document = json.loads(record.to_json())
    change(document)
    return BuildRecord.model_validate_json(json.dumps(document), strict=True)


def set_image(**values: object) -> Change:
    return lambda document: document["images"][0].update(values)


def refusal(workshop: Workshop, *records: BuildRecord, **options: Any) -> str:
    """Why the join refuses; nothing was written, and nobody was asked for a pull request."""
    before = dict(workshop.town.git.refs)
    with pytest.raises(BadRecords) as caught:
        joined(workshop, *records, **options)
    assert workshop.town.git.refs == before
    assert workshop.town.pulls() == []
    return "\n".join([caught.value.message, *caught.value.details])


# --- joining ---------------------------------------------------------------------------------------------------------


def test_two_runners_make_one_pull_request(workshop: Workshop) -> None:
    result = joined(workshop, made(workshop, "api"), made(workshop, "worker"))

    assert isinstance(result.outcome, Opened)
    (pull,) = workshop.town.open_pulls()
    assert pull.head.value == BRANCH
    tag = f"{3:040x}"[:12]
    assert workshop.town.pinned(BRANCH, API) == workshop.town.pinned(BRANCH, WORKER) == {tag}


def test_the_joined_release_is_the_one_that_a_single_machine_makes(workshop: Workshop, tmp_path: Path) -> None:
    many = joined(workshop, made(workshop, "api"), made(workshop, "worker"))
    alone = workshop.release()

    assert isinstance(alone.outcome, Unchanged)
    assert many.release.id == alone.release.id
    assert [image.pinned for image in many.release.images] == [image.pinned for image in alone.release.images]
    other = Workshop(tmp_path / "other").release()
    assert [test.name for test in many.release.tests] == [test.name for test in other.release.tests]
    assert [one.content for one in many.release.tested] == [one.content for one in other.release.tested]
    assert len(many.release.records) == len(other.release.records) == 2
    names = [stage.name for stage in many.stages]
    assert sorted(names) == sorted(stage.name for stage in other.stages)


def test_what_was_tested_stands_in_the_trailers(workshop: Workshop) -> None:
    result = joined(workshop, made(workshop, "api", "worker"))

    commit = workshop.town.git.commits[workshop.town.tip(BranchName(BRANCH))]
    carried = read_trailers(commit.info.message)
    assert carried is not None
    assert set(carried.tested) == set(result.release.tested) != set()


def test_a_second_join_changes_nothing(workshop: Workshop) -> None:
    records = [made(workshop, "api"), made(workshop, "worker")]
    joined(workshop, *records)
    head = workshop.town.tip(BranchName(BRANCH))
    assert isinstance(joined(workshop, *records).outcome, Unchanged)
    assert workshop.town.tip(BranchName(BRANCH)) == head


def test_a_newer_commit_updates_the_pull_request(workshop: Workshop) -> None:
    joined(workshop, made(workshop, "api"), made(workshop, "worker"))
    workshop.commit(4)
    assert isinstance(joined(workshop, made(workshop, "api"), made(workshop, "worker")).outcome, Updated)
    assert len(workshop.town.open_pulls()) == 1


def test_only_what_the_commit_changes_needs_a_record(workshop: Workshop) -> None:
    job = job_of(workshop, {"api/content"})
    result = joined(workshop, made(workshop, "api"), job=job)
    assert [image.name for image in result.release.images] == ["api"]
    assert workshop.town.pinned(BRANCH, WORKER) == set()


def test_a_commit_that_changes_no_image_has_nothing_to_hand_off(workshop: Workshop) -> None:
    result = joined(workshop, job=job_of(workshop, {"README.md"}))
    assert isinstance(result.outcome, Unchanged)
    assert workshop.town.pulls() == []


def test_a_dry_run_shows_the_pins_and_writes_nothing(workshop: Workshop) -> None:
    result = joined(workshop, made(workshop, "api", "worker"), dry_run=True)
    assert result.outcome is None
    assert result.plan is not None
    assert len(result.plan.pins) >= 2
    assert workshop.town.pulls() == []


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_missing_record_is_refused(workshop: Workshop) -> None:
    told = refusal(workshop, made(workshop, "api"))
    assert "there is no record of the image worker" in told


def test_no_record_at_all_is_refused(workshop: Workshop) -> None:
    assert "no record of the images api, worker" in refusal(workshop)


def test_only_narrows_what_is_needed(workshop: Workshop) -> None:
    result = joined(workshop, made(workshop, "api"), wanted=MatrixOptions(everything=True, only=("api",)))
    assert [image.name for image in result.release.images] == ["api"]


def test_a_record_that_nobody_asked_for_is_refused(workshop: Workshop) -> None:
    wanted = MatrixOptions(everything=True, only=("worker",))
    assert "nobody asked for the image 'api'" in refusal(workshop, made(workshop, "api", "worker"), wanted=wanted)


OTHER = f"{9:040x}"
FOREIGN: Mapping[str, tuple[Change, str]] = {
    "another commit": (lambda d: d["source"].update(commit=OTHER), "built from commit 000000000000"),
    "another application": (lambda d: d.update(application="bank"), "application 'bank'"),
    "another checkout": (lambda d: d["source"].update(repository="https://evil.example/x"), "evil.example"),
    "uncommitted changes": (lambda d: d["source"].update(dirty=True), "uncommitted changes"),
    "another repository": (set_image(repository="ghcr.io/evil/api"), "went to ghcr.io/evil/api"),
    "another tag": (set_image(tag="v9"), "has the tag 'v9'"),
    "an unknown image": (set_image(name="ghost"), "there is no image 'ghost'"),
    "a failed test": (lambda d: d["images"][0]["tests"][0].update(passed=False), "failed its test 'unit'"),
    "no test": (set_image(tests=[]), "was not tested by 'unit'"),
    "another test": (set_image(definition="0" * 64), "tested in another way"),
    "a digest that is not there": (set_image(digest=f"sha256:{'0' * 64}"), "the registry has no"),
    "a digest that is none": (set_image(digest="latest"), "is not a digest"),
    "another configuration": (set_image(config=f"sha256:{'0' * 64}"), "another configuration than the one"),
    "another kind": (set_image(kind="index"), "is no index"),
    "another platform": (set_image(platforms=["windows/amd64"]), "is not there for windows/amd64"),
    "another revision": (set_image(built_from=OTHER), "and the record says"),
    "another content": (set_image(content="1" * 64), "is not there, and the record says"),
    "a content key that is none": (set_image(content="../x"), "is not a digest"),
    "another record": (set_image(record=f"sha256:{'0' * 64}"), "does not hold the record"),
    "tests that nobody proves": (set_image(tests=[], tested_before=True), "does not say that it was before"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_planted_record_is_refused_with_its_reason(workshop: Workshop, what: str) -> None:
    change, reason = FOREIGN[what]
    told = refusal(workshop, changed(made(workshop, "api"), change), made(workshop, "worker"))
    assert reason in told
    assert "records/0.json" in told


def test_another_images_digest_under_the_right_name_is_refused(workshop: Workshop) -> None:
    """The bytes are there and of this commit, but the key tag and the record beside them are the other image's."""
    api, worker = made(workshop, "api"), made(workshop, "worker")
    stolen = worker.images[0]
    mixed = changed(api, set_image(digest=stolen.digest, config=stolen.config))
    assert "the registry has no" in refusal(workshop, mixed, worker)


def test_a_tag_that_was_moved_since_is_refused(workshop: Workshop) -> None:
    api, worker = made(workshop, "api"), made(workshop, "worker")
    stored = workshop.registry.stored(API)
    other = workshop.registry.store_manifest(API, "application/vnd.oci.image.manifest.v1+json", b'{"config": {}}', "x")
    tag = api.images[0].tag
    assert tag is not None
    stored.tags[tag] = other
    assert f"the tag {tag} leads to" in refusal(workshop, api, worker)


@pytest.mark.parametrize("same", [True, False])
def test_two_records_of_one_image_are_refused(workshop: Workshop, same: bool) -> None:
    api = made(workshop, "api")
    other = api if same else changed(api, set_image(digest=f"sha256:{'0' * 64}"))
    told = refusal(workshop, api, other, made(workshop, "worker"))
    assert ("the same" if same else "with another digest") in told


def test_every_reason_is_told_at_once(workshop: Workshop) -> None:
    api = changed(made(workshop, "api"), lambda d: d["source"].update(commit=OTHER))
    worker = changed(made(workshop, "worker"), lambda d: d["images"][0]["tests"][0].update(passed=False))
    told = refusal(workshop, api, worker)
    assert "records/0.json" in told
    assert "records/1.json" in told


def test_a_registry_that_is_ill_is_no_refusal(workshop: Workshop) -> None:
    api, worker = made(workshop, "api"), made(workshop, "worker")
    workshop.registry.faults.fail("config", workshop.registry.faults.calls["config"] + 1)
    with pytest.raises(RemoteError):
        joined(workshop, api, worker)


def test_a_forged_record_beside_the_image_is_refused(workshop: Workshop) -> None:
    """The registry's record of the other image, told as this one's."""
    api, worker = made(workshop, "api"), made(workshop, "worker")
    forged = changed(api, set_image(record=worker.images[0].record))
    assert "does not hold the record" in refusal(workshop, forged, worker)


def test_a_dirty_checkout_hands_nothing_off(workshop: Workshop) -> None:
    job = job_of(workshop)
    with pytest.raises(Refused, match="uncommitted changes"):
        joined(workshop, made(workshop, "api", "worker"), job=replace(job, source=replace(job.source, dirty=True)))


# --- building --------------------------------------------------------------------------------------------------------


def test_a_build_writes_nothing_to_git_and_opens_nothing(workshop: Workshop) -> None:
    refs = dict(workshop.town.git.refs)
    record = made(workshop, "api")
    assert workshop.town.git.refs == refs
    assert workshop.town.pulls() == []
    assert record.policy
    assert [image.name for image in record.images] == ["api"]
    assert workshop.registry.stored(WORKER).tags == {}


def test_a_build_needs_no_forge_and_no_readable_policy(workshop: Workshop) -> None:
    ports = workshop.ports()
    git_of(ports).fail(error=RemoteError("the server wants a login"), method="tips")
    built = build(replace(ports, forge=None), workshop.job(), BuildOptions(("api",)))
    record = build_record(built, ports.clock.now())
    assert not record.policy
    assert any("`hybrid-ci handoff` applies it" in note for note in ports.reporter.notes)  # type: ignore[attr-defined]
    assert isinstance(joined(workshop, record, made(workshop, "worker")).outcome, Opened)


def test_an_image_from_a_registry_that_the_policy_forbids_is_not_built(workshop: Workshop) -> None:
    config = workshop.root / "hybrid-ci.yaml"
    config.write_text(config.read_text().replace("ghcr.io/acme/shop/api", "evil.example/shop/api"))
    with pytest.raises(Refused, match=r"not allowed|may not"):
        made(workshop, "api")
    assert workshop.engine.faults.calls["build"] == 0


def test_a_failing_test_leaves_no_record_and_pushes_nothing(workshop: Workshop) -> None:
    config = workshop.root / "hybrid-ci.yaml"
    config.write_text(config.read_text().replace('run: "echo fine"', 'run: "exit 1"'))
    with pytest.raises(WorkFailed):
        made(workshop, "api")
    assert workshop.registry.stored(API).tags == {}


def test_a_pull_requests_job_builds_nothing(workshop: Workshop) -> None:
    job = replace(workshop.job(), ci=CIEnvironment("github", pull_request="7/merge"))
    with pytest.raises(Refused, match="pull request"):
        made(workshop, "api", job=job)


def test_a_second_build_of_the_same_commit_gives_the_same_record(workshop: Workshop) -> None:
    first, again = made(workshop, "api"), made(workshop, "api")
    assert again.images[0].digest == first.images[0].digest
    assert workshop.engine.faults.calls["build"] == 1


def test_a_cluster_credential_stops_the_build_at_once(workshop: Workshop) -> None:
    job = replace(workshop.job(), ci=CIEnvironment("ci"), signals=(Signal("KUBECONFIG", "unset it"),))
    ports = workshop.ports()
    git_of(ports).fail(error=RemoteError("the server wants a login"), method="tips")
    with pytest.raises(Refused, match="KUBECONFIG"):
        build(ports, job, BuildOptions(("api",)))


def test_a_cloud_identity_that_the_build_can_not_judge_is_judged_by_the_handoff(workshop: Workshop) -> None:
    signal = Signal("AWS_SESSION_TOKEN", "unset it", Kind.CLOUD, "aws")
    job = replace(workshop.job(), ci=CIEnvironment("ci"), signals=(signal,))
    ports = workshop.ports()
    git_of(ports).fail(error=RemoteError("the server wants a login"), method="tips")
    record = build_record(build(ports, job, BuildOptions(("api", "worker"))), ports.clock.now())
    assert [(one.name, one.provider) for one in record.identities] == [("AWS_SESSION_TOKEN", "aws")]
    handing = replace(job_of(workshop), ci=CIEnvironment("ci"))
    with pytest.raises(Refused, match="AWS_SESSION_TOKEN"):
        joined(workshop, record, job=handing)


# --- the matrix ------------------------------------------------------------------------------------------------------


def names(found: Matrix) -> list[str]:
    return [cell.name for cell in found.images]


def asked(workshop: Workshop, job: Job, **options: Any) -> Matrix:
    return matrix(workshop.ports(), job, MatrixOptions(**options))


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ({"api/content"}, ["api"]),
        ({"api/deep/er/file"}, ["api"]),
        ({"api/Dockerfile"}, ["api"]),
        ({"api/content", "worker/x"}, ["api", "worker"]),
        ({"README.md"}, []),
        ({"apix/file"}, []),
        ({"../api/content"}, []),
        (set(), []),
    ],
)
def test_an_image_is_changed_by_what_its_build_gets(workshop: Workshop, paths: set[str], expected: list[str]) -> None:
    assert names(asked(workshop, job_of(workshop, paths))) == expected


def test_an_ignored_file_changes_nothing(workshop: Workshop) -> None:
    (workshop.root / "api/.dockerignore").write_text("docs\n*.md\n!KEEP.md\n")
    for path in ("api/docs/x", "api/README.md", "api/.git/HEAD", "api/.env"):
        assert names(asked(workshop, job_of(workshop, {path}))) == [], path
    for path in ("api/KEEP.md", "api/src/x", "api/.dockerignore", "api/gone.pem"):
        assert names(asked(workshop, job_of(workshop, {path}))) == ["api"], path


def test_a_shared_context_changes_all_that_use_it(workshop: Workshop) -> None:
    config = workshop.root / "hybrid-ci.yaml"
    text = config.read_text().replace("context: api", "context: .\n    dockerfile: api/Dockerfile")
    config.write_text(text.replace("context: worker", "context: .\n    dockerfile: worker/Dockerfile"))
    assert names(asked(workshop, job_of(workshop, {"shared/lib.py"}))) == ["api", "worker"]
    assert names(asked(workshop, job_of(workshop, {"../elsewhere"}))) == []


def test_an_image_upon_a_changed_one_is_changed(workshop: Workshop) -> None:
    (workshop.root / "worker/Dockerfile").write_text("FROM ghcr.io/acme/shop/api:x\nCOPY . /\n")
    found = asked(workshop, job_of(workshop, {"api/content"}))
    assert names(found) == ["api", "worker"]
    assert found.images[1].reason == "it is built upon api, which has changed"


def test_another_configuration_of_one_image_changes_that_one(workshop: Workshop) -> None:
    config = workshop.root / "hybrid-ci.yaml"
    before = config.read_bytes()
    config.write_text(before.decode().replace("echo fine;", "echo better;"))
    assert names(asked(workshop, job_of(workshop, {"hybrid-ci.yaml"}, before=before))) == ["worker"]
    config.write_bytes(before + b"tag: v-{sha}\n")
    assert names(asked(workshop, job_of(workshop, {"hybrid-ci.yaml"}, before=before))) == ["api", "worker"]
    assert names(asked(workshop, job_of(workshop, {"hybrid-ci.yaml"}, before=b"{"))) == ["api", "worker"]


def test_a_base_that_nobody_knows_puts_every_image_in_with_the_reason(workshop: Workshop) -> None:
    found = asked(workshop, job_of(workshop))
    assert names(found) == ["api", "worker"]
    assert found.reason == "new branch"
    assert {cell.reason for cell in found.images} == {"new branch"}


def test_all_and_only_choose(workshop: Workshop) -> None:
    job = job_of(workshop, {"api/content"})
    assert names(asked(workshop, job, everything=True)) == ["api", "worker"]
    assert names(asked(workshop, job, everything=True, only=("worker",))) == ["worker"]
    assert names(asked(workshop, job, only=("worker",))) == []


def test_what_the_registry_holds_and_the_base_proves_needs_no_runner(workshop: Workshop) -> None:
    joined(workshop, made(workshop, "api", "worker"))
    everything = MatrixOptions(everything=True)
    # Nothing is proven before the pull request is merged.
    assert names(asked(workshop, job_of(workshop), everything=True, unbuilt=True)) == ["api", "worker"]
    workshop.town.merge(1)
    workshop.source = 4
    (workshop.root / "api/content").write_text("changed\n")

    found = asked(workshop, job_of(workshop), everything=True, unbuilt=True)
    assert names(found) == ["api"]
    assert [cell.name for cell in found.held] == ["worker"]

    result = joined(workshop, made(workshop, "api"), wanted=everything)
    assert isinstance(result.outcome, Opened)
    assert [image.name for image in result.release.images] == ["api", "worker"]
    assert str(result.release.images[1].built_from) == f"{3:040x}"


def test_a_key_tag_alone_spares_no_record(workshop: Workshop) -> None:
    """Whoever may push can set a key tag; only the base branch proves that what is there was tested."""
    made(workshop, "worker")
    assert any(is_key_tag(tag) for tag in workshop.registry.stored(WORKER).tags)
    told = refusal(workshop, made(workshop, "api"), wanted=MatrixOptions(everything=True))
    assert "no record of the image worker" in told


# --- the files -------------------------------------------------------------------------------------------------------


def test_a_record_survives_its_file(workshop: Workshop, tmp_path: Path) -> None:
    record = made(workshop, "api", "worker")
    folder = tmp_path / "records"
    files = record.write_to(folder)
    assert sorted(file.name for file in files) == ["api.json", "worker.json"]
    assert [read_build(file).images[0].name for file in sorted(files)] == ["api", "worker"]
    (one,) = record.write_to(tmp_path / "both.json")
    assert read_build(one) == record


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no build record"),
        (b"[]", "no build record"),
        (b"[" * 100_000, "no build record"),
        (b'{"schema": "hybrid-ci.build/v9"}', "'hybrid-ci.build/v9' is not known here"),
        (b'{"schema": "hybrid-ci.release/v1"}', "is not known here"),
        (b'{"schema": "hybrid-ci.build/v1", "surprise": 1}', "no build record"),
        (b" " * (1 << 20) + b"{}", "larger than 1 MiB"),
        (b'{"schema": "\x1b[2J"}', "no build record"),
    ],
)
def test_a_file_that_is_no_record_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_build(file)
    assert caught.value.where == str(file)


def test_a_folder_or_nothing_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a regular file"):
        read_build(tmp_path)
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_build(tmp_path / "missing.json")
