"""How a pull request is handled from its opening to its merge: what the policy says of one environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Routing:
    """To whom a pull request goes. People and teams by the forge's own names; labels are made when missing."""

    reviewers: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


class MergeMethod(StrEnum):
    """How a forge merges."""

    MERGE = "merge"
    SQUASH = "squash"
    REBASE = "rebase"


class Merge(StrEnum):
    """Who merges: a person, or the forge as soon as its rules and the gates allow it."""

    MANUAL = "manual"
    AUTO = "auto"


class WhileWaiting(StrEnum):
    """What stands on the forge while a gate says wait."""

    DRAFT = "draft"
    NONE = "none"


class CommitBy(StrEnum):
    """Who makes the commit: we, with git, or the forge by a call, which signs it."""

    GIT = "git"
    API = "api"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The handling of one environment's pull requests. ``method`` None leaves it to the forge's setting."""

    routing: Routing = field(default_factory=Routing)
    while_waiting: WhileWaiting = WhileWaiting.DRAFT
    merge: Merge = Merge.MANUAL
    method: MergeMethod | None = None
    delete_branch: bool = False
    commit: CommitBy = CommitBy.GIT
