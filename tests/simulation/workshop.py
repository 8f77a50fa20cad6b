"""A whole release over simulated ports: engine, registry, Git and forge, each able to fail at its n-th call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.ci.environment import CIEnvironment
from orchestrator.config.loader import load_application
from orchestrator.core.names import CommitId
from orchestrator.core.release import SourceCommit
from pipelines.ports import Job, Ports
from pipelines.release import ReleaseOptions, ReleaseResult, release
from tests.simulation.town import IDENTITY, Town
from tests.simulators.engine import SimulatedEngine
from tests.simulators.forge import SimulatedForge
from tests.simulators.gitops_repository import SimulatedGitOps
from tests.simulators.registry import SimulatedRegistry
from tests.simulators.reporter import RecordingReporter

CONFIG = """\
version: 1
application: shop
gitops: {repository: "https://git.example/acme/gitops", environment: dev}
images:
  api:
    repository: ghcr.io/acme/shop/api
    context: api
    tests:
      - {name: unit, run: "echo fine"}
  worker:
    repository: ghcr.io/acme/shop/worker
    context: worker
    tests:
      - {name: unit, run: "echo fine; exit 0"}
"""


@dataclass
class Workshop:
    """An application's checkout beside a simulated world. Every run has clients of its own."""

    root: Path
    town: Town = field(default_factory=Town)
    registry: SimulatedRegistry = field(default_factory=SimulatedRegistry)
    source: int = 3

    def __post_init__(self) -> None:
        self.engine = SimulatedEngine(self.registry, clock=self.town.clock)
        for name in ("api", "worker"):
            folder = self.root / name
            folder.mkdir(parents=True)
            (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
            (folder / "content").write_text(f"{name}\n")
        (self.root / "hybrid-ci.yaml").write_text(CONFIG)

    def commit(self, number: int) -> None:
        """The checkout is at another commit, which changed both images."""
        self.source = number
        for name in ("api", "worker"):
            (self.root / name / "content").write_text(f"{name} of commit {number}\n")

    def ports(self) -> Ports:
        repository, forge = self.town.clients()
        return Ports(self.engine, self.engine, self.registry, repository, forge, self.town.clock, RecordingReporter())

    def job(self) -> Job:
        commit = SourceCommit(
            CommitId(f"{self.source:040x}"),
            "main",
            (),
            datetime(2026, 3, 1, 12, tzinfo=UTC),
            "Say hello",
            "https://git.example/acme/shop",
            dirty=False,
            first_parent_count=self.source,
        )
        return Job(load_application(self.root / "hybrid-ci.yaml"), CIEnvironment("ci"), (), IDENTITY, commit)

    def release(
        self, options: ReleaseOptions | None = None, prepare: Callable[[Ports], None] = lambda ports: None
    ) -> ReleaseResult:
        ports = self.ports()
        prepare(ports)
        return release(ports, self.job(), options or ReleaseOptions())


def git_of(ports: Ports) -> SimulatedGitOps:
    assert isinstance(ports.repository, SimulatedGitOps)
    return ports.repository


def forge_of(ports: Ports) -> SimulatedForge:
    assert isinstance(ports.forge, SimulatedForge)
    return ports.forge
