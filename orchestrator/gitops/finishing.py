"""After the change stands in its pull request: whom it goes to, and who merges it.

None of it can fail a handoff. What the forge does not grant is a warning, and running again asks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.core.change import ChangePlan
from orchestrator.core.delivery import Merge, Routing
from orchestrator.core.environment import Environment
from orchestrator.core.errors import HybridCIError
from orchestrator.core.names import BranchName, CommitId
from orchestrator.forges.base import (
    AutoMerge,
    AutoMerging,
    Forge,
    NotOpen,
    PullRequest,
    PullRequestMoved,
    PullRequestState,
    RoutesPullRequests,
)
from orchestrator.gitops.desk import Desk, commit_message
from orchestrator.gitops.outcome import Opened, Unchanged, Updated
from orchestrator.gitops.pull_request_text import PullRequestText


def finish(
    desk: Desk,
    forge: Forge,
    environment: Environment,
    plan: ChangePlan,
    commit: CommitId,
    outcome: Opened | Updated | Unchanged,
    text: PullRequestText,
) -> Opened | Updated | Unchanged | None:
    """The same outcome with what came of it; None when somebody else moved the pull request on meanwhile."""
    delivery, pull = environment.delivery, outcome.pull_request
    if pull is None or pull.state is not PullRequestState.OPEN:
        return outcome
    warnings = [*_route(forge, pull, delivery.routing), *_draft_warnings(pull, text)]
    merging = None
    if delivery.merge is Merge.AUTO and not text.waiting and not pull.draft:
        try:
            merging = _merge(forge, environment, plan, commit, pull)
        except (PullRequestMoved, NotOpen):
            return None
        except HybridCIError as error:
            warnings.append(_sentence("it does not merge by itself", error))
    if merging is AutoMerge.MERGED:
        merged = _as_it_is_now(desk, forge, pull)
        pull = merged if merged is not None else replace(pull, state=PullRequestState.MERGED)
        if delivery.delete_branch:
            warnings += delete_branch(desk, pull.head, commit)
    return replace(outcome, pull_request=pull, warnings=(*outcome.warnings, *warnings), merging=merging)


def delete_branch(desk: Desk, branch: BranchName, commit: CommitId) -> Sequence[str]:
    """Take a merged branch away, if it is still at this commit; what kept us from it."""
    try:
        desk.repository.delete(branch.ref, commit)
    except HybridCIError as error:
        return [_sentence(f"the branch {branch} was not deleted", error)]
    return []


def _route(forge: Forge, pull: PullRequest, routing: Routing) -> Sequence[str]:
    if routing == Routing():
        return []
    if not isinstance(forge, RoutesPullRequests):
        return [f"a {forge.name} forge can't send a pull request to people"]
    try:
        return forge.route(pull.number, routing)
    except NotOpen:
        return []
    except HybridCIError as error:
        return [_sentence("reviewers, assignees or labels were not set", error)]


def _draft_warnings(pull: PullRequest, text: PullRequestText) -> Sequence[str]:
    if text.waiting and not pull.draft:
        return ["a gate says wait, and this forge knows no drafts: do not merge it yet"]
    if pull.draft and not text.waiting:
        return [f"somebody made pull request #{pull.number} a draft, and it stays one: mark it as ready to go on"]
    return []


def _merge(
    forge: Forge, environment: Environment, plan: ChangePlan, commit: CommitId, pull: PullRequest
) -> AutoMerge | None:
    """Ask for the merge. The message carries the intent, so that a squash does not lose it.

    Raises PullRequestMoved, NotOpen, NotMergeable and whatever the forge raises.
    """
    if not isinstance(forge, AutoMerging):
        raise HybridCIError(f"a {forge.name} forge merges nothing by itself")
    return forge.merge_when_ready(pull.number, commit, environment.delivery.method, commit_message(plan))


def _as_it_is_now(desk: Desk, forge: Forge, pull: PullRequest) -> PullRequest | None:
    try:
        found = forge.pull_requests(pull.head, desk.policy.base)
    except HybridCIError:
        return None
    return next((one for one in found if one.number == pull.number), None)


def _sentence(what: str, error: HybridCIError) -> str:
    return f"{what}: {error.message}" + (f" ({error.hint})" if error.hint else "")
