"""What was refused after it had been proposed: its pull request becomes a draft again, so that nobody merges it."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core.change import Change, ChangePlan
from orchestrator.forges.base import AutoMerging, Drafting, PullRequest
from orchestrator.gitops.desk import Desk, missing_branch
from orchestrator.gitops.proposing import bring_up_to_date, check_adoptable, only_one
from orchestrator.gitops.pull_request_text import PullRequestText
from orchestrator.gitops.standing import read_standing

Objection = Callable[[ChangePlan], PullRequestText | None]


def hold_up(desk: Desk, change: Change, objection: Objection) -> PullRequest | None:
    """Make the open pull request on the change's branch a draft, where something is against what it holds.

    ``objection`` gives the text that says so (and that it waits: a later run ends the draft), None where nothing is.
    Gives the draft; None when nothing was to do, or the forge knows no drafts. Raises Conflict when branch or pull
    request are not ours, RemoteError.
    """
    forge, base, head = desk.forge, desk.policy.base, change.branch
    if forge is None or not isinstance(forge, Drafting):
        return None
    proposed = only_one(forge, forge.pull_requests(head, base))
    tips = desk.repository.tips([base.ref, head.ref])
    if base.ref not in tips:
        raise missing_branch(desk.repository, base)
    standing = read_standing(desk, change, tips[base.ref], tips.get(head.ref), proposed)
    current = standing.pull_request
    if current is None or standing.plan is None:
        return None
    check_adoptable(desk, current, head)
    text = objection(standing.plan)
    if text is None or (current.draft and text.stands_in(current.body)):
        return None
    if isinstance(forge, AutoMerging):
        forge.call_off_merge(current.number)
    return bring_up_to_date(desk, forge, current, text, standing.tip)
