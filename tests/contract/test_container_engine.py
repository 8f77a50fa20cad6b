"""What every ContainerEngine does: the simulator in all its stores, and a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, ImageReference
from orchestrator.engine.clock import SystemClock
from orchestrator.images.base import BuiltImage, RunResult, RunSpec
from orchestrator.images.errors import PullFailed
from orchestrator.images.proof import prove
from orchestrator.images.publish import gather, publish
from orchestrator.images.testing import CommandTest, HttpTest, run_test
from tests.contract.engines import KINDS, Workbench, workbench
from tests.simulators.reporter import RecordingReporter

PAGE = "<h1>contract</h1>"
DOCKERFILE = 'FROM BASE\nCOPY index.html /w/index.html\nCMD ["httpd", "-f", "-p", "8080", "-h", "/w"]\n'


@dataclass(frozen=True)
class Bench:
    bench: Workbench
    image: BuiltImage
    reporter: RecordingReporter

    def run(self, line: str, **options: object) -> RunResult:
        spec = RunSpec(("/bin/sh", "-c", line), **options)  # type: ignore[arg-type]
        return self.bench.engine.run(self.image, spec, self.reporter, "test")


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "index.html").write_text(PAGE)
    reporter = RecordingReporter()
    with workbench(request.param, request, tmp_path) as bench:
        yield Bench(bench, bench.builder.build(bench.spec(DOCKERFILE), RecordingReporter()), reporter)


def test_the_engine_says_what_it_is(made: Bench) -> None:
    assert "ngine" in made.bench.engine.check()


def test_a_run_tells_its_exit_code_and_its_last_lines(made: Bench) -> None:
    result = made.run("echo one; echo two; exit 3")
    assert (result.exit_code, result.timed_out, result.log_tail) == (3, False, ("one", "two"))
    assert made.reporter.logs == [("test", "one"), ("test", "two")]


def test_a_command_replaces_what_the_image_would_run(made: Bench) -> None:
    assert made.run("echo instead").log_tail == ("instead",)


def test_a_run_sees_the_environment_that_it_was_given(made: Bench) -> None:
    assert made.run('echo "$GREETING"', environment={"GREETING": "good day"}).log_tail == ("good day",)


def test_a_run_ends_at_its_time_limit(made: Bench) -> None:
    result = made.run("echo before; sleep 60", seconds=1.0)
    assert (result.exit_code, result.timed_out) == (None, True)
    assert result.log_tail == ("before",)


def test_a_file_is_read_back(made: Bench) -> None:
    result = made.run("echo content > /report.xml; exit 1", read_back="/report.xml")
    assert result.files == {"report.xml": b"content\n"}


def test_a_folder_is_read_back(made: Bench) -> None:
    result = made.run("mkdir /out; echo a > /out/a.xml; echo b > /out/b.xml", read_back="/out")
    assert result.files == {"out/a.xml": b"a\n", "out/b.xml": b"b\n"}


def test_a_path_that_does_not_exist_reads_back_nothing(made: Bench) -> None:
    assert made.run("echo done", read_back="/nowhere").files == {}


def test_an_image_that_is_gone_is_named(made: Bench) -> None:
    gone = BuiltImage("gone", type(made.image.engine_id)("sha256:" + "0" * 64), made.image.platform)
    with pytest.raises(RemoteError, match="gone"):
        made.bench.engine.run(gone, RunSpec(("true",)), made.reporter, "test")


def test_a_serving_container_answers_on_loopback_until_it_is_stopped(made: Bench) -> None:
    container = made.bench.engine.start(made.image, RunSpec(publish=8080))
    try:
        assert container.running()
        assert container.address[0] == "127.0.0.1"
    finally:
        first = container.stop()
    assert not container.running()
    assert container.stop() == first


def test_the_smoke_test_finds_the_page(made: Bench) -> None:
    test = HttpTest("page", 8080, contains="contract", seconds=20)
    report = run_test(made.bench.engine, made.image, test, made.reporter, SystemClock())
    assert report.passed, report


def test_the_smoke_test_tells_a_wrong_answer_at_once(made: Bench) -> None:
    test = HttpTest("page", 8080, path="/nowhere", seconds=20)
    report = run_test(made.bench.engine, made.image, test, made.reporter, SystemClock())
    assert (report.passed, report.summary) == (False, "/nowhere answered 404, not 200")


def test_the_smoke_test_tells_a_missing_text(made: Bench) -> None:
    test = HttpTest("page", 8080, contains="something else", seconds=20)
    report = run_test(made.bench.engine, made.image, test, made.reporter, SystemClock())
    assert not report.passed
    assert "something else" in report.summary


def test_a_command_test_counts_its_junit_cases(made: Bench) -> None:
    xml = "<testsuite><testcase name='a'/><testcase name='b'/></testsuite>"
    test = CommandTest("unit", f'echo "{xml}" > /junit.xml', junit="/junit.xml")
    report = run_test(made.bench.engine, made.image, test, made.reporter, SystemClock())
    assert report.passed, report
    assert report.cases is not None
    assert report.cases.tests == 2


def test_a_push_is_proven_against_the_registry(made: Bench) -> None:
    target = made.bench.target()
    published = publish(made.bench.engine, made.bench.registry, made.image, target, made.reporter, SystemClock())
    assert made.bench.registry.resolve(target) == published.pinned.digest
    assert made.image.engine_id in {published.proof.digest, published.proof.manifest, published.proof.config}


def test_publishing_twice_pushes_once(made: Bench) -> None:
    target = made.bench.target()
    first = publish(made.bench.engine, made.bench.registry, made.image, target, made.reporter, SystemClock())
    pushed = len(made.reporter.progressed)
    second = publish(made.bench.engine, made.bench.registry, made.image, target, made.reporter, SystemClock())
    assert first == second
    assert len(made.reporter.progressed) == pushed


def test_two_tags_of_one_image_have_one_digest(made: Bench) -> None:
    one = made.bench.target("1")
    two = type(one)(one.repository, "2")
    digests = {
        publish(made.bench.engine, made.bench.registry, made.image, tag, made.reporter, SystemClock()).pinned.digest
        for tag in (one, two)
    }
    assert len(digests) == 1


# --- fetching --------------------------------------------------------------------------------------------------------


def test_the_engine_knows_its_own_platform(made: Bench) -> None:
    assert made.bench.engine.platform() == made.image.platform


def test_an_image_is_fetched_by_digest_and_is_proven(made: Bench) -> None:
    target = made.bench.target()
    published = publish(made.bench.engine, made.bench.registry, made.image, target, made.reporter, SystemClock())
    fetched = made.bench.engine.fetch("api", published.pinned, None, made.reporter, "test api")
    assert fetched.platform == made.image.platform
    served = made.bench.registry.manifest(target.repository, published.pinned.digest)
    assert served is not None
    proof = prove(fetched, gather(made.bench.registry, target.repository, fetched, served))
    assert proof.digest == published.pinned.digest


def test_a_fetched_image_runs(made: Bench) -> None:
    target = made.bench.target()
    published = publish(made.bench.engine, made.bench.registry, made.image, target, made.reporter, SystemClock())
    fetched = made.bench.engine.fetch("api", published.pinned, None, made.reporter, "test api")
    spec = RunSpec(("/bin/sh", "-c", "echo it runs"))
    assert made.bench.engine.run(fetched, spec, made.reporter, "test").log_tail == ("it runs",)


def test_an_image_that_the_registry_does_not_hold_is_not_fetched(made: Bench) -> None:
    nowhere = made.bench.target().pinned(Digest("sha256:" + "0" * 64))
    with pytest.raises(PullFailed) as caught:
        made.bench.engine.fetch("api", nowhere, None, made.reporter, "test api")
    assert caught.value.where == str(nowhere.repository)


def test_an_image_that_is_not_in_the_engine_is_not_held(made: Bench) -> None:
    assert made.bench.engine.holds(ImageReference.parse("registry.example.com/nobody/has-this:1")) is None
