"""The fake's GraphQL: GitHub's own schema (the part that is used) decides what a document may ask for."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, GraphQLSchema, build_schema, graphql_sync

from tests.servers.forge_http import Call, Reply
from tests.servers.git_repositories import commit_files, git
from tests.servers.github import pulls
from tests.servers.github.answers import Refusal
from tests.servers.github.world import Account, Hosted, Pull

if TYPE_CHECKING:
    from tests.servers.github.server import GitHubServer


@cache
def schema() -> GraphQLSchema:
    """The types and fields that the adapter names, as GitHub publishes them."""
    return build_schema(Path(__file__).with_name("schema.graphql").read_text("utf-8"))


def answer(server: GitHubServer, account: Account, call: Call) -> Reply:
    """200, whatever happens; errors stand in the answer. A document that GitHub would not take is a violation."""
    asked = call.json
    root = _Root(server, account)
    result = graphql_sync(schema(), asked["query"], root, variable_values=asked.get("variables"))
    errors = []
    for error in result.errors or []:
        if error.path is None:  # it did not even validate
            server.violations.append(f"GraphQL: {error.message}")
        told: dict[str, Any] = dict(error.formatted)
        told |= told.pop("extensions", {})
        errors.append(told)
    payload: dict[str, Any] = {"data": result.data}
    if errors:
        payload["errors"] = errors
    return Reply(200, json.loads(json.dumps(payload)))


def _refuse(message: str, kind: str = "UNPROCESSABLE") -> GraphQLError:
    return GraphQLError(message, extensions={"type": kind})


class _Root:
    """Resolves queries and mutations; graphql-core finds the methods by the fields' names."""

    def __init__(self, server: GitHubServer, account: Account) -> None:
        self._server, self._account = server, account

    def repository(self, _info: Any, owner: str, name: str, followRenames: bool | None = None) -> Any:
        try:
            hosted = self._server.repository(f"{owner}/{name}")
        except Refusal:
            raise _refuse(f"Could not resolve to a Repository with the name '{owner}/{name}'.", "NOT_FOUND") from None
        self._permit("pull_requests=read")
        return {"pullRequest": lambda _info, number: self._shown(hosted, number)}

    def enablePullRequestAutoMerge(self, _info: Any, input: dict[str, Any]) -> Any:
        hosted, pull = self._pull(input["pullRequestId"], "contents=write")
        self._expect(pull, input)
        if not hosted.rules.auto_merge:
            raise _refuse("Auto merge is not allowed for this repository")
        _, state = pulls.state_now(hosted, pull)
        if state in ("clean", "unstable", "draft") and not hosted.rules.merge_queue:
            raise _refuse(f"Pull request Pull request is in {state} status")
        method = (input.get("mergeMethod") or "MERGE").lower()
        if pull.auto_merge is not None:
            return {"pullRequest": self._shown(hosted, pull.number)}  # a wish that there is stays as it was
        if method not in hosted.rules.methods:
            raise _refuse(f"Merge method {method} merging is not allowed on this repository")
        pull.auto_merge = {
            "method": method,
            "title": input.get("commitHeadline"),
            "body": input.get("commitBody"),
            "login": self._account.login,
        }
        return {"pullRequest": self._shown(hosted, pull.number)}

    def disablePullRequestAutoMerge(self, _info: Any, input: dict[str, Any]) -> Any:
        hosted, pull = self._pull(input["pullRequestId"], "contents=write")
        if pull.auto_merge is None:
            raise _refuse("Can't disable auto-merge for this pull request because it isn't enabled.")
        pull.auto_merge = None
        return {"pullRequest": self._shown(hosted, pull.number)}

    def dequeuePullRequest(self, _info: Any, input: dict[str, Any]) -> Any:
        _, pull = self._pull(input["id"], "contents=write")
        if not pull.queued:
            raise _refuse("Pull request is not in the merge queue")
        pull.queued = False
        return {"mergeQueueEntry": {"id": f"MQE_{pull.number}", "state": "QUEUED"}}

    def enqueuePullRequest(self, _info: Any, input: dict[str, Any]) -> Any:
        hosted, pull = self._pull(input["pullRequestId"], "contents=write")
        self._expect(pull, input)
        if not hosted.rules.merge_queue:
            raise _refuse("Merge queue is not enabled for this branch")
        if hosted.unmet(pull):
            raise _refuse("Pull request is not in a mergeable state")
        pull.queued = True
        return {"mergeQueueEntry": {"id": f"MQE_{pull.number}", "state": "QUEUED"}}

    def convertPullRequestToDraft(self, _info: Any, input: dict[str, Any]) -> Any:
        return self._set_draft(input, True)

    def markPullRequestReadyForReview(self, _info: Any, input: dict[str, Any]) -> Any:
        return self._set_draft(input, False)

    def createCommitOnBranch(self, _info: Any, input: dict[str, Any]) -> Any:
        target = input["branch"]
        hosted = self._server.repository(target["repositoryNameWithOwner"])
        self._permit("contents=write")
        branch, expected = target["branchName"], input["expectedHeadOid"]
        tip = hosted.repo.tip(branch)
        if tip is None:
            raise _refuse(f"Could not resolve to a branch with the name '{branch}'.", "NOT_FOUND")
        if tip != expected:
            raise _refuse(
                f'Expected branch to point to "{tip}" but it did not. Pull and try again.'.replace(tip, expected),
                "STALE_DATA",
            )
        message = input["message"]
        text = message["headline"] + (f"\n\n{message['body']}" if message.get("body") else "")
        files = {one["path"]: base64.b64decode(one["contents"]) for one in input["fileChanges"]["additions"]}
        who = f"{self._account.login} <{self._account.login}@users.noreply.github.com>"
        oid = commit_files(
            hosted.repo.path,
            dict(files),
            ref=f"refs/heads/{branch}",
            message=text,
            committer="GitHub <noreply@github.com>",
            author=who,
        )
        assert git(hosted.repo.path, "rev-parse", f"{oid}^") == expected
        return {"commit": {"oid": oid, "url": f"{self._server.url}/{hosted.full_name}/commit/{oid}"}}

    def _set_draft(self, asked: dict[str, Any], draft: bool) -> Any:
        hosted, pull = self._pull(asked["pullRequestId"], "pull_requests=write")
        pull.draft, pull.updated = draft, self._server.now()
        return {"pullRequest": self._shown(hosted, pull.number)}

    def _pull(self, node: str, permission: str) -> tuple[Hosted, Pull]:
        self._permit(permission)
        for hosted in self._server.repositories.values():
            for pull in hosted.pulls:
                if pull.node == node:
                    return hosted, pull
        raise _refuse(f"Could not resolve to a node with the global id of '{node}'", "NOT_FOUND")

    def _expect(self, pull: Pull, asked: dict[str, Any]) -> None:
        if asked.get("expectedHeadOid") not in (None, pull.head_sha):
            raise _refuse("Head sha didn't match expected head oid. Review and try the merge again.")

    def _permit(self, permission: str) -> None:
        try:
            self._server.permit(self._account, permission)
        except Refusal:
            raise _refuse("Resource not accessible by personal access token", "FORBIDDEN") from None

    def _shown(self, hosted: Hosted, number: int) -> Any:
        pull = hosted.pull(number)
        if pull is None:
            raise _refuse(f"Could not resolve to a PullRequest with the number of {number}.", "NOT_FOUND")
        return {
            "id": pull.node,
            "number": pull.number,
            "isDraft": pull.draft,
            "headRefOid": pull.head_sha,
            "isMergeQueueEnabled": hosted.rules.merge_queue,
            "isInMergeQueue": pull.queued,
            "autoMergeRequest": _wish(pull),
        }


def _wish(pull: Pull) -> dict[str, Any] | None:
    asked = pull.auto_merge
    if asked is None:
        return None
    return {
        "enabledAt": "2026-01-01T00:00:00Z",
        "mergeMethod": asked["method"].upper(),
        "commitHeadline": asked["title"],
        "commitBody": asked["body"],
    }
