"""``--log-format json``: every line on stderr is one JSON object, the last error included."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *words], cwd=directory, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("option", [["--log-format", "json"], ["--log-format=json"]])
@pytest.mark.parametrize(
    ("command", "code", "message"),
    [(["check"], 2, "there is no configuration file"), (["nothing"], 2, "No such command")],
)
def test_an_error_is_one_json_line(
    tmp_path: Path, option: list[str], command: list[str], code: int, message: str
) -> None:
    done = run(tmp_path, *option, *command)

    (line,) = done.stderr.splitlines()
    told = json.loads(line)
    assert done.returncode == told["exit_code"] == code
    assert told["event"] == "error"
    assert message in told["message"]
    assert told["fix"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_is_no_failure(tmp_path: Path, closed: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m orchestrator schema policy {closed}', sys.executable],
        cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
