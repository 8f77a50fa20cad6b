"""The Forge port: pull requests, and the narrow capabilities that a forge may have beyond them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from orchestrator.core.comparison import Comparison as Comparison
from orchestrator.core.comparison import SourceChange as SourceChange
from orchestrator.core.delivery import MergeMethod as MergeMethod
from orchestrator.core.delivery import Routing as Routing
from orchestrator.core.errors import Conflict, Refused
from orchestrator.core.names import BranchName, CommitId, RepoPath

NEWEST = 30  # pull requests of one branch that are looked at: it has one for each release, and their number only grows


class PullRequestState(StrEnum):
    """The life of a pull request."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"  # without a merge: somebody said no


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as the forge tells it. Its text is never trusted as state: anyone may edit it.

    ``fork`` names the other repository that ``head`` is a branch of; it is empty when that is this repository.
    """

    number: int
    url: str
    title: str
    body: str
    head: BranchName
    head_commit: CommitId | None
    base: BranchName
    state: PullRequestState
    author: str
    draft: bool = False
    merge_commit: CommitId | None = None
    created: datetime | None = None
    updated: datetime | None = None
    labels: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    fork: str = ""


@dataclass(frozen=True, slots=True)
class PullRequestDraft:
    """What we ask a forge to open."""

    title: str
    body: str
    head: BranchName
    base: BranchName
    draft: bool = False


class StatusState(StrEnum):
    """An agent's verdict on a commit, normalised."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """What somebody (an agent in the cluster, usually) says about a commit of the GitOps repository."""

    context: str
    state: StatusState
    description: str = ""
    target_url: str = ""
    creator: str = ""
    created: datetime | None = field(default=None, compare=False)


class ReviewState(StrEnum):
    """What a reviewer said last."""

    APPROVED = "approved"
    CHANGES_REQUESTED = "changes requested"


@dataclass(frozen=True, slots=True)
class Review:
    """A person's standing verdict on a pull request. ``commit`` is the head that they saw, when the forge tells."""

    author: str
    state: ReviewState
    commit: CommitId | None = None


class AutoMerge(StrEnum):
    """What asking for a merge as soon as the rules allow it came to."""

    MERGED = "merged"  # it was mergeable already, so it was merged with the expected head
    ENABLED = "enabled"  # the forge merges it, or has put it into its queue


class TokenKind(StrEnum):
    """What a login at a forge is, as far as it can be told."""

    NONE = "no token, and none is needed"
    PERSONAL = "a person's token"
    FINE_GRAINED = "a fine-grained token"
    APP = "a GitHub App's installation"
    INSTALLATION = "a short-lived token of an installation"  # an App's, or a workflow's GITHUB_TOKEN
    PROJECT = "an access token"
    JOB = "a CI job's token"
    UNKNOWN = "a token of a kind that is not known here"


@dataclass(frozen=True, slots=True)
class LoginFacts:
    """What a forge tells of our login, by names alone. None where it does not tell.

    ``lacking`` and ``needless`` are rights: those that the work takes and that are not there, and those that it does
    not take.
    """

    kind: TokenKind
    name: str | None = None
    scopes: tuple[str, ...] | None = None
    lacking: tuple[str, ...] = ()
    needless: tuple[str, ...] = ()
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class ForgeFacts:
    """What a forge tells about itself, our login and a base branch. None where it does not tell.

    ``clock`` is the server's time when it answered; ``squash_keeps`` whether the text of a commit stays when a person
    squashes; ``default_branch`` and ``url`` are the repository's.
    """

    login: LoginFacts
    clock: datetime | None = None
    protected: bool | None = None
    can_push: bool | None = None
    auto_merge: bool | None = None
    merge_queue: bool | None = None
    methods: frozenset[MergeMethod] | None = None
    squash_keeps: bool | None = None
    default_branch: str | None = None


class PullRequestMoved(Conflict):
    """The head is not the one that was inspected; nothing was merged."""


class NotMergeable(Refused):
    """The forge's rules do not let this pull request merge now."""


class NotOpen(Conflict):
    """The pull request was merged or closed in the meantime; nothing was changed."""


class Forge(Protocol):
    """What every forge can do. Writes are idempotent: asking for what is already so changes nothing.

    Every method raises RemoteError when the forge fails or refuses the login.
    """

    @property
    def name(self) -> str:
        """``local``, ``github`` or ``gitlab``."""

    def check_access(self) -> None:
        """A cheap request that proves that the login works and the repository is there."""

    def pull_requests(self, head: BranchName, base: BranchName) -> Sequence[PullRequest]:
        """Those from ``head`` into ``base`` of this repository, newest first, whatever their state.

        All that are open, and of those that have ended the newest ones: as many as ``NEWEST`` at least.
        """

    def open(self, draft: PullRequestDraft) -> PullRequest:
        """Open one, or give back the open one that head and base already have (never a second one).

        Raises ConfigurationError when a branch is missing, Refused when the forge's rules say no.
        """

    def update(self, number: int, *, title: str, body: str) -> PullRequest:
        """Replace title and body of an open pull request. Raises NotOpen for another one."""

    def close(self, number: int, comment: str) -> PullRequest:
        """Close without merging, saying why. Closing a closed one changes nothing. Raises NotOpen for a merged one."""


