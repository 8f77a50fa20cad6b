"""The one way to start a child process: argv, an environment built from nothing, a deadline, capped output.

Git, docker, renderers and host stages all come through here, so what a child can see and for how long it
can run is decided in one place. A child gets no token, no kubeconfig and no HOME of ours unless its caller
hands it over by name.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.machine import is_exhausted
from orchestrator.engine.pipes import CHUNK, Drain, Feed, readable

# What every child may see. Proxies and CA bundles are the machine's network configuration, not credentials.
_ALWAYS_INHERITED = (
    "PATH", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
)  # fmt: skip
_GRACE_SECONDS = 2.0  # between SIGTERM and SIGKILL; a run has 5 s to end after a signal
DEFAULT_OUTPUT_LIMIT = 64 * 1024 * 1024

_running: set[subprocess.Popen[bytes]] = set()
_running_lock = threading.Lock()


class ProgramMissing(ConfigurationError):
    """The program is not on PATH."""


class ProgramBroken(ConfigurationError):
    """The program is there, and the machine can't start it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may use. ``seconds`` is wall time; bytes where not said otherwise."""

    seconds: float = 300.0
    output: int = DEFAULT_OUTPUT_LIMIT
    memory: int | None = None
    file_size: int | None = None


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Completed:
    """How a child ended. ``truncated`` says that a stream went over the limit and its rest was dropped."""

    returncode: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """It ended by itself, with 0."""
        return self.returncode == 0 and not self.timed_out

    @property
    def killed(self) -> bool:
        """Something sent it SIGKILL, and not for its time limit: as a rule the system, when memory ran out."""
        return self.returncode == -signal.SIGKILL and not self.timed_out

    @property
    def how(self) -> str:
        """How it ended, as a sentence's end."""
        if self.timed_out:
            return "ran out of time"
        if self.killed:
            return "was killed (where nobody did it: the machine had too little memory)"
        return f"was ended by signal {-self.returncode}" if self.returncode < 0 else f"ended with {self.returncode}"

    @property
    def error_text(self) -> str:
        """stderr as text, stripped."""
        return self.stderr.decode("utf-8", "replace").strip()


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    inherit: Sequence[str] = (),
    directory: Path | None = None,
    stdin: bytes | Iterable[bytes] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_line: Callable[[str], None] | None = None,
    pass_fds: Sequence[int] = (),
    beside: Callable[[int], AbstractContextManager[None]] = lambda group: contextlib.nullcontext(),
) -> Completed:
    """Run a program to its end.

    ``environment`` adds variables, ``inherit`` names further ones to take from ours; ``on_line`` sees each line of
    stdout and stderr as it comes (from reader threads); ``stdin`` may be made piece by piece while it is read;
    ``beside`` is entered with the child's process group while it runs (leash.py). A program that fails is a
    ``Completed`` with its return code, not an exception; what ``on_line`` and the making of ``stdin`` raise comes out
    here once the child has ended. Raises ProgramMissing, ProgramBroken, OSError where the machine has no room for it.
    """
    with tempfile.TemporaryDirectory(prefix="hybrid-ci-home-") as home:
        child = _spawn(
            argv,
            child_environment(Path(home), inherit, environment or {}),
            directory,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=pass_fds,
        )
        with _registered(child), beside(child.pid):
            return _supervise(child, stdin, limits, on_line)


