"""The one way to start a child: what it sees, how long it lives, what it leaves behind."""

from __future__ import annotations

import os
import resource
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.engine import process
from orchestrator.engine.process import Completed, Limits, ProgramMissing, run, terminate_all

CANARY = "c4n4ry-0123456789"


def python(code: str, *arguments: str, **options: object) -> Completed:
    """Run a snippet in a child Python."""
    return run([sys.executable, "-I", "-c", textwrap.dedent(code), *arguments], **options)  # type: ignore[arg-type]


def sh(script: str, **options: object) -> Completed:
    return run(["sh", "-c", script], **options)  # type: ignore[arg-type]


def gone(pid: int, seconds: float = 5.0) -> bool:
    """The process has ended (a zombie that nobody of ours has to reap counts as ended)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in ("Z", "X"):
            return True
        time.sleep(0.02)
    return False


def read_when_there(file: Path, seconds: float = 5.0) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if file.exists() and (text := file.read_text()).endswith("\n"):
            return text.strip()
        time.sleep(0.01)
    raise AssertionError(f"{file} was never written")


# --- how a child ends ---------------------------------------------------------------------------------------------


def test_a_child_ends_with_its_code_and_both_its_outputs() -> None:
    done = sh("echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert not done.ok
    assert done.error_text == "err"
    assert not done.timed_out
    assert not done.truncated
    assert sh("true").ok


def test_arguments_reach_the_child_as_they_are() -> None:
    arguments = ["", "a b", "$HOME", "`id`", "; true", "*", "--", "-x", "ü\n", "\udcff"]
    done = python("import sys, os; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))", *arguments)
    assert done.stdout.split(b"\0") == [os.fsencode(argument) for argument in arguments]


def test_a_missing_program_is_named_with_what_to_do() -> None:
    with pytest.raises(ProgramMissing, match="hybrid-ci-no-such-program is not installed") as caught:
        run(["hybrid-ci-no-such-program", "--version"])
    assert isinstance(caught.value, ConfigurationError)
    assert "PATH" in (caught.value.hint or "")


def test_a_file_that_may_not_be_executed_is_a_missing_program(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    with pytest.raises(ProgramMissing):
        run([str(tmp_path / "tool")])


def test_a_program_that_the_machine_cannot_start_is_an_error_of_ours(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_bytes(b"\x7fELF this is no program")
    tool.chmod(0o755)
    with pytest.raises(ConfigurationError, match="can't be started") as caught:
        run([str(tool)])
    assert caught.value.where == str(tool)


def test_a_folder_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be started"):
        run(["true"], directory=tmp_path / "missing")


def test_a_child_runs_in_the_folder_it_is_given(tmp_path: Path) -> None:
    assert sh("pwd -P", directory=tmp_path).stdout.decode().strip() == str(tmp_path.resolve())


# --- what a child sees --------------------------------------------------------------------------------------------

TOKENS = [
    "HYBRID_CI_GIT_TOKEN", "HYBRID_CI_FORGE_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN",
    "AWS_SECRET_ACCESS_KEY", "ARGOCD_AUTH_TOKEN", "GIT_ASKPASS", "GIT_TRACE_CURL", "GIT_SSH_COMMAND", "GIT_DIR",
    "GIT_CONFIG_COUNT", "LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "ENV", "SOMETHING_ELSE",
]  # fmt: skip
NETWORK = [
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "TZ", "TMPDIR",
]  # fmt: skip


def seen(**options: object) -> dict[str, str]:
    """The environment of a child, by its own word; tempfile must not fall over a canary TMPDIR."""
    done = run(["env", "-0"], **options)  # type: ignore[arg-type]
    assert done.ok
    return dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)


def test_no_token_and_no_setting_of_ours_reaches_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TOKENS:
        monkeypatch.setenv(name, CANARY if name != "LD_PRELOAD" else "")
    environment = seen()
    assert not set(TOKENS) & set(environment)
    assert CANARY not in str(environment)


def test_what_is_not_on_the_list_is_not_there_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLISTED", "x")
    assert set(seen()) <= {"PATH", "HOME", "LC_ALL", "KUBECONFIG", *NETWORK}


def test_proxies_and_certificates_of_the_machine_reach_a_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = {name: f"value-of-{name}" for name in NETWORK} | {"TMPDIR": str(tmp_path), "TZ": "UTC"}
    for name, value in expected.items():
        monkeypatch.setenv(name, value)
    environment = seen()
    assert {name: environment[name] for name in NETWORK} == expected


def test_a_child_gets_what_its_caller_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/x.sock")
    monkeypatch.setenv("OTHER", "other")
    environment = seen(inherit=["DOCKER_HOST", "NOT_SET"], environment={"ADDED": "added"})
    assert environment["DOCKER_HOST"] == "unix:///run/x.sock"
    assert environment["ADDED"] == "added"
    assert "OTHER" not in environment
    assert "NOT_SET" not in environment


def test_a_child_has_no_way_to_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/root/.kube/config")
    assert seen()["KUBECONFIG"] == os.devnull
    assert seen(inherit=["KUBECONFIG"])["KUBECONFIG"] == os.devnull


def test_a_child_has_a_home_of_its_own_that_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    done = sh('echo "$HOME"; stat -c %a "$HOME"; ls -A "$HOME" | wc -l; echo secret > "$HOME/.netrc"')
    home, mode, entries = done.stdout.decode().split()
    assert home != os.environ["HOME"]
    assert (mode, entries) == ("700", "0")
    assert not Path(home).exists()


def test_two_children_share_no_home() -> None:
    assert sh('echo "$HOME"').stdout != sh('echo "$HOME"').stdout


def test_a_home_is_removed_however_the_child_ends() -> None:
    failed = sh('echo "$HOME"; exit 7')
    killed = sh('echo "$HOME"; kill -9 $$')
    late = sh('echo "$HOME"; sleep 60', limits=Limits(seconds=0.3))
    assert killed.returncode == -signal.SIGKILL
    assert late.timed_out
    assert not any(Path(done.stdout.decode().strip()).exists() for done in (failed, killed, late))


def test_a_child_reads_no_input_of_ours() -> None:
    assert sh("cat").stdout == b""


def test_no_open_file_of_ours_reaches_a_child(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        listed = sh("ls /proc/self/fd").stdout.decode().split()
        passed = sh("ls /proc/self/fd", pass_fds=[file.fileno()]).stdout.decode().split()
    assert str(file.fileno() if not file.closed else "") not in listed
    assert len(passed) == len(listed) + 1


def test_a_child_dumps_no_core() -> None:
    assert sh("sleep 0.2; ulimit -c").stdout == b"0\n"


# --- input and output ---------------------------------------------------------------------------------------------


def test_input_larger_than_a_pipe_comes_back_whole() -> None:
    content = os.urandom(1 << 20) * 3
    assert run(["cat"], stdin=content).stdout == content


def test_input_that_nobody_reads_does_no_harm() -> None:
    done = sh("exec <&-; echo done", stdin=b"x" * (1 << 20))
    assert done.ok
    assert done.stdout == b"done\n"
    assert sh("cat", stdin=b"").ok


def test_output_above_its_limit_is_cut_and_said_so_but_the_child_ends_well() -> None:
    done = python("print('x' * 1_000_000); import sys; sys.stderr.write('e' * 500)", limits=Limits(output=1000))
    assert done.ok
    assert done.truncated
    assert done.stdout == b"x" * 1000
    assert done.stderr == b"e" * 500


@pytest.mark.parametrize(("length", "truncated"), [(999, False), (1000, False), (1001, True)])
def test_the_output_limit_is_exact(length: int, truncated: bool) -> None:
    done = python(f"import sys; sys.stdout.write('x' * {length})", limits=Limits(output=1000))
    assert (len(done.stdout), done.truncated) == (min(length, 1000), truncated)


def test_both_outputs_are_drained_side_by_side() -> None:
    done = python(
        """
        import sys
        for _ in range(200):
            sys.stderr.write("e" * 1000)
            sys.stdout.write("o" * 1000)
        """
    )
    assert done.ok
    assert (len(done.stdout), len(done.stderr)) == (200_000, 200_000)


def test_lines_are_handed_on_as_they_come_and_the_last_needs_no_end() -> None:
    lines: list[str] = []
    done = sh(r"printf 'one\ntwo\r\n\nthr'; sleep 0.05; printf 'ee\n'; printf 'l\303\274st\377'", on_line=lines.append)
    assert lines == ["one", "two", "", "three", "lüst\ufffd"]
    assert done.stdout == b"one\ntwo\r\n\nthree\nl\xc3\xbcst\xff"


def test_lines_of_stderr_are_handed_on_too() -> None:
    lines: list[str] = []
    sh("echo out; echo err >&2", on_line=lines.append)
    assert sorted(lines) == ["err", "out"]


def test_lines_come_while_the_child_still_runs(tmp_path: Path) -> None:
    go = tmp_path / "go"
    done = sh(
        f"echo ready; while [ ! -e '{go}' ]; do sleep 0.02; done; echo went",
        on_line=lambda line: go.touch() if line == "ready" else None,
        limits=Limits(seconds=20),
    )
    assert done.ok
    assert done.stdout == b"ready\nwent\n"


def test_lines_above_the_output_limit_are_still_handed_on() -> None:
    lines: list[str] = []
    done = python("[print(n) for n in range(5000)]", limits=Limits(output=10), on_line=lines.append)
    assert len(lines) == 5000
    assert len(done.stdout) == 10


def test_what_the_listener_raises_reaches_the_caller_and_the_child_ends_undisturbed() -> None:
    heard: list[str] = []

    def listen(line: str) -> None:
        heard.append(line)
        raise LookupError(line)

    with pytest.raises(LookupError, match="0"):
        python("[print(n) for n in range(100_000)]", on_line=listen)
    assert heard == ["0"]


def test_an_endless_line_does_not_grow_without_end() -> None:
    lines: list[str] = []
    done = python("print('x' * 5_000_000)", limits=Limits(output=10), on_line=lines.append)
    assert done.ok
    assert all(len(line) <= 2 * 64 * 1024 for line in lines)


# --- deadlines ----------------------------------------------------------------------------------------------------


def test_a_child_that_takes_too_long_is_ended() -> None:
    started = time.monotonic()
    done = sh("echo begun; sleep 60", limits=Limits(seconds=0.3))
    assert done.timed_out
    assert not done.ok
    assert done.stdout == b"begun\n"
    assert done.returncode == -signal.SIGTERM
    assert time.monotonic() - started < 5


def test_a_child_that_ignores_the_request_to_end_is_killed() -> None:
    started = time.monotonic()
    done = sh("trap '' TERM; echo begun; while :; do sleep 0.1; done", limits=Limits(seconds=0.3))
    assert done.timed_out
    assert done.returncode == -signal.SIGKILL
    assert time.monotonic() - started < 5


def test_the_deadline_ends_children_of_the_child(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"sh -c \"trap '' TERM; echo \\$\\$ > {pid_file}; while :; do sleep 0.1; done\" & wait"
    done = sh(script, limits=Limits(seconds=0.6))
    assert done.timed_out
    assert gone(int(read_when_there(pid_file)))


def test_what_a_child_leaves_running_ends_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    done = sh(f"(trap '' TERM HUP; echo $$ > /dev/null; sleep 60) & echo $! > {pid_file}; exit 0")
    assert done.ok
    assert gone(int(read_when_there(pid_file)))
    assert time.monotonic() - started < 5


def test_a_daemon_that_keeps_the_output_open_does_not_hold_us_up(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = f"""
        import os, pathlib, time
        if os.fork() == 0:
            os.setsid()
            pathlib.Path({str(pid_file)!r}).write_text(f"{{os.getpid()}}\\n")
            time.sleep(60)
        while not os.path.exists({str(pid_file)!r}):
            time.sleep(0.01)
        print("parent", flush=True)
        os._exit(0)
    """
    started = time.monotonic()
    done = python(code)
    took = time.monotonic() - started
    os.kill(int(read_when_there(pid_file)), signal.SIGKILL)
    assert done.stdout == b"parent\n"
    assert took < 10


def test_no_zombie_is_left() -> None:
    done = [sh("echo $$"), sh("echo $$; exit 3"), sh("echo $$; sleep 60 & sleep 60", limits=Limits(seconds=0.2))]
    for one in done:
        assert not Path(f"/proc/{int(one.stdout)}").exists()  # a zombie would still be listed there
    assert not process._running


def test_an_exception_in_the_wait_ends_the_child_and_its_children(tmp_path: Path) -> None:
    """What Ctrl-C and SIGTERM do: they are raised in the main thread while it waits."""
    pids = [tmp_path / "child", tmp_path / "grandchild"]

    class Stop(BaseException):
        pass

    def stop(number: int, frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.7)
    try:
        with pytest.raises(Stop):
            sh(
                f"echo $$ > {pids[0]}; "
                f"sh -c \"trap '' TERM; echo \\$\\$ > {pids[1]}; while :; do sleep 0.1; done\" & wait"
            )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert all(gone(int(read_when_there(pid))) for pid in pids)
    assert not process._running


# --- ending all of them -------------------------------------------------------------------------------------------


def test_every_running_child_is_ended_within_the_grace_period(tmp_path: Path) -> None:
    results: list[Completed] = []
    stubborn = "trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done"
    files = [tmp_path / str(number) for number in range(4)]
    threads = [threading.Thread(target=lambda file=file: results.append(sh(stubborn.format(file)))) for file in files]
    for thread in threads:
        thread.start()
    pids = [int(read_when_there(file)) for file in files]
    started = time.monotonic()
    terminate_all()
    took = time.monotonic() - started
    for thread in threads:
        thread.join(timeout=10)
    assert all(gone(pid) for pid in pids)
    assert len(results) == len(files)
    assert all(done.returncode == -signal.SIGKILL for done in results)
    assert took < 6  # one grace period for all of them, not one for each


def test_ending_all_of_none_does_nothing() -> None:
    terminate_all()


# --- limits -------------------------------------------------------------------------------------------------------


def test_a_child_that_wants_too_much_memory_fails() -> None:
    code = "import time; time.sleep(0.3); x = bytearray(900 << 20); print(len(x))"
    assert python(code, limits=Limits(memory=400 << 20)).returncode != 0


def test_a_child_that_writes_too_large_a_file_fails(tmp_path: Path) -> None:
    file = tmp_path / "large"
    done = sh(f"sleep 0.3; head -c 200000 /dev/zero > '{file}'", limits=Limits(file_size=100_000))
    assert not done.ok
    assert file.stat().st_size <= 100_000


def test_stdin_may_be_made_piece_by_piece() -> None:
    done = run(["cat"], stdin=(bytes([65 + number]) * 100_000 for number in range(5)))
    assert done.ok
    assert len(done.stdout) == 500_000
    assert done.stdout[-1:] == b"E"


def test_a_child_that_stops_reading_does_not_hang_its_writer() -> None:
    done = run(["head", "-c", "3"], stdin=(b"x" * 65_536 for _ in range(1000)))
    assert done.stdout == b"xxx"


def test_half_an_input_never_counts_as_the_whole() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"the first half"
        raise ValueError("the second half is gone")

    with pytest.raises(ValueError, match="second half"):
        run(["sh", "-c", "cat; sleep 60"], stdin=pieces())


# --- how it ended -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "how", "killed"),
    [
        ("exit 3", "ended with 3", False),
        ("kill -s TERM $$", "was ended by signal 15", False),
        ("kill -s KILL $$", "was killed (where nobody did it: the machine had too little memory)", True),
    ],
)
def test_how_a_child_ended_is_told(script: str, how: str, killed: bool) -> None:
    done = sh(script)
    assert (done.how, done.killed) == (how, killed)


def test_a_child_that_we_killed_for_its_time_limit_was_not_killed_by_the_system() -> None:
    done = sh("trap '' TERM; while :; do sleep 0.1; done", limits=Limits(seconds=0.2))
    assert (done.how, done.killed) == ("ran out of time", False)


def test_a_machine_without_descriptors_is_no_broken_program() -> None:
    with ExitStack() as stack:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 256), hard))
        with suppress(OSError):
            while True:
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(OSError, match="Too many open files"):
            sh("true")
