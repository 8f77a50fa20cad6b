"""GitLab, the one of gitlab.com or one's own: merge requests behind the Forge port and its narrow capabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.forges.base import (
    AutoMerge,
    CommitStatus,
    Comparison,
    ForgeFacts,
    MergeMethod,
    PullRequest,
    PullRequestDraft,
    PullRequestState,
    Review,
    Routing,
)
from orchestrator.forges.calls import Calls, LoginRefused, Settings
from orchestrator.forges.gitlab_address import GitLabAddress
from orchestrator.forges.gitlab_api import GitLabApi, TokenLogin, explain_refusal, require_project
from orchestrator.forges.gitlab_commits import Commits
from orchestrator.forges.gitlab_inspecting import GitLabInspecting
from orchestrator.forges.gitlab_merge import Merger
from orchestrator.forges.gitlab_people import People
from orchestrator.forges.gitlab_requests import MergeRequests
from orchestrator.forges.gitlab_shapes import role

_DEVELOPER = 30


class GitLabSettings(Settings):
    """How to talk to a GitLab."""

    def calls(self, address: GitLabAddress, login: TokenLogin) -> Calls:
        """Calls to the GitLab at that address with that login. Raises ConfigurationError for an unsafe address."""
        explain = partial(explain_refusal, login)
        return Calls(address.base, login, self, explain=explain, login_header=login.kind.header)


class GitLabForge:
    """The Forge port with every narrow capability; a merge request is a pull request here.

    Nothing is asked before the first method is called. Every method raises RemoteError when GitLab fails or refuses
    the login, and ConfigurationError when there is no such project. All of a method's requests share one deadline.
    """

    def __init__(self, address: GitLabAddress, login: TokenLogin, settings: GitLabSettings) -> None:
        """Raises ConfigurationError for an address that no token may be sent to."""
        self._calls = settings.calls(address, login)
        self._api = GitLabApi(self._calls, address)
        self._requests = MergeRequests(self._api)
        self._merger = Merger(self._api, self._requests)
        self._people = People(self._api, self._requests)
        self._commits = Commits(self._api, self._requests)
        self._inspecting = GitLabInspecting(self._api, login)

    @property
    def api_calls(self) -> int:
        """Requests sent to the API so far."""
        return self._calls.count

    def close_connections(self) -> None:
        """End the connections."""
        self._calls.close()

    # --- Forge ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """``gitlab``."""
        return "gitlab"

    def check_access(self) -> None:
        """As the port says; also that merge requests are on, and that the role does, as far as GitLab tells it."""
        with self._calls.operation():
            project = require_project(self._api)
        if project.get("merge_requests_enabled") is False or project.get("merge_requests_access_level") == "disabled":
            raise ConfigurationError(
                "the project has merge requests switched off",
                where=self._api.where,
                hint="switch them on under Settings > General > Visibility, project features, permissions",
            )
        level = role(project)
        if level is not None and level < _DEVELOPER:
            raise LoginRefused(
                "the token's role in the project is too low to open a merge request",
                status=403,
                where=self._api.where,
                hint="give it the role Developer",
            )

    def pull_requests(self, head: BranchName, base: BranchName) -> Sequence[PullRequest]:
        """As the port says."""
        with self._calls.operation():
            return self._requests.find(head, base)

    def open(self, draft: PullRequestDraft) -> PullRequest:
        """As the port says."""
        with self._calls.operation():
            return self._requests.open(draft)

    def update(self, number: int, *, title: str, body: str) -> PullRequest:
        """As the port says."""
        with self._calls.operation():
            return self._requests.update(number, title, body)

    def close(self, number: int, comment: str) -> PullRequest:
        """As the port says."""
        with self._calls.operation():
            return self._requests.close(number, comment)

    # --- Browsing, Drafting --------------------------------------------------------------------------------------

    def list(self, state: PullRequestState | None = None) -> Sequence[PullRequest]:
        """As the port says."""
        with self._calls.operation():
            return self._requests.listed(state)

    def show(self, number: int) -> PullRequest:
        """As the port says."""
        with self._calls.operation():
            return self._requests.show(number)

    def set_draft(self, number: int, draft: bool) -> PullRequest:
        """As the port says."""
        with self._calls.operation():
            return self._requests.set_draft(number, draft)

    # --- Merging, AutoMerging ------------------------------------------------------------------------------------

    def merge(self, number: int, expected_head: CommitId, message: str | None = None) -> PullRequest:
        """As the port says, by the project's own merge method."""
        with self._calls.operation():
            return self._merger.merge(number, expected_head, message)

    def merge_when_ready(
        self, number: int, expected_head: CommitId, method: MergeMethod | None, message: str | None = None
    ) -> AutoMerge:
        """As the port says. A method has to be the project's own; a merge train is used where there is one."""
        with self._calls.operation():
            return self._merger.merge_when_ready(number, expected_head, method, message)

    def call_off_merge(self, number: int) -> bool:
        """As the port says; also off the merge train."""
        with self._calls.operation():
            return self._merger.call_off(number)

    # --- RoutesPullRequests, Commenting, Reviewing ---------------------------------------------------------------

    def route(self, number: int, routing: Routing) -> Sequence[str]:
        """As the port says. The members of a group are asked one by one."""
        with self._calls.operation():
            return self._people.route(number, routing)

    def comment(self, number: int, text: str) -> None:
        """As the port says."""
        with self._calls.operation():
            self._requests.comment(number, text)

    def reviews(self, number: int) -> Sequence[Review]:
        """As the port says. An approval's commit is the head of its time, where GitLab tells the time."""
        with self._calls.operation():
            return self._people.reviews(number)

    def members(self, team: str) -> frozenset[str]:
        """As the port says; ``team`` is a group's path."""
        with self._calls.operation():
            return self._people.members(team)

    # --- CommitStatuses, Comparing, Guarding, Inspecting, CommitsByCall ------------------------------------------

    def statuses(self, commit: CommitId) -> Sequence[CommitStatus]:
        """As the port says, with deployments as contexts ``deployment/<environment>``."""
        with self._calls.operation():
            return self._commits.statuses(commit)

    def set_status(self, commit: CommitId, status: CommitStatus) -> None:
        """As the port says."""
        with self._calls.operation():
            self._commits.set_status(commit, status)

    def compare(self, repository: str, base: CommitId, head: CommitId) -> Comparison | None:
        """As the port says."""
        with self._calls.operation():
            return self._commits.compare(repository, base, head)

    def can_push(self, branch: BranchName) -> bool | None:
        """As the port says."""
        with self._calls.operation():
            return self._requests.can_push(branch)

    def facts(self, base: BranchName) -> ForgeFacts:
        """As the port says."""
        with self._calls.operation():
            return self._inspecting.facts(base)

    def commit_on(
        self, branch: BranchName, expected: CommitId, edits: Mapping[RepoPath, bytes], message: str
    ) -> CommitId:
        """A new branch with one commit on ``expected``. Raises Conflict when the branch has other commits, Refused
        for one that is at ``expected``: GitLab can't compare and swap."""
        with self._calls.operation():
            return self._commits.commit_on(branch, expected, edits, message)
