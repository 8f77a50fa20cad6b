"""Run the command line: in this process (fast), or in one of its own (signals, pipes, imports)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ended]


@pytest.fixture
def own_streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The boundary replaces streams and signal handlers; both are put back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_streams: None) -> Cli:
    """Run ``hybrid-ci`` with these arguments in this process."""
    from orchestrator.cli import main

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["hybrid-ci", *arguments])
            patch.setattr(sys, "stdout", sys.stdout)
            patch.setattr(sys, "stderr", sys.stderr)
            with pytest.raises(SystemExit) as ending:
                main()
            sys.stdout.flush()
            sys.stderr.flush()
        captured = capsys.readouterr()
        code = ending.value.code
        assert code is None or isinstance(code, int)
        return Ended(int(code or 0), captured.out, captured.err)

    return run


def environment(**more: str) -> dict[str, str]:
    """For a process of its own: this test's clean environment, and where our code is."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def start(*arguments: str, code: str | None = None, **options: object) -> subprocess.Popen[bytes]:
    """``hybrid-ci`` (or a snippet) in a process of its own."""
    command = [sys.executable, "-c", code] if code is not None else [sys.executable, "-m", "orchestrator"]
    settings: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment()}
    return subprocess.Popen([*command, *arguments], **(settings | options))  # type: ignore[call-overload, no-any-return]


def run_apart(*arguments: str, code: str | None = None, **options: object) -> Ended:
    """Run it to its end."""
    with start(*arguments, code=code, **options) as process:
        out, err = process.communicate(timeout=60)
    return Ended(process.returncode, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))
