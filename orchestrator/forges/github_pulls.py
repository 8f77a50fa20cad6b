"""GitHub's pull requests: found, opened, adopted, updated and closed.

Its lists lag behind its writes, so an empty list proves nothing: a pull request is asked for, and GitHub's own 422
tells that there is one already, which is then looked for until it shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from github.GithubException import GithubException
from github.IssueComment import IssueComment
from github.PullRequest import PullRequest as ApiPullRequest

from orchestrator.core.errors import ConfigurationError, HybridCIError, Refused, RemoteError
from orchestrator.core.names import BranchName, CommitId, InvalidName
from orchestrator.forges.base import NEWEST, NotOpen, PullRequest, PullRequestDraft, PullRequestState
from orchestrator.forges.github_client import GitHubClient
from orchestrator.forges.github_errors import invalid_fields, reasons, says

_PAGE = 100
_STATES = {PullRequestState.OPEN: "open", PullRequestState.CLOSED: "closed", PullRequestState.MERGED: "closed"}


class GitHubPulls:
    """The pull requests of one repository. Methods raise as the Forge port says."""

    def __init__(self, client: GitHubClient) -> None:
        self._client = client

    def between(self, head: BranchName, base: BranchName) -> list[PullRequest]:
        """From ``head`` of this very repository into ``base``, newest first: the newest ones, and all open ones."""
        newest = list(islice(self._pages("all", NEWEST, head, base), NEWEST))
        found = {pull.number: pull for pull in newest}
        if len(newest) == NEWEST:  # an open one that was reopened may be older than all of these
            found |= {pull.number: pull for pull in self._pages("open", _PAGE, head, base)}
        return self._own((found[number] for number in sorted(found, reverse=True)), head, base)

    def _pages(self, state: str, size: int, head: BranchName, base: BranchName) -> Iterator[ApiPullRequest]:
        query = {"state": state, "head": f"{self._client.address.owner}:{head}", "base": base.value}
        order = {"sort": "created", "direction": "desc", "per_page": size}
        return self._client.pages(ApiPullRequest, self._client.root + "/pulls", {**query, **order})

    def _own(self, found: Iterable[ApiPullRequest], head: BranchName, base: BranchName) -> list[PullRequest]:
        """GitHub's filter goes by the head's owner, who may have a fork of the same repository."""
        with self._client.well_formed():
            between = [pull for pull in found if (pull.head.ref, pull.base.ref) == (head.value, base.value)]
        return [pull for pull in map(self.view, between) if not pull.fork]

    def list(self, state: PullRequestState | None) -> list[PullRequest]:
        """All of them, newest first. One from a fork whose branch has a name that git commands could misread is
        left out: it can't be ours."""
        query = {"state": _STATES[state] if state else "all", "sort": "created", "direction": "desc"}
        views = []
        for pull in self._client.pages(ApiPullRequest, self._client.root + "/pulls", query):
            try:
                views.append(self.view(pull))
            except InvalidName:
                if not self._fork(pull):
                    raise
        return [view for view in views if state in (None, view.state)]

    def show(self, number: int) -> PullRequest:
        """One of them."""
        return self.view(self._client.pull(number))

    def open(self, draft: PullRequestDraft) -> PullRequest:
        """The open one, or a new one."""
        standing = self._standing(draft)
        if standing is not None:
            return standing
        payload = {
            "title": draft.title,
            "body": draft.body,
            "head": draft.head.value,
            "base": draft.base.value,
            "draft": draft.draft,
            "maintainer_can_modify": False,
        }
        try:
            return self._client.calls.settle(
                lambda: self.view(self._client.as_pull(self._client.write("POST", "/pulls", payload))),
                lambda: self._standing(draft),
            )
        except GithubException as error:
            if error.status != 422:
                raise
            if not says(error, "already exists"):
                raise _not_opened(error, draft, self._client.where) from None
        return self._shown_at_last(draft)

    def update(self, number: int, title: str, body: str) -> PullRequest:
        """Replace title and body."""
        current = self._open_one(number)
        if (current.title, current.body) == (title, body):
            return current
        try:
            return self._client.calls.settle(
                lambda: self._patch(number, {"title": title, "body": body}),
                lambda: self._if(number, lambda now: (now.title, now.body) == (title, body)),
            )
        except GithubException as error:
            if error.status != 422:
                raise
            raise _refused("GitHub does not take this title or text", error, current.url) from None

    def close(self, number: int, comment: str) -> PullRequest:
        """Say why, once, and close."""
        current = self.show(number)
        if current.state is PullRequestState.CLOSED:
            return current
        if current.state is PullRequestState.MERGED:
            raise not_open(current)
        if comment.strip():
            self.comment(number, comment)
        return self._client.calls.settle(
            lambda: self._patch(number, {"state": "closed"}),
            lambda: self._if(number, lambda now: now.state is not PullRequestState.OPEN),
        )

    def comment(self, number: int, text: str) -> None:
        """Add a comment, unless the same one of ours is there. An invisible mark in it tells."""
        mark = f"<!-- hybrid-ci:comment:{hashlib.sha256(text.encode()).hexdigest()[:16]} -->"

        def landed() -> bool | None:
            path = f"{self._client.root}/issues/{number}/comments"
            return any(mark in (one.body or "") for one in self._client.pages(IssueComment, path)) or None

        def write() -> bool:
            self._client.write("POST", f"/issues/{number}/comments", {"body": f"{text}\n\n{mark}"})
            return True

        try:
            if not landed():
                self._client.calls.settle(write, landed)
        except GithubException as error:
            if error.status == 404:
                self.show(number)  # raises where there is none
            raise

    def view(self, pull: ApiPullRequest) -> PullRequest:
        """GitHub's pull request as ours. Raises RemoteError when something is missing in it."""
        required = (pull.number, pull.html_url, pull.title, pull.state, pull.head, pull.base, pull.created_at)
        if any(value is None for value in required) or not pull.head.sha:
            raise RemoteError(
                "GitHub's answer lacks what a pull request should hold", where=self._client.where, hint="run it again"
            )
        state = PullRequestState.OPEN if pull.state == "open" else PullRequestState.CLOSED
        merged = pull.merged_at is not None
        return PullRequest(
            number=pull.number,
            url=pull.html_url,
            title=pull.title,
            body=pull.body or "",
            head=BranchName(pull.head.ref),
            head_commit=CommitId(pull.head.sha),
            base=BranchName(pull.base.ref),
            state=PullRequestState.MERGED if merged else state,
            author=pull.user.login if pull.user else "ghost",
            draft=bool(pull.draft),
            merge_commit=CommitId(pull.merge_commit_sha) if merged and pull.merge_commit_sha else None,
            created=pull.created_at,
            updated=pull.updated_at,
            labels=tuple(label.name for label in pull.labels or ()),
            fork=self._fork(pull),
        )

    def _fork(self, pull: ApiPullRequest) -> str:
        """The other repository that the head is in; a deleted one has no name any more, and is not ours."""
        repository = getattr(pull.head, "repo", None)  # PyGithub types it as always there
        if repository is None or repository.full_name is None:
            return "(a deleted repository)"
        ours = repository.full_name.lower() == self._client.address.full_name.lower()
        return "" if ours else repository.full_name

    def _standing(self, draft: PullRequestDraft) -> PullRequest | None:
        found = self._own(self._pages("open", _PAGE, draft.head, draft.base), draft.head, draft.base)
        return next(iter(found), None)

    def _shown_at_last(self, draft: PullRequestDraft) -> PullRequest:
        """The pull request that GitHub says there is already, once its lists show it."""
        found = self._client.calls.poll(lambda: self._standing(draft))
        if found is None:
            raise RemoteError(
                f"GitHub says that there is a pull request from {draft.head.value!r} into {draft.base.value!r}, "
                "and its lists do not show it",
                where=self._client.where,
                hint="its lists lag behind now and then: run it again",
            )
        return found

    def _patch(self, number: int, payload: dict[str, str]) -> PullRequest:
        return self.view(self._client.as_pull(self._client.write("PATCH", f"/pulls/{number}", payload)))

    def _open_one(self, number: int) -> PullRequest:
        current = self.show(number)
        if current.state is not PullRequestState.OPEN:
            raise not_open(current)
        return current

    def _if(self, number: int, so: Callable[[PullRequest], bool]) -> PullRequest | None:
        current = self.show(number)
        return current if so(current) else None


