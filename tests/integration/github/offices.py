"""Handoffs with real git over HTTP and the adapter: what a job does, on the GitHub of the tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.change import Change
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.names import BranchName
from orchestrator.forges.github import GitHubForge
from orchestrator.gitops.desk import Desk
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Outcome
from tests.integration.github.worlds import IDENTITY, World
from tests.servers.git_repositories import commit_files, git
from tests.servers.github.world import Pull
from tests.simulation.town import describe
from tests.unit.gitops.changes import FILES, POLICY, policy


@dataclass
class Office:
    """Handoffs with real git and the adapter, on a GitOps repository with a policy."""

    world: World
    folder: Path

    def __post_init__(self) -> None:
        files: dict[str | bytes, bytes | None] = {str(path): content for path, content in FILES.items()}
        commit_files(self.world.hosted.repo.path, {POLICY_PATH: POLICY, **files})

    def hand_off(
        self, change: Change, *, reopen: bool = False, forge: GitHubForge | None = None, folder: Path | None = None
    ) -> Outcome:
        """One job, with a Git client of its own."""
        folder = folder or self.folder
        folder.mkdir(exist_ok=True)
        repository = self.world.git_client(folder)
        desk = Desk(
            repository, forge or self.world.forge, policy(), self.world.clock, describe, IDENTITY, reopen=reopen
        )
        try:
            return hand_off(desk, change)
        finally:
            repository.close()

    @property
    def open_pulls(self) -> list[Pull]:
        """Those that wait."""
        return [pull for pull in self.world.hosted.pulls if pull.state == "open"]

    def file(self, branch: BranchName) -> str:
        """The kustomization on a branch."""
        path = "apps/shop/dev/kustomization.yaml"
        return git(self.world.hosted.repo.path, "cat-file", "blob", f"{branch.ref}:{path}")
