"""The single writer: bring a change to its environment, by pull request or by commit.

Every attempt looks at the world first, so running again is the whole recovery story. A lost race is not a
merge: the change is computed again on the new tip and pushed by compare-and-swap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.core.change import Change, ChangePlan, PlannedPin, read_trailers, trailers
from orchestrator.core.environment import Environment, Policy, Strategy
from orchestrator.core.errors import ConfigurationError, Conflict, Refused, RemoteError
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.engine.clock import Clock, Deadline
from orchestrator.engine.retry import Backoff
from orchestrator.forges.base import Forge, PullRequest, PullRequestDraft, PullRequestState
from orchestrator.gitops.base import CommitInfo, GitOpsRepository, LostRace
from orchestrator.gitops.outcome import Committed, Opened, Outcome, Superseded, Unchanged, Updated
from orchestrator.gitops.plan import plan_change

DEADLINE_SECONDS = 600.0
BLOCK_BEGIN, BLOCK_END = "<!-- hybrid-ci:begin -->", "<!-- hybrid-ci:end -->"


@dataclass(frozen=True, slots=True)
class PullRequestText:
    """What reviewers read. ``stamp`` stands in ``block`` and names the release that it was written for."""

    title: str
    block: str
    stamp: str

    def body(self, current: str = "") -> str:
        """The body with our block in its place; what people wrote around it stays."""
        before, begin, rest = current.partition(BLOCK_BEGIN)
        _, end, after = rest.partition(BLOCK_END)
        if begin and end:
            return f"{before}{self.block}{after}"
        return f"{current.rstrip()}\n\n{self.block}\n" if current.strip() else f"{self.block}\n"


@dataclass(frozen=True, slots=True)
class Desk:
    """What a handoff works with. ``describe`` writes the pull request of our own change, or of one that it finds;

    ``identity`` is our committer address; ``reopen`` proposes what a person closed.
    """

    repository: GitOpsRepository
    forge: Forge | None
    policy: Policy
    clock: Clock
    describe: Callable[[ChangePlan], PullRequestText]
    identity: str
    reopen: bool = False


def hand_off(desk: Desk, change: Change, *, seconds: float = DEADLINE_SECONDS) -> Outcome:
    """Bring the change to its environment.

    Raises Conflict when somebody else's commits stand on our branch, Refused when the policy or the forge
    says no, RemoteError when a remote fails or the race is still lost at the deadline.
    """
    environment = desk.policy.environment(change.environment)
    desk.policy.authorise(change.scope, environment, [image.repository for image in change.images])
    attempt = _commit_once if environment.strategy is Strategy.COMMIT else _propose_once
    deadline = Deadline(desk.clock, seconds)
    backoff = Backoff(desk.clock, deadline)
    while True:
        outcome = attempt(desk, environment, change)
        if outcome is not None:
            return outcome
        if not backoff.wait():
            raise RemoteError(
                f"other writers were faster for {seconds:.0f} seconds",
                where=f"{desk.repository.url}, environment {environment.name}",
                hint="run it again; nothing was lost and nothing was written twice",
            )


def plan_at_tip(desk: Desk, change: Change) -> ChangePlan:
    """The plan on the current tip of the branch that the environment lives on; writes nothing."""
    environment = desk.policy.environment(change.environment)
    branch = environment.branch or desk.policy.base
    return _plan(desk, environment, change, _required(desk.repository, branch))


def _plan(desk: Desk, environment: Environment, change: Change, tip: CommitId) -> ChangePlan:
    files = desk.repository.files(tip, environment.patterns(change.scope))
    return plan_change(change, tip, files, desk.policy)


def _required(repository: GitOpsRepository, branch: BranchName) -> CommitId:
    tip = repository.tips([branch.ref]).get(branch.ref)
    if tip is None:
        raise missing_branch(repository, branch)
    return tip


def missing_branch(repository: GitOpsRepository, branch: BranchName) -> ConfigurationError:
    """What to raise when the branch that should hold the environment is not there."""
    return ConfigurationError(
        f"the GitOps repository has no branch {branch.value!r}",
        where=repository.url,
        hint="set gitops.base in hybrid-ci.yaml to its protected branch, or push a first commit",
    )


# --- by commit ---------------------------------------------------------------------------------------------------


def _commit_once(desk: Desk, environment: Environment, change: Change) -> Outcome | None:
    """One attempt on the environment's own branch; None when the race was lost."""
    branch = environment.branch
    if branch is None or branch == desk.policy.base:
        raise Refused(
            f"the environment {environment.name!r} would be committed to the branch that holds the policy",
            where=desk.policy.origin,
            hint="give the environment a branch of its own",
        )
    tip = _required(desk.repository, branch)
    plan = _plan(desk, environment, change, tip)
    if plan.empty:
        return Unchanged(f"{environment.name} already runs these images")
    commit = desk.repository.commit(tip, _contents(plan), commit_message(plan), None)
    if isinstance(desk.repository.push(branch.ref, commit, tip), LostRace):
        return None
    return Committed(plan, commit, branch)


