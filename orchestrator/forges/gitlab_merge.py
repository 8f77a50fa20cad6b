"""Merging, by GitLab's own rules: directly, as soon as they are met, or through the merge train.

https://docs.gitlab.com/api/merge_requests/#merge-a-merge-request and ``#merge-status``;
https://docs.gitlab.com/api/merge_trains/#add-a-merge-request-to-a-merge-train
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from orchestrator.core.errors import RemoteError
from orchestrator.core.names import CommitId
from orchestrator.forges import gitlab_shapes as shapes
from orchestrator.forges.base import (
    AutoMerge,
    MergeMethod,
    NotMergeable,
    PullRequest,
    PullRequestMoved,
    PullRequestState,
)
from orchestrator.forges.calls import Doubtful, LoginRefused
from orchestrator.forges.gitlab_api import Declined, GitLabApi, require_project
from orchestrator.forges.gitlab_requests import MergeRequests, not_open
from orchestrator.forges.gitlab_shapes import Json

_Result = TypeVar("_Result")

# GitLab is not sure yet, and tells later.
_UNDECIDED = frozenset({"unchecked", "checking", "preparing", "approvals_syncing", "cannot_be_merged_recheck"})
# What GitLab's auto-merge waits for.
_WAITS_FOR = frozenset(
    {
        "ci_still_running", "ci_must_pass", "not_approved", "requested_changes", "discussions_not_resolved",
        "blocked_status", "merge_request_blocked", "status_checks_must_pass", "external_status_checks",
        "security_policy_violations", "security_policy_pipeline_check", "jira_association_missing", "merge_time",
        "locked_paths", "locked_lfs_files", "title_regex",
    }
)  # fmt: skip
_REASONS = {
    "conflict": "it conflicts with its target branch, or that branch is gone",
    "broken_status": "it can't be merged as it is; most often there is a conflict",
    "need_rebase": "the project merges by fast-forward, and the target branch has moved on",
    "commits_status": "its branch is gone, or has no commits of its own",
    "draft_status": "it is a draft",
    "not_open": "it is not open",
    "ci_must_pass": "its pipeline has to pass first",
    "ci_still_running": "its pipeline is still running",
    "not_approved": "approvals are missing",
    "approvals_syncing": "its approvals are being counted",
    "requested_changes": "a reviewer asked for changes",
    "discussions_not_resolved": "there are open threads",
    "blocked_status": "another merge request blocks it",
    "merge_request_blocked": "another merge request blocks it",
    "merge_time": "it may not be merged before a certain time",
    "status_checks_must_pass": "external status checks have not passed",
    "security_policy_violations": "a security policy forbids it",
}
_CANCEL_SECONDS = 10.0
_PATIENCE = 3  # refusals of a merge request that GitLab itself calls mergeable


@dataclass
class _Merge:
    """A merge that is asked for until GitLab has decided."""

    number: int
    expected: CommitId
    message: str | None
    method: MergeMethod | None = None
    settings: Json = field(default_factory=dict)
    refusals: int = 0

    @property
    def fields(self) -> dict[str, object]:
        """What GitLab is asked with: never without the expected head."""
        wanted: dict[str, object] = {"sha": self.expected.value}
        if self.method is not None:
            wanted["squash"] = self.method is MergeMethod.SQUASH
        if self.message is not None and self.message.strip():
            wanted |= {"merge_commit_message": self.message, "squash_commit_message": self.message}
        return wanted


class Merger:
    """Merges merge requests of one project."""

    def __init__(self, api: GitLabApi, requests: MergeRequests) -> None:
        self._api, self._requests = api, requests

    def merge(self, number: int, expected: CommitId, message: str | None) -> PullRequest:
        """Merge now. Raises PullRequestMoved, NotMergeable, RemoteError when GitLab can't decide in time."""
        merge = _Merge(number, expected, message)
        merge.settings = require_project(self._api)
        return self._decided(merge, lambda: self._merge_once(merge))

    def merge_when_ready(
        self, number: int, expected: CommitId, method: MergeMethod | None, message: str | None
    ) -> AutoMerge:
        """Merge now, later, or through the train. Raises as ``merge``."""
        merge = _Merge(number, expected, message, method)
        merge.settings = require_project(self._api)
        self._require_method(merge)
        return self._decided(merge, lambda: self._merge_later_once(merge))

    def call_off(self, number: int) -> bool:
        """GitLab does so itself after a push, only some moments later. Raises NotOpen.

        Its answer says 201 also where it refuses, so what counts is what is read back.
        """
        if not self._waits_to_merge(number):
            return False
        path = f"{self._requests.path}/{number}/cancel_merge_when_pipeline_succeeds"
        with suppress(Doubtful, Declined):
            self._api.post(path, {})
        if self._api.calls.poll(lambda: not self._waits_to_merge(number) or None, _CANCEL_SECONDS) is None:
            raise RemoteError(
                f"GitLab keeps the auto-merge of #{number}, which is for another head than the next one",
                where=f"{self._api.where}/-/merge_requests/{number}",
                hint="cancel it there, then run it again; nothing was pushed",
            )
        return True

    def _waits_to_merge(self, number: int) -> bool:
        data = self._requests.data(number)
        if shapes.state_of(data) is not PullRequestState.OPEN:
            raise not_open(self._requests.told([data])[0])
        return data.get("merge_when_pipeline_succeeds") is True

    def _decided(self, merge: _Merge, ask: Callable[[], _Result | None]) -> _Result:
        found = self._api.calls.poll(ask)
        if found is None:
            raise RemoteError(
                f"GitLab did not find out in time whether #{merge.number} can be merged",
                where=f"{self._api.where}/-/merge_requests/{merge.number}",
                hint="run it again; nothing was merged around its rules",
            )
        return found

    # --- one try each --------------------------------------------------------------------------------------------

    def _merge_once(self, merge: _Merge) -> PullRequest | None:
        """Merged, or None while GitLab is at work. Whatever an answer says, what counts is what is read back."""
        data = self._requests.data(merge.number)
        there = self._as_expected(merge, data)
        if there.state is PullRequestState.MERGED:
            return there
        status = self._settled_status(merge, data)
        if status is None:
            return None
        if status != "mergeable":
            raise self._not_mergeable(there, status)
        if _has_train(merge.settings):
            raise NotMergeable(
                "the project merges through its merge train",
                where=there.url,
                hint="ask for a merge when ready (auto-merge); a direct merge would pass the queue by",
            )
        return self._merged(merge, there)

    def _merge_later_once(self, merge: _Merge) -> AutoMerge | None:
        data = self._requests.data(merge.number)
        there = self._as_expected(merge, data)
        if there.state is PullRequestState.MERGED:
            return AutoMerge.MERGED
        status = self._settled_status(merge, data)
        if status is None:
            return None
        if data.get("merge_when_pipeline_succeeds") is True:
            return AutoMerge.ENABLED
        if status != "mergeable" and status not in _WAITS_FOR:
            raise self._not_mergeable(there, status)
        if _has_train(merge.settings):
            return self._on_the_train(merge, there, status)
        if status == "mergeable":
            return AutoMerge.MERGED if self._merged(merge, there) else None
        answer = self._asked(merge, there, {"auto_merge": True, "merge_when_pipeline_succeeds": True}, status)
        if answer is None:
            return None
        if shapes.state_of(answer) is PullRequestState.MERGED:
            return AutoMerge.MERGED
        return AutoMerge.ENABLED if answer.get("merge_when_pipeline_succeeds") is True else None

    def _merged(self, merge: _Merge, there: PullRequest) -> PullRequest | None:
        answer = self._asked(merge, there, {}, "mergeable")
        if answer is None or shapes.state_of(answer) is not PullRequestState.MERGED:
            return None
        return self._requests.told([answer])[0]

    def _asked(self, merge: _Merge, there: PullRequest, more: Json, status: str) -> Json | None:
        """GitLab's answer to the wish to merge; None when the merge request has to be looked at again."""
        try:
            return self._api.put(f"{self._requests.path}/{merge.number}/merge", {**merge.fields, **more})
        except Doubtful:
            return None
        except LoginRefused as refused:
            if refused.status != 401:  # the look just before was let through, so it is about this merge
                raise
            raise NotMergeable(
                f"this token may not merge into {there.base.value!r}",
                where=there.url,
                hint="allow its role under Settings > Repository > Protected branches > Allowed to merge",
            ) from None
        except Declined as declined:
            if declined.status == 409:  # the head moved, or GitLab has not seen the push yet: look again
                return None
            self._count(merge, there, declined, status)
            return None

    def _count(self, merge: _Merge, there: PullRequest, declined: Declined, status: str) -> None:
        """405, 406 and 422 mean many things; the next look tells which, unless it never does."""
        merge.refusals += 1
        if declined.status not in (405, 406, 422) or merge.refusals >= _PATIENCE:
            why = "" if status == "mergeable" else f"{_REASONS.get(status, status)}, and "
            raise NotMergeable(
                f"{why}GitLab refuses to merge it: {declined.reason or declined.status}",
                where=there.url,
                hint="open it: GitLab shows there what is missing",
            )

    def _on_the_train(self, merge: _Merge, there: PullRequest, status: str) -> AutoMerge | None:
        """Now, or once its checks pass. Never by the other call: with auto-merge it passes the train by where the last
        check has passed since we looked (gitlab-org/gitlab#593465)."""
        path = f"{self._api.path}/merge_trains/merge_requests/{merge.number}"
        if self._is_on_the_train(path):
            return AutoMerge.ENABLED
        wish = {"sha": merge.expected.value, "auto_merge": True, "when_pipeline_succeeds": True}
        try:
            self._api.post(path, {**wish, "squash": merge.method is MergeMethod.SQUASH})
        except Doubtful:
            return None
        except Declined as declined:
            if declined.status != 409:
                self._count(merge, there, declined, status)
            return None
        return AutoMerge.ENABLED

    def _is_on_the_train(self, path: str) -> bool:
        try:
            car = self._api.get(path)
        except Declined as declined:
            if declined.status != 404:
                raise
            return False
        return shapes.maybe_text(car, "status") in {"idle", "stale", "fresh", "merging"}

    # --- judging -------------------------------------------------------------------------------------------------

    def _as_expected(self, merge: _Merge, data: Json) -> PullRequest:
        """The merge request with the head that was inspected. Raises PullRequestMoved, NotMergeable."""
        there = self._requests.told([data])[0]
        if there.state is PullRequestState.CLOSED:
            raise NotMergeable(
                f"pull request #{there.number} was closed without a merge", where=there.url, hint="open a new one"
            )
        if there.head_commit is None:
            raise self._not_mergeable(there, "commits_status")
        if there.head_commit != merge.expected:
            raise PullRequestMoved(
                f"the head of pull request #{there.number} is {there.head_commit.short}, "
                f"not {merge.expected.short}; nothing was merged",
                where=there.url,
                hint="look at what was pushed to it, then run it again",
            )
        return there

    def _settled_status(self, merge: _Merge, data: Json) -> str | None:
        """What GitLab found out about this very head; None while it has not."""
        status = shapes.text(data, "detailed_merge_status")
        behind = shapes.maybe_commit(data, "sha") != merge.expected
        return None if behind or status in _UNDECIDED or data.get("state") == "locked" else status

    def _not_mergeable(self, there: PullRequest, status: str) -> NotMergeable:
        return NotMergeable(
            f"pull request #{there.number} can't be merged: {_REASONS.get(status, status)}",
            where=there.url,
            hint="open it: GitLab shows there what is missing",
        )

    def _require_method(self, merge: _Merge) -> None:
        """On GitLab the project decides how it merges; asking for another way is a mistake to be told."""
        if merge.method is None:
            return
        has, squash = merge.settings.get("merge_method"), merge.settings.get("squash_option")
        wanted = {MergeMethod.MERGE: ("merge", "rebase_merge"), MergeMethod.REBASE: ("ff",)}.get(merge.method)
        problem = ""
        if wanted is not None and has is not None and has not in wanted:
            problem = f"the project merges by {'fast-forward' if has == 'ff' else 'merge commits'}"
        elif merge.method is MergeMethod.SQUASH and squash == "never":
            problem = "the project does not allow squashing"
        elif merge.method is not MergeMethod.SQUASH and squash == "always":
            problem = "the project requires squashing"
        if problem:
            raise NotMergeable(
                f"{problem}, and the policy asks for {merge.method}",
                where=self._api.where,
                hint="change the merge method of the environment, or the project's under Settings > Merge requests",
            )


def _has_train(settings: Json) -> bool:
    return settings.get("merge_trains_enabled") is True
