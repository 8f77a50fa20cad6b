"""The application's own stages in whole releases: where they stand, when they run, what they get, how they fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, Conflict, Refused, WorkFailed
from orchestrator.engine.stage import State
from orchestrator.gitops.outcome import Opened, Unchanged
from orchestrator.images.base import RunResult
from pipelines.plan import make_plan, moved, release_planned
from pipelines.release import ReleaseOptions, ReleaseResult, release
from tests.simulation.workshop import Workshop
from tests.simulators.reporter import RecordingReporter


class Story(RecordingReporter):
    """Remembers stages as well."""

    def __init__(self) -> None:
        super().__init__()
        self.began: list[str] = []

    def stage_started(self, stage: str) -> None:
        """Remember it."""
        self.began.append(stage)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def configure(workshop: Workshop, stages: str) -> None:
    file = workshop.root / "hybrid-ci.yaml"
    file.write_text(f"{file.read_text()}stages:\n{stages}")


def run(workshop: Workshop, options: ReleaseOptions | None = None, **job: object) -> tuple[ReleaseResult, Story]:
    story = Story()
    ports = replace(workshop.ports(), reporter=story)
    made = replace(workshop.job(), environment={}, **job)  # type: ignore[arg-type]
    return release(ports, made, options or ReleaseOptions()), story


def states(result: ReleaseResult) -> dict[str, State]:
    return {one.name: one.state for one in result.stages}


def test_stages_stand_before_between_and_after_the_built_in_ones(workshop: Workshop) -> None:
    configure(
        workshop,
        """\
  lint: {run: "true"}
  check: {image: api, run: "echo fine"}
  report: {run: "true", needs: [push]}
  notify: {run: "true", needs: handoff}
