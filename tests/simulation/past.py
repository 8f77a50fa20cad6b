"""A simulated GitOps repository with a past, and somebody who looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from orchestrator.ci.environment import detect
from orchestrator.core.change import Action, Change, Position, branch_for
from orchestrator.core.image import Digest, PinnedImage, Repository
from orchestrator.core.names import BranchName, CommitId, RefName, RepoPath
from orchestrator.core.override import Override
from orchestrator.core.trailers import trailers
from orchestrator.forges.base import PullRequestDraft
from pipelines.looking import Looking
from pipelines.ports import Ports, Standpoint
from tests.servers.git_repositories import Content
from tests.simulators.clock import FakeClock
from tests.simulators.engine import SimulatedEngine
from tests.simulators.forge import SimulatedForge, SimulatedForgeServer
from tests.simulators.gitops_repository import SimulatedGitOps, SimulatedGitServer
from tests.simulators.registry import SimulatedRegistry
from tests.simulators.reporter import RecordingReporter

MAIN = RefName("refs/heads/main")
API = Repository.parse("ghcr.io/acme/shop/api")
WORKER = Repository.parse("ghcr.io/acme/shop/worker")
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POLICY = """\
version: 1
environments:
  dev: {paths: ["apps/{application}/dev/**"]}
  staging: {paths: ["apps/{application}/staging/**"], after: [dev]}
  prod: {paths: ["apps/{application}/prod/**"], after: [staging]}
"""


def image(repository: Repository = API, version: int = 1) -> PinnedImage:
    return PinnedImage(repository, Digest.of(f"{repository}:{version}".encode()), f"1.{version}.0")


def kustomization(*images: object) -> bytes:
    """Entries for these references; ``PinnedImage`` or text."""
    lines = ["images:"]
    for one in images:
        if isinstance(one, PinnedImage):
            lines += [f"- name: {one.repository}", f'  newTag: "{one.tag}"', f"  digest: {one.digest}"]
        else:
            name, _, tag = str(one).rpartition(":")
            lines += [f"- name: {name}", f'  newTag: "{tag}"']
    return ("\n".join(lines) + "\n").encode()


def path(environment: str, application: str = "shop") -> str:
    return f"apps/{application}/{environment}/kustomization.yaml"


def change(
    environment: str,
    *images: PinnedImage,
    count: int | None = 1,
    action: Action = Action.RELEASE,
    branch: str = "main",
    overrides: tuple[Override, ...] = (),
    taken_from: str | None = None,
) -> Change:
    source = CommitId(f"{count:040x}") if count is not None else None
    position = Position(branch, count) if count is not None else None
    return Change(
        action,
        environment,
        "shop",
        images,
        f"release{count}",
        source,
        position,
        overrides=overrides,
        taken_from=taken_from,
    )


def message(made: Change, subject: str = "Change pins") -> str:
    return "\n".join([subject, "", "What moved.", "", *trailers(made), ""])


@dataclass
class Past:
    """Commits an hour apart. ``looking`` looks at them three days after the first one."""

    git: SimulatedGitServer = field(default_factory=SimulatedGitServer)
    clock: FakeClock = field(default_factory=lambda: FakeClock(START + timedelta(days=3)))
    registry: SimulatedRegistry = field(default_factory=SimulatedRegistry)
    reporter: RecordingReporter = field(default_factory=RecordingReporter)
    hours: int = 0

    def __post_init__(self) -> None:
        self.forge_server = SimulatedForgeServer(self.git, self.clock)
        self.repository = SimulatedGitOps(self.git, self.clock)
        self.forge = SimulatedForge(self.forge_server)

    def begin(self, files: Mapping[str, Content] | None = None, policy: str | None = POLICY) -> Past:
        """The first commit: version 1 of both images everywhere, unless told otherwise."""
        content = files
        if content is None:
            content = {path(name): kustomization(image(API), image(WORKER)) for name in ("dev", "staging", "prod")}
        rules: dict[str, Content] = {".hybrid-ci/environments.yaml": policy.encode()} if policy is not None else {}
        self.commit({**rules, **content}, "Begin")
        return self

    def commit(
        self,
        files: Mapping[str, Content],
        text: str,
        ref: str = "refs/heads/main",
        *,
        merged: CommitId | None = None,
        who: str = "A Person <person@example.com>",
    ) -> CommitId:
        """The next commit of a branch."""
        name = RefName(ref)
        parent = self.git.refs.get(name)
        content = dict(self.git.commits[parent].files) if parent is not None else {}
        content |= {RepoPath(one): data for one, data in files.items() if data is not None}
        for one in (one for one, data in files.items() if data is None):
            content.pop(RepoPath(one), None)
        parents = tuple(one for one in (parent, merged) if one is not None)
        commit = self.git.store(content, parents, who, text, START + timedelta(hours=self.hours))
        self.hours += 1
        self.git.refs[name] = commit
        return commit

    def merge(self, made: Change, files: Mapping[str, Content], number: int = 1) -> CommitId:
        """A pull request with these files, and its merge."""
        branch = f"refs/heads/{branch_for(made.environment, made.scope)}"
        self.git.refs[RefName(branch)] = self.git.refs[MAIN]
        head = self.commit(files, message(made), branch, who="hybrid-ci <ci@acme.example>")
        return self.commit(
            files, f"Merge pull request #{number} from x\n\nTitle\n", merged=head, who="Mary <mary@example.com>"
        )

    def propose(self, made: Change, files: Mapping[str, Content], title: str = "A title") -> int:
        """An open pull request."""
        branch = branch_for(made.environment, made.scope)
        self.git.refs[branch.ref] = self.git.refs[MAIN]
        self.commit(files, message(made), branch.ref.value)
        return SimulatedForge(self.forge_server).open(PullRequestDraft(title, "", branch, BranchName("main"))).number

    def looking(
        self,
        application: str | None = "shop",
        images: Sequence[Repository] = (API, WORKER),
        *,
        forge: bool = True,
        distance: Callable[[CommitId, CommitId], int | None] | None = None,
        sources: str | None = None,
    ) -> Looking:
        """Somebody who looks; ``calls`` of repository and forge begin anew."""
        self.repository.calls.clear()
        self.forge.calls.clear()
        engine = SimulatedEngine(self.registry)
        ports = Ports(
            engine, engine, self.registry, self.repository, self.forge if forge else None, self.clock, self.reporter
        )
        named = {one.name: one for one in images} if application is not None else {}
        base = BranchName("main") if application is not None else None
        at = Standpoint(detect({}), (), "ci@acme.example", base, application, named, sources=sources)
        places = {one: f"hybrid-ci.yaml:{number}" for number, one in enumerate(named.values(), 10)}
        if distance is not None:
            return Looking.through(ports, at, distance=distance, written_at=places)
        return Looking.through(ports, at, written_at=places)
