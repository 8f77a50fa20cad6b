"""GitHub's merges: now, when the rules allow it, or through the queue. Always with the expected head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from github.GithubException import GithubException

from orchestrator.core.errors import RemoteError
from orchestrator.core.names import CommitId
from orchestrator.engine.retry import Backoff
from orchestrator.forges.base import (
    AutoMerge,
    MergeMethod,
    NotMergeable,
    PullRequest,
    PullRequestMoved,
    PullRequestState,
)
from orchestrator.forges.calls import Doubtful
from orchestrator.forges.github_client import GitHubClient
from orchestrator.forges.github_errors import reasons, says
from orchestrator.forges.github_pulls import GitHubPulls, not_open

_MERGEABLE = frozenset({"clean", "unstable", "has_hooks"})  # unstable: a check that no rule asks for has not passed
_QUEUE = ("merge queue",)
_MERGEABILITY_SECONDS = 60.0
_ENABLED = "pullRequest { autoMergeRequest { enabledAt } }"
_ASKED = {"id", "isMergeQueueEnabled", "isInMergeQueue", "autoMergeRequest"}
_PULL = """query($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      id isMergeQueueEnabled isInMergeQueue autoMergeRequest { mergeMethod commitHeadline commitBody }
    }
  }
}"""


class GitHubMerging:
    """Merges one repository's pull requests. Methods raise as Merging, AutoMerging and Drafting say."""

    def __init__(self, client: GitHubClient, pulls: GitHubPulls) -> None:
        self._client, self._pulls = client, pulls

    def merge(
        self, number: int, expected: CommitId, message: str | None, method: MergeMethod = MergeMethod.MERGE
    ) -> PullRequest:
        """Merge now. A base that moved meanwhile is tried again; an answer that got lost is read back."""
        with self._client.calls.operation() as deadline:
            backoff = Backoff(self._client.calls.clock, deadline)
            while True:
                current = self._mergeable_one(number, expected)
                if current.state is PullRequestState.MERGED:
                    return current
                try:
                    self._client.write("PUT", f"/pulls/{number}/merge", _merge_payload(expected, message, method))
                except Doubtful as doubt:
                    error: Exception = doubt
                except GithubException as refusal:
                    self._judge(refusal, number, expected)
                    error = refusal
                else:
                    return self._merged(number)
                if not backoff.wait_for_recovery():
                    raise error

    def merge_when_ready(self, number: int, expected: CommitId, method: MergeMethod, message: str | None) -> AutoMerge:
        """Merge at once where the rules are met already, as GitHub refuses auto-merge there; else ask for it."""
        current = self._mergeable_one(number, expected)
        if current.state is PullRequestState.MERGED:
            return AutoMerge.MERGED
        state = self._merge_state(number)
        if state == "dirty":
            raise _not_mergeable(current, "it has conflicts with its base", "run hybrid-ci again: it makes it anew")
        asked = self._asked(number)
        if asked["isMergeQueueEnabled"]:
            return self._through_queue(current, asked, expected, state, method, message)
        if state in _MERGEABLE:
            return self._now(current, expected, method, message)
        return self._later(current, asked, expected, method, message)

    def call_off(self, number: int) -> bool:
        """Auto-merge off, and out of the queue: GitHub itself keeps what was asked for through a push of ours, with
        the message of the head that it was asked for."""
        current = self._pulls.show(number)
        if current.state is not PullRequestState.OPEN:
            raise not_open(current)
        asked = self._asked(number)
        if asked["autoMergeRequest"] is not None:
            values = {"pullRequestId": asked["id"]}
            self._ask("disablePullRequestAutoMerge", values, _ENABLED, number, lambda now: _wish(now) is None)
        if asked["isInMergeQueue"]:
            self._ask("dequeuePullRequest", {"id": asked["id"]}, "mergeQueueEntry { state }", number, _not_queued)
        return asked["autoMergeRequest"] is not None or asked["isInMergeQueue"]

    def set_draft(self, number: int, draft: bool) -> PullRequest:
        """Make it a draft, or ready. Both changes may be made twice, so a doubtful one is."""
        current = self._pulls.show(number)
        if current.state is not PullRequestState.OPEN:
            raise not_open(current)
        if current.draft == draft:
            return current
        mutation = "convertPullRequestToDraft" if draft else "markPullRequestReadyForReview"
        values = {"pullRequestId": self._asked(number)["id"]}

        def write() -> PullRequest:
            self._client.mutate(mutation, values, "pullRequest { id isDraft }")
            return self._pulls.show(number)

        def landed() -> PullRequest | None:
            now = self._pulls.show(number)
            return now if now.draft == draft else None

        return self._client.calls.settle(write, landed)

    # --- the ways -------------------------------------------------------------------------------------------------

    def _now(self, pull: PullRequest, expected: CommitId, method: MergeMethod, message: str | None) -> AutoMerge:
        try:
            self.merge(pull.number, expected, message, method)
        except NotMergeable:
            asked = self._asked(pull.number)  # the rules may have changed since its state was computed
            if asked["isMergeQueueEnabled"]:
                return self._through_queue(pull, asked, expected, "clean", method, message)
            raise
        return AutoMerge.MERGED

    def _later(
        self, pull: PullRequest, asked: dict[str, Any], expected: CommitId, method: MergeMethod, message: str | None
    ) -> AutoMerge:
        title, body = _split(message)
        if (wish := _wish(asked)) is not None:
            if asked["isMergeQueueEnabled"] or _same_wish(wish, method, message):
                return AutoMerge.ENABLED
            self.call_off(pull.number)  # GitHub changes no wish that there is
        values = {"pullRequestId": asked["id"], "expectedHeadOid": expected.value, "mergeMethod": method.name}
        if message:
            values |= {"commitHeadline": title, "commitBody": body}
        try:
            self._ask("enablePullRequestAutoMerge", values, _ENABLED, pull.number, _is_wanted)
        except GithubException as error:
            if says(error, "clean status", "unstable status"):  # its rules were met in between
                return self._now(pull, expected, method, message)
            raise self._why_not(error, pull, expected) from None
        return AutoMerge.ENABLED

    def _through_queue(
        self,
        pull: PullRequest,
        asked: dict[str, Any],
        expected: CommitId,
        state: str,
        method: MergeMethod,
        message: str | None,
    ) -> AutoMerge:
        """Into the queue; where the rules are not met yet, auto-merge puts it there once they are."""
        if asked["isInMergeQueue"]:
            return AutoMerge.ENABLED
        if state not in _MERGEABLE:
            return self._later(pull, asked, expected, method, message)
        values = {"pullRequestId": asked["id"], "expectedHeadOid": expected.value}
        try:
            self._ask("enqueuePullRequest", values, "mergeQueueEntry { state }", pull.number, _is_wanted)
        except GithubException as error:
            raise self._why_not(error, pull, expected) from None
        return AutoMerge.ENABLED

    def _ask(
        self,
        mutation: str,
        values: dict[str, Any],
        wanted: str,
        number: int,
        so: Callable[[dict[str, Any]], bool],
    ) -> None:
        """``so`` tells by what ``_asked`` gives whether a mutation whose answer got lost has landed."""

        def write() -> bool:
            self._client.mutate(mutation, values, wanted)
            return True

        def landed() -> bool | None:
            return so(self._asked(number)) or None

        self._client.calls.settle(write, landed)

    # --- what is so now -------------------------------------------------------------------------------------------

    def _mergeable_one(self, number: int, expected: CommitId) -> PullRequest:
        """The pull request, open or merged, with the expected head. Raises PullRequestMoved, NotMergeable."""
        current = self._pulls.show(number)
        if current.state is PullRequestState.CLOSED:
            raise _not_mergeable(current, "it was closed without a merge", "open a new one")
        if current.head_commit != expected:
            raise _moved(current, expected)
        if current.draft and current.state is PullRequestState.OPEN:
            raise _not_mergeable(current, "it is a draft", "it has to be made ready first")
        return current

    def _merge_state(self, number: int) -> str:
        """GitHub's ``mergeable_state``: computed when first asked for, so it is asked again until it is there."""

        def ask() -> str | None:
            pull = self._client.pull(number)
            known = pull.mergeable is not None and pull.mergeable_state not in (None, "unknown")
            return pull.mergeable_state if known else None

        return self._client.calls.poll(ask, _MERGEABILITY_SECONDS) or "unknown"

    def _asked(self, number: int) -> dict[str, Any]:
        """What only GraphQL tells: the node id, the queue, and whether auto-merge was asked for."""
        address = self._client.address
        variables = {"owner": address.owner, "name": address.name, "number": number}
        repository = self._client.query(_PULL, variables).get("repository")
        found = repository.get("pullRequest") if isinstance(repository, dict) else None
        if not isinstance(found, dict) or not found.keys() >= _ASKED:
            raise RemoteError(f"GitHub does not tell about pull request #{number}", where=self._client.where)
        return found

    def _merged(self, number: int) -> PullRequest:
        """The pull request once GitHub shows it as merged."""

        def ask() -> PullRequest | None:
            now = self._pulls.show(number)
            return now if now.state is PullRequestState.MERGED else None

        found = self._client.calls.poll(ask)
        if found is None:
            raise RemoteError(
                f"GitHub says that it merged pull request #{number}, and does not show it so",
                where=self._client.where,
                hint="run it again: it looks first",
            )
        return found

    def _judge(self, error: GithubException, number: int, expected: CommitId) -> None:
        """Nothing for a race, or when it is merged after all, which the next look tells. Raises for the rest."""
        if error.status == 405 and says(error, "base branch was modified", "try the merge again"):
            return
        if error.status not in (404, 405, 409, 422):
            raise error
        current = self._pulls.show(number)
        if current.state is PullRequestState.MERGED and current.head_commit == expected:
            return
        raise self._why_not(error, current, expected)

    def _why_not(self, error: GithubException, pull: PullRequest, expected: CommitId) -> Exception:
        if error.status == 409 or says(error, "head branch was modified", "head sha", "expected head"):
            return _moved(pull, expected)
        hint = "its rules are the repository's: look at the pull request"
        if says(error, *_QUEUE):
            hint = "the base branch takes merges through its queue only: let the environment's policy merge by itself"
        elif says(error, "auto merge is not allowed", "auto-merge is not allowed"):
            hint = "switch on 'Allow auto-merge' in the repository's settings, or leave the merge to people"
        elif says(error, "not allowed on this repository"):
            hint = "choose a merge method in the environment's policy that the repository's settings allow"
        return _not_mergeable(pull, "; ".join(reasons(error)) or "GitHub refuses it", hint)


