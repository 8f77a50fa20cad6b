"""The forge at GitHub, and at GitHub Enterprise: the Forge port with every narrow capability.

Each part stands in a module of its own; here they are put together, and each call of the port becomes one
operation with one deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.core.secret import Secret
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
from orchestrator.forges.calls import Calls, Login, Settings
from orchestrator.forges.github_address import GitHubAddress
from orchestrator.forges.github_client import HEADERS, GitHubClient
from orchestrator.forges.github_commits import GitHubCommits
from orchestrator.forges.github_errors import explain
from orchestrator.forges.github_inspecting import GitHubInspecting
from orchestrator.forges.github_login import AppLogin
from orchestrator.forges.github_merging import GitHubMerging
from orchestrator.forges.github_people import GitHubPeople
from orchestrator.forges.github_pulls import GitHubPulls
from orchestrator.forges.github_rules import GitHubRules
from orchestrator.forges.github_verdicts import GitHubVerdicts


class GitHubSettings(Settings):
    """How to talk to a GitHub."""

    def calls(self, address: GitHubAddress, login: Login) -> Calls:
        """Calls to the API at that address with that login. Raises ConfigurationError for an unsafe address."""
        return Calls(address.api, login, self, explain=explain, headers=HEADERS)


def app_login(
    app: str, key: Secret, address: GitHubAddress, settings: GitHubSettings, on_secret: Callable[[Secret], None]
) -> AppLogin:
    """The login of a GitHub App on that repository. Raises ConfigurationError for a key that is none."""
    return AppLogin(
        app,
        key,
        address,
        clock=settings.clock,
        calls_with=lambda login: settings.calls(address, login),
        on_secret=on_secret,
    )


class GitHubForge:
    """One repository's pull requests, at GitHub.

    Every method raises LoginRefused and RemoteError as ``Calls.send`` does, ConfigurationError when the repository
    was renamed or is not to be seen, and Refused when it is archived.
    """

    def __init__(self, address: GitHubAddress, login: Login, settings: GitHubSettings) -> None:
        """``login``: a BearerToken, or an AppLogin. Raises ConfigurationError for an address that is not safe."""
        self._calls = settings.calls(address, login)
        self._client = GitHubClient(self._calls, address)
        self._pulls = GitHubPulls(self._client)
        self._merging = GitHubMerging(self._client, self._pulls)
        self._people = GitHubPeople(self._client)
        self._verdicts = GitHubVerdicts(self._client)
        self._commits = GitHubCommits(self._client)
        self._rules = GitHubRules(self._client)
        self._inspecting = GitHubInspecting(self._client, login)
        self._login = login

    @property
    def api_calls(self) -> int:
        """Requests sent to the API so far, those for an App's tokens included."""
        return self._calls.count + (self._login.api_calls if isinstance(self._login, AppLogin) else 0)

    def close_connections(self) -> None:
        """End the connections."""
        self._calls.close()

    # --- Forge ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """``github``."""
        return "github"

    def check_access(self) -> None:
        """As the port says: the repository is there under this name, may be written to, and is not archived."""
        with self._client.operation():
            self._client.check_access()

    def pull_requests(self, head: BranchName, base: BranchName) -> Sequence[PullRequest]:
        """As the port says. A branch of the same name in a fork is none of ours. GitHub's lists may lag by seconds
        or minutes: an empty one proves nothing, which is why ``open`` does not rely on it."""
        with self._client.operation():
            return self._pulls.between(head, base)

    def open(self, draft: PullRequestDraft) -> PullRequest:
        """As the port says."""
        with self._client.operation():
            return self._pulls.open(draft)

    def update(self, number: int, *, title: str, body: str) -> PullRequest:
        """As the port says."""
        with self._client.operation():
            return self._pulls.update(number, title, body)

    def close(self, number: int, comment: str) -> PullRequest:
        """As the port says. The comment is made once, however often this is run."""
        with self._client.operation():
            return self._pulls.close(number, comment)

    # --- Browsing, Drafting --------------------------------------------------------------------------------------

    def list(self, state: PullRequestState | None = None) -> Sequence[PullRequest]:
        """As the port says."""
        with self._client.operation():
            return self._pulls.list(state)

    def show(self, number: int) -> PullRequest:
        """As the port says."""
        with self._client.operation():
            return self._pulls.show(number)

    def set_draft(self, number: int, draft: bool) -> PullRequest:
        """As the port says."""
        with self._client.operation():
            return self._merging.set_draft(number, draft)

    # --- Merging, AutoMerging ------------------------------------------------------------------------------------

    def merge(self, number: int, expected_head: CommitId, message: str | None = None) -> PullRequest:
        """As the port says, by a merge commit; the head branch stays, unless the repository deletes it."""
        with self._client.operation():
            return self._merging.merge(number, expected_head, message)

    def merge_when_ready(
        self, number: int, expected_head: CommitId, method: MergeMethod | None, message: str | None = None
    ) -> AutoMerge:
        """As the port says; without a method by a merge commit. A base with a merge queue decides both itself."""
        with self._client.operation():
            return self._merging.merge_when_ready(number, expected_head, method or MergeMethod.MERGE, message)

    def call_off_merge(self, number: int) -> bool:
        """As the port says; also out of the merge queue."""
        with self._client.operation():
            return self._merging.call_off(number)

    # --- RoutesPullRequests, Reviewing ---------------------------------------------------------------------------

    def route(self, number: int, routing: Routing) -> Sequence[str]:
        """As the port says."""
        with self._client.operation():
            return self._people.route(number, routing)

    def comment(self, number: int, text: str) -> None:
        """As the port says."""
        with self._client.operation():
            self._pulls.comment(number, text)

    def reviews(self, number: int) -> Sequence[Review]:
        """As the port says."""
        with self._client.operation():
            return self._people.reviews(number)

    def members(self, team: str) -> frozenset[str]:
        """As the port says."""
        with self._client.operation():
            return self._people.members(team)

    # --- Guarding ------------------------------------------------------------------------------------------------

    def can_push(self, branch: BranchName) -> bool | None:
        """As the port says; None where only an administrator could tell."""
        with self._client.operation():
            return self._rules.can_push(branch)

    # --- Inspecting ----------------------------------------------------------------------------------------------

    def facts(self, base: BranchName) -> ForgeFacts:
        """As the port says."""
        with self._client.operation():
            return self._inspecting.facts(base)

    # --- CommitStatuses ------------------------------------------------------------------------------------------

    def statuses(self, commit: CommitId) -> Sequence[CommitStatus]:
        """As the port says: commit statuses, check runs, and deployments as ``deployment/<environment>``."""
        with self._client.operation():
            return self._verdicts.of(commit)

    def set_status(self, commit: CommitId, status: CommitStatus) -> None:
        """As the port says. Raises ConfigurationError for a commit that GitHub does not have."""
        with self._client.operation():
            self._verdicts.write(commit, status)

    # --- Comparing, CommitsByCall --------------------------------------------------------------------------------

    def compare(self, repository: str, base: CommitId, head: CommitId) -> Comparison | None:
        """As the port says; the newest hundred commits."""
        with self._client.operation():
            return self._commits.compare(repository, base, head)

    def commit_on(
        self, branch: BranchName, expected: CommitId, edits: Mapping[RepoPath, bytes], message: str
    ) -> CommitId:
        """As the port says, signed by GitHub. Raises ConfigurationError when the branch is missing."""
        with self._client.operation():
            return self._commits.commit_on(branch, expected, edits, message)
