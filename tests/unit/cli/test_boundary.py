"""Every way in which a command can end: one message on stderr, one exit code, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from orchestrator.ci.redact import redactor
from orchestrator.cli.boundary import describe, guarded
from orchestrator.core import errors
from orchestrator.core.errors import HybridCIError
from orchestrator.core.secret import Secret
from tests.golden import assert_golden
from tests.unit.cli.conftest import Cli, Ended, run_apart, start

Guarded = Callable[..., Ended]


@pytest.fixture
def ended(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, own_streams: None) -> Guarded:
    """Run a piece of work inside the boundary."""

    def run(work: Callable[[], object], *, verbose: bool = False) -> Ended:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", sys.stdout)
            patch.setattr(sys, "stderr", sys.stderr)
            code = guarded(work, verbose=verbose)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


def raising(error: BaseException) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


# --- errors of ours -----------------------------------------------------------------------------------------------

KINDS = [kind for kind in HybridCIError.__subclasses__() if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_each_error_ends_with_its_code_and_its_text(kind: type[HybridCIError], ended: Guarded) -> None:
    error = kind("it broke", where="envs/dev/app.yaml:7", hint="mend it", details=["one", "two"])
    result = ended(raising(error))
    assert result.code == int(kind.exit_code)
    assert result.out == ""
    assert_golden("cli/error.txt", result.err)


def test_an_error_may_say_less(ended: Guarded) -> None:
    assert ended(raising(errors.Refused("no"))).err == "error: no\n"


def test_an_error_says_nothing_of_where_in_our_code_it_arose(ended: Guarded) -> None:
    def work() -> object:
        try:
            {}["inner"]
        except KeyError as error:
            raise errors.RemoteError("the forge failed") from error

    for verbose in (False, True):
        assert ended(work, verbose=verbose).err == "error: the forge failed\n"


def test_hostile_text_in_an_error_acts_on_no_terminal() -> None:
    evil = "x\x1b[2J\u202e\r\n::error::y"
    text = describe(errors.Conflict(evil, where=evil, hint=evil, details=[evil]))
    assert not set(text) & set("\x1b\u202e\r")
    assert len(text.splitlines()) == 4
    assert all(not line.lstrip().startswith("::") for line in text.splitlines())


# --- ends that are none of our errors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "code"), [(None, 0), ("text", 0), (0, 0), (1, 1), (3, 3), (errors.ExitCode.REFUSED, 3)]
)
def test_a_command_that_ends_gives_its_code(result: object, code: int, ended: Guarded) -> None:
    assert ended(lambda: result) == Ended(code, "", "")


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_command_may_leave_early(code: int, ended: Guarded) -> None:
    assert ended(raising(typer.Exit(code))) == Ended(code, "", "")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_ctrl_c_is_130(error: BaseException, ended: Guarded) -> None:
    assert ended(raising(error)) == Ended(130, "", "error: interrupted\n")


def test_sigterm_is_143_even_when_a_library_turns_it_into_something_else(ended: Guarded) -> None:
    def work() -> object:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except KeyboardInterrupt:
            raise typer.Abort from None  # as a prompt does
        return None

    assert ended(work) == Ended(143, "", "error: terminated\n")
    assert ended(raising(KeyboardInterrupt())).code == 130  # and is forgotten by the next


def test_no_handler_for_ordinary_errors_takes_a_sigterm(ended: Guarded) -> None:
    def work() -> object:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except Exception:
            return 0
        return 1

    assert ended(work).code == 143


CANARY = "canary-of-boundary-0123456789"


def buggy() -> object:
    local_token = CANARY
    return len(local_token) / 0


def test_a_bug_is_one_clear_line_without_a_traceback(ended: Guarded) -> None:
    result = ended(buggy)
    assert result.code == 1
    assert_golden("cli/bug.txt", result.err)


def test_a_bug_told_in_detail_has_a_traceback_without_locals(ended: Guarded) -> None:
    result = ended(buggy, verbose=True)
    assert result.code == 1
    assert "Traceback" in result.err
    assert "return len(local_token) / 0" in result.err
    assert CANARY not in result.err


def test_a_secret_in_an_exception_is_masked(ended: Guarded) -> None:
    redactor.add(Secret(CANARY, "$TOKEN"))
    for error in (ValueError(f"https://bot:{CANARY}@host"), errors.RemoteError("x", details=[CANARY])):
        for verbose in (False, True):
            assert CANARY not in ended(raising(error), verbose=verbose).err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(28, "No space left on device", "/var/tmp/x"), 5, ["No space left", "/var/tmp/x", "free some space"]),
        (OSError(24, "Too many open files"), 5, ["Too many open files", "ulimit -n"]),
        (MemoryError(), 5, ["Cannot allocate memory", "more memory"]),
        (PermissionError(13, "Permission denied", "/etc/x"), 2, ["Permission denied", "/etc/x", "permissions"]),
        (OSError(30, "Read-only file system", "/x"), 2, ["Read-only", "/x", "TMPDIR"]),
        (ConnectionResetError(104, "Connection reset by peer"), 1, ["Connection reset", "--verbose"]),
        (BrokenPipeError(32, "Broken pipe"), 1, ["Broken pipe", "--verbose"]),  # not of our output: no success
        (OSError("odd"), 1, ["OSError"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, OSError) else "",
)
def test_what_the_machine_refuses_is_no_bug_of_ours(
    error: OSError | MemoryError, code: int, said: list[str], ended: Guarded
) -> None:
    result = ended(raising(error))
    assert result.code == code
    assert result.err.startswith("error: the machine refused: ")
    assert all(text in result.err for text in said)
    assert "bug" not in result.err
    assert "Traceback" not in result.err


# --- real processes -----------------------------------------------------------------------------------------------

WAITING = """
import sys, time
from orchestrator.cli.boundary import guarded
from orchestrator.engine.process import run
from orchestrator.engine.parallel import side_by_side

