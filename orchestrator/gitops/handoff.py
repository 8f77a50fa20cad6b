"""The single writer: bring a change to its environment, by pull request or by commit.

Every attempt looks at the world first, so running again is the whole recovery story. A lost race is not a
merge: the change is computed again on the new tip and pushed by compare-and-swap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from orchestrator.core.change import Change, ChangePlan
from orchestrator.core.delivery import Merge, WhileWaiting
from orchestrator.core.environment import Environment, Strategy
from orchestrator.core.errors import ConfigurationError, Conflict, Refused, RemoteError
from orchestrator.core.names import CommitId, RefName, RepoPath
from orchestrator.core.rule_change import RuleChange
from orchestrator.core.trailers import read_trailers
from orchestrator.engine.clock import Deadline
from orchestrator.engine.retry import Backoff
from orchestrator.forges.base import Forge, NotOpen, PullRequest, PullRequestState
from orchestrator.gitops.base import LostRace
from orchestrator.gitops.by_call import drop_leftover, make_commit
from orchestrator.gitops.desk import Desk, Seen, missing_branch
from orchestrator.gitops.finishing import delete_branch
from orchestrator.gitops.outcome import Committed, Outcome, Superseded, Unchanged, Waiting
from orchestrator.gitops.proposing import (
    bring_up_to_date,
    check_adoptable,
    hold_back,
    only_one,
    open_pull_request,
    propose,
)
from orchestrator.gitops.pushing import push_options
from orchestrator.gitops.standing import Standing, read_standing

DEADLINE_SECONDS = 600.0
_TAKEN_BACK = "somebody wanted the pull request to merge by itself; it holds another change now, so ask for that again"
_SETTLED = "the base branch already says so"
# How many commits of an environment's own branch are asked which release came before: as many as it takes. Others write
# to it too, so the last handoff of one application may be thousands of commits ago, and a late job later still.
_REMEMBERED = (100, 2_000, 20_000)


def hand_off(desk: Desk, change: Change, *, seen: Seen | None = None, seconds: float = DEADLINE_SECONDS) -> Outcome:
    """Bring the change to its environment.

    ``seen`` is a look at the base and our branch that the caller has just taken. Raises Conflict when somebody
    else's commits stand on our branch, Refused when the policy or the forge says no, RemoteError when a remote fails
    or the race is still lost at the deadline.
    """
    environment = desk.environment(change)
    by_commit = environment.strategy is Strategy.COMMIT
    if isinstance(change, RuleChange):
        by_commit = False  # rules stand on the base branch, which changes by pull request only
    else:
        desk.policy.authorise(change.scope, environment, [image.repository for image in change.images])
    backoff = Backoff(desk.clock, Deadline(desk.clock, seconds))
    if by_commit:
        outcome = _commit(desk, environment, change, backoff)
    else:
        tips = seen.tips if seen is not None and seen.fresh(desk.clock) else None
        outcome = _propose(desk, environment, change, tips, backoff)
    if outcome is None:
        raise RemoteError(
            f"other writers were faster for {seconds:.0f} seconds",
            where=f"{desk.repository.url}, environment {environment.name}",
            hint="run it again; nothing was lost and nothing was written twice",
        )
    return outcome


# --- by commit ---------------------------------------------------------------------------------------------------


def _commit(desk: Desk, environment: Environment, change: Change, backoff: Backoff) -> Outcome | None:
    """On the environment's own branch; None when the race is still lost at the deadline.

    Reading a lost race's branch back tells where to go on, so the wait for the other writers comes before that.
    """
    branch = environment.branch
    if branch is None or branch == desk.policy.base:
        raise Refused(
            f"the environment {environment.name!r} would be committed to the branch that holds the policy",
            where=desk.policy.origin,
            hint="give the environment a branch of its own",
        )
    tip: CommitId | None = None
    while not backoff.over:
        tip = tip or desk.required_tip(branch)
        planned = _plan_commit(desk, environment, change, tip)
        if not isinstance(planned, ChangePlan):
            return planned
        commit = desk.commit(planned)
        pushed = desk.repository.push(branch.ref, commit, tip, pause=backoff.wait)
        if not isinstance(pushed, LostRace):
            return Committed(planned, commit, branch)
        _respect_a_hand(desk, environment, planned, pushed.actual)
        tip = pushed.actual
    return None


def _plan_commit(desk: Desk, environment: Environment, change: Change, tip: CommitId) -> ChangePlan | Outcome:
    """What to commit on this tip, or why nothing."""
    plan = desk.plan(environment, change, tip)
    if plan.empty:
        return Unchanged(f"{environment.name} already runs these images")
    newer, wanted = _not_backwards(desk, change, tip)
    if wanted is not None and wanted != change:
        plan = desk.plan(environment, wanted, tip)
    if wanted is None or plan.empty:
        return Superseded(newer, None)
    return Waiting(plan) if desk.describe(plan).waiting else plan


def _respect_a_hand(desk: Desk, environment: Environment, plan: ChangePlan, actual: CommitId | None) -> None:
    """A person who moved one of the plan's pins while we were at it may have meant to stop it. Raises Conflict."""
    if actual is None or not _replaced(plan, desk.plan(environment, plan.change, actual)):
        return
    for commit in desk.repository.commits(plan.base, actual):
        if read_trailers(commit.message) is not None or not commit.parents:
            continue
        before, after = (desk.plan(environment, plan.change, one) for one in (commit.parents[0], commit.id))
        if moved := _replaced(before, after):
            raise Conflict(
                f"{commit.committer} moved a pin by hand while this change was on its way to it",
                where=f"{desk.repository.url}, commit {commit.id.short}",
                hint="nothing was written; if the change should replace what was set by hand, run it again",
                details=[str(path) for path in sorted(moved, key=str)],
            )


