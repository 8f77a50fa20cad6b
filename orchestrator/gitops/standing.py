"""What stands on our branch and in its pull requests now, and the proof that it is ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from orchestrator.core.change import Change, ChangePlan
from orchestrator.core.environment import Policy
from orchestrator.core.errors import ConfigurationError, Conflict, Refused, RemoteError
from orchestrator.core.names import CommitId
from orchestrator.core.trailers import read_trailers
from orchestrator.forges.base import PullRequest, PullRequestState
from orchestrator.gitops.base import CommitInfo
from orchestrator.gitops.desk import Desk

_GITHUB = "noreply@github.com"  # commits what somebody asked it for by a call or in its pages; the author is who asked


@dataclass(frozen=True, slots=True)
class Standing:
    """What earlier handoffs left behind.

    ``tip`` is our branch, None when it is gone; ``change`` the last handoff that is known; ``plan`` makes exactly the
    branch's tree, and is None when nothing waits there; ``pull_request`` is the open one; ``refused`` the one that a
    person closed, when nothing came after it.
    """

    tip: CommitId | None
    change: Change | None = None
    plan: ChangePlan | None = None
    pull_request: PullRequest | None = None
    refused: PullRequest | None = None


def read_standing(
    desk: Desk,
    change: Change,
    base_tip: CommitId,
    head_tip: CommitId | None,
    pull_requests: Sequence[PullRequest],
) -> Standing:
    """Read our branch, and prove that it is ours. ``pull_requests`` are newest first. Raises Conflict."""
    current = next((one for one in pull_requests if one.state is PullRequestState.OPEN), None)
    newest = pull_requests[0] if pull_requests else None
    refused = newest if current is None and _is_a_no(newest, head_tip) else None
    if head_tip is None:
        return Standing(None, _last_of(desk, newest), None, current, refused)
    commits = tuple(desk.repository.commits(base_tip, head_tip))
    if not commits:  # merged: the tip still tells which release came last
        last = read_trailers(desk.repository.commit_info(head_tip).message)
        return Standing(head_tip, last, None, current, refused)
    plan = _proven(desk, change, commits)
    return Standing(head_tip, plan.change, plan, current, refused)


def _is_a_no(newest: PullRequest | None, head_tip: CommitId | None) -> bool:
    """It was closed without a merge, and the branch has not moved since."""
    if newest is None or newest.state is not PullRequestState.CLOSED:
        return False
    return head_tip is None or newest.head_commit == head_tip


def _last_of(desk: Desk, newest: PullRequest | None) -> Change | None:
    """The last handoff, where the forge has deleted the branch: its commit outlives it, as a rule."""
    if newest is None or newest.head_commit is None:
        return None
    with suppress(RemoteError):
        return read_trailers(desk.repository.commit_info(newest.head_commit).message)
    return None


def _proven(desk: Desk, change: Change, commits: Sequence[CommitInfo]) -> ChangePlan:
    """The plan that makes the branch's tree. Raises Conflict when there is none.

    Messages and committers are claims, the tree is the proof. The branch may have been rebased, or the base merged
    into it, so each commit of the base that it stands on is tried, with the policy of that time and of today.
    """
    _check_writers(desk, commits, change)
    carried = next((found for commit in commits if (found := read_trailers(commit.message))), None)
    if carried is None or (carried.environment, carried.scope) != (change.environment, change.scope):
        raise _foreign(desk, change, commits[0], "it carries no change of this environment and application")
    for parent in _stands_on(commits):
        for policy in _policies(desk, parent):
            try:
                plan = desk.plan(desk.environment(carried, policy), carried, parent, policy)
            except (ConfigurationError, Refused):  # the images were not there yet, or were ambiguous
                continue
            if desk.repository.commit_info(desk.commit(plan)).tree == commits[0].tree:
                return plan
    raise _foreign(desk, change, commits[0], f"the branch holds more, or other, than release {carried.release}")


def _stands_on(commits: Sequence[CommitInfo]) -> Iterator[CommitId]:
    own = {commit.id for commit in commits}
    yield from dict.fromkeys(parent for commit in commits for parent in commit.parents if parent not in own)


def _policies(desk: Desk, commit: CommitId) -> Iterator[Policy]:
    yield desk.policy
    if desk.policy_at is not None:
        with suppress(ConfigurationError):
            earlier = desk.policy_at(commit)
            if earlier != desk.policy:
                yield earlier


def _check_writers(desk: Desk, commits: Sequence[CommitInfo], change: Change) -> None:
    writers = {writer.lower() for writer in (*desk.policy.writers, desk.identity)}
    for commit in commits:
        signed = commit.author if _address(commit.committer) == _GITHUB else commit.committer
        if _address(signed) not in writers and signed.lower() not in writers:
            raise _foreign(desk, change, commit, "its committer is none of the policy's writers")


def _address(stamp: str) -> str:
    return stamp.rpartition("<")[2].rstrip(">").lower()


def _foreign(desk: Desk, change: Change, commit: CommitInfo, reason: str) -> Conflict:
    return Conflict(
        f"the branch {change.branch} holds work that hybrid-ci did not make: {reason}",
        where=f"{desk.repository.url}, commit {commit.id.short} by {commit.committer}",
        details=[commit.message.partition("\n")[0][:200]],
        hint="move that work elsewhere and delete the branch, or merge its pull request; a committer who may write "
        "there belongs under 'writers' in the policy",
    )
