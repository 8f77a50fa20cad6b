"""GitLab's answers as our types, and our texts as GitLab takes them. Pure: nothing here talks to anybody.

The fields are those of GitLab's REST API v4 (``doc/api/merge_requests.md``, ``commits.md``, ``deployments.md``).
An answer that lacks what it must have is a RemoteError: a proxy or another program has answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias, cast

from orchestrator.core.errors import RemoteError
from orchestrator.core.names import BranchName, CommitId, InvalidName
from orchestrator.forges.base import CommitStatus, PullRequest, PullRequestState, SourceChange, StatusState

Json: TypeAlias = Mapping[str, object]

LONGEST_TITLE = 255
_LONGEST_DESCRIPTION = 255  # of a commit status
_STATES = {
    "opened": PullRequestState.OPEN,
    "locked": PullRequestState.OPEN,  # GitLab is merging it just now; what comes of it is told later
    "merged": PullRequestState.MERGED,
    "closed": PullRequestState.CLOSED,
}
_VERDICTS = {
    "success": StatusState.SUCCESS,
    "failed": StatusState.FAILURE,
    "canceled": StatusState.FAILURE,
    "canceling": StatusState.FAILURE,
}
_DRAFT = re.compile(r"(?:\s*(?:\[draft\]|\(draft\)|draft:)\s*)+", re.IGNORECASE)
# A line that begins so is a command to GitLab ("quick action"), in a description as in a comment.
_COMMAND = re.compile(r"^/(?=[A-Za-z])", re.MULTILINE)
_DISARMED = re.compile(r"^\\/(?=[A-Za-z])", re.MULTILINE)


def malformed(what: str) -> RemoteError:
    """What to raise for an answer that GitLab would not give."""
    return RemoteError(
        f"the server's answer has no usable {what!r}",
        hint="check that the forge's URL is GitLab's own, with its path if it has one; a proxy may be answering",
    )


# --- fields ----------------------------------------------------------------------------------------------------------


def text(data: Json, name: str) -> str:
    """A field that must be a text. Raises RemoteError."""
    value = data.get(name)
    if not isinstance(value, str):
        raise malformed(name)
    return value


def maybe_text(data: Json, name: str) -> str:
    """A field that may be null or missing."""
    value = data.get(name)
    return value if isinstance(value, str) else ""


def number(data: Json, name: str) -> int:
    """A field that must be a whole number. Raises RemoteError."""
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise malformed(name)
    return value


def commit(data: Json, name: str) -> CommitId:
    """A field that must be a commit id. Raises RemoteError."""
    try:
        return CommitId(text(data, name))
    except InvalidName:
        raise malformed(name) from None


def maybe_commit(data: Json, name: str) -> CommitId | None:
    """The same, or None when it is null or missing."""
    return commit(data, name) if data.get(name) else None


def child(data: Json, name: str) -> Json:
    """An object inside; an empty one when it is null or missing."""
    value = data.get(name)
    return cast(Json, value) if isinstance(value, dict) else {}


def children(data: Json, name: str) -> Sequence[Json]:
    """A list of objects inside; an empty one when it is null or missing."""
    value = data.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def moment(data: Json, name: str) -> datetime | None:
    """A time; None when there is none, or none that can be read."""
    try:
        return datetime.fromisoformat(maybe_text(data, name))
    except ValueError:
        return None


# --- merge requests --------------------------------------------------------------------------------------------------


def fork(data: Json) -> str:
    """The other project that the source branch is in; empty when it is the project's own branch.

    GitLab tells its number only, and nothing once it was deleted.
    """
    source = data.get("source_project_id")
    if source == number(data, "target_project_id"):
        return ""
    return f"project {source}" if isinstance(source, int) else "a project that was deleted"


def pull_request(data: Json, tips: Mapping[BranchName, CommitId]) -> PullRequest:
    """A merge request. ``tips`` are the branches that exist: an open one without its branch has no head commit.

    GitLab's own ``sha`` follows a push with a delay, and stays when the branch is deleted. Raises RemoteError.
    """
    head, state = branch(data, "source_branch"), state_of(data)
    title, draft = split_title(text(data, "title"))
    told, other = maybe_commit(data, "sha"), fork(data)
    return PullRequest(
        number=number(data, "iid"),
        url=text(data, "web_url"),
        title=title,
        body=given_text(maybe_text(data, "description")),
        head=head,
        head_commit=tips.get(head) if state is PullRequestState.OPEN and not other else told,
        base=branch(data, "target_branch"),
        state=state,
        author=text(child(data, "author"), "username"),
        draft=draft,
        merge_commit=merge_commit(data) if state is PullRequestState.MERGED else None,
        created=moment(data, "created_at"),
        updated=moment(data, "updated_at"),
        labels=labels(data),
        fork=other,
    )


def branch(data: Json, name: str) -> BranchName:
    """A field that must be a branch. Raises RemoteError."""
    try:
        return BranchName(text(data, name))
    except InvalidName:
        raise malformed(name) from None


def state_of(data: Json) -> PullRequestState:
    """Open, merged or closed. Raises RemoteError."""
    state = _STATES.get(text(data, "state"))
    if state is None:
        raise malformed("state")
    return state


def merge_commit(data: Json) -> CommitId | None:
    """The commit on the base that brought it there: the head itself after a fast-forward."""
    names = ("merge_commit_sha", "squash_commit_sha", "sha")
    return next((found for name in names if (found := maybe_commit(data, name))), None)


def labels(data: Json) -> tuple[str, ...]:
    """Names of labels; GitLab gives objects when asked for details."""
    value = data.get("labels")
    found = value if isinstance(value, list) else []
    named = (one if isinstance(one, str) else maybe_text(one, "name") for one in found if isinstance(one, str | dict))
    return tuple(named)


def split_title(title: str) -> tuple[str, bool]:
    """The title without GitLab's mark of a draft, and whether there was one."""
    mark = _DRAFT.match(title)
    return (title[mark.end() :], True) if mark else (title, False)


