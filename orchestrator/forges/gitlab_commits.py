"""What GitLab knows about commits: statuses, deployments, what lies between two; and commits that it makes itself.

https://docs.gitlab.com/api/commits/, ``deployments/``, ``repositories/#compare-branches-tags-or-commits``
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from orchestrator.core.errors import ConfigurationError, Conflict, Refused
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.forges import gitlab_shapes as shapes
from orchestrator.forges.base import CommitStatus, Comparison
from orchestrator.forges.calls import LoginRefused
from orchestrator.forges.gitlab_api import Declined, GitLabApi, no_project, project_path
from orchestrator.forges.gitlab_requests import MergeRequests

_NEWEST_DEPLOYMENTS = 100  # GitLab can't be asked for those of one commit


class Commits:
    """Commits of one project, and comparisons in any project of the same GitLab."""

    def __init__(self, api: GitLabApi, requests: MergeRequests) -> None:
        self._api, self._requests = api, requests

    # --- verdicts ------------------------------------------------------------------------------------------------

    def statuses(self, commit: CommitId) -> Sequence[CommitStatus]:
        """The newest status of each context, and the newest deployment of it to each environment."""
        try:
            found = self._api.pages(f"{self._api.path}/repository/commits/{commit}/statuses")
        except Declined as declined:
            if declined.status != 404:
                raise
            if "Project" in declined.reason:
                raise no_project(self._api) from None
            return []
        told = {status.context: status for status in [*self._deployments(commit), *shapes.statuses(found)]}
        return [told[context] for context in sorted(told)]

    def _deployments(self, commit: CommitId) -> list[CommitStatus]:
        query = {"order_by": "id", "sort": "desc"}
        try:
            newest = self._api.pages(f"{self._api.path}/deployments", query, _NEWEST_DEPLOYMENTS)
        except (Declined, LoginRefused):  # switched off for the project, or not for this token to see
            return []
        ours = [one for one in newest if one.get("sha") == commit.value]
        return list({status.context: status for status in map(shapes.deployment, reversed(ours))}.values())

    def set_status(self, commit: CommitId, status: CommitStatus) -> None:
        """Write one. GitLab declines a status that is there already (400), which is as good."""
        path = f"{self._api.path}/statuses/{commit}"
        if not status.context.strip():
            raise ConfigurationError("a commit status needs a context", hint="for example kustomization/apps")

        def write() -> bool:
            self._api.post(path, shapes.status_fields(status))
            return True

        try:
            self._api.calls.settle(write, lambda: self._is_set(commit, status))
        except Declined as declined:
            if declined.status == 404 and "Project" not in declined.reason:
                raise ConfigurationError(f"the repository has no commit {commit}", where=self._api.where) from None
            if not (declined.status == 400 and "transition" in declined.reason and self._is_set(commit, status)):
                raise

    def _is_set(self, commit: CommitId, status: CommitStatus) -> bool | None:
        same = (one for one in self.statuses(commit) if (one.context, one.state) == (status.context, status.state))
        return True if any(same) else None

    # --- comparing -----------------------------------------------------------------------------------------------

    def compare(self, repository: str, base: CommitId, head: CommitId) -> Comparison | None:
        """What ``head`` has that ``base`` has not; None when GitLab does not show it to us."""
        project = self._api.address.project_of(repository)
        if project is None:
            return None
        path = f"{project_path(project)}/repository"
        try:
            there = self._api.get(f"{path}/compare", {"from": base.value, "to": head.value})
            behind = self._behind(path, base, head)
        except (Declined, LoginRefused) as refused:
            if refused.status in (403, 404):
                return None
            raise
        commits = shapes.children(there, "commits")
        return Comparison(
            ahead=len(commits),
            behind=behind,
            commits=tuple(shapes.source_change(one) for one in reversed(commits)),
            url=shapes.maybe_text(there, "web_url"),
        )

    def _behind(self, path: str, base: CommitId, head: CommitId) -> int:
        """Commits of the base that the head has not. Mostly none, which one small answer tells."""
        try:
            fork = self._api.get(f"{path}/merge_base", {"refs[]": [base.value, head.value]})
        except Declined as declined:
            if declined.status != 404:  # 404: the two have nothing in common
                raise
            fork = {}
        if fork.get("id") == base.value:
            return 0
        back = self._api.get(f"{path}/compare", {"from": head.value, "to": base.value})
        return len(shapes.children(back, "commits"))

    # --- committing ----------------------------------------------------------------------------------------------

    def commit_on(
        self, branch: BranchName, expected: CommitId, edits: Mapping[RepoPath, bytes], message: str
    ) -> CommitId:
        """A new branch with one commit on ``expected``.

        GitLab makes a branch only where there is none, which is a comparison that can be trusted. It has none for a
        branch that exists (``last_commit_id`` is about one file), so such a branch is for git's own push.
        """
        path = f"{self._api.path}/repository/commits"

        def write() -> CommitId:
            made = self._api.post(path, self._fields(branch, expected, edits, message))
            return shapes.commit(made, "id")

        self._require_free(branch, expected)
        try:
            return self._api.calls.settle(write, lambda: self._landed(branch, expected, message))
        except Declined as declined:
            if "already exists" in declined.reason and "branch" in declined.reason.lower():
                raise _exists(branch, self._api.where) from None
            raise Refused(
                f"GitLab does not make the commit: {declined.reason or declined.status}",
                where=self._api.where,
                hint="see GitLab's reason; commits by git, signed with an SSH key, need no such call",
            ) from None

    def _require_free(self, branch: BranchName, expected: CommitId) -> None:
        tip = self._requests.tip(branch)
        if tip is None:
            return
        if tip != expected:
            raise _exists(branch, self._api.where)
        raise Refused(
            f"GitLab can't move the existing branch {branch.value!r} safely by a call",
            where=self._api.where,
            hint="use commits by git, signed with an SSH key; GitLab's API compares nothing before it writes",
        )

    def _fields(
        self, branch: BranchName, expected: CommitId, edits: Mapping[RepoPath, bytes], message: str
    ) -> dict[str, object]:
        actions = [
            {
                "action": "update" if self._has_file(path, expected) else "create",
                "file_path": path.value,
                "content": base64.b64encode(content).decode(),
                "encoding": "base64",
            }
            for path, content in sorted(edits.items())
        ]
        return {
            "branch": branch.value,
            "start_sha": expected.value,
            "commit_message": message,
            "actions": actions,
        }

    def _has_file(self, path: RepoPath, commit: CommitId) -> bool:
        where = f"{self._api.path}/repository/files/{quote(path.value, safe='')}"
        return self._api.exists(where, {"ref": commit.value})

    def _landed(self, branch: BranchName, expected: CommitId, message: str) -> CommitId | None:
        """Our commit, if it is there: the same parent and the same message on the branch that was not there."""
        tip = self._requests.tip(branch)
        if tip is None:
            return None
        found = self._api.get(f"{self._api.path}/repository/commits/{tip}")
        same_text = shapes.text(found, "message").strip() == message.strip()
        if found.get("parent_ids") != [expected.value] or not same_text:
            raise _exists(branch, self._api.where)
        return tip


def _exists(branch: BranchName, where: str) -> Conflict:
    return Conflict(
        f"the branch {branch.value!r} is there already, with other commits",
        where=where,
        hint="look at what is on it; delete it when nobody needs it",
    )
