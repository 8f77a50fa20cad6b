"""The pull request of a change: opened or adopted, brought up to date, made a draft or ready.

Forges have no compare-and-swap for text, so what stands there is compared with what should, and the branch is read
back at the end: who lost it meanwhile starts again, and then leaves the text that belongs to the branch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.core.change import ChangePlan
from orchestrator.core.environment import Environment
from orchestrator.core.errors import Conflict, HybridCIError, Refused
from orchestrator.core.names import BranchName, CommitId
from orchestrator.forges.base import (
    AutoMerging,
    Commenting,
    Drafting,
    Forge,
    NotOpen,
    PullRequest,
    PullRequestDraft,
    PullRequestState,
)
from orchestrator.gitops.desk import Desk
from orchestrator.gitops.finishing import finish
from orchestrator.gitops.outcome import Opened, Outcome, Unchanged, Updated
from orchestrator.gitops.pull_request_text import LONGEST_BODIES, LONGEST_BODY, PullRequestText, says_waiting
from orchestrator.gitops.standing import Standing


def propose(
    desk: Desk,
    forge: Forge,
    environment: Environment,
    plan: ChangePlan,
    commit: CommitId,
    standing: Standing,
    text: PullRequestText,
    warnings: tuple[str, ...] = (),
) -> Outcome | None:
    """Open or update the pull request of what was just pushed; None when the branch is not ours any more.

    ``warnings`` are those that the outcome has already. Raises Conflict when somebody else opened one for our branch.
    """
    head, current = plan.change.branch, standing.pull_request
    outcome: Opened | Updated | Unchanged
    if current is not None and commit == standing.tip and _is_so(forge, current, text):
        outcome = Unchanged(f"pull request #{current.number} already holds this change", current)
    elif current is None:
        outcome = Opened(plan, commit, open_pull_request(desk, forge, text, head, commit))
    else:
        outcome = Updated(plan, commit, bring_up_to_date(desk, forge, current, text, commit), warnings)
    if not isinstance(outcome, Unchanged) and not _is_ours(desk, head, commit):
        return None
    return finish(desk, forge, environment, plan, commit, outcome, text)


def open_pull_request(
    desk: Desk, forge: Forge, text: PullRequestText, head: BranchName, commit: CommitId | None
) -> PullRequest:
    """Open one, or take over the one that somebody opened since we looked.

    Raises Conflict when it is not ours, NotOpen when the branch was merged meanwhile.
    """
    draft = PullRequestDraft(
        text.title, text.body(longest=_longest(forge)), head, desk.policy.base, draft=_draft(forge, text)
    )
    try:
        opened = forge.open(draft)
    except Refused:
        if _is_merged(desk, head):
            raise NotOpen(f"{head} was merged meanwhile", hint="run it again") from None
        raise
    check_adoptable(desk, opened, head)
    return opened if _is_so(forge, opened, text) else bring_up_to_date(desk, forge, opened, text, commit)


def bring_up_to_date(
    desk: Desk, forge: Forge, current: PullRequest, text: PullRequestText, commit: CommitId | None
) -> PullRequest:
    """Title, text and draft as they should be.

    A draft is made before its text says so, and ended before the text says so too: whoever dies in between leaves
    what the next run puts right. It is ended only while the branch holds what the gates let pass.
    """
    if isinstance(forge, Drafting) and text.waiting != current.draft:
        ours = text.waiting or says_waiting(current.body)
        if ours and (text.waiting or commit is None or _is_ours(desk, current.head, commit)):
            current = forge.set_draft(current.number, text.waiting)
    return forge.update(current.number, title=text.title, body=text.body(current.body, _longest(forge)))


def hold_back(forge: Forge, current: PullRequest | None, text: PullRequestText) -> tuple[PullRequest | None, bool]:
    """Before another change is pushed to it, nobody merges an open pull request by what they said of the one before.

    The wish that it merges by itself is taken back: not every forge does so, and it was for another head, with that
    one's message. For something that waits it becomes a draft. Gives it as it is now, and whether there was a wish.
    """
    if current is None:
        return None, False
    wished = isinstance(forge, AutoMerging) and forge.call_off_merge(current.number)
    if current.draft or not _draft(forge, text) or not isinstance(forge, Drafting):
        return current, wished
    return forge.set_draft(current.number, True), wished


def check_adoptable(desk: Desk, pull: PullRequest, head: BranchName) -> None:
    """It is between our branches, and one of the policy's accounts opened it. Raises Conflict.

    A name without ``@`` under ``writers`` is an account at the forge. Where there is none, only the branch decides,
    whose whole content was proven already.
    """
    if pull.fork or (pull.head, pull.base) != (head, desk.policy.base):
        raise Conflict(
            f"the forge takes pull request #{pull.number} for ours, and it is from {pull.fork or pull.head}",
            where=pull.url,
            hint="close it, then run again",
        )
    accounts = {account.removeprefix("@").lower() for account in desk.policy.writers if "@" not in account[1:]}
    if accounts and pull.author.lower() not in accounts:
        raise Conflict(
            f"pull request #{pull.number} is from our branch, but {pull.author!r} opened it, who is none of the "
            "policy's writers",
            where=pull.url,
            hint="close it and run again; an account that may open pull requests belongs under 'writers' in the policy",
        )


def only_one(forge: Forge, pull_requests: Sequence[PullRequest]) -> Sequence[PullRequest]:
    """Those from our own repository, with one open one at most.

    Raises Conflict when there are several; each but the first is told so once, and none is closed.
    """
    own = [one for one in pull_requests if not one.fork]
    standing = sorted((one for one in own if one.state is PullRequestState.OPEN), key=lambda one: one.number)
    if len(standing) < 2:
        return own
    first, *others = standing
    silent = _tell(
        forge, others, f"hybrid-ci works on {first.url}, which is from the same branch. One of them has to go."
    )
    raise Conflict(
        f"there are {len(standing)} open pull requests from {first.head} into {first.base}",
        where=first.url,
        hint=f"close all but one of them; #{first.number} is the oldest",
        details=[*(f"#{one.number} by {one.author}: {one.url}" for one in standing), *silent],
    )


def _tell(forge: Forge, others: Iterable[PullRequest], text: str) -> Sequence[str]:
    """Comment on each; what kept us from it."""
    silent = []
    for one in others:
        try:
            if isinstance(forge, Commenting):
                forge.comment(one.number, text)
        except HybridCIError as error:
            silent.append(f"#{one.number} got no comment: {error.message}")
    return silent


def _is_so(forge: Forge, current: PullRequest, text: PullRequestText) -> bool:
    """Nothing is to be written: the text stands there, and what waits is a draft."""
    held = current.draft or not _draft(forge, text)
    ended = not (current.draft and not text.waiting and says_waiting(current.body))
    return text.stands_in(current.body) and (text.found or (held and ended))


def _draft(forge: Forge, text: PullRequestText) -> bool:
    return text.waiting and isinstance(forge, Drafting)


def _longest(forge: Forge) -> int:
    return LONGEST_BODIES.get(forge.name, LONGEST_BODY)


def _is_merged(desk: Desk, head: BranchName) -> bool:
    """The base has everything that the branch has."""
    base = desk.policy.base.ref
    tips = desk.repository.tips([base, head.ref])
    return base in tips and head.ref in tips and not desk.repository.commits(tips[base], tips[head.ref])


def _is_ours(desk: Desk, head: BranchName, commit: CommitId) -> bool:
    return desk.repository.tips([head.ref]).get(head.ref) == commit