def _replaced(earlier: ChangePlan, later: ChangePlan) -> set[RepoPath]:
    """The files in which a pin of the change holds something else in between."""
    was, now = (Counter((pin.path, pin.before) for pin in plan.pins) for plan in (earlier, later))
    return {path for path, _ in was - now} & {path for path, _ in now - was}


def _not_backwards(desk: Desk, change: Change, tip: CommitId) -> tuple[Change, Change | None]:
    """The last handoff that had a newer image, and the change without the images that it would move backwards."""
    newer, wanted = change, change
    for earlier in _earlier(desk, change, tip):
        rest = wanted.on_top_of(earlier, carry=False)
        if rest != wanted:
            newer = earlier
        if rest is None:
            return newer, None
        wanted = rest
    return newer, wanted


def _earlier(desk: Desk, change: Change, tip: CommitId) -> Iterator[Change]:
    """Earlier handoffs of the application to the environment, newest first, until each image's last one is known.

    An image of which nobody knows where it stands can't be behind another one, so nothing is read for it.
    """
    images = [image.repository for image in change.images]
    unknown = {image for image in images if change.origin(image).position is not None}
    done = 0
    for limit in _REMEMBERED:
        if not unknown:
            return
        commits = desk.repository.recent(tip, limit)
        for commit in commits[done:]:
            earlier = read_trailers(commit.message)
            if earlier is not None and (earlier.environment, earlier.scope) == (change.environment, change.scope):
                unknown -= {image.repository for image in earlier.pins}
                yield earlier
        if len(commits) < limit:
            return
        done = limit


# --- by pull request ---------------------------------------------------------------------------------------------


def _propose(
    desk: Desk,
    environment: Environment,
    change: Change,
    seen: Mapping[RefName, CommitId] | None,
    backoff: Backoff,
) -> Outcome | None:
    """By our stable branch and its pull request; None when somebody was faster until the deadline."""
    while True:
        with suppress(NotOpen):  # somebody merged or closed the pull request meanwhile: look again
            outcome = _propose_once(desk, environment, change, seen)
            if outcome is not None:
                return outcome
        seen = None
        if not backoff.wait():
            return None


def _propose_once(
    desk: Desk, environment: Environment, change: Change, seen: Mapping[RefName, CommitId] | None
) -> Outcome | None:
    """One attempt on our stable branch and its pull request; None when somebody was faster."""
    forge = required_forge(desk.forge, environment, desk.repository.url)
    base, head = desk.policy.base, change.branch
    tips = seen if seen is not None else desk.repository.tips([base.ref, head.ref])
    base_tip = tips.get(base.ref)
    if base_tip is None:
        raise missing_branch(desk.repository, base)
    proposed = only_one(forge, forge.pull_requests(head, base))
    standing = read_standing(desk, change, base_tip, tips.get(head.ref), proposed)
    if standing.pull_request is not None:
        check_adoptable(desk, standing.pull_request, head)
    plan = desk.plan(environment, change, base_tip)
    if plan.empty:
        return _already_there(desk, forge, environment, change, standing, proposed)
    _respect_a_no(desk, change, standing)
    wanted = _with_what_waits(desk, environment, change, standing)
    if wanted is not None and wanted != change:
        plan = desk.plan(environment, wanted, base_tip)
    if wanted is None or plan.empty:
        return _superseded(desk, forge, standing, change)
    return _bring(desk, forge, environment, plan, standing)


