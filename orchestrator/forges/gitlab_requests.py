"""Merge requests: found, opened, kept up to date, closed. https://docs.gitlab.com/api/merge_requests/"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.names import BranchName, CommitId
from orchestrator.forges import gitlab_shapes as shapes
from orchestrator.forges.base import NEWEST, NotOpen, PullRequest, PullRequestDraft, PullRequestState
from orchestrator.forges.gitlab_api import Declined, GitLabApi, no_project
from orchestrator.forges.gitlab_shapes import Json

_FEW = 3  # open merge requests whose branches are asked for one by one
_NUMBER = re.compile(r"!(\d+)")
_LAG_SECONDS = 120.0  # for how long a list may not show yet what was just made


class MergeRequests:
    """The merge requests of one project. One from a fork is shown, and never taken for ours."""

    def __init__(self, api: GitLabApi) -> None:
        self._api = api
        self.path = f"{api.path}/merge_requests"

    # --- looking -------------------------------------------------------------------------------------------------

    def find(self, head: BranchName, base: BranchName) -> Sequence[PullRequest]:
        """Those between these branches, newest first: the newest ones, and all open ones."""
        between = {"source_branch": head.value, "target_branch": base.value}
        newest = self._listed({"state": "all", **between}, NEWEST)
        found = {one.number: one for one in newest}
        if len(newest) == NEWEST:  # an open one that was reopened may be older than all of these
            found |= {one.number: one for one in self._listed({"state": "opened", **between})}
        return [one for _, one in sorted(found.items(), reverse=True) if not one.fork]

    def listed(self, state: PullRequestState | None) -> Sequence[PullRequest]:
        """All in this state (all when None), newest first."""
        return self._listed({"state": "opened" if state is PullRequestState.OPEN else str(state or "all")})

    def show(self, number: int) -> PullRequest:
        """One of them. Raises ConfigurationError when there is none."""
        return self.told([self.data(number)])[0]

    def data(self, number: int) -> Json:
        """The same as GitLab tells it. Raises ConfigurationError when there is none."""
        try:
            return self._api.get(f"{self.path}/{number}")
        except Declined as declined:
            raise self.missing(declined, number) from None

    def missing(self, declined: Declined, number: int) -> Exception:
        """What to raise for a merge request that GitLab declines to show."""
        if declined.status != 404:
            return declined
        if "Project" in declined.reason:
            return no_project(self._api)
        return ConfigurationError(
            f"there is no pull request #{number}", where=self._api.where, hint="see the project's list for its number"
        )

    def told(self, found: Iterable[Json]) -> Sequence[PullRequest]:
        """The merge requests as ours. One or more further requests tell where the open ones' branches are."""
        found = tuple(found)
        heads = {shapes.branch(one, "source_branch") for one in found if _has_branch(one)}
        tips = self.tips(heads)
        return [shapes.pull_request(one, tips) for one in found]

    def tips(self, branches: Iterable[BranchName]) -> Mapping[BranchName, CommitId]:
        """Where those of these branches are that exist."""
        wanted = set(branches)
        if len(wanted) <= _FEW:
            found = {name: self.tip(name) for name in wanted}
            return {name: tip for name, tip in found.items() if tip is not None}
        listed = self._api.pages(f"{self._api.path}/repository/branches")
        every = {shapes.text(one, "name"): shapes.commit(shapes.child(one, "commit"), "id") for one in listed}
        return {name: every[name.value] for name in wanted if name.value in every}

    def tip(self, name: BranchName) -> CommitId | None:
        """Where a branch is; None when it does not exist."""
        found = self._branch(name)
        return shapes.commit(shapes.child(found, "commit"), "id") if found else None

    def can_push(self, name: BranchName) -> bool | None:
        """GitLab says whether this login may push there; None when it does not, or there is no such branch."""
        told = (self._branch(name) or {}).get("can_push")
        return told if isinstance(told, bool) else None

    def _branch(self, name: BranchName) -> Json | None:
        try:
            return self._api.get(f"{self._api.path}/repository/branches/{quote(name.value, safe='')}")
        except Declined as declined:
            if declined.status != 404:
                raise
            if "Project" in declined.reason:
                raise no_project(self._api) from None
            return None

    def _listed(self, query: Mapping[str, str], most: int | None = None) -> Sequence[PullRequest]:
        order = {"scope": "all", "order_by": "created_at", "sort": "desc"}
        try:
            found = self._api.pages(self.path, {**query, **order}, most)
        except Declined as declined:
            raise (no_project(self._api) if declined.status == 404 else declined) from None
        return self.told(sorted(found, key=lambda one: shapes.number(one, "iid"), reverse=True))

    # --- opening -------------------------------------------------------------------------------------------------

    def open(self, draft: PullRequestDraft) -> PullRequest:
        """Open one, or give back the open one: GitLab itself holds a second one for the same branches off (409).

        So no list has to be believed, and a request that got lost is simply made again.
        """
        self._require(draft.head)
        self._require(draft.base)
        return self._api.calls.settle(lambda: self._create(draft), lambda: self._standing(draft))

    def _require(self, name: BranchName) -> None:
        """GitLab would open a merge request for a branch that is not there."""
        if self.tip(name) is None:
            raise ConfigurationError(
                f"the repository has no branch {name.value!r}", where=self._api.where, hint="push it first"
            )

    def _create(self, draft: PullRequestDraft) -> PullRequest:
        fields = {
            "source_branch": draft.head.value,
            "target_branch": draft.base.value,
            "title": shapes.join_title(draft.title, draft.draft),
            "description": shapes.harmless_text(draft.body),
        }
        try:
            made = self._api.post(self.path, fields)
        except Declined as declined:
            if declined.status == 409:
                return self._adopted(draft, declined)
            if declined.status == 404:
                raise no_project(self._api) from None
            raise Refused(
                f"GitLab does not open the merge request: {declined.reason or declined.status}",
                where=self._api.where,
                hint="see GitLab's reason; the branch is pushed, and running again goes on from there",
            ) from None
        return self.told([made])[0]

    def _adopted(self, draft: PullRequestDraft, declined: Declined) -> PullRequest:
        """The open one that stood in the way. A list may not show it yet, but GitLab names its number."""
        for number in _NUMBER.findall(declined.reason):
            found = self.show(int(number))
            if _fits(found, draft):
                return found
        found_later = self._api.calls.poll(lambda: self._standing(draft), seconds=_LAG_SECONDS)
        if found_later is None:
            raise declined
        return found_later

    def _standing(self, draft: PullRequestDraft) -> PullRequest | None:
        return next((one for one in self.find(draft.head, draft.base) if _fits(one, draft)), None)

    # --- changing ------------------------------------------------------------------------------------------------

    def update(self, number: int, title: str, body: str) -> PullRequest:
        """Replace title and body; a draft stays one."""
        there = self._open_one(number)
        wanted = shapes.join_title(title, there.draft)
        if (there.title, there.body) == (shapes.split_title(wanted)[0], body):
            return there
        fields = {"title": wanted, "description": shapes.harmless_text(body)}
        return self._still_open(self._written(number, fields))

    def set_draft(self, number: int, draft: bool) -> PullRequest:
        """Set or take away the mark in the title."""
        there = self._open_one(number)
        if there.draft is draft:
            return there
        return self._still_open(self._written(number, {"title": shapes.join_title(there.title, draft)}))

    def close(self, number: int, comment: str) -> PullRequest:
        """Say why, then close."""
        there = self.show(number)
        if there.state is PullRequestState.CLOSED:
            return there
        if there.state is PullRequestState.MERGED:
            raise not_open(there)
        if comment.strip():
            self.comment(number, comment)
        closed = self._written(number, {"state_event": "close"})
        if closed.state is not PullRequestState.CLOSED:
            raise not_open(closed)
        return closed

    def comment(self, number: int, text: str) -> None:
        """Say it once, however often this is run: a mark that nobody sees tells that it was said."""
        mark = f"<!-- hybrid-ci:said:{hashlib.sha256(text.encode()).hexdigest()[:16]} -->"
        path = f"{self.path}/{number}/notes"

        def said() -> bool | None:
            notes = self._api.pages(path, {"order_by": "created_at", "sort": "desc"})
            return True if any(mark in shapes.maybe_text(note, "body") for note in notes) else None

        def say() -> bool:
            self._api.post(path, {"body": f"{shapes.harmless_text(text)}\n\n{mark}"})
            return True

        try:
            if not said():
                self._api.calls.settle(say, said)
        except Declined as declined:
            raise self.missing(declined, number) from None

    def write(self, number: int, fields: Mapping[str, object]) -> Json:
        """Change an open merge request, in a way that may be asked for twice. Raises Declined."""
        path = f"{self.path}/{number}"
        return self._api.calls.settle(lambda: self._api.put(path, fields), lambda: None)

    def _written(self, number: int, fields: Mapping[str, object]) -> PullRequest:
        try:
            return self.told([self.write(number, fields)])[0]
        except Declined as declined:
            raise self.missing(declined, number) from None

    def _open_one(self, number: int) -> PullRequest:
        return self._still_open(self.show(number))

    @staticmethod
    def _still_open(there: PullRequest) -> PullRequest:
        if there.state is not PullRequestState.OPEN:
            raise not_open(there)
        return there


def not_open(there: PullRequest) -> NotOpen:
    """What to raise for one that has ended."""
    return NotOpen(
        f"pull request #{there.number} is {there.state} already", where=there.url, hint="run again: it looks anew"
    )


def _fits(there: PullRequest, draft: PullRequestDraft) -> bool:
    pair = (there.head, there.base) == (draft.head, draft.base)
    return there.state is PullRequestState.OPEN and pair and not there.fork


def _has_branch(data: Json) -> bool:
    return shapes.state_of(data) is PullRequestState.OPEN and not shapes.fork(data)
