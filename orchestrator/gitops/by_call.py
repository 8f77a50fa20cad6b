"""A commit that the forge makes and signs, on a branch of its own, before it becomes the tip of the stable branch.

A forge can't move a branch onto a new base by such a call, and a branch that is set back to its base loses its pull
request. So the commit is made beside it, and the stable branch moves to it by the push that every change takes.
"""

from __future__ import annotations

import hashlib

from orchestrator.core.change import ChangePlan
from orchestrator.core.delivery import CommitBy
from orchestrator.core.environment import Environment
from orchestrator.core.errors import ConfigurationError, Conflict
from orchestrator.core.names import BranchName, CommitId
from orchestrator.forges.base import CommitsByCall, Forge
from orchestrator.gitops.desk import Desk, commit_message
from orchestrator.gitops.finishing import delete_branch


def make_commit(desk: Desk, forge: Forge, environment: Environment, plan: ChangePlan) -> CommitId:
    """The plan as a commit, by whom the policy says. Files are removed by git only: not every call can.

    Raises ConfigurationError when the forge makes no commits, Conflict when it made another one than was asked for.
    """
    by_git = environment.delivery.commit is CommitBy.GIT or any(edit.removed for edit in plan.edits)
    return desk.commit(plan) if by_git else _by_call(desk, forge, environment, plan)


def drop_leftover(desk: Desk, environment: Environment, plan: ChangePlan, commit: CommitId) -> None:
    """The branch that the commit was made on has done its work. One that stays harms nobody."""
    if environment.delivery.commit is CommitBy.API:
        delete_branch(desk, _beside(plan), commit)


def _by_call(desk: Desk, forge: Forge, environment: Environment, plan: ChangePlan) -> CommitId:
    if not isinstance(forge, CommitsByCall):
        raise ConfigurationError(
            f"the policy wants commits by call, and a {forge.name} forge makes none",
            where=f"{desk.policy.origin}, environment {environment.name}",
            hint="use `commit: git`, with a signing key if commits have to be signed",
        )
    branch = _beside(plan)
    refs = [desk.policy.base.ref, branch.ref]
    made = desk.repository.tips(refs).get(branch.ref)
    if made is None or made == plan.base:
        made = _ask(desk, forge, branch, plan)
        desk.repository.tips(refs)  # brings the commit here, from where it is pushed
    info = desk.repository.commit_info(made)
    if info.parents != (plan.base,) or info.tree != desk.repository.commit_info(desk.commit(plan)).tree:
        raise Conflict(
            f"the branch {branch} holds another commit than hybrid-ci asked for",
            where=f"{desk.repository.url}, commit {made.short}",
            hint="delete that branch, then run again",
        )
    return made


def _ask(desk: Desk, forge: CommitsByCall, branch: BranchName, plan: ChangePlan) -> CommitId:
    contents = {edit.path: edit.after for edit in plan.edits}
    message = commit_message(plan)
    try:
        return forge.commit_on(branch, plan.base, contents, message)
    except ConfigurationError:  # it commits to branches that are there, and makes none
        desk.repository.push(branch.ref, plan.base, None)
        return forge.commit_on(branch, plan.base, contents, message)


def _beside(plan: ChangePlan) -> BranchName:
    """The same for the same plan, so that a run that was killed is found again; no environment is encoded so."""
    edits = [f"{edit.path}\0{hashlib.sha256(edit.after).hexdigest()}" for edit in plan.edits]
    key = "\n".join([plan.base.value, plan.change.branch.value, commit_message(plan), *edits])
    return BranchName(f"hybrid-ci/_commits/{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}")