def work():
    print("ready", flush=True)
    {work}

sys.exit(guarded(work, verbose=False))
"""
WORK = {
    "in a sleep": "time.sleep(60)",
    "in a child": "run(['sleep', '60'])",
    "in a child that ignores SIGTERM": "run(['sh', '-c', 'trap \"\" TERM; while :; do sleep 0.1; done'])",
    "in children side by side": "side_by_side([lambda: run(['sleep', '60'])] * 3)",
    "in a thread that hangs": "side_by_side([lambda: time.sleep(60)] * 3)",
    "in an except": "\n    try: time.sleep(60)\n    except Exception: time.sleep(60)",
}


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_ends_the_run_at_once_with_its_code(name: str, number: int, code: int, word: str) -> None:
    if number == signal.SIGINT and name not in ("in a child", "in children side by side"):
        return  # the same code as for SIGTERM; two of them are proof enough
    with start(code=WAITING.format(work=WORK[name])) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        sent = time.monotonic()
        process.send_signal(number)
        err = process.communicate(timeout=30)[1]
    assert process.returncode == code
    assert err.decode() == f"error: {word}\n"
    assert time.monotonic() - sent < 10  # 5 s on a machine with nothing else to do


def test_sigterm_ends_a_real_command_with_143(tmp_path: Path) -> None:
    """A configuration that is a pipe keeps the command waiting."""
    os.mkfifo(tmp_path / "hybrid-ci.yaml")
    with start("check", cwd=tmp_path) as process:
        writer = os.open(tmp_path / "hybrid-ci.yaml", os.O_WRONLY)  # opens once the command does
        time.sleep(0.5)  # and now it reads
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        os.close(writer)
    assert (process.returncode, out, err) == (143, b"", b"error: terminated\n")


def test_asking_again_and_again_changes_nothing() -> None:
    """An impatient person at Ctrl-C sees no traceback either."""
    with start(code=WAITING.format(work=WORK["in a child that ignores SIGTERM"])) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        for _ in range(20):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        err = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert err == b"error: interrupted\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_break_off_the_tidying_up(number: int) -> None:
    work = "\n    try: time.sleep(60)\n    finally:\n        time.sleep(1); print('tidied up', flush=True)"
    with start(code=WAITING.format(work=work)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.3)
        for other in (number, signal.SIGINT, signal.SIGTERM):
            process.send_signal(other)
            time.sleep(0.2)
        out, err = process.communicate(timeout=30)
    assert out == b"tidied up\n"
    assert b"Traceback" not in err


def closed_pipe() -> int:
    """The writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["schema"], ["check", "--help"], ["--quiet", "--version"]]
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_went_away_is_no_failure(arguments: list[str], unbuffered: str) -> None:
    from tests.unit.cli.conftest import environment

    writer = closed_pipe()
    ended = run_apart(*arguments, stdout=writer, env=environment(PYTHONUNBUFFERED=unbuffered))
    os.close(writer)
    assert (ended.code, ended.err) == (0, "")


