"""Whole handoffs over real git: a local forge's repository behind a smart HTTP server, and jobs that meet there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.loader import load_policy
from orchestrator.core.change import Change
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName, CommitId, RefName, RepoPath
from orchestrator.forges.local import LocalForge
from orchestrator.git.identity import Identity
from orchestrator.git.signing import Signer
from orchestrator.gitops.desk import Desk
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Outcome
from orchestrator.manifests.pins import find_pins
from tests.integration.git.worlds import HurriedClock, Served
from tests.servers.git_faults import RECEIVE_REFS
from tests.servers.git_http import serving
from tests.servers.git_repositories import commit_files, git
from tests.simulation.town import IDENTITY, describe
from tests.unit.gitops.changes import FILES, MAIN, POLICY


@dataclass
class Harbour:
    """A served repository with a policy, and its forge. Every handoff is a job with clients of its own."""

    world: Served
    signer: Signer | None = None

    @property
    def forge(self) -> LocalForge:
        """A client of the forge."""
        return LocalForge(self.world.bare)

    def hand_off(self, change: Change, runner: str = "hybrid-ci") -> Outcome:
        """One job from its beginning to its end. Two jobs of one second and one ``runner`` make the same commit."""
        identity = Identity(runner, IDENTITY)
        with self.world.client(identity=identity, signer=self.signer) as repository:
            policy = load_policy(POLICY, "the policy", MAIN)
            desk = Desk(repository, self.forge, policy, self.world.clock, describe, IDENTITY)
            return hand_off(desk, change)

    def before_the_next_push(self, act: Callable[[], object]) -> None:
        """Somebody is faster: it acts when a job has decided what to push, and asks the server where the ref is."""
        done: list[bool] = []

        def first_time(kind: str) -> None:
            if kind == RECEIVE_REFS and not done:
                done.append(True)
                act()

        self.world.server.before_request = first_time

    def by_hand(self, path: str, content: bytes, branch: str) -> CommitId:
        """A person commits onto a branch."""
        return CommitId(commit_files(self.world.bare, {path: content}, ref=f"refs/heads/{branch}", message="By hand"))

    def tip(self, branch: str) -> str:
        """Where a branch is; empty when it is not there."""
        return self.world.ref(RefName(f"refs/heads/{branch}"))

    def pinned(self, branch: str, path: str, image: Repository) -> set[str | None]:
        """The tags of the image's pins in one file of a branch."""
        content = git(self.world.bare, "show", f"refs/heads/{branch}:{path}").encode() + b"\n"
        return {pin.image.tag for pin in find_pins(RepoPath(path), content).pins if pin.image.repository == image}

    @property
    def pushes(self) -> int:
        """Pushes that the server was sent since its requests were last forgotten."""
        return sum(request.kind == "receive-pack" for request in self.world.server.requests)


@contextmanager
def harbour(folder: Path) -> Iterator[Harbour]:
    """A repository with the environments of the usual policy; ``lab`` is committed to, on a branch of that name."""
    bare = folder / "gitops.git"
    LocalForge.init(bare)
    git(bare, "config", "http.receivepack", "true")
    git(bare, "config", "uploadpack.allowFilter", "true")
    files = {path.value: content for path, content in FILES.items()}
    files |= {path.replace("/dev/", "/lab/"): content for path, content in files.items()}
    tip = CommitId(commit_files(bare, {POLICY_PATH: POLICY, **files}))
    git(bare, "update-ref", BranchName("lab").ref.value, tip.value)
    with serving(folder) as server:
        yield Harbour(Served(bare, server, tip, HurriedClock()))