def not_open(pull: PullRequest) -> NotOpen:
    """What to raise for a pull request that has ended."""
    return NotOpen(
        f"pull request #{pull.number} is {pull.state}", where=pull.url, hint="nothing was changed; open a new one"
    )


def _not_opened(error: GithubException, draft: PullRequestDraft, where: str) -> HybridCIError:
    """What a 422 to a new pull request means, unless it means that there is one."""
    for field, branch in (("head", draft.head), ("base", draft.base)):
        if field in invalid_fields(error):
            return ConfigurationError(
                f"GitHub has no branch {branch.value!r} to open a pull request {'from' if field == 'head' else 'into'}",
                where=where,
                details=reasons(error),
                hint="push it first" if field == "head" else "correct gitops.base, or push that branch",
            )
    if says(error, "no commits between"):
        return Refused(
            f"{draft.head.value!r} has nothing that {draft.base.value!r} has not",
            where=where,
            hint="push a commit to the head branch first",
        )
    if says(error, "draft pull requests are not supported"):
        return Refused(
            "this repository's plan knows no draft pull requests",
            where=where,
            hint="take `draft: true` out of the environment's policy",
        )
    return _refused("GitHub does not take this pull request", error, where)


def _refused(message: str, error: GithubException, where: str) -> Refused:
    too_long = says(error, "too long")
    hint = "shorten it: GitHub takes 65536 characters" if too_long else "the reason above is GitHub's own"
    return Refused(message, where=where, details=reasons(error), hint=hint)