""",
    )
    result, story = run(workshop)

    assert isinstance(result.outcome, Opened)
    assert story.began == [
        "preflight", "lint", "build api", "build worker", "test api/unit", "test worker/unit", "check",
        "push api", "push worker", "report", "hand off to dev", "notify",
    ]  # fmt: skip
    again, story = run(workshop)
    assert isinstance(again.outcome, Unchanged)
    assert story.began == ["preflight", "hand off to dev", "notify"]


@pytest.mark.parametrize("stage", ['{run: "echo oh; exit 3"}', '{image: worker, run: "echo oh; exit 3"}'])
def test_a_stage_that_fails_stops_every_push_and_shows_the_end_of_its_log(workshop: Workshop, stage: str) -> None:
    configure(workshop, f"  lint: {stage}\n")

    with pytest.raises(WorkFailed) as caught:
        run(workshop)

    assert caught.value.message == "the stage lint failed: it ended with 3"
    assert caught.value.details == ("oh",)
    assert caught.value.where is not None and caught.value.where.endswith("hybrid-ci.yaml:16")
    assert workshop.engine.faults.calls["push"] == 0
    assert workshop.town.pulls() == []


def test_all_that_failed_is_told_at_once(workshop: Workshop) -> None:
    configure(workshop, '  lint: {run: "exit 1"}\n  style: {run: "exit 2"}\n')
    with pytest.raises(WorkFailed, match="2 stages failed") as caught:
        run(workshop, ReleaseOptions(jobs=3))
    assert caught.value.where == "lint, style"


def test_a_stage_is_ended_at_its_time_limit(workshop: Workshop) -> None:
    configure(workshop, '  slow: {run: "sleep 30", timeout: 300ms}\n')
    with pytest.raises(WorkFailed, match=r"ended after its time limit of 0\.3 s"):
        run(workshop)


def test_a_stage_is_tried_again_as_often_as_it_may(workshop: Workshop) -> None:
    command = 'echo x >> count; test "$(wc -l < count)" -ge 3'
    configure(workshop, f"  flaky: {{run: '{command}', retries: 2}}\n")
    result, story = run(workshop)
    assert states(result)["flaky"] is State.DONE
    assert [text for text in story.warnings if "flaky" in text] == [
        "flaky: it ended with 1; attempt 2 of 3",
        "flaky: it ended with 1; attempt 3 of 3",
    ]


def test_a_failure_that_is_allowed_does_not_stop_the_release(workshop: Workshop) -> None:
    configure(workshop, '  lint: {run: "exit 1", allow_failure: true}\n')
    result, story = run(workshop)
    assert isinstance(result.outcome, Opened)
    assert states(result)["lint"] is State.ALLOWED
    assert any("lint failed, as it may" in text for text in story.warnings)


@pytest.mark.parametrize(
    ("when", "runs"),
    [
        ("{branch: main}", True),
        ("{branch: [release/*, ma*]}", True),
        ("{branch: release/*}", False),
        ("{tag: v*}", False),
        ("{event: push}", False),
        ("{paths: [api]}", True),
        ("{paths: [web, docs/**]}", False),
        ("{branch: main, paths: web}", False),
        ("{if: \"branch == 'main' && changed('api/**')\"}", True),
        ('{if: "env.NIGHTLY"}', False),
    ],
)
def test_a_stage_runs_when_all_of_its_conditions_hold(workshop: Workshop, when: str, runs: bool) -> None:
    configure(workshop, f'  lint: {{run: "true", when: {when}}}\n')
    result, story = run(workshop, changed=lambda: frozenset({"api/main.py"}))
    assert ("lint" in story.began) is runs
    assert isinstance(result.outcome, Opened)  # a stage that is left out counts as done


def test_nobody_is_asked_what_changed_when_no_stage_wants_to_know(workshop: Workshop) -> None:
    def asked() -> None:
        raise AssertionError("asked")

    configure(workshop, '  lint: {run: "true", when: {branch: main}}\n')
    run(workshop, changed=asked)


def test_a_matrix_runs_each_combination_with_its_values(workshop: Workshop) -> None:
    configure(workshop, "  lint: {run: 'echo $MATRIX_PY-$MATRIX_OS', matrix: {py: [3.11, 3.12], os: [a, b]}}\n")
    _, story = run(workshop)
    said = {stage: line for stage, line in story.logs if stage.startswith("lint")}
    assert said == {f"lint ({py}, {system})": f"{py}-{system}" for py in ("3.11", "3.12") for system in "ab"}


def test_an_approval_is_asked_for_before_anything_is_begun(workshop: Workshop) -> None:
    configure(workshop, "  cut: {approval: true}\n")
    with pytest.raises(Refused, match="the stage cut asks for an approval") as caught:
        run(workshop)
    assert caught.value.hint is not None and "--approve cut" in caught.value.hint
    assert workshop.engine.faults.calls["build"] == 0

    result, _ = run(workshop, ReleaseOptions(approved=("cut",)))
    assert states(result)["cut"] is State.DONE
    with pytest.raises(ConfigurationError, match="no stage asks for the approval 'cat'"):
        run(workshop, ReleaseOptions(approved=("cat",)))


def test_a_build_secret_is_asked_for_before_anything_is_begun_and_by_no_plan(workshop: Workshop) -> None:
    file = workshop.root / "hybrid-ci.yaml"
    file.write_text(file.read_text().replace("    context: api\n", "    context: api\n    secrets: [NPM_TOKEN]\n"))
    ports, job = workshop.ports(), replace(workshop.job(), environment={})
    assert make_plan(ports, job, ReleaseOptions()).document.images[0].action == "build"
    with pytest.raises(ConfigurationError, match="the image api needs the variable NPM_TOKEN") as error:
        release(ports, job, ReleaseOptions())
    assert (error.value.where or "").startswith(f"{file}:")
    assert workshop.engine.faults.calls["build"] == 0
    given = replace(job, environment={"NPM_TOKEN": "canary-npm-token"})
    assert isinstance(release(ports, given, ReleaseOptions()).outcome, Opened)


def test_a_stage_gets_the_secrets_that_it_names_and_no_other_variable(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", "something of the machine")
    configure(workshop, "  lint: {run: env, secrets: [API_TOKEN], environment: {GREETING: good day}}\n")
    with pytest.raises(ConfigurationError, match="needs the variable API_TOKEN"):
        run(workshop)
    assert workshop.engine.faults.calls["build"] == 0

    story = Story()
    job = replace(workshop.job(), environment={"API_TOKEN": "canary-of-a-stage-0123", "OTHER": "x"})
    release(replace(workshop.ports(), reporter=story), job, ReleaseOptions())
    said = {line for _, line in story.logs}
    assert {"API_TOKEN=canary-of-a-stage-0123", "GREETING=good day", f"HYBRID_CI_COMMIT={3:040x}"} <= said
    assert not any(line.startswith("OTHER=") for line in said)


def test_a_service_runs_beside_its_stage_and_is_gone_afterwards(workshop: Workshop) -> None:
    configure(
        workshop,
        """\
  check:
    image: worker
    run: echo $SERVICE_DB_HOST
    services: {db: {image: api, ready: {command: [is-it-up]}}}
