"""A GitHub and a GitLab with everything that pipelines run against: real Git, calls over HTTP, a simulated engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from orchestrator.ci.environment import CIEnvironment
from orchestrator.config.loader import load_application
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.names import BranchName, CommitId, RemoteURL
from orchestrator.core.release import SourceCommit
from orchestrator.core.secret import Secret
from orchestrator.forges.base import PullRequest, PullRequestState
from orchestrator.forges.github import GitHubForge
from orchestrator.forges.gitlab import GitLabForge
from orchestrator.git.credentials import GitCredentials
from orchestrator.git.identity import Identity
from orchestrator.gitops.repository import GitRepository
from pipelines.pin import PinOptions, pin
from pipelines.ports import Job, Ports
from pipelines.release import ReleaseOptions, ReleaseResult, release
from tests.integration.github import worlds as github_worlds
from tests.integration.gitlab import worlds as gitlab_worlds
from tests.servers.forge_http import ForgeServer
from tests.servers.git_repositories import commit_files, git
from tests.servers.github.server import BOT, TOKEN
from tests.simulation.town import IDENTITY
from tests.simulation.workshop import CONFIG
from tests.simulators.clock import FakeClock
from tests.simulators.engine import SimulatedEngine
from tests.simulators.registry import SimulatedRegistry
from tests.simulators.reporter import RecordingReporter
from tests.unit.gitops.changes import FILES, POLICY

BRANCH = BranchName("hybrid-ci/dev/shop")
SUBJECTS = ("Sell things", "Round prices half up @everyone", "Closes #1: log the order's number")
RUN = "https://ci.example/acme/shop/runs/4711"
HANDLING = b'dev: {paths: ["apps/{application}/dev/**"], pull-request: {labels: [deploy], assignees: [nobody-here]%s}}'
Forge = GitHubForge | GitLabForge


@dataclass
class Place:
    """A forge with the GitOps repository and the application's; every job has clients of its own."""

    folder: Path
    web: str
    clock: FakeClock
    gitops: Path
    source: Path
    client: Callable[[], Forge]
    token: str
    kind: str
    requests: Callable[[], int]  # how many the forge's API got so far
    by_call: bytes  # the address of whoever the forge says made a commit that it was asked for

    def __post_init__(self) -> None:
        self.registry = SimulatedRegistry()
        self.engine = SimulatedEngine(self.registry, clock=self.clock)
        self.commits = [
            CommitId(commit_files(self.source, {"README.md": f"{number}\n".encode()}, message=subject))
            for number, subject in enumerate(SUBJECTS)
        ]
        self.reporter = RecordingReporter()
        self.policy()
        self.at(0)

    def policy(self, more: bytes = b"", writer: bytes = b"") -> None:
        """The GitOps repository's rules, with what is asked of the pull requests of dev."""
        handled = POLICY.replace(b'dev: {paths: ["apps/{application}/dev/**"]}', HANDLING % more)
        assert handled != POLICY
        handled = handled.replace(b"writers: [", b"writers: [%s, " % writer if writer else b"writers: [")
        there = git(self.gitops, "for-each-ref", "refs/heads/main")
        files = {} if "main" in there and more else {path.value: content for path, content in FILES.items()}
        commit_files(self.gitops, {POLICY_PATH: handled, **files})

    def at(self, number: int) -> None:
        """The checkout is at this commit, and every image has other content in it."""
        self.number = number
        for name in ("api", "worker"):
            folder = self.folder / "shop" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
            (folder / "content").write_text(f"{name} of {number}\n")
        config = CONFIG.replace("https://git.example/acme/gitops", f"{self.web}/acme/gitops.git")
        (self.folder / "shop" / "hybrid-ci.yaml").write_text(config)

    def job(self) -> Job:
        source = SourceCommit(
            self.commits[self.number],
            "main",
            (),
            datetime(2026, 3, 1, 12, tzinfo=UTC),
            SUBJECTS[self.number],
            f"{self.web}/acme/shop.git",
            dirty=False,
            first_parent_count=self.number + 1,
        )
        application = load_application(self.folder / "shop" / "hybrid-ci.yaml")
        return Job(application, CIEnvironment("ci", run_url=RUN), (), IDENTITY, source)

    @contextmanager
    def ports(self) -> Iterator[Ports]:
        login = GitCredentials(token=Secret(self.token, "$HYBRID_CI_GIT_TOKEN"))
        url, forge = RemoteURL(f"{self.web}/acme/gitops.git"), self.client()
        identity = Identity("hybrid-ci", IDENTITY)
        try:
            with GitRepository(url, credentials=login, identity=identity, clock=self.clock) as repository:
                yield Ports(self.engine, self.engine, self.registry, repository, forge, self.clock, self.reporter)
        finally:
            forge.close_connections()

    def release(self, number: int) -> ReleaseResult:
        self.at(number)
        with self.ports() as ports:
            return release(ports, self.job(), ReleaseOptions())

    def pin(self, *images: str) -> ReleaseResult:
        with self.ports() as ports:
            return pin(ports, self.job(), images, PinOptions())

    def pulls(self, state: PullRequestState | None = None) -> list[PullRequest]:
        forge = self.client()
        try:
            return list(forge.list(state))
        finally:
            forge.close_connections()

    @property
    def open(self) -> PullRequest:
        """The one that is open."""
        (one,) = self.pulls(PullRequestState.OPEN)
        return one

    def merge(self) -> None:
        """A person merges what is open."""
        pull, forge = self.open, self.client()
        assert pull.head_commit is not None
        try:
            forge.merge(pull.number, pull.head_commit)
        finally:
            forge.close_connections()

    def pinned(self, branch: str) -> str:
        return git(self.gitops, "show", f"refs/heads/{branch}:apps/shop/dev/worker.yaml")


def _count(server: ForgeServer) -> int:
    return len(server.calls)


@contextmanager
def on_github(folder: Path) -> Iterator[Place]:
    with github_worlds.github(folder) as world:
        source = world.server.host("acme/shop").repo.path
        writer = f"{BOT}@users.noreply.github.com".encode()
        gitops = world.hosted.repo.path
        calls = partial(_count, world.server)
        yield Place(folder, world.server.url, world.clock, gitops, source, world.client, TOKEN, "github", calls, writer)


@contextmanager
def on_gitlab(folder: Path) -> Iterator[Place]:
    with gitlab_worlds.gitlab(folder) as world:
        world.server.git_login = True
        source = world.server.add_project("acme/shop").repo.path
        gitops, token = world.project.repo.path, gitlab_worlds.TOKEN
        calls = partial(_count, world.server)
        yield Place(
            folder, world.server.web, world.clock, gitops, source, world.client, token, "gitlab", calls, b"b@x.example"
        )


PLACES = {"github": on_github, "gitlab": on_gitlab}
