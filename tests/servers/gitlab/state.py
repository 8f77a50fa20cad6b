"""What the fake GitLab keeps: projects, merge requests, people, tokens. Branches and commits are git's own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from tests.servers.forge_repository import Repo

DRAFT = re.compile(r"\s*(?:\[draft\]|\(draft\)|draft:)", re.IGNORECASE)
# Some of the commands that GitLab runs when a line of a description or a comment begins with one.
COMMAND = re.compile(r"^/(?:close|merge|approve|assign|label|draft|target_branch)\b[^\n]*\n?", re.MULTILINE)


@dataclass(frozen=True)
class Token:
    """Who a token stands for and what it may do. A job token is taken in its own header only."""

    user: str = "bot"
    scopes: frozenset[str] = frozenset({"api"})
    job: bool = False
    role: int = 30
    expires: str | None = None


@dataclass
class Version:
    """A head that a merge request had."""

    sha: str
    created: datetime


@dataclass
class MergeRequest:
    """A merge request as the server keeps it."""

    iid: int
    title: str
    description: str
    source: str
    target: str
    author: str
    created: datetime
    source_project: int
    sha: str = ""
    state: str = "opened"
    updated: datetime | None = None
    ended: datetime | None = None
    merged_by: str | None = None
    merge_commit: str | None = None
    squash_commit: str | None = None
    squash: bool = False
    auto_merge: bool = False
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    approvals: dict[str, datetime] = field(default_factory=dict)
    changes_requested: list[str] = field(default_factory=list)
    notes: list[dict[str, object]] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    seen_tip: str = ""
    moved: datetime | None = None

    @property
    def draft(self) -> bool:
        return bool(DRAFT.match(self.title))

    @property
    def open(self) -> bool:
        return self.state == "opened"

    def obey(self, text: str) -> str:
        """Run the commands in a text; gives what is left of it."""
        self.commands += [match[0].strip() for match in COMMAND.finditer(text)]
        if any(command.startswith("/close") for command in self.commands):
            self.state = "closed"
        return COMMAND.sub("", text)


@dataclass
class Project:
    """A project and its rules."""

    id: int
    path: str
    repo: Repo
    merge_requests: dict[int, MergeRequest] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    statuses: list[dict[str, object]] = field(default_factory=list)
    deployments: list[dict[str, object]] = field(default_factory=list)
    protected: set[str] = field(default_factory=set)
    mergers: set[str] | None = None  # None: everybody
    members: set[str] | None = None  # who may write; None: everybody
    merge_method: str = "merge"
    squash_option: str = "default_off"
    squash_template: str | None = None
    merge_trains: bool = False
    train: list[int] = field(default_factory=list)
    approvals_required: int = 0
    pipeline: str | None = None  # of every head: running, failed, success
    pipeline_required: bool = False
    multiple_people: bool = True  # several reviewers and assignees: not on the free tier
    keeps_auto_merge: bool = False  # it can't be cancelled
    archived: bool = False
    moved_to: str | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]