def _spawn(
    argv: Sequence[str],
    environment: Mapping[str, str],
    directory: Path | None,
    *,
    stdin: int,
    stderr: int,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    program = shutil.which(argv[0])
    if program is None:
        raise ProgramMissing(f"{argv[0]} is not installed", hint=f"install {argv[0]} and make sure that it is on PATH")
    try:
        return subprocess.Popen(
            [program, *argv[1:]],
            env=environment,
            cwd=directory,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # a group of its own, so that its children end with it
            pass_fds=pass_fds,
        )
    except OSError as error:
        if is_exhausted(error):
            raise
        raise ProgramBroken(
            f"{argv[0]} can't be started: {error.strerror}",
            where=error.filename and str(error.filename),
            hint=f"see whether {program} runs in a shell, and in that folder",
        ) from None


class ConversationEnded(Exception):
    """The child ended, or did not answer in time; what was asked has no answer."""


class Conversation:
    """A child that answers question after question, until ``close``: one start instead of many.

    It is for children that answer each question before the next is asked. ``limits.seconds`` is the time for one
    answer; stderr is dropped, so a caller that wants to know why it ended asks again with ``run``. Not safe for
    several threads at once. Raises ProgramMissing, ProgramBroken.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._limits = limits
        self._pending = bytearray()
        with contextlib.ExitStack() as stack:
            home = stack.enter_context(tempfile.TemporaryDirectory(prefix="hybrid-ci-home-"))
            self._child = _spawn(
                argv,
                child_environment(Path(home), (), environment or {}),
                directory,
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            stack.enter_context(self._child)
            stack.enter_context(_registered(self._child))
            _apply_limits(self._child.pid, limits)
            self._stack = stack.pop_all()

    def say(self, question: bytes) -> None:
        """Send some bytes. Raises ConversationEnded."""
        assert self._child.stdin is not None  # noqa: S101  (Popen was given pipes)
        try:
            self._child.stdin.write(question)
            self._child.stdin.flush()
        except OSError as error:
            raise ConversationEnded from error

    def line(self) -> bytes:
        """The next line of the answer, without its end. Raises ConversationEnded."""
        end = self._pending.find(b"\n")
        while end < 0:
            searched = len(self._pending)
            self._receive()
            end = self._pending.find(b"\n", searched)
        taken = bytes(self._pending[:end])
        del self._pending[: end + 1]
        return taken

    def exactly(self, count: int) -> bytes:
        """The next ``count`` bytes of the answer. Raises ConversationEnded."""
        while len(self._pending) < count:
            self._receive()
        taken = bytes(self._pending[:count])
        del self._pending[:count]
        return taken

    def close(self) -> None:
        """End the child. Closing twice does nothing."""
        with contextlib.suppress(OSError):
            self._stack.close()

    def _receive(self) -> None:
        assert self._child.stdout is not None  # noqa: S101  (Popen was given pipes)
        pipe = self._child.stdout.fileno()
        chunk = os.read(pipe, 4 * CHUNK) if readable(pipe, self._limits.seconds) else b""
        if not chunk:
            raise ConversationEnded
        self._pending += chunk


def child_environment(home: Path, inherit: Sequence[str], extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: an allow-list, a HOME of its own, no way to a cluster."""
    wanted = (*_ALWAYS_INHERITED, *inherit)
    environment = {name: os.environ[name] for name in wanted if name in os.environ}
    return environment | {"HOME": str(home), "LC_ALL": "C.UTF-8", "KUBECONFIG": os.devnull} | dict(extra)


def terminate_all() -> None:
    """End every child that still runs, and its children: SIGTERM, and after one grace period for all SIGKILL."""
    with _running_lock:
        children = list(_running)
    for child in children:
        _signal_group(child, signal.SIGTERM)
    end = time.monotonic() + _GRACE_SECONDS
    for child in children:
        _kill_after_grace(child, end - time.monotonic())


@contextlib.contextmanager
def _registered(child: subprocess.Popen[bytes]) -> Iterator[None]:
    with _running_lock:
        _running.add(child)
    try:
        yield
    finally:
        if child.poll() is None:
            _signal_group(child, signal.SIGTERM)
            _kill_after_grace(child)
            _signal_group(child, signal.SIGKILL)
        with _running_lock:
            _running.discard(child)


def _supervise(
    child: subprocess.Popen[bytes],
    stdin: bytes | Iterable[bytes] | None,
    limits: Limits,
    on_line: Callable[[str], None] | None,
) -> Completed:
    _apply_limits(child.pid, limits)
    assert child.stdout is not None and child.stderr is not None  # noqa: S101  (Popen was given pipes)
    stdout = Drain(child.stdout, limits.output, on_line)
    stderr = Drain(child.stderr, limits.output, on_line)
    writer = _feed(child, stdin) if stdin is not None else None
    timed_out = False
    try:
        _wait(child, limits.seconds)
    except subprocess.TimeoutExpired:
        timed_out = True
        _signal_group(child, signal.SIGTERM)
        _kill_after_grace(child)
    _signal_group(child, signal.SIGKILL)  # whatever it left behind in its group
    end = time.monotonic() + _GRACE_SECONDS  # longer only when a daemon took the pipes with it
    for thread in (stdout, stderr, writer):
        if thread is not None:
            thread.join(timeout=max(0.0, end - time.monotonic()))
    if failure := (writer.failure if writer else None) or stdout.failure or stderr.failure:
        raise failure
    return Completed(
        child.returncode,
        stdout.content,
        stderr.content,
        timed_out,
        truncated=stdout.truncated or stderr.truncated,
    )


def _feed(child: subprocess.Popen[bytes], content: bytes | Iterable[bytes]) -> Feed:
    assert child.stdin is not None  # noqa: S101  (Popen was given pipes)
    return Feed(child.stdin, content, give_up=lambda: _signal_group(child, signal.SIGKILL))


def _wait(child: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the end without polling: ``Popen.wait`` with a timeout sleeps in steps of up to 50 ms.

    Raises subprocess.TimeoutExpired.
    """
    try:
        descriptor = os.pidfd_open(child.pid)
    except (AttributeError, OSError):  # not Linux, or an old kernel
        child.wait(timeout=seconds)
        return
    try:
        if not readable(descriptor, seconds):
            raise subprocess.TimeoutExpired(child.args, seconds)
    finally:
        os.close(descriptor)
    child.wait()


def _apply_limits(pid: int, limits: Limits) -> None:
    """Limits by prlimit(2) on the running child: a preexec_fn is not safe once threads exist."""
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: limits.memory,
        resource.RLIMIT_FSIZE: limits.file_size,
    }
    prlimit = getattr(resource, "prlimit", None)  # Linux only
    if prlimit is None:
        return
    for kind, value in wanted.items():
        if value is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
                prlimit(pid, kind, (value, value))


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _kill_after_grace(child: subprocess.Popen[bytes], seconds: float = _GRACE_SECONDS) -> None:
    try:
        child.wait(timeout=max(0.0, seconds))
    except subprocess.TimeoutExpired:
        _signal_group(child, signal.SIGKILL)
        child.wait()
