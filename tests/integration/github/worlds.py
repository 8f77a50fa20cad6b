"""A GitHub with one repository, the adapter on it, and what a test does behind its back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.core.names import BranchName, CommitId, RemoteURL
from orchestrator.core.secret import Secret
from orchestrator.forges.base import PullRequest, PullRequestDraft
from orchestrator.forges.calls import Login
from orchestrator.forges.exchange import Limits
from orchestrator.forges.github import GitHubForge, GitHubSettings
from orchestrator.forges.github_address import GitHubAddress
from orchestrator.forges.github_login import BearerToken
from orchestrator.git.credentials import GitCredentials
from orchestrator.git.identity import Identity
from orchestrator.gitops.repository import GitRepository
from tests.servers.forge_http import serving
from tests.servers.git_repositories import commit_files, git
from tests.servers.github.server import TOKEN, GitHubServer
from tests.servers.github.world import Hosted, Pull
from tests.simulators.clock import FakeClock

IDENTITY = "ci@acme.example"
MAIN, BOT = BranchName("main"), BranchName("hybrid-ci/dev/shop")
PULLS = "/api/v3/repos/acme/gitops/pulls"
CREATE, LIST = f"POST {PULLS}", f"GET {PULLS}"
LIMITS = Limits(connect=2.0, read=1.0, whole=3.0)


@dataclass
class World:
    """The server, its repository, our client; time passes only where somebody waits."""

    server: GitHubServer
    hosted: Hosted
    forge: GitHubForge
    clock: FakeClock
    clients: list[GitHubForge] = field(default_factory=list)

    def start(self, head: BranchName = BOT, path: str = "a.yaml", content: bytes = b"new\n") -> CommitId:
        """A branch from main with one commit on it."""
        git(self.hosted.repo.path, "update-ref", head.ref.value, str(self.tip(MAIN)))
        return self.commit(head, path, content)

    def commit(self, branch: BranchName, path: str = "a.yaml", content: bytes = b"newer\n") -> CommitId:
        """Somebody commits."""
        return CommitId(commit_files(self.hosted.repo.path, {path: content}, ref=branch.ref.value))

    def tip(self, branch: BranchName) -> CommitId:
        """Where a branch is."""
        tip = self.hosted.repo.tip(branch.value)
        assert tip is not None
        return CommitId(tip)

    def opened(self, head: BranchName = BOT, path: str = "a.yaml") -> PullRequest:
        """A pull request of ours."""
        self.start(head, path)
        return self.forge.open(draft(head))

    @property
    def only(self) -> Pull:
        """The one pull request that there is."""
        (one,) = self.hosted.pulls
        return one

    def merges(self) -> int:
        """Merge commits on main."""
        return int(git(self.hosted.repo.path, "rev-list", "--count", "--merges", "refs/heads/main"))

    def client(
        self, token: str = TOKEN, repository: str = "acme/gitops", login: Login | None = None, **settings: float
    ) -> GitHubForge:
        """Another client; it is closed with the world."""
        address = GitHubAddress.of(RemoteURL(self.server.repository_url(repository)))
        chosen = GitHubSettings(self.clock, limits=LIMITS, jitter=random.Random(7), **settings)
        made = GitHubForge(address, login or BearerToken(Secret(token, "$HYBRID_CI_FORGE_TOKEN")), chosen)
        self.clients.append(made)
        return made

    def git_client(self, folder: Path) -> GitRepository:
        """The GitOps repository over smart HTTP."""
        return GitRepository(
            RemoteURL(self.server.repository_url()),
            credentials=GitCredentials(token=Secret(TOKEN, "$HYBRID_CI_GIT_TOKEN")),
            identity=Identity("hybrid-ci", IDENTITY),
            clock=self.clock,
            workdir=folder,
        )


@contextmanager
def github(folder: Path) -> Iterator[World]:
    """A running GitHub with ``acme/gitops`` and its first commit."""
    clock = FakeClock()
    with serving(GitHubServer(folder / "github", clock=clock)) as server:
        hosted = server.host()
        world = World(server, hosted, None, clock)  # type: ignore[arg-type]
        world.forge = world.client()
        world.commit(MAIN, content=b"old\n")
        yield world
        for client in world.clients:
            client.close_connections()
    assert server.violations == [], server.violations
    assert server.crashes == [], server.crashes
    assert server.unused_faults == 0, "a planned fault was never met"


def draft(head: BranchName = BOT, title: str = "Release shop", body: str = "Two images.\n") -> PullRequestDraft:
    """What we ask for."""
    return PullRequestDraft(title, body, head, MAIN)


def as_draft(wanted: PullRequestDraft) -> PullRequestDraft:
    """The same, not to be merged yet."""
    return replace(wanted, draft=True)


def head_of(pull: PullRequest) -> CommitId:
    """Its head, which is there."""
    assert pull.head_commit is not None
    return pull.head_commit
