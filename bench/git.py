"""One handoff on a GitOps monorepo over smart HTTP, against clones and against what git itself needs at least.

    make bench-git N="100 1000 10000"        RUNS=7; DELAY=0.02 (seconds a request); BRANCHES=20000 (0: without)

The server is another process on loopback. All ways do the same to the same file of a service that is drawn anew for
each run: read, change one pin, commit, push a new branch. Ours is the library's own handoff with policy and plan.
Interpreter start and the pull request's call are left out for all. The floor is ``git ls-remote`` and ``git push``
of a commit that is ready. The largest size is measured once more with many branches on the server, without the clones.
A ratio is the median over the turns, each of which has every way once.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench._report import finish, table
from bench.git_repo import prepared, service
from bench.handoff import hand_off_once, read_once
from tests.servers.git_repositories import commit_files

_MEBIBYTE = 1024 * 1024
_OURS_COLD, _OURS_WARM, _FLOOR = "ours, cold", "ours, warm", "floor"
_FULL, _SHALLOW = "full clone + worktree", "--depth 1 + worktree"


@dataclass(frozen=True)
class Server:
    """The server in its own process."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/gitops.git"

    def counts(self) -> Mapping[str, int]:
        """Requests, connections and bytes since the last call."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_counts") as answer:
            counts: Mapping[str, int] = json.load(answer)
            return counts


@contextmanager
def serving(root: Path, delay: float) -> Iterator[Server]:
    """A server in a process of its own."""
    argv = [sys.executable, "-m", "tests.servers.git_http", str(root), str(delay)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout
        try:
            yield Server(int(child.stdout.readline()))
        finally:
            child.stdin.close()


@dataclass
class Way:
    """One way to do it: ``prepare`` is not timed and gives what ``act`` then does."""

    prepare: Callable[[int], Callable[[], None]]
    seconds: list[float] = field(default_factory=list)
    mebibytes: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    peak: float = 0.0


class Bench:
    """All ways on one repository."""

    def __init__(self, services: int, server: Server, scratch: Path, bare: Path, *, clones: bool) -> None:
        self._server, self._scratch, self._bare = server, scratch, bare
        self._order = itertools.cycle(random.Random(1).sample(range(services), services))
        self._run = 0
        self._ready = scratch / "ready.git"
        run_git(scratch, "clone", "--quiet", "--bare", str(bare), str(self._ready))
        self._cache = scratch / "cache"
        self.ways = {
            _FLOOR: Way(self._floor),
            _OURS_COLD: Way(self._cold),
            _OURS_WARM: Way(self._warm),
        }
        if clones:
            self.ways[_SHALLOW] = Way(lambda run: self._worktree(run, "--depth=1"))
            self.ways[_FULL] = Way(lambda run: self._worktree(run))

    def measure(self, runs: int) -> None:
        """Every way in turn, ``runs`` times; a first turn that does not count warms everything up."""
        for turn in range(runs + 1):
            for way in self.ways.values():
                act = way.prepare(self._next())
                self._server.counts()
                begin = time.perf_counter()
                act()
                taken = time.perf_counter() - begin
                counts = self._server.counts()
                if turn:
                    way.seconds.append(taken)
                    way.mebibytes.append((counts["sent"] + counts["received"]) / _MEBIBYTE)
                    way.requests.append(counts["requests"])
        for way in self.ways.values():
            way.peak = _peak_mebibytes(way.prepare(self._next()))

    def _next(self) -> int:
        self._run += 1
        return self._run

    def _draw(self) -> int:
        """A service that had no turn yet, so that each run makes a new branch."""
        return next(self._order)

    # --- the ways --------------------------------------------------------------------------------------------------

    def _cold(self, run: int) -> Callable[[], None]:
        number = self._draw()
        return lambda: hand_off_once(self._server.url, number, run, self._scratch, None)

    def _warm(self, run: int) -> Callable[[], None]:
        """The runner has seen this service before; then the base moves on by one commit, so the mirror is behind."""
        number = self._draw()
        read_once(self._server.url, number, self._scratch, self._cache)
        path = f"apps/{service(self._draw())}/overlays/prod/kustomization.yaml"
        commit_files(self._bare, {path: _edited(run_git(self._bare, "show", f"main:{path}"), -run).encode()})
        return lambda: hand_off_once(self._server.url, number, run, self._scratch, self._cache)

    def _floor(self, run: int) -> Callable[[], None]:
        number = self._draw()
        path = f"apps/{service(number)}/overlays/dev/kustomization.yaml"
        content = _edited(run_git(self._ready, "show", f"main:{path}"), run)
        blob = run_git(self._ready, "hash-object", "-w", "--stdin", stdin=content).strip()
        index = self._scratch / "index"
        run_git(self._ready, "read-tree", "main", index=index)
        run_git(self._ready, "update-index", "--cacheinfo", f"100644,{blob},{path}", index=index)
        tree = run_git(self._ready, "write-tree", index=index).strip()
        commit = run_git(self._ready, "commit-tree", tree, "-p", "main", "-m", f"Run {run}").strip()

        def act() -> None:
            run_git(self._ready, "ls-remote", self._server.url, "refs/heads/main")
            run_git(self._ready, "push", "--quiet", self._server.url, f"{commit}:refs/heads/floor-{run}")

        return act

    def _worktree(self, run: int, *options: str) -> Callable[[], None]:
        number = self._draw()
        checkout = self._scratch / f"checkout-{run}"
        file = checkout / f"apps/{service(number)}/overlays/dev/kustomization.yaml"

        def act() -> None:
            run_git(self._scratch, "clone", "--quiet", *options, self._server.url, str(checkout))
            file.write_text(_edited(file.read_text(), run))
            run_git(checkout, "commit", "--quiet", "-am", f"Run {run}")
            run_git(checkout, "push", "--quiet", "origin", f"HEAD:refs/heads/worktree-{run}")
            shutil.rmtree(checkout)

        return act


def _edited(text: str, run: int) -> str:
    return re.sub(r"newTag: .*", f"newTag: run-{run}", text)


def run_git(
    directory: Path, *argv: str, stdin: str | None = None, seconds: float | None = None, index: Path | None = None
) -> str:
    """Run git with a fixed identity and nothing of the machine; gives stdout. Raises subprocess.SubprocessError."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Bench",
        "GIT_AUTHOR_EMAIL": "bench@example.com",
        "GIT_COMMITTER_NAME": "Bench",
        "GIT_COMMITTER_EMAIL": "bench@example.com",
    }
    done = subprocess.run(
        ["git", *argv],
        cwd=directory,
        input=stdin,
        capture_output=True,
        text=True,
        env=environment | ({"GIT_INDEX_FILE": str(index)} if index is not None else {}),
        check=True,
        timeout=seconds,
    )
    return done.stdout


