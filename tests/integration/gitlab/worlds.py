"""A fake GitLab with one project and a client of it; time passes only where somebody waits."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.names import BranchName, CommitId, RemoteURL
from orchestrator.core.secret import Secret
from orchestrator.forges.base import PullRequest, PullRequestDraft
from orchestrator.forges.exchange import Limits
from orchestrator.forges.gitlab import GitLabForge, GitLabSettings
from orchestrator.forges.gitlab_address import locate
from orchestrator.forges.gitlab_api import TokenKind, TokenLogin
from tests.servers.forge_http import serving
from tests.servers.git_repositories import commit_files, git
from tests.servers.gitlab import FakeGitLab, MergeRequest, Project, Token
from tests.simulators.clock import FakeClock

MAIN, BOT = BranchName("main"), BranchName("hybrid-ci/prod/shop")
TOKEN = "glpat-canary-5f1d0c7e9b"
MERGE_REQUESTS = "/api/v4/projects/acme/gitops/merge_requests"
LIMITS = Limits(connect=5.0, read=3.0, whole=5.0)


@dataclass
class World:
    """The server, its project, and our client."""

    server: FakeGitLab
    project: Project
    forge: GitLabForge
    clock: FakeClock

    def start(self, head: BranchName = BOT, path: str = "a.yaml", content: bytes = b"new\n") -> CommitId:
        """A branch from main with one commit on it."""
        bare = self.project.repo.path
        git(bare, "update-ref", head.ref.value, git(bare, "rev-parse", "refs/heads/main"))
        return self.commit(head, path, content)

    def commit(self, branch: BranchName, path: str = "a.yaml", content: bytes = b"newer\n") -> CommitId:
        """Somebody commits."""
        return CommitId(commit_files(self.project.repo.path, {path: content}, ref=branch.ref.value))

    def opened(self, head: BranchName = BOT, path: str = "a.yaml") -> PullRequest:
        """A merge request of ours."""
        self.start(head, path)
        return self.forge.open(draft(head))

    @property
    def only(self) -> MergeRequest:
        """The one merge request that there is."""
        (one,) = self.project.merge_requests.values()
        return one

    def merged_once(self) -> bool:
        """Main has exactly one merge commit."""
        return git(self.project.repo.path, "rev-list", "--count", "--merges", "refs/heads/main") == "1"

    def client(self, token: str = TOKEN, kind: TokenKind = TokenKind.ACCESS, **settings: float) -> GitLabForge:
        """Another client; whoever asks closes it."""
        return client(self.server, self.project, self.clock, token, kind, **settings)


def draft(head: BranchName = BOT, title: str = "Release shop", body: str = "Two images.\n") -> PullRequestDraft:
    """What we ask for."""
    return PullRequestDraft(title, body, head, MAIN)


def head_of(pull: PullRequest) -> CommitId:
    """Its head, which is there."""
    assert pull.head_commit is not None
    return pull.head_commit


def client(
    server: FakeGitLab,
    project: Project,
    clock: FakeClock,
    token: str = TOKEN,
    kind: TokenKind = TokenKind.ACCESS,
    **settings: float,
) -> GitLabForge:
    """A client of the project."""
    address = locate(RemoteURL(f"{server.web}/{project.path}.git"), server.web)
    chosen = GitLabSettings(clock, limits=LIMITS, jitter=random.Random(7), **settings)
    return GitLabForge(address, TokenLogin(Secret(token, "$HYBRID_CI_FORGE_TOKEN"), kind), chosen)


@contextmanager
def gitlab(folder: Path, *, relative: str = "") -> Iterator[World]:
    """A running GitLab with ``acme/gitops`` and its first commit."""
    clock = FakeClock()
    with serving(FakeGitLab(folder, clock=clock, relative=relative)) as server:
        project = server.add_project()
        server.add_token(TOKEN, Token("bot"))
        forge = client(server, project, clock)
        world = World(server, project, forge, clock)
        world.commit(MAIN, content=b"old\n")
        yield world
        forge.close_connections()
        assert server.unused_faults == 0, "a planned fault was never met"
