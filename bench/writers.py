"""Many writers, one branch, over smart HTTP on loopback: nothing may be lost, and all shall land.

    make bench-writers WRITERS=200        NAIVE=50 and SECONDS=66 for the baseline's share

Ours: each writer reads the tip, recomputes its edit, and pushes by compare-and-swap, with the library's own waits.
Naive: a depth-1 clone, then commit, ``pull --rebase`` and push in a loop until it lands or the time is over. Each
writer edits the pin of its own service, as a direct-commit environment does.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench._report import finish, table
from bench.git import Server, run_git, serving
from bench.git_repo import prepared, service
from orchestrator.core.names import RefName, RemoteURL, RepoPath
from orchestrator.engine.clock import Deadline, SystemClock
from orchestrator.engine.retry import Backoff
from orchestrator.gitops.base import Landed
from orchestrator.gitops.repository import GitRepository

_MAIN = RefName("refs/heads/main")
_SERVICES = 1000


@dataclass(frozen=True)
class Written:
    """How one writer fared."""

    landed: bool
    tries: int
    seconds: float


def _path(number: int) -> RepoPath:
    return RepoPath(f"apps/{service(number)}/overlays/dev/kustomization.yaml")


def _edited(content: bytes, number: int) -> bytes:
    return re.sub(rb"newTag: .*", b"newTag: writer-%d" % number, content)


def _ours(server: Server, scratch: Path, number: int, seconds: float) -> Written:
    clock, rng = SystemClock(), random.Random(number)
    deadline = Deadline(clock, seconds)
    begin = clock.monotonic()
    with GitRepository(RemoteURL(server.url), workdir=scratch, hints=[service(number)], rng=rng) as repository:
        backoff = Backoff(clock, deadline, rng)
        while True:
            tip = repository.tips([_MAIN])[_MAIN]
            (path, content), *_ = repository.files(tip, [_path(number).value]).items()
            new = repository.commit(tip, {path: _edited(content, number)}, f"Writer {number}")
            if isinstance(repository.push(_MAIN, new, tip), Landed):
                return Written(True, backoff.races + 1, clock.monotonic() - begin)
            if not backoff.wait():
                return Written(False, backoff.races, clock.monotonic() - begin)


def _naive(server: Server, scratch: Path, number: int, seconds: float) -> Written:
    begin, tries = time.monotonic(), 0
    checkout = scratch / f"naive-{number}"

    def git(directory: Path, *argv: str) -> None:
        run_git(directory, *argv, seconds=max(0.0, begin + seconds - time.monotonic()))

    try:
        git(scratch, "clone", "--quiet", "--depth=1", server.url, str(checkout))
        file = checkout / _path(number).value
        file.write_bytes(_edited(file.read_bytes(), number))
        git(checkout, "commit", "--quiet", "-am", f"Writer {number}")
        while True:
            tries += 1
            with contextlib.suppress(subprocess.CalledProcessError):
                git(checkout, "pull", "--quiet", "--rebase")
                git(checkout, "push", "--quiet", "origin", "HEAD:main")
                return Written(True, tries, time.monotonic() - begin)
    except subprocess.SubprocessError:  # the time is over, or not even the clone worked
        return Written(False, tries, time.monotonic() - begin)
    finally:
        shutil.rmtree(checkout, ignore_errors=True)


@dataclass(frozen=True)
class Result:
    """How all of them fared."""

    writers: int
    landed: int
    lost: int
    seconds: float
    worst: float
    tries: float
    requests: float


def _measure(name: str, writers: int, seconds: float, scratch: Path) -> Result:
    root = scratch / name
    root.mkdir()
    bare = root / "gitops.git"
    shutil.copytree(prepared(_SERVICES), bare)
    before = int(run_git(bare, "rev-list", "--count", "main"))
    act = {"ours": _ours, "naive": _naive}[name]
    with serving(root, 0.0) as server:
        server.counts()
        begin = time.monotonic()
        with ThreadPoolExecutor(writers) as pool:
            written = list(pool.map(lambda number: act(server, scratch, number, seconds), range(writers)))
        taken = time.monotonic() - begin
        requests = server.counts()["requests"]
    landed = [number for number, one in enumerate(written) if one.landed]
    lost = sum(f"newTag: writer-{number}\n" not in run_git(bare, "show", f"main:{_path(number)}") for number in landed)
    commits = int(run_git(bare, "rev-list", "--count", "main")) - before
    run_git(bare, "fsck", "--strict", "--no-dangling")
    assert commits >= len(landed), "a landed commit is not in the history"  # one cut off may have landed as well
    return Result(
        writers,
        len(landed),
        lost,
        taken,
        max(one.seconds for one in written),
        sum(one.tries for one in written) / writers,
        requests / max(1, len(landed)),
    )


def main() -> None:
    """Measure both, print the table, print the figures (ours)."""
    writers = int(os.environ.get("WRITERS", "200"))
    naive, seconds = int(os.environ.get("NAIVE", str(writers))), float(os.environ.get("SECONDS", "66"))
    with tempfile.TemporaryDirectory(prefix="bench-writers-", dir=os.environ.get("BENCH_SCRATCH")) as folder:
        results = {
            "naive pull --rebase": _measure("naive", naive, seconds, Path(folder)),
            "ours": _measure("ours", writers, 600, Path(folder)),
        }
    rows = [
        (name, f"{one.landed} of {one.writers}", one.lost, f"{one.seconds:.1f}", one.landed / one.seconds, one.requests,
         one.tries, f"{one.worst:.1f}")
        for name, one in results.items()
    ]  # fmt: skip
    print(table(("way", "landed", "lost", "s", "landed/s", "requests/landed", "tries", "worst s"), rows) + "\n")
    ours, baseline = results["ours"], results["naive pull --rebase"]
    figures = {
        "lost": ours.lost,
        "landed": ours.landed,
        "requests_per_landed": ours.requests,
        "landed_per_s": ours.landed / ours.seconds,
        "x_naive": (ours.landed / ours.seconds) / (max(1, baseline.landed) / baseline.seconds),  # at least one
    }
    finish("bench-writers", figures)


if __name__ == "__main__":
    main()