def _peak_mebibytes(act: Callable[[], None]) -> float:
    """The largest resident size of the work and of any child, in a process of its own."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        act()
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sender.send(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))

    process = context.Process(target=work)
    process.start()
    process.join()
    return float(receiver.recv()) / 1024


def _x_floor(ways: Mapping[str, Way], name: str) -> float:
    pairs = zip(ways[name].seconds, ways[_FLOOR].seconds, strict=True)
    return statistics.median(taken / floor for taken, floor in pairs)


def _report(title: str, ways: Mapping[str, Way]) -> None:
    rows = [
        (
            name,
            f"{statistics.median(way.seconds) * 1e3:.0f}",
            _x_floor(ways, name),
            f"{statistics.median(way.mebibytes):.3f}",
            f"{statistics.median(way.requests):.0f}",
            f"{way.peak:.0f}",
            len(way.seconds),
        )
        for name, way in ways.items()
    ]
    print(f"\n{title}")
    print(table(("way", "ms (median)", "x floor", "MiB", "requests", "peak MiB", "runs"), rows), flush=True)


def _figures(ways: Mapping[str, Way]) -> dict[str, float]:
    short = {_OURS_COLD: "cold", _OURS_WARM: "warm", _FULL: "full_clone", _SHALLOW: "depth_1"}
    ratios = {f"{short[name]}_x_floor": _x_floor(ways, name) for name in ways if name in short}
    return {**ratios, "cold_mib": statistics.median(ways[_OURS_COLD].mebibytes)}


def _add_branches(bare: Path, number: int) -> None:
    """Branches as a busy server has them, for what listing them costs."""
    tip = run_git(bare, "rev-parse", "main").strip()
    lines = "".join(f"create refs/heads/ci/branch-{one:06} {tip}\n" for one in range(number))
    run_git(bare, "update-ref", "--stdin", stdin=lines)
    run_git(bare, "pack-refs", "--all")


def _measured(size: int, runs: int, delay: float, branches: int = 0) -> dict[str, float]:
    """Measure one size and print its table; with branches, without the clones."""
    with tempfile.TemporaryDirectory(prefix="bench-git-", dir=os.environ.get("BENCH_SCRATCH")) as folder:
        scratch = Path(folder)
        root = scratch / "root"
        root.mkdir()
        bare = root / "gitops.git"
        shutil.copytree(prepared(size), bare)
        _add_branches(bare, branches)
        with serving(root, delay) as server:
            bench = Bench(size, server, scratch, bare, clones=not branches)
            bench.measure(runs)
    many = f", {branches} branches" if branches else ""
    _report(f"{size} services, {size * 6} files{many}", bench.ways)
    return _figures(bench.ways)


def main() -> None:
    """Measure each size, print its table, print the figures (of the largest size, the others with their size)."""
    sizes = sorted(int(size) for size in os.environ.get("N", "100 1000 10000").split())
    runs, delay = int(os.environ.get("RUNS", "7")), float(os.environ.get("DELAY", "0"))
    branches = int(os.environ.get("BRANCHES", "20000"))
    figures: dict[str, float] = {}
    for size in sizes:
        measured = _measured(size, runs, delay)
        if size < sizes[-1]:
            measured = {f"{name}_at_{size}": value for name, value in measured.items() if name.endswith("x_floor")}
        figures |= measured
    if branches:
        measured = _measured(sizes[-1], runs, delay, branches)
        figures |= {f"{name}_at_{branches}_branches": measured[name] for name in ("cold_x_floor", "warm_x_floor")}
    finish("bench-git", figures)


if __name__ == "__main__":
    main()
