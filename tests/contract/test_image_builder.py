"""What every ImageBuilder does: the simulator in all its stores, and a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.images.base import BuildFailed
from orchestrator.images.publish import publish
from tests.contract.engines import BUILDERS, Workbench, workbench
from tests.simulators.clock import FakeClock
from tests.simulators.reporter import RecordingReporter

PLAIN = "FROM BASE\nCOPY index.html /w/index.html\n"


@pytest.fixture(params=BUILDERS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "index.html").write_text("<h1>hello</h1>")
    with workbench(request.param, request, folder) as made:
        yield made


@pytest.fixture
def reporter() -> RecordingReporter:
    return RecordingReporter()


def test_a_built_image_has_the_platform_of_its_engine(bench: Workbench, reporter: RecordingReporter) -> None:
    image = bench.builder.build(bench.spec(PLAIN), reporter)
    assert image.name == "api"
    assert image.platform.os == "linux"


def test_the_log_reaches_the_reporter_line_by_line(bench: Workbench, reporter: RecordingReporter) -> None:
    bench.builder.build(bench.spec(PLAIN), reporter)
    assert {stage for stage, _ in reporter.logs} == {"build api"}
    assert any("COPY index.html" in line for _, line in reporter.logs)
    assert all("\n" not in line for _, line in reporter.logs)


def test_the_same_input_builds_the_same_image(bench: Workbench, reporter: RecordingReporter) -> None:
    spec = bench.spec(PLAIN, labels={"one": "1"})
    assert bench.builder.build(spec, reporter) == bench.builder.build(spec, reporter)


def test_a_changed_file_builds_another_image(bench: Workbench, reporter: RecordingReporter) -> None:
    spec = bench.spec(PLAIN)
    before = bench.builder.build(spec, reporter)
    (bench.folder / "index.html").write_text("<h1>changed</h1>")
    assert bench.builder.build(spec, reporter).engine_id != before.engine_id


def test_an_ignored_file_does_not_change_the_image(bench: Workbench, reporter: RecordingReporter) -> None:
    (bench.folder / ".dockerignore").write_text("notes\n")
    spec = bench.spec("FROM BASE\nCOPY . /w\n")
    before = bench.builder.build(spec, reporter)
    (bench.folder / "notes").write_text("mine")
    assert bench.builder.build(spec, reporter).engine_id == before.engine_id


def test_labels_are_in_the_published_configuration(bench: Workbench, reporter: RecordingReporter) -> None:
    labels = {"org.opencontainers.image.revision": "a" * 40}
    image = bench.builder.build(bench.spec(PLAIN, labels=labels), reporter)
    target = bench.target()
    published = publish(bench.engine, bench.registry, image, target, reporter, FakeClock(), labels=labels)
    config = bench.registry.config(target.repository, published.proof.config)
    inner = config["config"]
    assert isinstance(inner, dict)
    assert inner["Labels"]["org.opencontainers.image.revision"] == "a" * 40


def test_a_build_argument_changes_the_image(bench: Workbench, reporter: RecordingReporter) -> None:
    text = "FROM BASE\nARG GREETING\nCOPY index.html /w/index.html\nLABEL greeting=$GREETING\n"
    one = bench.builder.build(bench.spec(text, arguments={"GREETING": "hello"}), reporter)
    two = bench.builder.build(bench.spec(text, arguments={"GREETING": "goodbye"}), reporter)
    assert one.engine_id != two.engine_id


@pytest.mark.parametrize("name", ["NPM_TOKEN", "DB_PASSWORD", "apiKey", "AWS_SECRET_ACCESS_KEY"])
def test_a_secret_build_argument_is_refused(bench: Workbench, reporter: RecordingReporter, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        bench.builder.build(bench.spec(PLAIN, arguments={name: "hunter22-hunter22"}), reporter)
    assert "hunter22" not in f"{caught.value}{caught.value.hint}{caught.value.details}"


def test_a_target_stops_at_its_stage(bench: Workbench, reporter: RecordingReporter) -> None:
    text = "FROM BASE AS first\nCOPY index.html /first\nFROM BASE AS second\nRUN exit 1\n"
    assert bench.builder.build(bench.spec(text, target="first"), reporter)


def test_an_unknown_target_is_a_failed_build(bench: Workbench, reporter: RecordingReporter) -> None:
    with pytest.raises(BuildFailed):
        bench.builder.build(bench.spec("FROM BASE AS first\nCOPY index.html /w\n", target="second"), reporter)


def test_a_failing_step_names_its_line(bench: Workbench, reporter: RecordingReporter) -> None:
    text = "# the base\nFROM BASE\n\nCOPY index.html \\\n  /w/index.html\n# fails\nRUN exit 1\n"
    with pytest.raises(BuildFailed) as caught:
        bench.builder.build(bench.spec(text), reporter)
    assert "step 3 of 3" in caught.value.message
    assert caught.value.where == f"{bench.folder / 'Dockerfile'}:7"


def test_a_missing_file_is_a_failed_build(bench: Workbench, reporter: RecordingReporter) -> None:
    with pytest.raises(BuildFailed):
        bench.builder.build(bench.spec("FROM BASE\nCOPY nowhere /w\n"), reporter)


def test_an_instruction_that_is_none_is_a_failed_build(bench: Workbench, reporter: RecordingReporter) -> None:
    with pytest.raises(BuildFailed):
        bench.builder.build(bench.spec("FROM BASE\nCOPPY index.html /w\n"), reporter)


def test_a_missing_context_is_named(bench: Workbench, reporter: RecordingReporter) -> None:
    spec = bench.spec(PLAIN)
    gone = bench.folder / "gone"
    with pytest.raises(ConfigurationError) as caught:
        bench.builder.build(type(spec)("api", gone, spec.dockerfile), reporter)
    assert caught.value.where == str(gone)


def test_a_missing_dockerfile_is_named(bench: Workbench, reporter: RecordingReporter) -> None:
    spec = bench.spec(PLAIN)
    gone = bench.folder / "Dockerfile.gone"
    with pytest.raises(ConfigurationError) as caught:
        bench.builder.build(type(spec)("api", bench.folder, gone), reporter)
    assert caught.value.where == str(gone)


def test_a_dockerfile_may_stand_outside_its_context(
    bench: Workbench, reporter: RecordingReporter, tmp_path: Path
) -> None:
    spec = bench.spec(PLAIN)
    outside = tmp_path / "Dockerfile.outside"
    spec.dockerfile.rename(outside)
    assert bench.builder.build(type(spec)("api", bench.folder, outside), reporter)