# --- by pull request ---------------------------------------------------------------------------------------------


def _propose_once(desk: Desk, environment: Environment, change: Change) -> Outcome | None:
    """One attempt on our stable branch and its pull request; None when somebody was faster."""
    forge = _forge(desk, environment)
    base, head = desk.policy.base, change.branch
    tips = desk.repository.tips([base.ref, head.ref])
    if base.ref not in tips:
        raise missing_branch(desk.repository, base)
    standing = _standing(desk, environment, tips[base.ref], tips.get(head.ref), change)
    pull_requests = forge.pull_requests(head, base)
    current = next((pr for pr in pull_requests if pr.state is PullRequestState.OPEN), None)

    plan = _plan(desk, environment, change, tips[base.ref])
    if plan.empty:
        return _already_there(forge, environment, change, standing, current)
    if standing.change is not None and change.older_than(standing.change):
        return _superseded(desk, forge, standing, standing.change, current)
    _respect_closing(desk, change, standing, current, pull_requests)
    commit = _branch_commit(desk, plan, standing)
    if commit == standing.tip and current is not None and desk.describe(plan).stamp in current.body:
        return Unchanged(f"pull request #{current.number} already holds this change", current)
    if commit != standing.tip and isinstance(desk.repository.push(head.ref, commit, standing.tip), LostRace):
        return None
    return _propose(desk, forge, plan, commit, current)


def _forge(desk: Desk, environment: Environment) -> Forge:
    if desk.forge is None:
        raise ConfigurationError(
            f"the environment {environment.name!r} takes pull requests, but no forge is configured",
            where=desk.repository.url,
            hint="set gitops.forge in hybrid-ci.yaml",
        )
    return desk.forge


@dataclass(frozen=True, slots=True)
class _Standing:
    """What our branch holds now: its tip, the change that it carries, and the plan that makes exactly its tree.

    ``plan`` is None where the branch is gone, or merged: then its tip still tells which release came last.
    """

    tip: CommitId | None
    change: Change | None = None
    plan: ChangePlan | None = None


def _standing(
    desk: Desk, environment: Environment, base_tip: CommitId, head_tip: CommitId | None, change: Change
) -> _Standing:
    """Read our branch, and prove that it is ours. Raises Conflict."""
    if head_tip is None:
        return _Standing(None)
    commits = tuple(desk.repository.commits(base_tip, head_tip))
    if not commits:
        return _Standing(head_tip, read_trailers(desk.repository.commit_info(head_tip).message))
    _check_writers(desk, commits, change)
    carried = next((found for commit in commits if (found := read_trailers(commit.message))), None)
    if carried is None or (carried.environment, carried.scope) != (change.environment, change.scope):
        raise _foreign(desk, change, commits[0], "it carries no change of this environment and application")
    plan = _reproduced(desk, environment, commits, carried)
    if plan is None:
        raise _foreign(desk, change, commits[0], f"the branch holds more, or other, than release {carried.release}")
    return _Standing(head_tip, carried, plan)


def _check_writers(desk: Desk, commits: Sequence[CommitInfo], change: Change) -> None:
    writers = {writer.lower() for writer in (*desk.policy.writers, desk.identity)}
    for commit in commits:
        address = commit.committer.rpartition("<")[2].rstrip(">").lower()
        if address not in writers and commit.committer.lower() not in writers:
            raise _foreign(desk, change, commit, "its committer is none of the policy's writers")


def _reproduced(
    desk: Desk, environment: Environment, commits: Sequence[CommitInfo], carried: Change
) -> ChangePlan | None:
    """The plan of the carried change whose whole tree is the branch's; None when there is none.

    Messages and committers are claims, the tree is the proof. The branch may have been rebased, or the base merged
    into it, so each commit of the base that it stands on is tried.
    """
    own = {commit.id for commit in commits}
    for parent in dict.fromkeys(parent for commit in commits for parent in commit.parents if parent not in own):
        try:
            plan = _plan(desk, environment, carried, parent)
        except (ConfigurationError, Refused):  # the images were not there yet, or were ambiguous
            continue
        made = desk.repository.commit(parent, _contents(plan), commit_message(plan), desk.clock.now())
        if desk.repository.commit_info(made).tree == commits[0].tree:
            return plan
    return None


