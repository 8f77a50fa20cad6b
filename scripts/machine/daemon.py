"""Starting a daemon, and ending exactly that one later, from another process.

A pid alone says nothing after a crash or a reboot: the number may belong to somebody else by now. So a daemon
is remembered by its pid *and* the moment at which that process started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.machine.errors import MachineError

_started: list[subprocess.Popen[bytes]] = []  # kept, so that our own children are reaped and not warned about
_POLL_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process that we started: its pid and the start time that the operating system gives it."""

    pid: int
    started: str


def start(argv: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Daemon:
    """Start a program in a session of its own, its output in ``log`` (emptied first)."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(environment), start_new_session=True
        )
    _started.append(child)
    return Daemon(child.pid, _start_time(child.pid))


def alive(daemon: Daemon) -> bool:
    """The very process that was started still runs (a zombie does not)."""
    for child in _started:
        child.poll()
    return bool(daemon.started) and _start_time(daemon.pid) == daemon.started


def stop(daemon: Daemon, *, grace: float = 10.0, signal_pid: Callable[[int], int] = lambda pid: pid) -> None:
    """SIGTERM, and SIGKILL after ``grace`` seconds. ``signal_pid`` names the process that takes the SIGTERM."""
    if not alive(daemon):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(signal_pid(daemon.pid), signal.SIGTERM)
    if _wait_until_gone(daemon, grace):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(daemon.pid, signal.SIGKILL)
    if not _wait_until_gone(daemon, grace):
        raise MachineError(f"process {daemon.pid} does not end, not even by SIGKILL")


def wait_until(ready: Callable[[], bool], daemon: Daemon, *, name: str, log: Path, seconds: float = 30.0) -> None:
    """Poll ``ready``; raise MachineError with the log's end when the daemon dies or time runs out."""
    deadline = time.monotonic() + seconds
    while not ready():
        if not alive(daemon):
            raise MachineError(f"{name} ended at once", log=tail(log))
        if time.monotonic() > deadline:
            raise MachineError(f"{name} is not ready after {seconds:.0f} s", log=tail(log))
        time.sleep(_POLL_SECONDS)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, or nothing where there is no log."""
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return ""


def first_child(pid: int) -> int:
    """The first child of a process, or the process itself where it has none."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    return pid


def _wait_until_gone(daemon: Daemon, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while alive(daemon):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _start_time(pid: int) -> str:
    """When a process started, in the system's own words; empty when it is gone or a zombie (proc(5), stat)."""
    if not Path("/proc/self/stat").exists():  # macOS
        answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return answer.stdout.strip()
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]
