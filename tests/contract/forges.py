"""The worlds that a forge is tested in: the forge, and what somebody else does to its repository meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from orchestrator.core.names import BranchName, CommitId, RemoteURL, RepoPath
from orchestrator.core.secret import Secret
from orchestrator.forges.base import (
    AutoMerging,
    Browsing,
    Commenting,
    CommitStatuses,
    Drafting,
    Forge,
    Merging,
    PullRequest,
    PullRequestDraft,
    RoutesPullRequests,
)
from orchestrator.forges.gitlab import GitLabForge, GitLabSettings
from orchestrator.forges.gitlab_address import locate
from orchestrator.forges.gitlab_api import TokenLogin
from orchestrator.forges.local import LocalForge
from tests.servers.forge_http import serving
from tests.servers.git_repositories import Content, commit_files, git
from tests.servers.github.clients import github_forge
from tests.servers.github.server import GitHubServer
from tests.servers.gitlab import FakeGitLab
from tests.simulators.clock import FakeClock
from tests.simulators.forge import SimulatedForge, SimulatedForgeServer
from tests.simulators.gitops_repository import SimulatedGitServer

MAIN, STABLE, BOT = BranchName("main"), BranchName("stable"), BranchName("hybrid-ci/prod/shop")


class FullForge(
    Forge, Browsing, Merging, CommitStatuses, Drafting, RoutesPullRequests, AutoMerging, Commenting, Protocol
):
    """The port with the capabilities that this suite asks for."""


@dataclass
class World:
    """A forge, and what a test does to its repository behind its back."""

    forge: FullForge
    clock: FakeClock
    commit: Callable[[Mapping[str, Content], BranchName], CommitId]
    tip: Callable[[BranchName], CommitId | None]
    branch: Callable[[BranchName, CommitId | None], None]
    message: Callable[[CommitId], str]
    parents: Callable[[CommitId], list[CommitId]]
    file: Callable[[CommitId, str], bytes]
    closes_without_branch: bool = False  # the forge closes a pull request whose branch is deleted

    def start(self, head: BranchName, path: str = "a.yaml", content: bytes = b"new\n") -> CommitId:
        """A branch from main with one commit on it."""
        self.branch(head, self.tip(MAIN))
        return self.commit({path: content}, head)

    def opened(self, head: BranchName = BOT, path: str = "a.yaml", content: bytes = b"new\n") -> PullRequest:
        """A pull request from a new branch into main."""
        self.start(head, path, content)
        return self.forge.open(draft(head))


def draft(
    head: BranchName = BOT, base: BranchName = MAIN, title: str = "Release shop", body: str = ""
) -> PullRequestDraft:
    return PullRequestDraft(title, body, head, base)


def head_of(pull: PullRequest) -> CommitId:
    assert pull.head_commit is not None
    return pull.head_commit


@contextmanager
def simulated_world(_folder: Path) -> Iterator[World]:
    """The simulator."""
    git_server, clock = SimulatedGitServer(), FakeClock()

    def branch(name: BranchName, commit: CommitId | None) -> None:
        git_server.refs.pop(name.ref, None)
        if commit is not None:
            git_server.refs[name.ref] = commit

    def file(commit: CommitId, path: str) -> bytes:
        content = git_server.commits[commit].files[RepoPath(path)]
        assert isinstance(content, bytes)
        return content

    yield World(
        forge=SimulatedForge(SimulatedForgeServer(git_server, clock)),
        clock=clock,
        commit=lambda files, name: git_server.commit_files(files, ref=name.ref.value),
        tip=lambda name: git_server.refs.get(name.ref),
        branch=branch,
        message=lambda commit: git_server.commits[commit].info.message,
        parents=lambda commit: list(git_server.commits[commit].info.parents),
        file=file,
    )


@contextmanager
def local_world(folder: Path) -> Iterator[World]:
    """The local forge, over real git."""
    bare, clock = folder / "gitops.git", FakeClock()
    LocalForge.init(bare)
    yield _on_bare(LocalForge(bare, clock=clock), bare, clock)


@contextmanager
def gitlab_world(folder: Path) -> Iterator[World]:
    """GitLab over HTTP, with a real repository behind."""
    clock = FakeClock()
    with serving(FakeGitLab(folder, clock=clock)) as server:
        project, token = server.add_project(), server.add_token("glpat-of-the-contract")
        address = locate(RemoteURL(f"{server.web}/{project.path}.git"))
        forge = GitLabForge(address, TokenLogin(Secret(token, "$TOKEN")), GitLabSettings(clock))
        yield _on_bare(forge, project.repo.path, clock)
        forge.close_connections()


@contextmanager
def github_world(folder: Path) -> Iterator[World]:
    """GitHub over HTTP, with a real repository behind; every exchange is held against GitHub's own description."""
    clock = FakeClock()
    with serving(GitHubServer(folder, clock=clock)) as server:
        hosted, forge = server.host(), github_forge(server)
        yield replace(_on_bare(forge, hosted.repo.path, clock), closes_without_branch=True)
        forge.close_connections()
    assert server.violations == [], server.violations
    assert server.crashes == [], server.crashes


def _on_bare(forge: FullForge, bare: Path, clock: FakeClock) -> World:
    def commit(files: Mapping[str, Content], name: BranchName) -> CommitId:
        by_path: dict[str | bytes, Content] = {}
        by_path.update(files)
        return CommitId(commit_files(bare, by_path, ref=name.ref.value))

    def tip(name: BranchName) -> CommitId | None:
        found = git(bare, "for-each-ref", "--format=%(objectname)", name.ref.value)
        return CommitId(found) if found else None

    def branch(name: BranchName, commit: CommitId | None) -> None:
        git(bare, "update-ref", *([name.ref.value, commit.value] if commit else ["-d", name.ref.value]))

    return World(
        forge=forge,
        clock=clock,
        commit=commit,
        tip=tip,
        branch=branch,
        message=lambda commit: git(bare, "log", "-1", "--format=%B", commit.value) + "\n",
        parents=lambda commit: [CommitId(one) for one in git(bare, "log", "-1", "--format=%P", commit.value).split()],
        file=lambda commit, path: git(bare, "cat-file", "blob", f"{commit}:{path}").encode() + b"\n",
    )


WORLDS = {"simulator": simulated_world, "local": local_world, "gitlab": gitlab_world, "github": github_world}