""",
    )
    _, story = run(workshop)
    assert ("check", "10.0.0.2") in story.logs
    assert (workshop.engine.running, workshop.engine.networks) == (set(), set())


def test_a_service_that_does_not_get_ready_fails_its_stage_and_is_gone(workshop: Workshop) -> None:
    (workshop.root / "api/Dockerfile").write_text('FROM scratch\nCOPY . /\nCMD ["httpd"]\n')
    (workshop.root / "api/index.html").write_text("up\n")
    workshop.engine.results["never"] = RunResult(1, False, 0.0, ())
    service = "{image: api, ready: {command: [never]}, timeout: 2s}"
    configure(workshop, f"  check: {{image: worker, run: 'echo x', services: {{db: {service}}}}}\n")
    with pytest.raises(WorkFailed, match="the service db of the stage check was not ready within 2 s"):
        run(workshop)
    assert (workshop.engine.running, workshop.engine.networks) == (set(), set())


# --- images upon images -------------------------------------------------------------------------------------------


def test_an_image_is_built_upon_the_one_of_this_run(workshop: Workshop) -> None:
    (workshop.root / "api/Dockerfile").write_text("FROM ghcr.io/acme/shop/worker:whatever\nCOPY . /\n")
    _, story = run(workshop)
    assert story.began.index("build worker") < story.began.index("build api")
    first = next(line for stage, line in story.logs if stage == "build api")
    worker = next(one.image for one in workshop.engine.images.values() if one.image.name == "worker")
    assert first == f"Step 1/2 : FROM hybrid-ci.local/worker:{worker.engine_id.hex[:32]}"


def test_images_that_are_built_upon_each_other_are_refused(workshop: Workshop) -> None:
    (workshop.root / "api/Dockerfile").write_text("FROM ghcr.io/acme/shop/worker\n")
    (workshop.root / "worker/Dockerfile").write_text("FROM ghcr.io/acme/shop/api\n")
    with pytest.raises(ConfigurationError, match="wait for each other"):
        run(workshop)


def test_only_builds_and_tests_what_the_image_stands_on_and_pushes_it_alone(workshop: Workshop) -> None:
    (workshop.root / "api/Dockerfile").write_text("FROM ghcr.io/acme/shop/worker\nCOPY . /\n")
    result, story = run(workshop, ReleaseOptions(only=("api",)))
    assert [image.name for image in result.release.images] == ["api"]
    assert [stage for stage in story.began if stage.startswith(("build", "push"))] == [
        "build worker", "build api", "push api",
    ]  # fmt: skip


# --- from the middle ----------------------------------------------------------------------------------------------


def test_from_a_test_goes_on_with_the_image_that_the_engine_holds(workshop: Workshop) -> None:
    with pytest.raises(Refused, match="not everything before") as caught:
        run(workshop, ReleaseOptions(from_stage="test api"))
    assert caught.value.details == ("build api: the engine holds no image that was built from this commit",)

    config = workshop.root / "hybrid-ci.yaml"
    text = config.read_text()
    config.write_text(text.replace('run: "echo fine"', 'run: "exit 1"'))
    with pytest.raises(WorkFailed):
        run(workshop)
    config.write_text(text)
    result, story = run(workshop, ReleaseOptions(from_stage="test api"))
    assert isinstance(result.outcome, Opened)
    assert "build api" not in story.began


def test_from_a_push_is_refused_where_nothing_proves_the_tests(workshop: Workshop) -> None:
    configure(workshop, '  lint: {run: "true"}\n')
    with pytest.raises(Refused) as caught:
        run(workshop, ReleaseOptions(from_stage="push api"))
    told = "\n".join(caught.value.details)
    assert "lint: nothing records how it ended" in told
    assert "test api: the environment does not pin this release" in told


def test_from_a_stage_behind_a_finished_release_runs_it_alone(workshop: Workshop) -> None:
    configure(workshop, '  notify: {run: "true", needs: handoff}\n')
    with pytest.raises(Refused, match="not everything before"):
        run(workshop, ReleaseOptions(from_stage="notify"))
    run(workshop)
    result, story = run(workshop, ReleaseOptions(from_stage="notify"))
    assert isinstance(result.outcome, Unchanged)
    assert story.began == ["preflight", "hand off to dev", "notify"]
    with pytest.raises(ConfigurationError, match="there is no stage 'deploy'"):
        run(workshop, ReleaseOptions(from_stage="deploy"))


# --- plans --------------------------------------------------------------------------------------------------------


def test_a_plan_changes_nothing_and_is_what_the_release_then_does(workshop: Workshop) -> None:
    configure(workshop, '  lint: {run: "true", when: {branch: other}}\n')
    planned = make_plan(workshop.ports(), workshop.job(), ReleaseOptions())

    document = planned.document
    assert {stage.name: stage.action for stage in document.stages if stage.kind == "custom"} == {"lint": "skip"}
    assert [(image.name, image.action, image.digest) for image in document.images] == [
        ("api", "build", None),
        ("worker", "build", None),
    ]
    assert (workshop.engine.faults.calls["build"], workshop.town.pulls(), workshop.town.git.pushes) == (0, [], [])

    result = release_planned(workshop.ports(), workshop.job(), document, ReleaseOptions())
    assert isinstance(result.outcome, Opened)
    assert moved(document, document) is None


def test_a_plan_and_a_dry_run_agree(workshop: Workshop) -> None:
    planned = make_plan(workshop.ports(), workshop.job(), ReleaseOptions())
    dry = workshop.release(ReleaseOptions(dry_run=True))
    assert dry.plan == planned.change


@pytest.mark.parametrize("what", ["commit", "configuration", "tag"])
def test_a_plan_is_refused_once_the_world_has_moved(workshop: Workshop, what: str) -> None:
    document = make_plan(workshop.ports(), workshop.job(), ReleaseOptions()).document
    if what == "commit":
        workshop.source = 4
    elif what == "configuration":
        file = workshop.root / "hybrid-ci.yaml"
        file.write_text(file.read_text() + "# a word\n")
    else:
        workshop.release(ReleaseOptions(only=("api",)))
    calls = workshop.engine.faults.calls["build"]
    with pytest.raises(Refused, match="the world has moved"):
        release_planned(workshop.ports(), workshop.job(), document, ReleaseOptions())
    assert workshop.engine.faults.calls["build"] == calls


def test_a_plan_whose_pins_were_moved_by_somebody_is_a_conflict(workshop: Workshop) -> None:
    document = make_plan(workshop.ports(), workshop.job(), ReleaseOptions()).document
    path = next(iter(document.files))
    other = document.model_copy(update={"files": {path: "0" * 64}})
    with pytest.raises(Conflict, match="has moved since the plan was made"):
        release_planned(workshop.ports(), workshop.job(), other, ReleaseOptions())
    assert workshop.town.pulls() == []