def _bring(desk: Desk, forge: Forge, environment: Environment, plan: ChangePlan, standing: Standing) -> Outcome | None:
    """The plan on our branch, and in its pull request; None when somebody was faster."""
    text = desk.describe(plan)
    there = standing.tip if standing.plan is not None and _same(standing.plan, plan) else None
    proposed = there is not None and standing.pull_request is not None
    if text.waiting and environment.delivery.while_waiting is WhileWaiting.NONE and not proposed:
        return Waiting(plan, standing.pull_request)
    if there is not None and standing.plan is not None:
        return propose(desk, forge, environment, standing.plan, there, standing, text)
    commit = make_commit(desk, forge, environment, plan)
    held, wished = hold_back(forge, standing.pull_request, text)
    standing = replace(standing, pull_request=held)
    head = plan.change.branch
    options = push_options(forge, head, desk.policy.base, text)
    pushed = desk.repository.push(head.ref, commit, standing.tip, options)
    drop_leftover(desk, environment, plan, commit)
    if isinstance(pushed, LostRace):
        return None
    warnings = (_TAKEN_BACK,) if wished and environment.delivery.merge is not Merge.AUTO else ()
    return propose(desk, forge, environment, plan, commit, standing, text, warnings)


def required_forge(forge: Forge | None, environment: Environment, url: str) -> Forge:
    """The forge. Raises ConfigurationError when an environment takes pull requests and there is none."""
    if forge is None:
        raise ConfigurationError(
            f"the environment {environment.name!r} takes pull requests, and there is no forge to open one on",
            where=url,
            hint="set gitops.forge to github, gitlab, or the path of a local forge; GitLab takes a token in "
            "HYBRID_CI_FORGE_TOKEN too; an environment with `strategy: commit` needs no forge",
        )
    return forge


def _already_there(
    desk: Desk,
    forge: Forge,
    environment: Environment,
    change: Change,
    standing: Standing,
    proposed: Sequence[PullRequest],
) -> Outcome:
    """The base holds the change; an open pull request that is older would only take it away again."""
    current = standing.pull_request
    if current is not None and standing.change is not None and standing.change.on_top_of(change, carry=False) is None:
        current = forge.close(current.number, _why_superseded(desk, environment, change, proposed))
    merged = next((one for one in proposed if one.state is PullRequestState.MERGED), None)
    warnings: Sequence[str] = ()
    if environment.delivery.delete_branch and _is_leftover(standing, merged):
        assert standing.tip is not None  # noqa: S101  (it is the merged head)
        warnings = delete_branch(desk, change.branch, standing.tip)
    reason = _SETTLED if isinstance(change, RuleChange) else f"{environment.name} already runs these images"
    return Unchanged(reason, current, tuple(warnings))


def _why_superseded(desk: Desk, environment: Environment, change: Change, proposed: Sequence[PullRequest]) -> str:
    """What to say in a pull request that is not needed any more, with a link to what came instead."""
    if isinstance(change, RuleChange):
        return f"Closed: {_SETTLED}."
    merged = next((one for one in proposed if one.state is PullRequestState.MERGED), None)
    link = f" See {merged.url}." if merged is not None else f" It stands on {desk.policy.base} already."
    return f"Superseded: {environment.name} already runs release {change.release}, which is newer.{link}"


def _is_leftover(standing: Standing, merged: PullRequest | None) -> bool:
    """Nothing waits on our branch, and it is where its pull request was merged."""
    done = standing.plan is None and standing.pull_request is None and standing.tip is not None
    return done and merged is not None and merged.head_commit == standing.tip


def _respect_a_no(desk: Desk, change: Change, standing: Standing) -> None:
    """A person who closed the pull request of these very images said no. Raises Refused."""
    if standing.refused is None or desk.reopen or standing.change is None:
        return
    if change.repeats(standing.change):
        raise Refused(
            f"pull request #{standing.refused.number} for this very change was closed without a merge",
            where=standing.refused.url,
            hint="run it again with --reopen if that was not meant as a no",
        )


def _with_what_waits(desk: Desk, environment: Environment, change: Change, standing: Standing) -> Change | None:
    """The change on top of what earlier handoffs left; None when they hold nothing but newer images."""
    if standing.change is None or standing.refused is not None:
        return change
    wanted = change.on_top_of(standing.change, carry=standing.plan is not None)
    return desk.permitted(environment, wanted) if wanted is not None else None


def _superseded(desk: Desk, forge: Forge, standing: Standing, change: Change) -> Outcome:
    """Leave the newer release in place: with its pull request, and with the text that belongs to it."""
    current = standing.pull_request
    if standing.plan is not None:
        text = desk.describe(standing.plan)
        if current is None:
            current = open_pull_request(desk, forge, text, change.branch, standing.tip)
        elif not text.stands_in(current.body):
            current = bring_up_to_date(desk, forge, current, text, standing.tip)
    return Superseded(standing.change or change, current)


def _same(there: ChangePlan, plan: ChangePlan) -> bool:
    """The same images for the same files, which the base has not touched since."""
    return set(there.change.pins) == set(plan.change.pins) and there.edits == plan.edits
