"""Tests of a built image: commands inside it, and HTTP smoke tests against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from orchestrator.core.errors import RemoteError
from orchestrator.core.release import CaseCounts
from orchestrator.engine.clock import Clock, Deadline
from orchestrator.engine.events import Reporter
from orchestrator.images.base import MEBIBYTE, BuiltImage, ContainerEngine, RunningContainer, RunResult, RunSpec
from orchestrator.images.http_probe import Answer, NoAnswer, ask
from orchestrator.images.junit import JUnitReport, ReportRefused, read_reports
from orchestrator.images.tar_reader import ArchiveRefused

_FIRST_POLL, _LONGEST_POLL = 0.05, 1.0
_STARTING = frozenset({502, 503, 504})  # what servers and proxies answer until they are ready


@dataclass(frozen=True, slots=True)
class CommandTest:
    """A command inside the image passes when it ends with 0, and its JUnit report, if named, has no failure.

    ``command`` replaces the image's ENTRYPOINT and CMD; a text is a line for ``/bin/sh -c``. ``junit`` is the
    report's path in the container, a file or a folder.
    """

    name: str
    command: Sequence[str] | str
    junit: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    user: str | None = None
    seconds: float = 300.0
    memory: int = 512 * MEBIBYTE
    pids: int = 256


@dataclass(frozen=True, slots=True)
class HttpTest:
    """The image is started as it is; within ``seconds`` its port answers ``path`` with ``status``.

    ``contains`` must occur in the body's first MiB. Nothing but loopback reaches the port.
    """

    name: str
    port: int
    path: str = "/"
    status: int = 200
    contains: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    seconds: float = 60.0
    memory: int = 512 * MEBIBYTE
    pids: int = 256


ImageTest = CommandTest | HttpTest


@dataclass(frozen=True, slots=True)
class ImageTestReport:
    """How one test ended: a sentence, the JUnit counts, the names of failed cases, and the log's end."""

    name: str
    passed: bool
    seconds: float
    summary: str
    cases: CaseCounts | None = None
    failed_cases: tuple[str, ...] = ()
    log_tail: tuple[str, ...] = ()


def run_test(
    engine: ContainerEngine, image: BuiltImage, test: ImageTest, reporter: Reporter, clock: Clock
) -> ImageTestReport:
    """Run one test. A test that fails is a report, not an exception; RemoteError when the engine fails."""
    stage = f"test {image.name}/{test.name}"
    match test:
        case CommandTest():
            return _run_command(engine, image, test, reporter, stage, clock)
        case HttpTest():
            return _run_http(engine, image, test, clock)
        case _:
            assert_never(test)


# --- a command inside the image ----------------------------------------------------------------------------------


def _run_command(
    engine: ContainerEngine, image: BuiltImage, test: CommandTest, reporter: Reporter, stage: str, clock: Clock
) -> ImageTestReport:
    command = ("/bin/sh", "-c", test.command) if isinstance(test.command, str) else tuple(test.command)
    spec = RunSpec(
        command=command,
        environment=test.environment,
        user=test.user,
        network=test.network,
        seconds=test.seconds,
        memory=test.memory,
        pids=test.pids,
        read_back=test.junit,
    )
    began = clock.monotonic()
    try:
        result = engine.run(image, spec, reporter, stage)
    except ArchiveRefused as refused:  # the report itself; the run as such went well
        return ImageTestReport(test.name, False, clock.monotonic() - began, refused.message)
    return _judge(test, result)


def _judge(test: CommandTest, result: RunResult) -> ImageTestReport:
    ending = _ending(result, test.seconds, test.memory)
    report: JUnitReport | None = None
    problem = ending
    if test.junit is not None:
        try:
            report = read_reports(result.files, test.junit)
        except ReportRefused as refused:
            problem = f"{ending}; {refused.message}" if ending else refused.message
    if report is not None and not report.passed and not ending:
        problem = "" if report.cases.tests else "the report holds no test case"
    passed = not problem and (report is None or report.passed)
    return ImageTestReport(
        test.name,
        passed,
        result.seconds,
        "; ".join(filter(None, (problem, _counts(report)))) or "passed",
        report.cases if report else None,
        report.failed if report else (),
        result.log_tail,
    )


def _ending(result: RunResult, seconds: float, memory: int) -> str:
    """Why a run is no success, in words; empty when it ended with 0."""
    if result.timed_out:
        return f"it was ended after its time limit of {seconds:g} s"
    if result.out_of_memory:
        return f"it ran out of its {memory // MEBIBYTE} MiB of memory"
    if result.exit_code == 0:
        return ""
    return f"it ended with {result.exit_code}"


def _counts(report: JUnitReport | None) -> str:
    if report is None or not report.cases.tests:
        return ""
    cases = report.cases
    parts = [f"{cases.tests} tests"]
    parts += [f"{count} {word}" for count, word in (
        (cases.failures, "failed"), (cases.errors, "with errors"), (cases.skipped, "skipped")) if count]  # fmt: skip
    first = f" ({', '.join(report.failed[:3])}{', …' if len(report.failed) > 3 else ''})" if report.failed else ""
    return ", ".join(parts) + first


# --- an HTTP smoke test ------------------------------------------------------------------------------------------


def _run_http(engine: ContainerEngine, image: BuiltImage, test: HttpTest, clock: Clock) -> ImageTestReport:
    spec = RunSpec(
        environment=test.environment,
        user=test.user,
        publish=test.port,
        seconds=test.seconds,
        memory=test.memory,
        pids=test.pids,
    )
    began = clock.monotonic()
    container = engine.start(image, spec)
    try:
        verdict = _wait_for_answer(container, test, clock)
    finally:
        result = container.stop()
    passed = verdict == ""
    summary = verdict or f"{test.path} answered {test.status}"
    if not passed and result.out_of_memory:
        summary += f"; it ran out of its {test.memory // MEBIBYTE} MiB of memory"
    return ImageTestReport(test.name, passed, clock.monotonic() - began, summary, log_tail=result.log_tail)


def _wait_for_answer(container: RunningContainer, test: HttpTest, clock: Clock) -> str:
    """Empty when the right answer came; else why not."""
    deadline = Deadline(clock, test.seconds)
    last, pause = "no answer", _FIRST_POLL
    while not deadline.expired:
        try:
            answer = ask(container.address, test.path, min(5.0, deadline.remaining))
        except (NoAnswer, RemoteError) as error:
            last = str(error)
            if not container.running():
                return "the container ended before it answered"
        else:
            verdict = _compare(answer, test)
            if not verdict or answer.status not in _STARTING:
                return verdict
            last = verdict
        clock.sleep(min(pause, deadline.remaining))
        pause = min(2 * pause, _LONGEST_POLL)
    return f"{test.path} did not answer {test.status} within {test.seconds:g} s: {last}"


def _compare(answer: Answer, test: HttpTest) -> str:
    if answer.status != test.status:
        return f"{test.path} answered {answer.status}, not {test.status}"
    if test.contains is not None and test.contains.encode() not in answer.body:
        return f"the answer of {test.path} does not contain {test.contains!r}"
    return ""
