"""What a handoff works with, and the small steps that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from orchestrator.core.change import Change, ChangePlan, PlannedPin
from orchestrator.core.environment import Environment, Policy
from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName, CommitId, RefName
from orchestrator.core.rule_change import RuleChange, plan_rule_change, title_of
from orchestrator.core.text import printable
from orchestrator.core.trailers import trailers
from orchestrator.engine.clock import Clock
from orchestrator.forges.base import Forge
from orchestrator.gitops.base import GitOpsRepository, Naming
from orchestrator.gitops.plan import plan_change
from orchestrator.gitops.pull_request_text import PullRequestText

_FRESH_SECONDS = 5.0  # a look that is no older is as good as a new one: the push compares anyway


@dataclass(frozen=True, slots=True)
class Seen:
    """Where refs were at a moment of monotonic time; a ref that was asked for and is not there is not in it."""

    tips: Mapping[RefName, CommitId]
    at: float

    def fresh(self, clock: Clock) -> bool:
        """Young enough to start from."""
        return clock.monotonic() - self.at <= _FRESH_SECONDS


@dataclass(frozen=True, slots=True)
class Desk:
    """What a handoff works with.

    ``describe`` writes the pull request of our own change, or of one that it finds; ``policy_at`` reads the policy
    of an earlier commit; ``identity`` is our committer address; ``reopen`` proposes what a person closed.
    """

    repository: GitOpsRepository
    forge: Forge | None
    policy: Policy
    clock: Clock
    describe: Callable[[ChangePlan], PullRequestText]
    identity: str
    reopen: bool = False
    policy_at: Callable[[CommitId], Policy] | None = None

    def plan(
        self, environment: Environment, change: Change, commit: CommitId, policy: Policy | None = None
    ) -> ChangePlan:
        """The change on this commit's files: by what kind of change it is. Raises as ``plan_change`` does."""
        if isinstance(change, RuleChange):
            path = change.rule.path
            return plan_rule_change(change, commit, self.repository.files(commit, [path.value]).get(path))
        policy, patterns = policy or self.policy, environment.patterns(change.scope)
        targets = tuple(target.file for target in environment.targets_for(change.scope))
        naming = Naming(frozenset(image.repository for image in change.pins), targets)
        try:
            return plan_change(change, commit, self.repository.files(commit, patterns, naming), policy)
        except ConfigurationError:  # told better with all files: what stands there instead
            return plan_change(change, commit, self.repository.files(commit, patterns), policy)

    def environment(self, change: Change, policy: Policy | None = None) -> Environment:
        """Where the change goes. A rule may be about all clusters of an environment, which has no files of its own.

        Raises ConfigurationError when there is no such environment.
        """
        if isinstance(change, RuleChange):
            return Environment(change.environment, ())
        return (policy or self.policy).environment(change.environment)

    def commit(self, plan: ChangePlan) -> CommitId:
        """The plan as a commit on the one that it was made for; not pushed yet."""
        contents = {edit.path: None if edit.removed else edit.after for edit in plan.edits}
        return self.repository.commit(plan.base, contents, commit_message(plan), self.clock.now())

    def required_tip(self, branch: BranchName) -> CommitId:
        """Where an environment's own branch is. Raises ConfigurationError when it is not there."""
        tip = self.repository.tips([branch.ref]).get(branch.ref)
        if tip is None:
            raise missing_own_branch(self.repository, branch, self.policy.base)
        return tip

    def permitted(self, environment: Environment, change: Change) -> Change:
        """The change without what it carries from earlier and the policy does not allow any more."""
        kept = tuple(one for one in change.carried if self._allows(environment, change, one.image.repository))
        return change if kept == change.carried else replace(change, carried=kept)

    def _allows(self, environment: Environment, change: Change, repository: Repository) -> bool:
        try:
            self.policy.authorise(change.scope, environment, [repository])
        except Refused:
            return False
        return True


def missing_own_branch(repository: GitOpsRepository, branch: BranchName, base: BranchName) -> ConfigurationError:
    """What to raise when the branch that an environment is committed to is not there."""
    return ConfigurationError(
        f"the GitOps repository has no branch {branch.value!r}",
        where=repository.url,
        hint=f"make it from the base branch first: git push origin {base.value}:refs/heads/{branch.value}",
    )


def missing_branch(repository: GitOpsRepository, branch: BranchName) -> ConfigurationError:
    """What to raise when the base branch is not there."""
    default = repository.default_branch()
    hint = "set gitops.base in hybrid-ci.yaml to its protected branch, or push a first commit"
    if default is not None and default != branch:
        hint = f"its default branch is {default.value!r}: set gitops.base in hybrid-ci.yaml to it if it was renamed"
    return ConfigurationError(f"the GitOps repository has no branch {branch.value!r}", where=repository.url, hint=hint)


def commit_message(plan: ChangePlan) -> str:
    """Subject, one line for each image, and the intent as trailers."""
    change = plan.change
    if isinstance(change, RuleChange):
        return _rule_message(change)
    names = ", ".join(f"{image.repository.name} {image.tag or image.digest.short}" for image in change.images)
    subject = f"{change.action.capitalize()} {change.scope} to {change.environment}: {names}"
    moved = [f"{pin.path}:{pin.line} {pin.after.repository.name} {_was(pin)} -> {_now(pin)}" for pin in plan.pins]
    return "\n".join([_cut(subject), "", *moved, "", *trailers(change), ""])


def _rule_message(change: RuleChange) -> str:
    """The rule instead of pins."""
    rule = change.rule
    told = [f"{rule.subject}: {printable(rule.reason)}", f"by {printable(rule.by)}"]
    return "\n".join([_cut(title_of(change)), "", *told, "", *trailers(change), ""])


def _was(pin: PlannedPin) -> str:
    if pin.before.tag:
        return pin.before.tag
    return pin.before.digest.short if pin.before.digest else "untagged"


def _now(pin: PlannedPin) -> str:
    return f"{pin.after.tag}@{pin.after.digest.short}" if pin.after.tag else pin.after.digest.short


def _cut(subject: str) -> str:
    return subject if len(subject) <= 72 else subject[:71] + "…"
