"""What the fake GitHub knows: accounts, repositories, pull requests. Plain state, with the hooks that tests turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.servers.forge_repository import Repo


@dataclass
class Account:
    """Who a token belongs to. ``permissions`` are a fine-grained token's; None is one that may do everything."""

    login: str
    permissions: dict[str, str] | None = None
    scopes: str | None = None
    expires: datetime | None = None


@dataclass
class Rules:
    """What a repository's settings and rules say."""

    approvals: int = 0
    checks: tuple[str, ...] = ()
    merge_queue: bool = False
    auto_merge: bool = True
    methods: frozenset[str] = frozenset({"merge", "squash", "rebase"})
    squash_message: str = "COMMIT_MESSAGES"
    drafts: bool = True
    protected: bool = False  # by the older branch protection
    rulesets: dict[int, str] = field(default_factory=dict)  # number, and who may bypass it


@dataclass
class Pull:
    """A pull request. ``head_sha`` is the branch's tip while it is open, and then stays."""

    number: int
    title: str
    body: str | None
    head: str
    base: str
    head_repository: str
    author: str
    draft: bool
    created: datetime
    head_sha: str
    base_sha: str
    updated: datetime
    state: str = "open"
    closed: datetime | None = None
    merged: datetime | None = None
    merge_commit: str | None = None
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    teams: list[str] = field(default_factory=list)
    reviews: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    auto_merge: dict[str, Any] | None = None
    queued: bool = False
    computed_from: tuple[str, str] | None = None  # head and base that mergeability was last asked for
    asked_at: datetime | None = None

    @property
    def node(self) -> str:
        """Its id in GraphQL."""
        return f"PR_{self.number}"


@dataclass
class Hosted:
    """A repository at the fake."""

    owner: str
    name: str
    repo: Repo
    rules: Rules = field(default_factory=Rules)
    archived: bool = False
    renamed_to: str | None = None
    writable: bool = True
    pulls: list[Pull] = field(default_factory=list)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    check_runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    deployments: list[dict[str, Any]] = field(default_factory=list)
    collaborators: set[str] = field(default_factory=lambda: {"ada", "grace", "hybrid-ci-bot"})
    labels: set[str] = field(default_factory=set)
    last_number: int = 0

    @property
    def full_name(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"

    def pull(self, number: int) -> Pull | None:
        """One of them."""
        return next((one for one in self.pulls if one.number == number), None)

    def status_of(self, sha: str, context: str) -> str | None:
        """The newest state of a context: status or check run."""
        for status in reversed(self.statuses.get(sha, [])):
            if status["context"] == context:
                return str(status["state"])
        for run in reversed(self.check_runs.get(sha, [])):
            if run["name"] == context:
                return "success" if run.get("conclusion") == "success" else "pending"
        return None

    def unmet(self, pull: Pull) -> str | None:
        """The rule that keeps a pull request from being merged, in GitHub's words."""
        last: dict[str, str] = {}
        for review in pull.reviews:
            if review["state"] in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
                last[review["login"]] = review["state"]
        if list(last.values()).count("APPROVED") < self.rules.approvals:
            return "At least 1 approving review is required by reviewers with write access."
        for check in self.rules.checks:
            if self.status_of(pull.head_sha, check) != "success":
                return f'Required status check "{check}" is expected.'
        return None

    def unstable(self, pull: Pull) -> bool:
        """A check that no rule asks for has not passed."""
        contexts = {one["context"] for one in self.statuses.get(pull.head_sha, [])}
        contexts |= {one["name"] for one in self.check_runs.get(pull.head_sha, [])}
        return any(self.status_of(pull.head_sha, context) != "success" for context in contexts)
