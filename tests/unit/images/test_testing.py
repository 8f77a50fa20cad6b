"""How tests of an image are judged, over engines that do as they are told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import count

import pytest

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, Platform
from orchestrator.images.base import BuiltImage, RunResult, RunSpec
from orchestrator.images.tar_reader import ArchiveRefused
from orchestrator.images.testing import CommandTest, HttpTest, ImageTestReport, run_test
from tests.servers.registry_scripted import Reply, ScriptedRegistry, scripted_registry
from tests.simulators.clock import FakeClock
from tests.simulators.reporter import RecordingReporter

IMAGE = BuiltImage("api", Digest("sha256:" + "a" * 64), Platform("linux", "amd64"))
FINE = RunResult(0, False, 1.5, ("the log",))
GOOD = b"<testsuite><testcase name='a'/></testsuite>"
BAD = b"<testsuite><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>"


class Container:
    """A container at an address; it ends after so many questions whether it runs."""

    def __init__(self, address: tuple[str, int] | None, alive: int = 10_000, result: RunResult = FINE) -> None:
        self._address, self._alive, self._result = address, alive, result
        self.stopped = 0

    @property
    def address(self) -> tuple[str, int]:
        if self._address is None:
            raise RemoteError("the engine did not publish the port")
        return self._address

    def running(self) -> bool:
        self._alive -= 1
        return self._alive > 0

    def stop(self) -> RunResult:
        self.stopped += 1
        return self._result


class Engine:
    """Gives one result, or one container."""

    def __init__(self, result: RunResult | Exception = FINE, container: Container | None = None) -> None:
        self._result, self._container = result, container
        self.specs: list[RunSpec] = []

    def check(self) -> str:
        return "an engine"

    def run(self, image: BuiltImage, spec: RunSpec, reporter: object, stage: str) -> RunResult:
        self.specs.append(spec)
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def start(self, image: BuiltImage, spec: RunSpec) -> Container:
        self.specs.append(spec)
        assert self._container is not None
        return self._container

    def push(self, *_: object) -> None:
        raise AssertionError("a test pushes nothing")


def command(result: RunResult | Exception = FINE, junit: str | None = None) -> ImageTestReport:
    return run_test(Engine(result), IMAGE, CommandTest("unit", ("x",), junit), RecordingReporter(), FakeClock())


def test_a_command_that_ends_with_0_passed() -> None:
    report = command()
    assert (report.passed, report.seconds, report.log_tail) == (True, 1.5, ("the log",))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (RunResult(3, False, 1, ()), "ended with 3"),
        (RunResult(None, True, 300, ()), "time limit of 300 s"),
        (RunResult(137, False, 1, (), out_of_memory=True), "512 MiB of memory"),
        (RunResult(0, False, 1, (), out_of_memory=True), "512 MiB of memory"),
        (RunResult(None, False, 1, ()), "ended with None"),
    ],
)
def test_every_other_end_is_a_failure_with_its_reason(result: RunResult, words: str) -> None:
    report = command(result)
    assert not report.passed
    assert words in report.summary


@pytest.mark.parametrize(
    ("files", "exit_code", "passed", "words"),
    [
        ({"j.xml": GOOD}, 0, True, "1 tests"),
        ({"j.xml": BAD}, 1, False, "1 failed (b)"),
        ({"j.xml": BAD}, 0, False, "1 failed (b)"),
        ({"j.xml": GOOD}, 1, False, "ended with 1"),
        ({}, 0, False, "left no JUnit report"),
        ({}, 2, False, "ended with 2; the test left no JUnit report"),
        ({"j.xml": b"<testsuite/>"}, 0, False, "no test case"),
        ({"j.xml": b"<!DOCTYPE x><testsuite/>"}, 0, False, "document type"),
    ],
)
def test_a_promised_report_counts(files: dict[str, bytes], exit_code: int, passed: bool, words: str) -> None:
    report = command(RunResult(exit_code, False, 1, (), files), junit="/j.xml")
    assert report.passed is passed
    assert words in report.summary


def test_a_report_that_cannot_be_read_out_fails_the_test() -> None:
    report = command(ArchiveRefused("it is too large"), junit="/j.xml")
    assert (report.passed, report.summary) == (False, "it is too large")


def test_a_text_is_a_line_for_the_shell() -> None:
    engine = Engine()
    run_test(engine, IMAGE, CommandTest("unit", "a && b"), RecordingReporter(), FakeClock())
    assert engine.specs[0].command == ("/bin/sh", "-c", "a && b")


def test_a_command_test_has_no_network_unless_it_asks() -> None:
    engine = Engine()
    for network in (False, True):
        run_test(engine, IMAGE, CommandTest("unit", ("a",), network=network), RecordingReporter(), FakeClock())
    assert [spec.network for spec in engine.specs] == [False, True]


def test_an_engine_that_fails_is_no_failed_test() -> None:
    with pytest.raises(RemoteError):
        command(RemoteError("gone"))


# --- smoke tests -------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[ScriptedRegistry]:
    with scripted_registry() as made:
        yield made


def smoke(container: Container, clock: FakeClock | None = None, **options: object) -> ImageTestReport:
    test = dataclasses.replace(HttpTest("smoke", 8080, seconds=10), **options)  # type: ignore[arg-type]
    engine = Engine(container=container)
    report = run_test(engine, IMAGE, test, RecordingReporter(), clock or FakeClock())
    assert container.stopped == 1
    assert (engine.specs[0].publish, engine.specs[0].network) == (8080, False)
    return report


def test_the_right_answer_passes(server: ScriptedRegistry) -> None:
    server.on("GET", "/health", Reply(204))
    assert smoke(Container(("127.0.0.1", server.port)), path="/health", status=204).passed


def test_a_server_that_needs_time_is_waited_for(server: ScriptedRegistry) -> None:
    server.on("GET", "/", Reply(200, b"ready"))
    server.times("GET", "/", Reply(hang_up=True), Reply(503), Reply(502))
    clock = FakeClock()
    assert smoke(Container(("127.0.0.1", server.port)), clock, contains="ready").passed
    assert len(clock.slept) == 3


@pytest.mark.parametrize(("status", "body"), [(404, b""), (500, b"boom"), (302, b""), (200, b"other")])
def test_a_wrong_answer_is_told_at_once(server: ScriptedRegistry, status: int, body: bytes) -> None:
    server.on("GET", "/", Reply(status, body, {"Location": "/elsewhere"}))
    clock = FakeClock()
    report = smoke(Container(("127.0.0.1", server.port)), clock, contains="ready")
    assert not report.passed
    assert clock.slept == ()
    assert server.paths == ["/"]


def test_a_server_that_stays_unavailable_fails_in_time(server: ScriptedRegistry) -> None:
    server.on("GET", "/", Reply(503))
    clock = FakeClock()
    report = smoke(Container(("127.0.0.1", server.port)), clock)
    assert not report.passed
    assert "within 10 s: / answered 503, not 200" in report.summary
    assert sum(clock.slept) == pytest.approx(10)


def test_a_container_that_ends_stops_the_wait() -> None:
    clock = FakeClock()
    report = smoke(Container(None, alive=3), clock)
    assert (report.passed, report.summary) == (False, "the container ended before it answered")
    assert report.log_tail == ("the log",)
    assert sum(clock.slept) < 1


def test_out_of_memory_is_told() -> None:
    report = smoke(Container(None, alive=1, result=dataclasses.replace(FINE, out_of_memory=True)))
    assert "512 MiB of memory" in report.summary


def test_a_body_without_end_is_judged_by_its_beginning(server: ScriptedRegistry) -> None:
    server.on("GET", "/", lambda _: Reply(200, (b"piece %d" % n for n in count())))
    assert smoke(Container(("127.0.0.1", server.port)), contains="piece 7").passed


def test_headers_without_end_are_no_answer(server: ScriptedRegistry) -> None:
    server.on("GET", "/", Reply(200, headers={f"X-{n}": "x" for n in range(200)}))
    assert not smoke(Container(("127.0.0.1", server.port)), FakeClock(), seconds=2).passed


def test_a_container_is_stopped_when_the_test_is_interrupted() -> None:
    class Interrupting(Container):
        @property
        def address(self) -> tuple[str, int]:
            raise KeyboardInterrupt

    container = Interrupting(None)
    with pytest.raises(KeyboardInterrupt):
        run_test(Engine(container=container), IMAGE, HttpTest("x", 1), RecordingReporter(), FakeClock())
    assert container.stopped == 1
