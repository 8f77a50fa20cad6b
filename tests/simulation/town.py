"""A simulated GitOps repository with its forge, and the handoffs that meet there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import partial

from orchestrator.config.loader import load_policy
from orchestrator.core.change import Change, ChangePlan
from orchestrator.core.environment import POLICY_PATH, Policy
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.forges.base import PullRequest, PullRequestState
from orchestrator.gitops.desk import Desk
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Outcome
from orchestrator.gitops.pull_request_text import PullRequestText
from orchestrator.manifests.pins import find_pins
from tests.simulators.clock import FakeClock
from tests.simulators.forge import SimulatedForge, SimulatedForgeServer
from tests.simulators.gitops_repository import SimulatedGitOps, SimulatedGitServer
from tests.unit.gitops.changes import FILES, POLICY, policy

IDENTITY = "ci@acme.example"
MAIN = BranchName("main")
Hook = Callable[[str, str], None]


@dataclass
class Town:
    """One Git server and its forge. Every job has clients of its own."""

    clock: FakeClock = field(default_factory=FakeClock)
    git: SimulatedGitServer = field(default_factory=SimulatedGitServer)

    waiting: set[str] = field(default_factory=set)  # releases that a gate lets wait

    def __post_init__(self) -> None:
        self.forge = SimulatedForgeServer(self.git, self.clock)
        self.policy: Policy = policy()
        files = {str(path): content for path, content in FILES.items()}
        files |= {path.replace("/dev/", "/staging/"): content for path, content in files.items()}
        files |= {path.replace("/dev/", "/lab/"): content for path, content in files.items()}
        self.git.commit_files({POLICY_PATH: POLICY, **files})
        self.git.refs[BranchName("lab").ref] = self.tip(MAIN)

    def tip(self, branch: BranchName) -> CommitId:
        return self.git.refs[branch.ref]

    def clients(self, hook: Hook | None = None) -> tuple[SimulatedGitOps, SimulatedForge]:
        told: Hook = hook or (lambda port, method: None)
        repository = SimulatedGitOps(
            self.git, self.clock, f"hybrid-ci <{IDENTITY}>", before_call=lambda method: told("git", method)
        )
        return repository, SimulatedForge(self.forge, before_call=lambda method: told("forge", method))

    def desk(self, hook: Hook | None = None, *, reopen: bool = False, made: str | None = None) -> Desk:
        repository, forge = self.clients(hook)
        write = partial(describe, waiting=self.waiting, made=made)
        return Desk(repository, forge, self.policy, self.clock, write, IDENTITY, reopen, policy_at=self._policy_at)

    def _policy_at(self, commit: CommitId) -> Policy:
        content = self.git.commits[commit].files[RepoPath(POLICY_PATH)]
        assert isinstance(content, bytes)
        return load_policy(content, "the policy", MAIN)

    def hand_off(self, change: Change) -> Outcome:
        return hand_off(self.desk(), change)

    def deliver(self, **settings: object) -> None:
        """From now on the policy handles the pull requests of dev so."""
        dev = self.policy.environments["dev"]
        delivery = replace(dev.delivery, **settings)  # type: ignore[arg-type]  # as a test writes it
        every = {**self.policy.environments, "dev": replace(dev, delivery=delivery)}
        self.policy = replace(self.policy, environments=every)

    def forge_client(self, actor: str = "hybrid-ci") -> SimulatedForge:
        return SimulatedForge(self.forge, actor)

    def pinned(self, ref: str, image: Repository) -> set[str | None]:
        """The tags of every pin of the image in the tree of a ref, with a digest each."""
        files = self.git.commits[self.git.refs[BranchName(ref).ref]].files
        pins = [
            pin.image
            for path, content in files.items()
            if isinstance(content, bytes) and path.value.endswith(".yaml") and "/staging/" not in path.value
            for pin in find_pins(RepoPath(path.value), content).pins
        ]
        return {pin.tag for pin in pins if pin.repository == image and pin.digest is not None}

    def pulls(self, state: PullRequestState | None = None) -> list[PullRequest]:
        views = [self.forge.view(pull) for pull in self.forge.pulls.values()]
        return [view for view in views if state in (None, view.state)]

    def open_pulls(self) -> list[PullRequest]:
        return self.pulls(PullRequestState.OPEN)

    def merge(self, number: int) -> None:
        """A person merges."""
        view = next(pull for pull in self.pulls() if pull.number == number)
        assert view.head_commit is not None
        SimulatedForge(self.forge, "a person").merge(number, view.head_commit)


def describe(
    plan: ChangePlan, waiting: Collection[str] = (), made: str | None = None, gates: str = ""
) -> PullRequestText:
    """As short as it can be. ``made``: the release of the run that writes it, where others are only found."""
    pins = ", ".join(str(pin.after) for pin in plan.pins)
    return PullRequestText(
        f"{plan.change.release} to {plan.change.environment}",
        plan.change.release,
        lambda room: f"Pins: {pins}",
        waiting=plan.change.release in waiting,
        gates=gates,
        found=made is not None and plan.change.release != made,
    )