def test_head_takes_what_it_wants(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; '{sys.executable}' -m orchestrator schema | head -n 1"],
        capture_output=True, check=False, env=start_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"{\n", b"")


def start_environment() -> dict[str, str]:
    from tests.unit.cli.conftest import environment

    return environment()


def test_work_goes_on_when_nobody_reads_its_progress() -> None:
    """And an error that nobody reads has its code all the same."""
    writer = closed_pipe()
    code = """
import sys
from orchestrator.cli.boundary import guarded
from orchestrator.core.errors import Refused
from orchestrator.reports.console import make_reporter

def work():
    reporter = make_reporter("text", quiet=False, verbose=False)
    for _ in range(10_000):
        reporter.log("build", "x" * 100)
    print("done")
    raise Refused("no")

sys.exit(guarded(work, verbose=False))
"""
    ended = run_apart(code=code, stderr=writer)
    os.close(writer)
    assert (ended.code, ended.out) == (3, "done\n")


@pytest.mark.parametrize("arguments", [["--version"], ["schema"], ["--help"]])
def test_a_full_disk_is_one_clear_error(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = run_apart(*arguments, stdout=full)
    assert ended.code == 5
    assert ended.err.startswith("error: the machine refused: No space left on device\n")
    assert "Traceback" not in ended.err
    assert "Exception ignored" not in ended.err


@pytest.mark.parametrize("arguments", [["--version"], ["schema"], ["check"], ["nope"]])
@pytest.mark.parametrize("stream", [1, 2])
def test_a_closed_stream_crashes_nothing(arguments: list[str], stream: int, tmp_path: Path) -> None:
    script = f"exec '{sys.executable}' -m orchestrator {' '.join(arguments)} {stream}>&-"
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=False, cwd=tmp_path, env=start_environment())
    assert done.returncode == (2 if arguments in (["check"], ["nope"]) else 0)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


def test_output_is_written_byte_for_byte_and_never_fails_over_a_letter() -> None:
    code = r"from orchestrator.cli.boundary import guarded; guarded(lambda: print('a\udcff\u2713b'), verbose=False)"
    from tests.unit.cli.conftest import environment

    for encoding, expected in [
        ("utf-8", b"a\xff\xe2\x9c\x93b\n"),
        ("ascii", b"a\xff\\u2713b\n"),
        ("latin-1", b"a\xff\\u2713b\n"),
    ]:
        with start(code=code, env=environment(PYTHONIOENCODING=encoding)) as process:
            out, err = process.communicate(timeout=30)
        assert (out, err) == (expected, b"")


def test_a_secret_of_the_environment_leaves_by_no_stream(tmp_path: Path) -> None:
    from tests.unit.cli.conftest import environment

    (tmp_path / "hybrid-ci.yaml").write_text(f"{CANARY}: 1\napplication: {CANARY}\n")
    ended = run_apart("--verbose", "check", cwd=tmp_path, env=environment(GITHUB_TOKEN=CANARY))
    assert ended.code == 2
    assert CANARY not in ended.err + ended.out
    assert "***" in ended.err


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (["release", "--verbose"], "hybrid-ci --verbose release"),
        (["forge", "list", "-q"], "hybrid-ci -q forge list"),
        (["status", "--git-cache", "x"], "hybrid-ci --git-cache DIR status"),
    ],
)
def test_a_global_option_behind_the_command_is_told_where_it_stands(words: list[str], right: str, cli: Cli) -> None:
    ended = cli(*words)
    assert ended.code == 2
    assert f"fix:   it stands before the command: {right}\n" in ended.err


def test_the_message_about_a_wrong_value_is_in_our_words(cli: Cli) -> None:
    assert "Invalid value for 'system': 'foo' is not one of" in cli("generate", "foo").err
