"""Many environments to promote in, over simulated ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.ci.environment import CIEnvironment
from orchestrator.core.change import Action, Change, Position
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.image import Digest, PinnedImage, Repository
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.core.trailers import trailers
from orchestrator.forges.base import PullRequest, PullRequestState
from orchestrator.manifests.pins import find_pins
from pipelines.ports import Ports, Standpoint
from pipelines.promote import promote
from pipelines.promotion import PromoteOptions, PromotionResult
from tests.simulators.clock import FakeClock
from tests.simulators.engine import SimulatedEngine
from tests.simulators.forge import SimulatedForge, SimulatedForgeServer
from tests.simulators.gitops_repository import SimulatedGitOps, SimulatedGitServer
from tests.simulators.registry import SimulatedRegistry
from tests.simulators.reporter import RecordingReporter

IDENTITY = "ci@acme.example"
MAIN = BranchName("main")
API, WORKER = Repository("ghcr.io", "acme/shop/api"), Repository("ghcr.io", "acme/shop/worker")
POLICY = """\
version: 1
environments:
  dev: {paths: ["apps/{application}/dev"]}
  staging: {paths: ["apps/{application}/staging"], after: [dev]}
  prod: {paths: ["apps/{application}/prod"], after: [staging]}
  edge: {paths: ["apps/{application}/edge"], after: [dev], strategy: commit, branch: edge}
applications:
  shop: {images: ["ghcr.io/acme/shop/*"]}
registries: ["ghcr.io/acme/**"]
writers: [ci@acme.example]
"""
ENVIRONMENTS = ("dev", "staging", "prod", "edge")
Hook = Callable[[str, str], None]


def digest_of(repository: Repository, version: int) -> Digest:
    return Digest.of(f"{repository} {version}".encode())


def pinned(repository: Repository, version: int) -> PinnedImage:
    return PinnedImage(repository, digest_of(repository, version), f"1.{version}")


def manifest(images: Mapping[Repository, int | None]) -> bytes:
    """A kustomization that pins these versions; None: an entry without one."""
    lines = ["images:"]
    for repository, version in images.items():
        lines += [f"- name: {repository.name}", f"  newName: {repository}"]
        if version is not None:
            lines += [f'  newTag: "1.{version}"', f"  digest: {digest_of(repository, version)}"]
    return ("\n".join(lines) + "\n").encode()


def path_of(environment: str, application: str = "shop") -> str:
    return f"apps/{application}/{environment}/kustomization.yaml"


@dataclass
class Fleet:
    """A Git server with its forge; every promotion has clients of its own."""

    policy: str = POLICY
    clock: FakeClock = field(default_factory=FakeClock)
    git: SimulatedGitServer = field(default_factory=SimulatedGitServer)
    registry: SimulatedRegistry = field(default_factory=SimulatedRegistry)
    forge_type: type[SimulatedForge] = SimulatedForge

    def __post_init__(self) -> None:
        self.forge = SimulatedForgeServer(self.git, self.clock)
        self.engine = SimulatedEngine(self.registry, clock=self.clock)
        files = {path_of(name): manifest({API: None, WORKER: None}) for name in ENVIRONMENTS}
        self.git.commit_files({POLICY_PATH: self.policy.encode(), **files})
        self.git.refs[BranchName("edge").ref] = self.tip()

    def tip(self, branch: str = "main") -> CommitId:
        return self.git.refs[BranchName(branch).ref]

    def release(self, version: int, *repositories: Repository, environment: str = "dev", branch: str = "main") -> None:
        """A release landed: its pins, and the trailers of its commit, at the clock's time."""
        images = tuple(pinned(one, version) for one in repositories or (API, WORKER))
        change = Change(
            Action.RELEASE,
            environment,
            "shop",
            images,
            f"release{version}",
            CommitId(f"{version:040x}"),
            Position(branch, version),
        )
        versions = {one: self.version(environment, one) for one in (API, WORKER)}
        versions |= {image.repository: version for image in images}
        self.write({path_of(environment): manifest(versions)}, "\n".join(["Release", "", *trailers(change)]))

    def write(self, files: Mapping[str, bytes | None], message: str = "By hand", branch: str = "main") -> None:
        """Somebody commits, at the clock's time."""
        content = dict(self.git.commits[self.tip(branch)].files)
        for path, data in files.items():
            if data is None:
                content.pop(RepoPath(path), None)
            else:
                content[RepoPath(path)] = data
        parent = self.tip(branch)
        commit = self.git.store(content, (parent,), "A Person <person@example.com>", message, self.clock.now())
        self.git.refs[BranchName(branch).ref] = commit

    def version(self, environment: str, repository: Repository, branch: str = "main") -> int | None:
        """Which version an environment pins; its digest must be that of the tag."""
        content = self.git.commits[self.tip(branch)].files.get(RepoPath(path_of(environment)))
        assert isinstance(content, bytes)
        for pin in find_pins(RepoPath(path_of(environment)), content).pins:
            if pin.image.repository == repository and pin.image.tag is not None:
                version = int(pin.image.tag.removeprefix("1."))
                assert pin.image.digest == digest_of(repository, version)
                return version
        return None

    def ports(self, hook: Hook | None = None) -> Ports:
        told: Hook = hook or (lambda port, method: None)
        repository = SimulatedGitOps(
            self.git, self.clock, f"hybrid-ci <{IDENTITY}>", before_call=lambda method: told("git", method)
        )
        forge = self.forge_type(self.forge, before_call=lambda method: told("forge", method))
        return Ports(self.engine, self.engine, self.registry, repository, forge, self.clock, RecordingReporter())

    def at(self) -> Standpoint:
        return Standpoint(CIEnvironment("ci"), (), IDENTITY)

    def promote(
        self,
        source: str = "dev",
        *targets: str,
        ports: Ports | None = None,
        at: Standpoint | None = None,
        **more: object,
    ) -> PromotionResult:
        options = replace(PromoteOptions(source, targets or ("staging",)), **more)  # type: ignore[arg-type]
        return promote(ports or self.ports(), at or self.at(), options)

    def pulls(self, state: PullRequestState | None = PullRequestState.OPEN) -> list[PullRequest]:
        views = [self.forge.view(pull) for pull in self.forge.pulls.values()]
        return [view for view in views if state in (None, view.state)]

    def merge(self, number: int) -> None:
        """A person merges."""
        head = self.forge.view(self.forge.pulls[number]).head_commit
        assert head is not None
        SimulatedForge(self.forge, "a person").merge(number, head)


def states(result: PromotionResult) -> dict[str, str]:
    """The state of each environment."""
    return {one.environment.name: one.state for one in result.targets}


def calls(ports: Ports) -> Sequence[str]:
    """Everything that Git and the forge were asked, in order."""
    return [*ports.repository.calls, *ports.forge.calls]  # type: ignore[attr-defined, union-attr]