def join_title(title: str, draft: bool) -> str:
    """The title with or without the mark, whatever mark it had; cut to what GitLab takes."""
    bare = split_title(title)[0]
    whole = f"Draft: {bare}" if draft else bare
    return whole if len(whole) <= LONGEST_TITLE else whole[: LONGEST_TITLE - 1] + "…"


def harmless_text(body: str) -> str:
    """The text with its would-be commands disarmed; it looks the same when rendered. ``given_text`` undoes it."""
    return _COMMAND.sub(r"\\/", body)


def given_text(description: str) -> str:
    """What ``harmless_text`` was given."""
    return _DISARMED.sub("/", description)


def role(project: Json) -> int | None:
    """The highest access level in the project that GitLab tells of us; None when it tells none."""
    permissions = child(project, "permissions")
    told = [child(permissions, name).get("access_level") for name in ("project_access", "group_access")]
    return max((level for level in told if isinstance(level, int)), default=None)


# --- commits ---------------------------------------------------------------------------------------------------------


def statuses(found: Iterable[Json]) -> list[CommitStatus]:
    """The newest status of each context, by context. A name may come once for each pipeline and branch."""
    newest: dict[str, tuple[int, CommitStatus]] = {}
    for data in found:
        status, identity = _status(data), number(data, "id")
        if status.context not in newest or identity > newest[status.context][0]:
            newest[status.context] = identity, status
    return [newest[context][1] for context in sorted(newest)]


def _status(data: Json) -> CommitStatus:
    told = text(data, "status")
    return CommitStatus(
        context=text(data, "name"),
        state=_VERDICTS.get(told, StatusState.PENDING),
        description=maybe_text(data, "description") or ("" if told in ("pending", "success", "failed") else told),
        target_url=maybe_text(data, "target_url"),
        creator=maybe_text(child(data, "author"), "username"),
        created=moment(data, "created_at"),
    )


def deployment(data: Json) -> CommitStatus:
    """A deployment as a status, in a context of its own."""
    environment, deployable = child(data, "environment"), child(data, "deployable")
    told = text(data, "status")
    return CommitStatus(
        context=f"deployment/{text(environment, 'name')}",
        state=_VERDICTS.get(told, StatusState.PENDING),
        description=told,
        target_url=maybe_text(deployable, "web_url") or maybe_text(environment, "external_url"),
        creator=maybe_text(child(data, "user"), "username"),
        created=moment(data, "created_at"),
    )


def status_fields(status: CommitStatus) -> dict[str, object]:
    """What GitLab is sent for a status."""
    state = "failed" if status.state is StatusState.FAILURE else str(status.state)
    fields = {"state": state, "name": status.context, "target_url": status.target_url}
    described = {**fields, "description": status.description[:_LONGEST_DESCRIPTION]}
    return {name: value for name, value in described.items() if value}


def source_change(data: Json) -> SourceChange:
    """A commit of a comparison."""
    return SourceChange(
        commit=commit(data, "id"),
        subject=text(data, "title"),
        author=maybe_text(data, "author_name"),
        url=maybe_text(data, "web_url"),
    )
