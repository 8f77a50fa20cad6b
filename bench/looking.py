"""How long it takes to look at many environments: ``status``, and ``promote --all-waves --dry-run``.

    make bench-looking

Each is the whole command in its own process, start of the interpreter included, over a bare repository on this disk:
the time that passed, and that of the processor, git's included. Beside them stands how often Git and the forge were
asked, which must not depend on the number of images.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

from bench._report import finish, table
from bench.looking_world import APPLICATION, made
from orchestrator.forges.local import LocalForge

_ROOT = Path(__file__).resolve().parent.parent
_PROMOTE = ("promote", "--from", "staging", "--to", "prod", "--all-waves", "--dry-run", "--application", APPLICATION)
_COMMANDS: dict[str, Sequence[str]] = {"status": ("status",), "promote": _PROMOTE}
_SIZES = ((100, 50), (100, 1))


@dataclass(frozen=True, slots=True)
class _Row:
    """One command over one repository."""

    command: str
    environments: int
    images: int
    seconds: float
    cpu: float
    git: int
    forge: int


def main() -> None:
    """Print a table, and the figures as one line of JSON."""
    runs = int(os.environ.get("RUNS", "5"))
    rows: list[_Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-looking-") as folder:
        for environments, images in _SIZES:
            path = made(Path(folder) / f"{environments}x{images}.git", environments, images)
            LocalForge.init(path)
            rows += [_measured(name, path, environments, images, runs) for name in _COMMANDS]
    print(f"median of {runs} runs")
    headings = ("command", "environments", "images", "seconds", "cpu", "git calls", "forge calls")
    print(table(headings, [astuple(one) for one in rows]))
    figures: dict[str, float | int] = {}
    for one in rows:
        name = f"{one.command}_{one.environments}x{one.images}"
        figures |= {
            f"{name}_s": one.seconds,
            f"{name}_cpu_s": one.cpu,
            f"{name}_git": one.git,
            f"{name}_forge": one.forge,
        }
    finish("looking", figures)


def _measured(name: str, path: Path, environments: int, images: int, runs: int) -> _Row:
    seconds: list[float] = []
    cpu: list[float] = []
    for _ in range(runs):
        begin, worked = time.perf_counter(), _worked()
        document = _run(path, *_COMMANDS[name])
        seconds.append(time.perf_counter() - begin)
        cpu.append(_worked() - worked)
    _check(name, document, environments, images)
    git, forge = (sum(document["calls"].get(kind, {}).values()) for kind in ("git", "forge"))
    return _Row(name, environments, images, median(seconds), median(cpu), git, forge)


def _worked() -> float:
    """Seconds of the processor that children have used, those that they waited for included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(path: Path, *command: str) -> dict[str, dict[str, dict[str, int]]]:
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    argv = [sys.executable, "-m", "orchestrator", "--quiet", *command]
    argv += ["--gitops", str(path), "--forge", str(path), "--output", "json"]
    done = subprocess.run(
        argv, cwd=path, env={**kept, "HOME": str(path), "PYTHONPATH": str(_ROOT)}, capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    document: dict[str, dict[str, dict[str, int]]] = json.loads(done.stdout)
    return document


def _check(name: str, document: dict[str, dict[str, dict[str, int]]], environments: int, images: int) -> None:
    """It looked at everything."""
    if name == "status":
        seen = len(document["environments"]), len(document["images"])
    else:
        promoted = document["environments"]
        seen = len(promoted) + 2, min(len(one["images"]) for one in promoted)  # type: ignore[index]
    if seen != (environments, images):
        raise SystemExit(f"{name} looked at {seen[0]} environments of {seen[1]} images")


if __name__ == "__main__":
    main()
