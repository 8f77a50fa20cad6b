"""What agents and checks say about a commit at GitHub: statuses, check runs and deployments, as one type.

Deployments are told as ``deployment/<environment>``. Each list is read to its end: the verdict that counts may be
on the last page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from github.CommitStatus import CommitStatus as ApiStatus
from github.Deployment import Deployment
from github.DeploymentStatus import DeploymentStatus
from github.GithubException import GithubException
from github.GithubObject import NonCompletableGithubObject

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import CommitId
from orchestrator.forges.base import CommitStatus, StatusState
from orchestrator.forges.github_client import GitHubClient

_LONGEST_DESCRIPTION = 140  # GitHub's limit
_OLDEST = datetime.min.replace(tzinfo=UTC)
_STATUS = {"success": StatusState.SUCCESS, "pending": StatusState.PENDING}
_CONCLUSION = {"success": StatusState.SUCCESS, "neutral": StatusState.SUCCESS, "skipped": StatusState.SUCCESS}
_DEPLOYMENT = {
    "success": StatusState.SUCCESS,
    "inactive": StatusState.SUCCESS,  # it was one, and a newer one has taken its place
    "failure": StatusState.FAILURE,
    "error": StatusState.FAILURE,
}


class GitHubVerdicts:
    """The verdicts on commits of one repository. Methods raise as CommitStatuses says."""

    def __init__(self, client: GitHubClient) -> None:
        self._client = client

    def of(self, commit: CommitId) -> Sequence[CommitStatus]:
        """The newest of each context, by context."""
        newest: dict[str, CommitStatus] = {}
        with self._client.well_formed():
            for found in (*self._statuses(commit), *self._check_runs(commit), *self._deployments(commit)):
                there = newest.get(found.context)
                if there is None or (found.created or _OLDEST) > (there.created or _OLDEST):
                    newest[found.context] = found
            return sorted(newest.values(), key=lambda one: one.context)

    def write(self, commit: CommitId, status: CommitStatus) -> None:
        """A commit status. One more of the same changes nothing for readers, so a doubtful one is written again."""
        if not status.context.strip():
            raise ConfigurationError("a commit status needs a context", hint="for example kustomization/apps")
        payload = {"state": status.state.value, "context": status.context}
        if status.description:
            payload["description"] = _cut(status.description)
        if status.target_url:
            payload["target_url"] = status.target_url
        try:
            self._client.calls.settle(lambda: self._client.write("POST", f"/statuses/{commit}", payload), lambda: None)
        except GithubException as error:
            if error.status not in (404, 422):
                raise
            raise ConfigurationError(
                f"GitHub takes no status for the commit {commit}",
                where=self._client.where,
                hint="push it first; a token needs 'Commit statuses: write'",
            ) from None

    def _statuses(self, commit: CommitId) -> Iterator[CommitStatus]:
        """GitHub gives them newest first."""
        for status in self._client.pages(ApiStatus, f"{self._client.root}/commits/{commit}/statuses"):
            yield CommitStatus(
                status.context,
                _STATUS.get(status.state, StatusState.FAILURE),
                status.description or "",
                status.target_url or "",
                status.creator.login if status.creator else "",
                status.created_at,
            )

    def _check_runs(self, commit: CommitId) -> Iterator[CommitStatus]:
        path = f"{self._client.root}/commits/{commit}/check-runs"
        for run in self._client.pages(_CheckRun, path, {"filter": "latest"}, items="check_runs"):
            yield run.verdict()

    def _deployments(self, commit: CommitId) -> Iterator[CommitStatus]:
        """The newest deployment of each environment, by its newest status."""
        seen: set[str] = set()
        for deployment in self._client.pages(Deployment, f"{self._client.root}/deployments", {"sha": commit.value}):
            if deployment.environment in seen:
                continue
            seen.add(deployment.environment)
            yield self._deployment(deployment)

    def _deployment(self, deployment: Deployment) -> CommitStatus:
        path = f"{self._client.root}/deployments/{deployment.id}/statuses"
        newest = next(iter(self._client.pages(DeploymentStatus, path)), None)
        return CommitStatus(
            f"deployment/{deployment.environment}",
            _DEPLOYMENT.get(newest.state, StatusState.PENDING) if newest else StatusState.PENDING,
            (newest.description if newest else deployment.description) or "",
            (newest.environment_url or newest.log_url or "") if newest else "",
            deployment.creator.login if deployment.creator else "",
            newest.created_at if newest else deployment.created_at,
        )


class _CheckRun(NonCompletableGithubObject):
    """A check run. PyGithub's own class fails on one that belongs to no suite, which GitHub's description allows."""

    def _initAttributes(self) -> None:  # PyGithub's name
        self._data: dict[str, Any] = {}

    def _useAttributes(self, attributes: dict[str, Any]) -> None:  # PyGithub's name
        self._data = attributes

    def verdict(self) -> CommitStatus:
        """What it says; whatever is no success, once it is completed, is a failure."""
        data = self._data
        status, conclusion = str(data["status"]), str(data.get("conclusion") or "")
        done = status == "completed"
        when = data.get("completed_at") or data.get("started_at")
        return CommitStatus(
            str(data["name"]),
            _CONCLUSION.get(conclusion, StatusState.FAILURE) if done else StatusState.PENDING,
            str((data.get("output") or {}).get("title") or conclusion or status),
            str(data.get("details_url") or data.get("html_url") or ""),
            str((data.get("app") or {}).get("slug") or ""),
            datetime.fromisoformat(when) if when else None,
        )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_DESCRIPTION else text[: _LONGEST_DESCRIPTION - 1] + "…"