@runtime_checkable
class Browsing(Protocol):
    """The forge can list and show."""

    def list(self, state: PullRequestState | None = None) -> Sequence[PullRequest]:
        """Pull requests, newest first; all states when None."""

    def show(self, number: int) -> PullRequest:
        """One of them. Raises ConfigurationError when there is none."""


class Merging(Protocol):
    """The forge can merge under its own rules."""

    def merge(self, number: int, expected_head: CommitId, message: str | None = None) -> PullRequest:
        """Merge exactly ``expected_head``. Raises PullRequestMoved, NotMergeable."""


@runtime_checkable
class CommitStatuses(Protocol):
    """The forge keeps statuses of commits."""

    def statuses(self, commit: CommitId) -> Sequence[CommitStatus]:
        """The newest status of each context."""

    def set_status(self, commit: CommitId, status: CommitStatus) -> None:
        """Write one: what the agent in the cluster does; here for the local forge and for tests."""


@runtime_checkable
class Drafting(Protocol):
    """The forge knows pull requests that are not to be merged yet."""

    def set_draft(self, number: int, draft: bool) -> PullRequest:
        """Make it a draft, or ready for review. Raises NotOpen."""


@runtime_checkable
class RoutesPullRequests(Protocol):
    """The forge can send a pull request to people and label it."""

    def route(self, number: int, routing: Routing) -> Sequence[str]:
        """Add what is missing; nothing is taken away. Gives a sentence for each wish that the forge refused."""


@runtime_checkable
class Reviewing(Protocol):
    """The forge tells what reviewers said, and who belongs to a team."""

    def reviews(self, number: int) -> Sequence[Review]:
        """The standing verdict of each reviewer: the newest one that is a verdict, dismissed ones left out."""

    def members(self, team: str) -> frozenset[str]:
        """The people of a team (``organisation/team``, or a group's path). Raises ConfigurationError for none."""


@runtime_checkable
class Commenting(Protocol):
    """The forge keeps remarks about a pull request."""

    def comment(self, number: int, text: str) -> None:
        """Say it once, however often this is called. Raises ConfigurationError when there is no such pull request."""


@runtime_checkable
class AutoMerging(Protocol):
    """The forge merges by itself once its rules are met."""

    def merge_when_ready(
        self, number: int, expected_head: CommitId, method: MergeMethod | None, message: str | None = None
    ) -> AutoMerge:
        """Merge exactly ``expected_head`` as soon as the rules allow it: now, later, or through the queue.

        ``method`` None: the forge's own. Never around the rules. An earlier wish with another method or message is
        replaced. Raises PullRequestMoved, NotMergeable (auto-merge is off, or the method).
        """

    def call_off_merge(self, number: int) -> bool:
        """Take back what anybody asked for earlier: nothing merges by itself any more. True when there was a wish.

        Raises NotOpen.
        """


@runtime_checkable
class Comparing(Protocol):
    """The forge tells what lies between two commits of a repository on the same host."""

    def compare(self, repository: str, base: CommitId, head: CommitId) -> Comparison | None:
        """``repository`` is its URL without credentials. None when it is on another host, or not ours to read."""


@runtime_checkable
class Guarding(Protocol):
    """The forge tells what its rules let our login do."""

    def can_push(self, branch: BranchName) -> bool | None:
        """Our login may push to this branch without a pull request; None when the forge does not tell."""


@runtime_checkable
class Inspecting(Protocol):
    """The forge tells about itself what somebody should know before a release."""

    def facts(self, base: BranchName) -> ForgeFacts:
        """Our login, and the settings that matter for pull requests into this branch. Changes nothing.

        Raises RemoteError, ConfigurationError when the repository is not there.
        """


@runtime_checkable
class CountingCalls(Protocol):
    """The forge is asked by an API, whose limits count every request."""

    @property
    def api_calls(self) -> int:
        """Requests sent so far, those for a login and those that were made again included."""


@runtime_checkable
class OpensByPush(Protocol):
    """The forge opens pull requests when their head is pushed; for a login that may not do it by a call."""

    def push_options(self, draft: PullRequestDraft) -> Sequence[str]:
        """What the head has to be pushed with. ``open`` and ``update`` then find what the push has made."""


@runtime_checkable
class CommitsByCall(Protocol):
    """The forge makes commits itself, and signs them."""

    def commit_on(
        self, branch: BranchName, expected: CommitId, edits: Mapping[RepoPath, bytes], message: str
    ) -> CommitId:
        """A commit with these files on ``expected``, and ``branch`` at it.

        Some forges want the branch to be at ``expected`` first, and raise ConfigurationError when it is missing; others
        make it. Raises Conflict when the branch is anywhere else.
        """
