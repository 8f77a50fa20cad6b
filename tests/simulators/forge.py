"""The Forge port in memory, with every narrow capability: one server, any number of clients.

It lives on a simulated Git server, so pushes and pull requests see the same branches. A client can be told to fail
at its n-th call, before or after the effect; the server's list can lag behind its truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from orchestrator.core.errors import ConfigurationError, Conflict, Refused
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.engine.clock import Clock
from orchestrator.forges.base import (
    AutoMerge,
    CommitStatus,
    Comparison,
    MergeMethod,
    NotMergeable,
    NotOpen,
    PullRequest,
    PullRequestDraft,
    PullRequestMoved,
    PullRequestState,
    Review,
    ReviewState,
    Routing,
)
from tests.servers.git_repositories import Content
from tests.simulators.faults import FailingCalls
from tests.simulators.gitops_repository import SimulatedGitServer

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_GITHUB = "GitHub <noreply@github.com>"
_COMMITTER = "simulated forge <forge@example.com>"


@dataclass
class SimulatedPull:
    """A pull request as the server keeps it; ``told`` follows the head branch only while it is open."""

    told: PullRequest
    comments: tuple[str, ...] = ()
    approvals: tuple[tuple[str, CommitId], ...] = ()
    routing: Routing = field(default_factory=Routing)
    wish: tuple[CommitId, str | None] | None = None  # the head that is merged once the rules allow it

    @property
    def pair(self) -> tuple[BranchName, BranchName]:
        """Head and base."""
        return self.told.head, self.told.base

    @property
    def is_open(self) -> bool:
        """Neither merged nor closed."""
        return self.told.state is PullRequestState.OPEN


class SimulatedForgeServer:
    """Pull requests and statuses on a simulated Git server.

    ``list_lag`` is for how many seconds a new pull request is missing from lists (an open one is found by number, and
    opening it again finds it, as on GitHub). ``rules`` may say why a pull request can't be merged now.
    """

    def __init__(self, git: SimulatedGitServer, clock: Clock | None = None) -> None:
        self.git, self.clock = git, clock
        self.pulls: dict[int, SimulatedPull] = {}
        self.status_log: list[tuple[CommitId, CommitStatus]] = []
        self.list_lag = 0.0
        self.rules: Callable[[PullRequest], str | None] = lambda pull: None
        self.login = "hybrid-ci <ci@acme.example>"  # the author of commits by call
        self.teams: dict[str, frozenset[str]] = {}
        self.refused: dict[str, str] = {}  # who can't be asked, and what the forge says about it
        self.auto_merge = True
        self.wishes_outlive_pushes = False  # as on GitHub: with the message of the head that they were for
        self.compared: dict[tuple[CommitId, CommitId], Comparison] = {}

    def now(self) -> datetime:
        """The clock's time, or a fixed one."""
        return self.clock.now() if self.clock else _EPOCH

    def tip(self, branch: BranchName) -> CommitId | None:
        """Where a branch is."""
        return self.git.refs.get(branch.ref)

    def approve(self, number: int, by: str) -> None:
        """A person approves the current head."""
        pull = self.pulls[number]
        head = self.tip(pull.told.head)
        assert head is not None
        pull.approvals = (*pull.approvals, (by, head))

    def view(self, pull: SimulatedPull) -> PullRequest:
        """As a client sees it now."""
        told = replace(pull.told, head_commit=self.tip(pull.told.head)) if pull.is_open else pull.told
        approvers = dict.fromkeys(by for by, commit in pull.approvals if commit == told.head_commit)
        return replace(told, approvals=tuple(approvers), labels=pull.routing.labels)

    def listed(self) -> list[SimulatedPull]:
        """What a list shows, newest first."""
        late = [pull for pull in self.pulls.values() if not self._is_late(pull.told)]
        return sorted(late, key=lambda pull: pull.told.number, reverse=True)

    def _is_late(self, pull: PullRequest) -> bool:
        return pull.created is not None and (self.now() - pull.created).total_seconds() < self.list_lag

    def settle(self) -> None:
        """Merge whatever was asked for and may be merged by now: what a forge does by itself."""
        for number, pull in self.pulls.items():
            if pull.wish is not None and pull.is_open:
                head, message = pull.wish
                if self.wishes_outlive_pushes:
                    head = self.tip(pull.told.head) or head
                with suppress(NotMergeable, PullRequestMoved):
                    SimulatedForge(self, "the forge itself").merge(number, head, message)

    def merged_files(self, base: CommitId, head: CommitId) -> dict[RepoPath, Content]:
        """The three-way merge, file by file. Raises NotMergeable for a file that both sides changed."""
        behind_base = self.git.ancestors(base)
        common = next((one for one in self.git.ancestors(head) if one in set(behind_base)), None)
        if common is None:
            raise NotMergeable("the head and the base have no commit in common")
        old, ours, theirs = (self.git.commits[one].files for one in (common, base, head))
        merged = dict(ours)
        for path in {*old, *theirs}:
            if theirs.get(path) == old.get(path):
                continue
            if ours.get(path) not in (old.get(path), theirs.get(path)):
                raise NotMergeable(f"there is a merge conflict in {path}")
            _put(merged, path, theirs)
        return merged


