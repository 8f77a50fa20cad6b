"""Whole releases over simulated ports: the story, each broken link, and a failure at every call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, HybridCIError, Refused, RemoteError, WorkFailed
from orchestrator.core.image import Repository, TaggedImage
from orchestrator.core.names import BranchName
from orchestrator.gitops.outcome import Committed, Opened, Superseded, Unchanged, Updated
from pipelines.pin import PinOptions, parse_wanted, pin
from pipelines.ports import Ports, Surroundings
from pipelines.record import record_of
from pipelines.release import ReleaseOptions, release
from pipelines.targets import UNKNOWN_DIGEST
from tests.simulation.workshop import Workshop, forge_of, git_of
from tests.simulators.registry import Faults
from tests.simulators.reporter import RecordingReporter
from tests.unit.gitops.changes import API, WORKER

BRANCH = "hybrid-ci/dev/shop"
TAG = f"{3:040x}"[:12]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_a_release_pins_what_the_registry_serves(workshop: Workshop) -> None:
    result = workshop.release()

    assert isinstance(result.outcome, Opened)
    served = {repository: workshop.registry.resolve(TaggedImage(repository, TAG)) for repository in (API, WORKER)}
    assert {image.pinned.repository: image.pinned.digest for image in result.release.images} == served
    assert workshop.town.pinned(BRANCH, API) == {TAG}
    record = record_of(result, workshop.town.clock.now())
    assert (record.state, record.changed, [test.passed for test in record.images[0].tests]) == ("opened", True, [True])


def test_a_second_run_changes_nothing(workshop: Workshop) -> None:
    workshop.release()
    calls = workshop.engine.faults.calls.copy()

    again = workshop.release()

    assert isinstance(again.outcome, Unchanged)
    assert (workshop.engine.faults.calls - calls).keys() == {"check"}
    assert not record_of(again, workshop.town.clock.now()).changed


def test_a_rerun_on_a_fresh_runner_builds_nothing_again(workshop: Workshop) -> None:
    """Builds are not reproducible: a second build of a finished release would be another image."""
    made = workshop.release()
    workshop.engine.images.clear()
    (workshop.root / "api/content").write_text("built at another time\n")

    waiting = workshop.release()
    workshop.town.merge(1)
    merged = workshop.release()

    assert isinstance(waiting.outcome, Unchanged)
    assert isinstance(merged.outcome, Unchanged)
    assert merged.release.pins == made.release.pins
    assert workshop.engine.faults.calls["build"] == 2
    again = workshop.release(ReleaseOptions(no_skip=True))
    assert workshop.engine.faults.calls["build"] == 4
    assert again.release.pins != made.release.pins


def test_a_tag_with_a_forged_label_is_not_taken_for_a_release(workshop: Workshop) -> None:
    """Whoever can push a tag can write its label; what was found there is tested like any other image."""
    planted = workshop.release(ReleaseOptions(only=("api",)))
    fresh = Workshop(workshop.root / "again", registry=workshop.registry)

    result = fresh.release(ReleaseOptions(only=("api",)))

    assert planted.release.pins[0].tag == result.release.pins[0].tag
    assert fresh.engine.faults.calls["fetch"] == fresh.engine.faults.calls["run"] == 1, "it was tested again"


@pytest.mark.parametrize("told", ["trunk", None])
def test_an_application_can_not_choose_the_branch_that_its_rules_come_from(
    workshop: Workshop, told: str | None
) -> None:
    workshop.town.git.default_branch = BranchName(told) if told else None

    with pytest.raises(Refused, match="default branch alone"):
        workshop.release()
    assert workshop.engine.faults.calls["build"] == 0


def test_an_environment_that_is_committed_to_needs_no_forge(workshop: Workshop) -> None:
    ports = replace(workshop.ports(), forge=None)

    result = release(ports, workshop.job(), ReleaseOptions(environment="lab"))

    assert isinstance(result.outcome, Committed)
    record = record_of(result, workshop.town.clock.now())
    assert (record.state, record.branch, record.commit) == ("committed", "lab", str(result.outcome.commit))
    with pytest.raises(ConfigurationError, match="there is no forge") as caught:
        release(ports, workshop.job(), ReleaseOptions())
    assert "github, gitlab, or the path of a local forge" in str(caught.value.hint)


def test_a_shallow_checkout_is_warned_about(workshop: Workshop) -> None:
    ports, job = workshop.ports(), workshop.job()

    release(ports, replace(job, source=replace(job.source, first_parent_count=None)), ReleaseOptions())

    assert isinstance(ports.reporter, RecordingReporter)
    assert any("fetch-depth: 0" in warning for warning in ports.reporter.warnings)


def test_a_newer_commit_updates_and_a_late_older_one_is_superseded(workshop: Workshop) -> None:
    workshop.release()
    workshop.commit(4)
    assert isinstance(workshop.release().outcome, Updated)
    workshop.commit(3)

    late = workshop.release()

    assert isinstance(late.outcome, Superseded)
    assert workshop.town.pinned(BRANCH, API) == {f"{4:040x}"[:12]}


@pytest.mark.scenario(number=78)
def test_rerun_30_days_later_newer_release_live(workshop: Workshop) -> None:
    """Somebody presses the button of an old run again. What is live meanwhile stays, whether merged or open."""
    workshop.release()
    workshop.commit(4)
    workshop.release()
    workshop.town.merge(1)
    pulls = workshop.town.pulls()
    workshop.town.clock.advance(30 * 24 * 3600)
    workshop.commit(3)

    late = workshop.release()

    assert isinstance(late.outcome, Superseded)
    assert record_of(late, workshop.town.clock.now()).state == "superseded"
    assert workshop.town.pinned("main", API) == {f"{4:040x}"[:12]}
    assert workshop.town.pulls() == pulls


def test_nothing_is_pushed_when_a_test_of_the_last_image_fails(workshop: Workshop) -> None:
    config = workshop.root / "hybrid-ci.yaml"
    config.write_text(config.read_text().replace("exit 0", "exit 1"))

    with pytest.raises(WorkFailed, match="nothing was pushed"):
        workshop.release()

    assert workshop.engine.faults.calls["push"] == 0
    assert workshop.town.pulls() == []


def test_an_image_swapped_between_test_and_push_is_not_handed_off(workshop: Workshop) -> None:
    workshop.release(ReleaseOptions(only=("worker",)))
    workshop.engine.swapped_in = next(iter(workshop.engine.images.values())).image
    (workshop.root / "worker/content").write_text("changed\n")
    workshop.source = 4

    with pytest.raises(Refused):
        workshop.release(ReleaseOptions(only=("worker",)))

    assert workshop.town.pinned(BRANCH, WORKER) == {TAG}


def test_a_registry_that_serves_other_bytes_is_not_believed(workshop: Workshop) -> None:
    put = workshop.registry.store_manifest

    def lying(repository: Repository, media_type: str, content: bytes, tag: str | None = None):  # type: ignore[no-untyped-def]
        digest = put(repository, media_type, content, tag)
        workshop.registry.served_instead[digest] = content.replace(b"schemaVersion", b"schemaversion")
        return digest

    workshop.registry.store_manifest = lying  # type: ignore[method-assign]

    with pytest.raises(HybridCIError):
        workshop.release()
    assert workshop.town.pulls() == []


def test_a_dry_run_writes_nothing_and_marks_unknown_digests(workshop: Workshop) -> None:
    result = workshop.release(ReleaseOptions(dry_run=True))

    assert result.outcome is None
    assert result.plan is not None
    assert {pin.after.digest for pin in result.plan.pins} == {UNKNOWN_DIGEST}
    assert set(result.unknown_digests) == {API, WORKER}
    calls = workshop.engine.faults.calls
    assert (calls["build"], calls["run"], calls["push"]) == (0, 0, 0)
    assert (workshop.town.git.pushes, workshop.town.pulls()) == ([], [])


def test_a_dry_run_of_a_finished_release_knows_the_digests(workshop: Workshop) -> None:
    made = workshop.release()

    result = workshop.release(ReleaseOptions(dry_run=True))

    assert result.plan is not None
    assert {pin.after.digest for pin in result.plan.pins} == {image.pinned.digest for image in made.release.images}
    assert result.unknown_digests == ()


def test_only_releases_the_named_image(workshop: Workshop) -> None:
    workshop.release(ReleaseOptions(only=("api",)))

    assert workshop.town.pinned(BRANCH, API) == {TAG}
    assert workshop.town.pinned(BRANCH, WORKER) == set()
    with pytest.raises(ConfigurationError, match="no image 'web'"):
        workshop.release(ReleaseOptions(only=("web",)))


PLACES = [
    *(("engine", method) for method in ("check", "build", "run", "push")),
    *(("registry", method) for method in ("check_login", "resolve", "manifest", "config")),
    *(("git", method) for method in ("tips", "files", "commit", "push", "check_push")),
    *(("forge", method) for method in ("check_access", "pull_requests", "open")),
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_a_failure_at_any_call_leaves_nothing_that_a_second_run_could_not_finish(
    workshop: Workshop, place: tuple[str, str], number: int, moment: str
) -> None:
    port, method = place

    def prepare(ports: Ports) -> None:
        if port == "engine":
            workshop.engine.faults.fail(method, number, when=moment)
        elif port == "registry":
            workshop.registry.faults.fail(method, number, when=moment)
        else:
            client = git_of(ports) if port == "git" else forge_of(ports)
            client.fail(number, "after" if moment == "after" else "before", method=method)

    try:
        first = workshop.release(prepare=prepare)
    except RemoteError:
        first = None
    workshop.engine.faults, workshop.registry.faults = Faults(), Faults()  # whatever it was, it is over

    second = workshop.release()

    expected = (Opened, Updated, Unchanged) if first is None else (Unchanged,)
    assert isinstance(second.outcome, expected)
    assert len(workshop.town.pulls()) == 1
    assert workshop.town.pinned(BRANCH, API) == {TAG}
    assert workshop.town.pinned(BRANCH, WORKER) == {TAG}
    third = workshop.release()
    assert isinstance(third.outcome, Unchanged)


# --- pin ---------------------------------------------------------------------------------------------------------


def _pin(workshop: Workshop, *arguments: str, options: PinOptions | None = None):  # type: ignore[no-untyped-def]
    job = workshop.job()
    around = Surroundings(job.application, job.ci, job.signals, job.identity)
    return pin(workshop.ports(), around, arguments, options or PinOptions())


def test_pin_resolves_the_tag_and_opens_the_same_kind_of_pull_request(workshop: Workshop) -> None:
    made = workshop.release(ReleaseOptions(only=("api",)))
    digest = made.release.images[0].pinned.digest

    result = _pin(workshop, f"api=:{TAG}", options=PinOptions("staging"))

    assert isinstance(result.outcome, Opened)
    assert result.release.images[0].pinned.digest == digest
    assert str(result.outcome.pull_request.head) == "hybrid-ci/staging/shop"


def test_pinning_the_same_thing_again_changes_nothing(workshop: Workshop) -> None:
    workshop.release(ReleaseOptions(only=("api",)))
    _pin(workshop, f"api=:{TAG}", options=PinOptions("staging"))

    assert isinstance(_pin(workshop, f"api=:{TAG}", options=PinOptions("staging")).outcome, Unchanged)


def test_pin_refuses_a_tag_and_a_digest_that_disagree(workshop: Workshop) -> None:
    workshop.release(ReleaseOptions(only=("api",)))

    with pytest.raises(Refused, match="points to another digest"):
        _pin(workshop, f"api=:{TAG}@sha256:{'1' * 64}")


def test_pin_refuses_what_the_registry_does_not_have(workshop: Workshop) -> None:
    with pytest.raises(ConfigurationError, match="the registry has no"):
        _pin(workshop, "api=:nowhere")
    with pytest.raises(ConfigurationError, match="the registry has no"):
        _pin(workshop, f"api=@sha256:{'1' * 64}")


def test_pin_refuses_a_platform_that_the_image_is_not_there_for(workshop: Workshop) -> None:
    workshop.release(ReleaseOptions(only=("api",)))
    config = workshop.root / "hybrid-ci.yaml"
    config.write_text(config.read_text().replace("context: api", "context: api\n    platform: linux/s390x"))

    with pytest.raises(Refused, match="is not there for linux/s390x"):
        _pin(workshop, f"api=:{TAG}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["api"], "is not IMAGE=REF"),
        (["api="], "is not IMAGE=REF"),
        (["web=:1"], "there is no image 'web'"),
        (["api=ghcr.io/acme/other:1"], "is not the repository of the image 'api'"),
        (["api=ghcr.io/acme/shop/api"], "names no tag and no digest"),
        (["api=:1", "api=:2"], "is named twice"),
        (["api=ghcr.io/Acme/api:1"], "is not an image repository"),
    ],
)
def test_a_wrong_argument_is_named(workshop: Workshop, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_wanted(arguments, workshop.job().application.config)

    assert message in caught.value.message
