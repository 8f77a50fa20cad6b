"""Commits at GitHub: what lies between two, and one made and signed by GitHub itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from github.GithubException import GithubException

from orchestrator.core.errors import ConfigurationError, Conflict, RemoteError
from orchestrator.core.names import BranchName, CommitId, InvalidName, RemoteURL, RepoPath
from orchestrator.forges.base import Comparison, SourceChange
from orchestrator.forges.calls import LoginRefused
from orchestrator.forges.github_address import GitHubAddress
from orchestrator.forges.github_client import GitHubClient
from orchestrator.forges.github_errors import reasons, says

_PAGE = 100
_FILES = 300  # a page of a commit's files


class GitHubCommits:
    """Methods raise as Comparing and CommitsByCall say."""

    def __init__(self, client: GitHubClient) -> None:
        self._client = client

    # --- comparing ------------------------------------------------------------------------------------------------

    def compare(self, repository: str, base: CommitId, head: CommitId) -> Comparison | None:
        """The newest hundred commits, and how many there are. GitHub lists them oldest first, in pages."""
        address = self._same_host(repository)
        if address is None:
            return None
        path = f"/repos/{address.owner}/{address.name}/compare/{base}...{head}"
        try:
            first = self._page(path, 1)
            last_page = max(1, -(-first["total_commits"] // _PAGE))
            pages = [first] if last_page == 1 else [self._page(path, n) for n in (last_page - 1, last_page)]
        except LoginRefused:
            return None
        except GithubException as error:
            if error.status in (404, 422):
                return None
            raise
        with self._client.well_formed():
            changes = [_change(one) for page in pages for one in page["commits"]]
            return Comparison(
                ahead=int(first["ahead_by"]),
                behind=int(first["behind_by"]),
                commits=tuple(reversed(changes))[:_PAGE],
                url=str(first.get("html_url") or ""),
            )

    def _same_host(self, repository: str) -> GitHubAddress | None:
        """The other repository, when it is on this very GitHub: the token goes nowhere else."""
        try:
            other = GitHubAddress.of(RemoteURL(repository))
        except ConfigurationError:
            return None
        return other if other.host == self._client.address.host else None

    def _page(self, path: str, number: int) -> Any:
        parameters = {"per_page": _PAGE, "page": number}
        data = self._client.requester.requestJsonAndCheck("GET", path, parameters)[1]
        if not isinstance(data, dict) or not isinstance(data.get("total_commits"), int):
            raise RemoteError("GitHub's comparison lacks what it should hold", where=self._client.where)
        return data

    # --- making ---------------------------------------------------------------------------------------------------

    def commit_on(
        self, branch: BranchName, expected: CommitId, edits: Mapping[RepoPath, bytes], message: str
    ) -> CommitId:
        """``createCommitOnBranch``: compare-and-swap by ``expectedHeadOid``, signed by GitHub, author is the login.

        It keeps a file's mode, and can't rebase a branch; it is for a branch of its own, cut from the base.
        """
        headline, _, body = message.partition("\n")
        additions = [
            {"path": path.value, "contents": base64.b64encode(content).decode()} for path, content in edits.items()
        ]
        values = {
            "branch": {"repositoryNameWithOwner": self._client.address.full_name, "branchName": branch.value},
            "expectedHeadOid": expected.value,
            "message": {"headline": headline, "body": body.strip("\n")},
            "fileChanges": {"additions": additions},
        }

        def write() -> CommitId:
            payload = self._client.mutate("createCommitOnBranch", values, "commit { oid }")
            try:
                return CommitId(payload["commit"]["oid"])
            except (KeyError, TypeError, InvalidName):
                raise RemoteError("GitHub's answer holds no commit", where=self._client.where) from None

        try:
            return self._client.calls.settle(write, lambda: self._landed(branch, expected, edits))
        except GithubException as error:
            raise self._not_made(error, branch, expected) from None

    def _landed(self, branch: BranchName, expected: CommitId, edits: Mapping[RepoPath, bytes]) -> CommitId | None:
        """The commit, when the branch's tip is a child of the expected one that changes exactly these files."""
        with self._client.well_formed():
            tip = self._client.get(f"/git/ref/heads/{quote(branch.value)}")["object"]["sha"]
            if tip == expected.value:
                return None
            data = self._client.get(f"/commits/{tip}", {"per_page": _FILES})
            changed = {one.get("filename"): one.get("sha") for one in data.get("files") or []}
            parents = [parent.get("sha") for parent in data.get("parents") or []]
        ours = {path.value: _blob_id(content) for path, content in edits.items()}
        if parents == [expected.value] and changed == ours:
            return CommitId(tip)
        raise Conflict(
            f"the branch {branch.value!r} moved while a commit was made on it",
            where=self._client.where,
            hint="run it again",
        )

    def _not_made(self, error: GithubException, branch: BranchName, expected: CommitId) -> Exception:
        if says(error, "expected branch to point to", "STALE_DATA"):
            return Conflict(
                f"the branch {branch.value!r} is not at {expected.short} any more",
                where=self._client.where,
                details=reasons(error),
                hint="run it again: it looks first",
            )
        if error.status == 404 or says(error, "does not exist", "could not resolve"):
            return ConfigurationError(
                f"GitHub has no branch {branch.value!r} to commit to", where=self._client.where, details=reasons(error)
            )
        return error


def _change(data: Any) -> SourceChange:
    commit = data["commit"]
    login = (data.get("author") or {}).get("login")
    name = (commit.get("author") or {}).get("name")
    subject = str(commit.get("message") or "").partition("\n")[0]
    return SourceChange(CommitId(data["sha"]), subject, str(login or name or ""), str(data.get("html_url") or ""))


def _blob_id(content: bytes) -> str:
    """What git calls this content (the object id of a blob, in a repository of SHA-1)."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
