"""What the local forge writes into its blobs: pull requests and commit statuses as JSON, and where they lie.

Anyone who can write the repository can write these blobs, so they are read as text from outside: every field is
checked, and what does not fit is an error that names the ref.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from orchestrator.core.errors import ConfigurationError, Conflict, HybridCIError
from orchestrator.core.names import BranchName, CommitId, RefName
from orchestrator.forges.base import CommitStatus, PullRequestState, Routing, StatusState

_VERSION = 1
_LONGEST_TITLE = 256
_LONGEST_BODY = 65_536
ROOT = RefName("refs/hybrid-ci")
PULLS = RefName("refs/hybrid-ci/pulls")
_T = TypeVar("_T")


class BrokenRecord(Conflict):
    """A blob of the local forge is not what hybrid-ci writes: somebody edited it, or a newer version did."""


def pull_ref(number: int) -> RefName:
    """Where pull request ``number`` is kept."""
    return RefName(f"{PULLS}/{number}")


def kept_head_ref(number: int) -> RefName:
    """Keeps the commits of a closed pull request, whatever becomes of its branch."""
    return RefName(f"{ROOT}/heads/{number}")


def open_ref(head: BranchName, base: BranchName) -> RefName:
    """Exists while a pull request for this pair is open. A hash, so that no branch name clashes with another."""
    pair = f"{head}\0{base}".encode("utf-8", "surrogateescape")
    return RefName(f"{ROOT}/open/{hashlib.sha256(pair).hexdigest()}")


def statuses_ref(commit: CommitId) -> RefName:
    """The folder of a commit's statuses."""
    return RefName(f"{ROOT}/statuses/{commit}")


