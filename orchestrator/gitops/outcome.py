"""How a handoff can end. Outcomes are values, matched exhaustively; nothing to do is not an exception.

``state`` is the word for it in records. ``warnings`` are wishes that could not be granted: the change stands all the
same, and running again tries them again. ``merging`` is what asking the forge to merge by itself came to.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.change import Change, ChangePlan
from orchestrator.core.names import BranchName, CommitId
from orchestrator.forges.base import AutoMerge, PullRequest, PullRequestState


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing was written: the environment, or the open pull request, already holds the change."""

    reason: str
    pull_request: PullRequest | None = None
    warnings: tuple[str, ...] = ()
    merging: AutoMerge | None = None

    @property
    def state(self) -> str:
        """``unchanged``, or what became of its pull request."""
        return _state_of(self.pull_request, self.merging, "unchanged")


@dataclass(frozen=True, slots=True)
class Opened:
    """A pull request was opened."""

    plan: ChangePlan
    commit: CommitId
    pull_request: PullRequest
    warnings: tuple[str, ...] = ()
    merging: AutoMerge | None = None

    @property
    def state(self) -> str:
        """``opened``, or what became of it already."""
        return _state_of(self.pull_request, self.merging, "opened")


@dataclass(frozen=True, slots=True)
class Updated:
    """The open pull request now holds this change."""

    plan: ChangePlan
    commit: CommitId
    pull_request: PullRequest
    warnings: tuple[str, ...] = ()
    merging: AutoMerge | None = None

    @property
    def state(self) -> str:
        """``updated``, or what became of it already."""
        return _state_of(self.pull_request, self.merging, "updated")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A gate says wait, and nothing is proposed or committed before it passes; nothing was written.

    ``pull_request`` is that of an earlier change, which stays as it is.
    """

    plan: ChangePlan
    pull_request: PullRequest | None = None
    state: str = "waiting"


@dataclass(frozen=True, slots=True)
class Committed:
    """The change was committed straight to the environment's own branch."""

    plan: ChangePlan
    commit: CommitId
    branch: BranchName
    state: str = "committed"


@dataclass(frozen=True, slots=True)
class Superseded:
    """A newer release is already on its way; nothing was written."""

    newer: Change
    pull_request: PullRequest | None
    state: str = "superseded"


Outcome = Unchanged | Opened | Updated | Waiting | Committed | Superseded


def _state_of(pull_request: PullRequest | None, merging: AutoMerge | None, otherwise: str) -> str:
    if merging is AutoMerge.MERGED:
        return "merged"
    is_open = pull_request is not None and pull_request.state is PullRequestState.OPEN
    return "waiting" if pull_request is not None and is_open and pull_request.draft else otherwise
