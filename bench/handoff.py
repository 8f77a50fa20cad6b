"""One handoff by the library, on a real repository and a forge that only remembers: what the benchmarks repeat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.git_repo import image, service
from orchestrator.config.loader import load_policy
from orchestrator.core.change import Action, Change, branch_for
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.image import Digest, PinnedImage, Repository
from orchestrator.core.names import BranchName, RemoteURL, RepoPath
from orchestrator.engine.clock import SystemClock
from orchestrator.forges.base import PullRequest, PullRequestDraft, PullRequestState
from orchestrator.gitops.desk import Desk, Seen
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Opened
from orchestrator.gitops.pull_request_text import PullRequestText
from orchestrator.gitops.repository import GitRepository

_BASE = BranchName("main")


class _Forge:
    """Answers at once: the pull request's call is left out of all figures."""

    name = "none"

    def check_access(self) -> None:
        """Nothing."""

    def pull_requests(self, head: BranchName, base: BranchName) -> Sequence[PullRequest]:
        """None yet."""
        return []

    def open(self, draft: PullRequestDraft) -> PullRequest:
        """The first one."""
        return PullRequest(
            1, "http://forge/1", draft.title, draft.body, draft.head, None, draft.base, PullRequestState.OPEN, "bench"
        )

    def update(self, number: int, *, title: str, body: str) -> PullRequest:
        """As asked."""
        return PullRequest(number, "http://forge/1", title, body, _BASE, None, _BASE, PullRequestState.OPEN, "bench")

    def close(self, number: int, comment: str) -> PullRequest:
        """Never needed here."""
        raise NotImplementedError


def hand_off_once(url: str, number: int, run: int, scratch: Path, cache: Path | None) -> None:
    """Read the policy, plan, commit, push a new branch, and see that it is there."""
    clock = SystemClock()
    application = service(number)
    with GitRepository(RemoteURL(url), workdir=scratch, hints=[application], clock=clock, cache=cache) as repository:
        seen = Seen(repository.tips([_BASE.ref, branch_for("dev", application).ref]), clock.monotonic())
        content = repository.files(seen.tips[_BASE.ref], [POLICY_PATH])[RepoPath(POLICY_PATH)]
        policy = load_policy(content, POLICY_PATH, _BASE)
        pinned = PinnedImage(Repository.parse(image(number)), Digest.of(str(run).encode()), f"run-{run}")
        change = Change(Action.PIN, "dev", application, (pinned,), f"run-{run}")
        desk = Desk(
            repository,
            _Forge(),
            policy,
            clock,
            lambda plan: PullRequestText("title", "release", lambda room: "body"),
            "bench",
        )
        outcome = hand_off(desk, change, seen=seen)
        assert isinstance(outcome, Opened), outcome


def read_once(url: str, number: int, scratch: Path, cache: Path) -> None:
    """What an earlier run on the same runner leaves in its mirror."""
    with GitRepository(RemoteURL(url), workdir=scratch, hints=[service(number)], cache=cache) as repository:
        tip = repository.tips([_BASE.ref])[_BASE.ref]
        repository.files(tip, [POLICY_PATH, f"apps/{service(number)}/overlays/dev/**"])