class SimulatedForge(FailingCalls):
    """One client. ``calls`` lists what was called, in order."""

    def __init__(
        self,
        server: SimulatedForgeServer,
        actor: str = "hybrid-ci",
        before_call: Callable[[str], None] | None = None,
    ) -> None:
        """``before_call`` is told each method's name first."""
        super().__init__(before_call)
        self.server, self.actor = server, actor

    # --- Forge ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """See the port."""
        return "simulated"

    def check_access(self) -> None:
        """See the port."""
        with self._call("check_access"):
            return

    def pull_requests(self, head: BranchName, base: BranchName) -> Sequence[PullRequest]:
        """See the port."""
        with self._call("pull_requests"):
            return [self.server.view(pull) for pull in self.server.listed() if pull.pair == (head, base)]

    def open(self, draft: PullRequestDraft) -> PullRequest:
        """See the port."""
        with self._call("open"):
            head, base = self._tip(draft.head), self._tip(draft.base)
            for pull in self.server.pulls.values():
                if pull.is_open and pull.pair == (draft.head, draft.base):
                    return self.server.view(pull)
            if head in self.server.git.ancestors(base):
                raise Refused(f"{draft.head} has nothing that {draft.base} has not")
            number, now = len(self.server.pulls) + 1, self.server.now()
            told = PullRequest(
                number=number,
                url=f"https://forge.example/acme/gitops/pull/{number}",
                title=draft.title,
                body=draft.body,
                head=draft.head,
                head_commit=head,
                base=draft.base,
                state=PullRequestState.OPEN,
                author=self.actor,
                draft=draft.draft,
                created=now,
                updated=now,
            )
            self.server.pulls[number] = SimulatedPull(told)
            return told

    def update(self, number: int, *, title: str, body: str) -> PullRequest:
        """See the port."""
        with self._call("update"):
            pull = self._pull(number)
            self._require_open(pull)
            if (pull.told.title, pull.told.body) != (title, body):
                pull.told = replace(pull.told, title=title, body=body, updated=self.server.now())
            return self.server.view(pull)

    def close(self, number: int, comment: str) -> PullRequest:
        """See the port."""
        with self._call("close"):
            pull = self._pull(number)
            if pull.told.state is not PullRequestState.CLOSED:
                self._require_open(pull)
                pull.comments = (*pull.comments, comment)
                self._end(pull, PullRequestState.CLOSED)
            return self.server.view(pull)

    # --- Browsing ------------------------------------------------------------------------------------------------

    def list(self, state: PullRequestState | None = None) -> Sequence[PullRequest]:
        """See the port."""
        with self._call("list"):
            return [self.server.view(pull) for pull in self.server.listed() if state in (None, pull.told.state)]

    def show(self, number: int) -> PullRequest:
        """See the port."""
        with self._call("show"):
            return self.server.view(self._pull(number))

    # --- Merging -------------------------------------------------------------------------------------------------

    def merge(self, number: int, expected_head: CommitId, message: str | None = None) -> PullRequest:
        """See the port."""
        with self._call("merge"):
            pull = self._pull(number)
            head = self.server.view(pull).head_commit
            if head is not None and head != expected_head:
                raise PullRequestMoved(f"the head of pull request #{number} is {head.short}")
            if pull.told.state is not PullRequestState.MERGED:
                self._merge(pull, expected_head, message)
            return self.server.view(pull)

    def _merge(self, pull: SimulatedPull, head: CommitId, message: str | None) -> None:
        told, base = pull.told, self.server.tip(pull.told.base)
        if not pull.is_open or told.draft or base is None or self.server.tip(told.head) is None:
            raise NotMergeable(f"pull request #{told.number} is closed, a draft, or has lost a branch")
        if (reason := self.server.rules(self.server.view(pull))) is not None:
            raise NotMergeable(f"pull request #{told.number} can't be merged: {reason}")
        text = message or f"Merge pull request #{told.number} from {told.head}\n\n{told.title}"
        files = self.server.merged_files(base, head)
        commit = self.server.git.store(files, (base, head), _COMMITTER, text, self.server.now())
        self.server.git.refs[told.base.ref] = commit
        self._end(pull, PullRequestState.MERGED)
        pull.told = replace(pull.told, merge_commit=commit)

    def merge_when_ready(
        self, number: int, expected_head: CommitId, method: MergeMethod | None, message: str | None = None
    ) -> AutoMerge:
        """See the port."""
        with self._call("merge_when_ready"):
            pull = self._pull(number)
            head = self.server.view(pull).head_commit
            if head != expected_head:
                raise PullRequestMoved(f"the head of pull request #{number} is not {expected_head.short}")
            if pull.told.state is PullRequestState.MERGED:
                return AutoMerge.MERGED
            if pull.is_open and not pull.told.draft and self.server.rules(self.server.view(pull)) is not None:
                if not self.server.auto_merge:
                    raise NotMergeable("auto-merge is switched off in this repository")
                pull.wish = expected_head, message
                return AutoMerge.ENABLED
            self._merge(pull, expected_head, message)
            return AutoMerge.MERGED

    def call_off_merge(self, number: int) -> bool:
        """See the port."""
        with self._call("call_off_merge"):
            pull = self._pull(number)
            self._require_open(pull)
            wish, pull.wish = pull.wish, None
            return wish is not None

    # --- Drafting, RoutesPullRequests, Reviewing, Commenting -----------------------------------------------------

    def set_draft(self, number: int, draft: bool) -> PullRequest:
        """See the port."""
        with self._call("set_draft"):
            pull = self._pull(number)
            self._require_open(pull)
            if pull.told.draft != draft:
                pull.told = replace(pull.told, draft=draft, updated=self.server.now())
            return self.server.view(pull)

    def route(self, number: int, routing: Routing) -> Sequence[str]:
        """See the port."""
        with self._call("route"):
            pull, refused = self._pull(number), self.server.refused
            there = pull.routing
            pull.routing = Routing(
                *(
                    tuple(dict.fromkeys((*have, *(name for name in wanted if name not in refused))))
                    for have, wanted in (
                        (there.reviewers, tuple(one for one in routing.reviewers if one != pull.told.author)),
                        (there.teams, routing.teams),
                        (there.assignees, routing.assignees),
                        (there.labels, routing.labels),
                    )
                )
            )
            wanted = (*routing.reviewers, *routing.teams, *routing.assignees, *routing.labels)
            return [refused[name] for name in wanted if name in refused]

    def reviews(self, number: int) -> Sequence[Review]:
        """See the port."""
        with self._call("reviews"):
            last = dict(self._pull(number).approvals)
            return [Review(author, ReviewState.APPROVED, commit) for author, commit in last.items()]

    def members(self, team: str) -> frozenset[str]:
        """See the port."""
        with self._call("members"):
            if team not in self.server.teams:
                raise ConfigurationError(f"there is no team {team!r}")
            return self.server.teams[team]

    def comment(self, number: int, text: str) -> None:
        """See the port."""
        with self._call("comment"):
            pull = self._pull(number)
            if text not in pull.comments:
                pull.comments = (*pull.comments, text)

    # --- Comparing, CommitsByCall --------------------------------------------------------------------------------

    def compare(self, repository: str, base: CommitId, head: CommitId) -> Comparison | None:
        """See the port; the comparisons are what a test put there."""
        with self._call("compare"):
            return self.server.compared.get((base, head))

    def commit_on(
        self, branch: BranchName, expected: CommitId, edits: Mapping[RepoPath, bytes], message: str
    ) -> CommitId:
        """See the port; the branch has to be there, as at GitHub."""
        with self._call("commit_on"):
            if self._tip(branch) != expected:
                raise Conflict(f"the branch {branch} is not at {expected.short} any more")
            files = dict(self.server.git.commits[expected].files)
            files.update(edits)
            made = self.server.git.store(files, (expected,), _GITHUB, message, self.server.now(), self.server.login)
            self.server.git.refs[branch.ref] = made
            return made

    # --- CommitStatuses ------------------------------------------------------------------------------------------

    def statuses(self, commit: CommitId) -> Sequence[CommitStatus]:
        """See the port."""
        with self._call("statuses"):
            newest = {status.context: status for about, status in self.server.status_log if about == commit}
            return _by_context(newest)

    def set_status(self, commit: CommitId, status: CommitStatus) -> None:
        """See the port."""
        with self._call("set_status"):
            if commit not in self.server.git.commits:
                raise ConfigurationError(f"the repository has no commit {commit}")
            written = replace(status, creator=status.creator or self.actor, created=self.server.now())
            self.server.status_log.append((commit, written))

    # --- inside --------------------------------------------------------------------------------------------------

    def _end(self, pull: SimulatedPull, state: PullRequestState) -> None:
        head = self.server.tip(pull.told.head)
        pull.told = replace(pull.told, state=state, head_commit=head, updated=self.server.now())

    def _pull(self, number: int) -> SimulatedPull:
        if number not in self.server.pulls:
            raise ConfigurationError(f"there is no pull request #{number}")
        return self.server.pulls[number]

    def _require_open(self, pull: SimulatedPull) -> None:
        if not pull.is_open:
            raise NotOpen(f"pull request #{pull.told.number} is {pull.told.state} already")

    def _tip(self, branch: BranchName) -> CommitId:
        tip = self.server.tip(branch)
        if tip is None:
            raise ConfigurationError(f"the repository has no branch {branch}")
        return tip


def _by_context(statuses: Mapping[str, CommitStatus]) -> list[CommitStatus]:
    return [statuses[context] for context in sorted(statuses)]


def _put(files: dict[RepoPath, Content], path: RepoPath, source: Mapping[RepoPath, Content]) -> None:
    if path in source:
        files[path] = source[path]
    else:
        files.pop(path, None)
