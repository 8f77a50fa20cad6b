"""Many writers, one branch, over smart HTTP on loopback: nothing may be lost, and all shall land.

    make bench-writers WRITERS=200        NAIVE=50 and SECONDS=66 for the baseline's share

Ours: each writer is a whole handoff of the library, to an environment that is committed to directly. Naive: a depth-1
clone, then commit, ``pull --rebase`` and push in a loop until it lands or the time is over. Each edits the pin of its
own service.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._report import finish, table
from bench.git import Server, run_git, serving
from bench.git_repo import image, prepared, service
from orchestrator.config.loader import load_policy
from orchestrator.core.change import Action, Change
from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, PinnedImage, Repository
from orchestrator.core.names import BranchName, RemoteURL, RepoPath
from orchestrator.engine.clock import SystemClock
from orchestrator.gitops.base import PushOutcome
from orchestrator.gitops.desk import Desk
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Committed
from orchestrator.gitops.pull_request_text import PullRequestText
from orchestrator.gitops.repository import GitRepository

_SERVICES = 1000
_POLICY = load_policy(
    b"""\
version: 1
base: rules
environments:
  dev:
    paths: ["apps/{application}/overlays/dev/**"]
    strategy: commit
    branch: main
""",
    "the policy",
    BranchName("rules"),
)


@dataclass(frozen=True)
class Written:
    """How one writer fared."""

    landed: bool
    tries: int
    seconds: float


def _path(number: int) -> RepoPath:
    return RepoPath(f"apps/{service(number)}/overlays/dev/kustomization.yaml")


class _Counted(GitRepository):
    """Counts its pushes."""

    pushes = 0

    def push(self, *arguments: Any, **options: Any) -> PushOutcome:
        """As it is."""
        self.pushes += 1
        return super().push(*arguments, **options)


def _ours(server: Server, scratch: Path, number: int, seconds: float) -> Written:
    clock, application = SystemClock(), service(number)
    pinned = PinnedImage(Repository.parse(image(number)), Digest.of(b"%d" % number), f"writer-{number}")
    change = Change(Action.PIN, "dev", application, (pinned,), f"writer-{number}")
    begin = clock.monotonic()
    with _Counted(RemoteURL(server.url), workdir=scratch, hints=[application], clock=clock) as repository:
        desk = Desk(repository, None, _POLICY, clock, lambda plan: PullRequestText("", "", str), "")
        try:
            landed = isinstance(hand_off(desk, change, seconds=seconds), Committed)
        except RemoteError:
            landed = False
        return Written(landed, repository.pushes, clock.monotonic() - begin)


def _naive(server: Server, scratch: Path, number: int, seconds: float) -> Written:
    begin, tries = time.monotonic(), 0
    checkout = scratch / f"naive-{number}"

    def git(directory: Path, *argv: str) -> None:
        run_git(directory, *argv, seconds=max(0.0, begin + seconds - time.monotonic()))

    try:
        git(scratch, "clone", "--quiet", "--depth=1", server.url, str(checkout))
        file = checkout / _path(number).value
        file.write_text(re.sub("newTag: .*", f"newTag: writer-{number}", file.read_text()))
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