def status_ref(commit: CommitId, context: str) -> RefName:
    """One ref a context, so that agents with different contexts never wait for each other."""
    return RefName(f"{statuses_ref(commit)}/{hashlib.sha256(context.encode('utf-8', 'surrogateescape')).hexdigest()}")


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody said yes to one commit. Nobody checked who it was."""

    by: str
    commit: CommitId
    at: datetime


@dataclass(frozen=True, slots=True)
class Comment:
    """A remark, such as why a pull request was closed."""

    by: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class MergeWish:
    """Somebody asked to merge this head as soon as the rules allow it."""

    head: CommitId
    message: str
    by: str


@dataclass(frozen=True, slots=True)
class PullRecord:
    """A pull request as it is stored. ``head_commit`` is None while it is open: the branch tells it."""

    number: int
    title: str
    body: str
    head: BranchName
    base: BranchName
    author: str
    created: datetime
    updated: datetime
    draft: bool = False
    state: PullRequestState = PullRequestState.OPEN
    head_commit: CommitId | None = None
    merge_commit: CommitId | None = None
    ended_by: str = ""
    approvals: tuple[Approval, ...] = ()
    comments: tuple[Comment, ...] = ()
    routing: Routing = field(default_factory=Routing)
    wish: MergeWish | None = None

    @property
    def pair(self) -> tuple[BranchName, BranchName]:
        """Head and base."""
        return self.head, self.base

    @property
    def is_open(self) -> bool:
        """Neither merged nor closed."""
        return self.state is PullRequestState.OPEN

    def approvers_of(self, head: CommitId | None) -> tuple[str, ...]:
        """Who approved exactly this head: an approval of what was there before does not count."""
        return tuple(dict.fromkeys(one.by for one in self.approvals if one.commit == head))

    def ended(self, state: PullRequestState, by: str, when: datetime, head: CommitId | None) -> PullRecord:
        """The same, merged or closed: from now on ``head`` stays what it was."""
        return replace(self, state=state, ended_by=by, updated=when, head_commit=head)


def check_text(title: str, body: str) -> None:
    """Raises ConfigurationError for what GitHub would not take either, so that nobody gets used to it here."""
    if not title.strip() or "\n" in title or len(title) > _LONGEST_TITLE:
        raise ConfigurationError(
            f"{title[:60]!r} can't be a pull request's title", hint=f"one line of at most {_LONGEST_TITLE} characters"
        )
    if len(body) > _LONGEST_BODY:
        raise ConfigurationError(
            f"the pull request's body has {len(body)} characters", hint=f"cut it to {_LONGEST_BODY}"
        )


def encode_pull(record: PullRecord) -> bytes:
    """The record as JSON; the same record gives the same bytes."""
    return _dump(
        {
            "version": _VERSION,
            "number": record.number,
            "title": record.title,
            "body": record.body,
            "head": record.head.value,
            "base": record.base.value,
            "author": record.author,
            "created": record.created.isoformat(),
            "updated": record.updated.isoformat(),
            "draft": record.draft,
            "state": record.state.value,
            "head_commit": _id(record.head_commit),
            "merge_commit": _id(record.merge_commit),
            "ended_by": record.ended_by,
            "approvals": [
                {"by": one.by, "commit": one.commit.value, "at": one.at.isoformat()} for one in record.approvals
            ],
            "comments": [{"by": one.by, "text": one.text, "at": one.at.isoformat()} for one in record.comments],
            "reviewers": list(record.routing.reviewers),
            "teams": list(record.routing.teams),
            "assignees": list(record.routing.assignees),
            "labels": list(record.routing.labels),
            "merge_wish": _wish_fields(record.wish),
        }
    )


def decode_pull(content: bytes, ref: RefName) -> PullRecord:
    """Read a record. Raises BrokenRecord."""
    return _read(content, ref, _pull_of)


def encode_status(commit: CommitId, status: CommitStatus) -> bytes:
    """A status as JSON."""
    return _dump(
        {
            "version": _VERSION,
            "commit": commit.value,
            "context": status.context,
            "state": status.state.value,
            "description": status.description,
            "target_url": status.target_url,
            "creator": status.creator,
            "created": status.created.isoformat() if status.created else None,
        }
    )


def decode_status(content: bytes, ref: RefName) -> CommitStatus:
    """Read a status. Raises BrokenRecord."""
    return _read(content, ref, _status_of)


class _Fields:
    """The members of a JSON object, each read as the type that it must have. Raises ValueError."""

    def __init__(self, data: object) -> None:
        if not isinstance(data, Mapping):
            raise ValueError("it is no JSON object")
        self._data = data

    def take(self, key: str, kind: type[_T]) -> _T:
        value = self._data.get(key)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{key!r} is {json.dumps(value)[:60]} and should be of type {kind.__name__}")
        return value

    def time(self, key: str) -> datetime:
        value = datetime.fromisoformat(self.take(key, str))
        if value.tzinfo is None:
            raise ValueError(f"{key!r} has no time zone")
        return value

    def commit(self, key: str) -> CommitId:
        return CommitId(self.take(key, str))

    def optional_commit(self, key: str) -> CommitId | None:
        return None if self._data.get(key) is None else self.commit(key)

    def words(self, key: str) -> tuple[str, ...]:
        """Absent in records of before there were any."""
        if key not in self._data:
            return ()
        found = self.take(key, list)
        if not all(isinstance(word, str) for word in found):
            raise ValueError(f"{key!r} holds something that is no text")
        return tuple(found)

    def optional(self, key: str) -> _Fields | None:
        return None if self._data.get(key) is None else _Fields(self._data[key])

    def each(self, key: str) -> Sequence[_Fields]:
        return [_Fields(one) for one in self.take(key, list)]


def _pull_of(fields: _Fields) -> PullRecord:
    return PullRecord(
        number=fields.take("number", int),
        title=fields.take("title", str),
        body=fields.take("body", str),
        head=BranchName(fields.take("head", str)),
        base=BranchName(fields.take("base", str)),
        author=fields.take("author", str),
        created=fields.time("created"),
        updated=fields.time("updated"),
        draft=fields.take("draft", bool),
        state=PullRequestState(fields.take("state", str)),
        head_commit=fields.optional_commit("head_commit"),
        merge_commit=fields.optional_commit("merge_commit"),
        ended_by=fields.take("ended_by", str),
        approvals=tuple(
            Approval(one.take("by", str), one.commit("commit"), one.time("at")) for one in fields.each("approvals")
        ),
        comments=tuple(
            Comment(one.take("by", str), one.take("text", str), one.time("at")) for one in fields.each("comments")
        ),
        routing=Routing(*(fields.words(key) for key in ("reviewers", "teams", "assignees", "labels"))),
        wish=_wish_of(fields.optional("merge_wish")),
    )


def _wish_of(fields: _Fields | None) -> MergeWish | None:
    if fields is None:
        return None
    return MergeWish(fields.commit("head"), fields.take("message", str), fields.take("by", str))


def _wish_fields(wish: MergeWish | None) -> Mapping[str, str] | None:
    return {"head": wish.head.value, "message": wish.message, "by": wish.by} if wish is not None else None


def _status_of(fields: _Fields) -> CommitStatus:
    return CommitStatus(
        context=fields.take("context", str),
        state=StatusState(fields.take("state", str)),
        description=fields.take("description", str),
        target_url=fields.take("target_url", str),
        creator=fields.take("creator", str),
        created=fields.time("created"),
    )


def _read(content: bytes, ref: RefName, build: Callable[[_Fields], _T]) -> _T:
    try:
        fields = _Fields(json.loads(content))
        version = fields.take("version", int)
        if version != _VERSION:
            raise ValueError(f"it has format version {version}; this hybrid-ci knows {_VERSION}")
        return build(fields)
    except HybridCIError as error:
        raise _broken(ref, error.message) from None
    except (ValueError, RecursionError) as error:
        raise _broken(ref, str(error)) from None


def _broken(ref: RefName, reason: str) -> BrokenRecord:
    return BrokenRecord(
        f"what the local forge keeps at {ref} is broken: {reason}",
        where=str(ref),
        hint=f"look at it with `git cat-file blob {ref}` in the repository; write a corrected blob with "
        "`git hash-object -w` and set the ref to it with `git update-ref`",
    )


def _id(commit: CommitId | None) -> str | None:
    return commit.value if commit else None


def _dump(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=True) + "\n").encode("ascii")