def _merge_payload(expected: CommitId, message: str | None, method: MergeMethod) -> dict[str, str]:
    payload = {"sha": expected.value, "merge_method": method.value}
    if message and message.strip() and method is not MergeMethod.REBASE:
        title, body = _split(message)
        payload |= {"commit_title": title, "commit_message": body}
    return payload


def _wish(asked: dict[str, Any]) -> dict[str, Any] | None:
    found = asked["autoMergeRequest"]
    return found if isinstance(found, dict) else None


def _same_wish(wish: dict[str, Any], method: MergeMethod, message: str | None) -> bool:
    """By method and words: GitHub may keep other white space than it was given."""
    if wish.get("mergeMethod") != method.name:
        return False
    if not message or not message.strip() or method is MergeMethod.REBASE:
        return True
    told = f"{wish.get('commitHeadline') or ''} {wish.get('commitBody') or ''}"
    return told.split() == message.split()


def _is_wanted(asked: dict[str, Any]) -> bool:
    return bool(asked["isInMergeQueue"]) or _wish(asked) is not None


def _not_queued(asked: dict[str, Any]) -> bool:
    return not asked["isInMergeQueue"]


def _split(message: str | None) -> tuple[str, str]:
    title, _, body = (message or "").strip().partition("\n")
    return title.strip(), body.strip("\n")


def _moved(pull: PullRequest, expected: CommitId) -> PullRequestMoved:
    now = pull.head_commit.short if pull.head_commit else "gone"
    return PullRequestMoved(
        f"the head of pull request #{pull.number} is not {expected.short} any more, but {now}",
        where=pull.url,
        hint="look at what came in, and run it again",
    )


def _not_mergeable(pull: PullRequest, reason: str, hint: str) -> NotMergeable:
    return NotMergeable(f"pull request #{pull.number} can't be merged: {reason}", where=pull.url, hint=hint)
