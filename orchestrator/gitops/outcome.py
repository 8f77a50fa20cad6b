"""How a handoff can end. Outcomes are values, matched exhaustively; nothing to do is not an exception."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.change import Change, ChangePlan
from orchestrator.core.names import BranchName, CommitId
from orchestrator.forges.base import PullRequest


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing was written: the environment, or the open pull request, already holds the change."""

    reason: str
    pull_request: PullRequest | None = None
    state: str = "unchanged"


@dataclass(frozen=True, slots=True)
class Opened:
    """A pull request was opened."""

    plan: ChangePlan
    commit: CommitId
    pull_request: PullRequest
    state: str = "opened"


@dataclass(frozen=True, slots=True)
class Updated:
    """The open pull request now holds this change."""

    plan: ChangePlan
    commit: CommitId
    pull_request: PullRequest
    state: str = "updated"


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


Outcome = Unchanged | Opened | Updated | Committed | Superseded
