"""Which process something belongs to, so that what a killed run left behind can be told from what another one uses."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

_OWNER = re.compile(r"(?P<machine>[0-9a-f-]{36}:[0-9]+):(?P<pid>[0-9]{1,10}):(?P<started>[0-9]{1,20})")
_AFTER_NAME = re.compile(r"\)\s")
_STARTED = 19  # fields of /proc/PID/stat behind the name, before the start time (proc(5))


@cache
def this_process() -> str:
    """A label for this process that no other one has had since the machine began; empty where /proc tells nothing."""
    machine, started = _machine(), _started(os.getpid())
    return f"{machine}:{os.getpid()}:{started}" if machine and started else ""


def is_gone(owner: str) -> bool:
    """That process ran here, and is no more. False for one of another machine or container: nobody here can know."""
    match = _OWNER.fullmatch(owner)
    if match is None or match["machine"] != _machine():
        return False
    return _started(int(match["pid"])) != match["started"]


def _machine() -> str:
    """This boot of this machine, and the namespace in which its process ids count."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When the process began, in ticks since the boot; None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = _AFTER_NAME.split(text)[-1].split()
    alive = len(fields) > _STARTED and fields[0] not in ("Z", "X")
    return fields[_STARTED] if alive else None
