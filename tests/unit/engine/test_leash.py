"""Children that must not outlive us, and labels that tell whose something is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.engine.leash import leashed
from orchestrator.engine.owner import is_gone, this_process
from orchestrator.engine.process import run

ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import sys
from orchestrator.engine.leash import leashed
from orchestrator.engine.process import run
run(["/bin/sh", "-c", "echo $$; sleep 600 & sleep 600"], beside=leashed, on_line=lambda line: print(line, flush=True))
"""


def group(number: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == number and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found


def test_a_leashed_child_and_its_children_end_with_us_even_by_sigkill() -> None:
    command = [sys.executable, "-c", HOLDER]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        while len(group(child)) < 3:
            time.sleep(0.01)
        os.kill(holder.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while group(child):
        assert time.monotonic() < end, "the children live on"
        time.sleep(0.02)


def test_a_leashed_child_that_ends_is_left_alone() -> None:
    ended = run(["/bin/sh", "-c", "echo fine"], beside=leashed)
    assert (ended.ok, ended.stdout) == (True, b"fine\n")


def test_what_this_process_owns_is_in_use() -> None:
    assert this_process()
    assert not is_gone(this_process())


def test_what_a_process_that_ended_owned_is_left_behind() -> None:
    script = "from orchestrator.engine.owner import this_process; print(this_process())"
    owner = run([sys.executable, "-c", script], environment={"PYTHONPATH": str(ROOT)}).stdout.decode().strip()
    assert owner != this_process()
    assert is_gone(owner)


@pytest.mark.parametrize("owner", ["", "x", "1:2:3", "0" * 36 + ":1:1:1", "a:" * 3])
def test_nobody_here_knows_about_what_another_machine_owns(owner: str) -> None:
    assert not is_gone(owner)