def _foreign(desk: Desk, change: Change, commit: CommitInfo, reason: str) -> Conflict:
    return Conflict(
        f"the branch {change.branch} holds work that hybrid-ci did not make: {reason}",
        where=f"{desk.repository.url}, commit {commit.id.short} by {commit.committer}",
        details=[commit.message.partition("\n")[0][:200]],
        hint="merge or move that work, then delete the branch; or list its committer under 'writers' in the policy",
    )


def _already_there(
    forge: Forge, environment: Environment, change: Change, standing: _Standing, current: PullRequest | None
) -> Outcome:
    """The base holds the change; an open pull request of an older release would only take it away again."""
    if current is not None and standing.change is not None and standing.change.older_than(change):
        current = forge.close(current.number, f"{environment.name} already runs a newer release: {change.release}.")
    return Unchanged(f"{environment.name} already runs these images", current)


def _respect_closing(
    desk: Desk, change: Change, standing: _Standing, current: PullRequest | None, all_of_them: Sequence[PullRequest]
) -> None:
    """A person who closed the pull request of this very release said no. Raises Refused."""
    if current is not None or desk.reopen or not all_of_them or standing.change is None:
        return
    newest = all_of_them[0]
    if newest.state is PullRequestState.CLOSED and standing.change.release == change.release:
        raise Refused(
            f"pull request #{newest.number} for this release was closed without a merge",
            where=newest.url,
            hint="run it again with --reopen if that was not meant as a no",
        )


def _superseded(desk: Desk, forge: Forge, standing: _Standing, newer: Change, current: PullRequest | None) -> Outcome:
    """Leave the newer release in place, with the text that belongs to it."""
    if current is not None and standing.plan is not None:
        text = desk.describe(standing.plan)
        if text.stamp not in current.body:
            current = forge.update(current.number, title=text.title, body=text.body(current.body))
    return Superseded(newer, current)


def _branch_commit(desk: Desk, plan: ChangePlan, standing: _Standing) -> CommitId:
    """The commit that our branch shall hold: the one that is there when it says the same, else a new one."""
    if standing.tip is not None and standing.plan is not None and _same(standing.plan, plan):
        return standing.tip
    return desk.repository.commit(plan.base, _contents(plan), commit_message(plan), desk.clock.now())


def _same(there: ChangePlan, plan: ChangePlan) -> bool:
    """The same release, and the base has not touched its files since."""
    same_change = (there.change.release, there.change.images) == (plan.change.release, plan.change.images)
    return same_change and there.edits == plan.edits


def _propose(
    desk: Desk, forge: Forge, plan: ChangePlan, commit: CommitId, current: PullRequest | None
) -> Outcome | None:
    """Open or update the pull request, and read back that the branch is still ours; None when it is not.

    Forges have no compare-and-swap for text. A writer that lost the branch meanwhile may just have put its own
    text over the newer one's, so it starts again, and then leaves the text that belongs to the branch.
    """
    text = desk.describe(plan)
    outcome: Outcome
    if current is None:
        draft = PullRequestDraft(text.title, text.body(), plan.change.branch, desk.policy.base)
        opened = forge.open(draft)
        if text.stamp not in opened.body:  # somebody opened it since we looked
            opened = forge.update(opened.number, title=text.title, body=text.body(opened.body))
        outcome = Opened(plan, commit, opened)
    else:
        updated = forge.update(current.number, title=text.title, body=text.body(current.body))
        outcome = Updated(plan, commit, updated)
    ref = plan.change.branch.ref
    return outcome if desk.repository.tips([ref]).get(ref) == commit else None


def _contents(plan: ChangePlan) -> dict[RepoPath, bytes]:
    return {edit.path: edit.after for edit in plan.edits}


def commit_message(plan: ChangePlan) -> str:
    """Subject, one line for each image, and the intent as trailers."""
    change = plan.change
    names = ", ".join(f"{image.repository.name} {image.tag or image.digest.short}" for image in change.images)
    subject = f"{change.action.capitalize()} {change.scope} to {change.environment}: {names}"
    moved = [f"{pin.path}:{pin.line} {pin.after.repository.name} {_was(pin)} -> {_now(pin)}" for pin in plan.pins]
    return "\n".join([_cut(subject), "", *moved, "", *trailers(change), ""])


def _was(pin: PlannedPin) -> str:
    if pin.before.tag:
        return pin.before.tag
    return pin.before.digest.short if pin.before.digest else "untagged"


def _now(pin: PlannedPin) -> str:
    return f"{pin.after.tag}@{pin.after.digest.short}" if pin.after.tag else pin.after.digest.short


def _cut(subject: str) -> str:
    return subject if len(subject) <= 72 else subject[:71] + "…"
