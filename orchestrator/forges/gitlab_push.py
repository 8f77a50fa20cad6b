"""GitLab for a login that may push and no more, such as CI_JOB_TOKEN: the push itself opens the merge request.

https://docs.gitlab.com/topics/git/commit/#push-options-for-merge-requests. What there is, is read from the refs that
GitLab keeps for merge requests (``refs/merge-requests/7/head``); nobody tells whether one is open, and by whom.
What a job token may read by calls differs from version to version, so those are tried and done without.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.names import BranchName, CommitId
from orchestrator.engine.clock import Clock, Deadline
from orchestrator.forges import gitlab_shapes as shapes
from orchestrator.forges.base import (
    CommitStatus,
    Comparison,
    ForgeFacts,
    LoginFacts,
    PullRequest,
    PullRequestDraft,
    PullRequestState,
    TokenKind,
)
from orchestrator.forges.calls import LoginRefused
from orchestrator.forges.gitlab import GitLabForge
from orchestrator.forges.gitlab_address import GitLabAddress

ListRefs = Callable[[str], Mapping[str, CommitId]]

_HEADS = "refs/merge-requests/*/head"
_HEAD = re.compile(r"refs/merge-requests/([1-9][0-9]*)/head")
_LONGEST = 60_000  # bytes of one push option; git's own limit is 65,516
_LAG_SECONDS = 60.0  # after a push GitLab updates its refs in the background
_PAUSE = 2.0


class GitLabByPush:
    """The Forge port as far as pushing goes: a merge request is opened, retitled and described by push options."""

    def __init__(self, address: GitLabAddress, list_refs: ListRefs, calls: GitLabForge, clock: Clock) -> None:
        """``list_refs`` gives the repository's refs that git's pattern matches; ``calls`` has the same login."""
        self._address, self._list_refs, self._calls, self._clock = address, list_refs, calls, clock
        self._known: dict[int, PullRequest] = {}

    @property
    def name(self) -> str:
        """``gitlab``."""
        return "gitlab"

    @property
    def api_calls(self) -> int:
        """Requests sent to the API so far; pushes are none."""
        return self._calls.api_calls

    def check_access(self) -> None:
        """The repository can be read; whether it can be pushed to, the repository's own check tells."""
        self._list_refs("HEAD")

    def facts(self, base: BranchName) -> ForgeFacts:
        """As the port says, as far as a job token may ask; most of it stays unknown."""
        return ForgeFacts(LoginFacts(TokenKind.JOB))

    def push_options(self, draft: PullRequestDraft) -> Sequence[str]:
        """See ``OpensByPush``. GitLab takes the same options for a merge request that is open already."""
        title = shapes.join_title(" ".join(draft.title.split()), draft.draft)
        return [
            "merge_request.create",
            f"merge_request.target={draft.base}",
            f"merge_request.title={title}",
            f"merge_request.description={_one_line(shapes.harmless_text(draft.body))}",
        ]

    def pull_requests(self, head: BranchName, base: BranchName) -> Sequence[PullRequest]:
        """The newest one whose head is the branch's; taken for an open one, since GitLab tells no more."""
        number, tip = self._newest(head)
        if number is None:
            return []
        found = PullRequest(
            number=number,
            url=f"{self._address.base}/{self._address.project}/-/merge_requests/{number}",
            title="",
            body="",
            head=head,
            head_commit=tip,
            base=base,
            state=PullRequestState.OPEN,
            author="",
        )
        self._known[number] = found
        return [found]

    def open(self, draft: PullRequestDraft) -> PullRequest:
        """The one that the push has opened. Raises RemoteError when there is none: the push had no options."""
        deadline = Deadline(self._clock, _LAG_SECONDS)
        while True:
            found = self.pull_requests(draft.head, draft.base)
            if found:
                return replace(found[0], title=draft.title, body=draft.body, draft=draft.draft)
            if deadline.remaining <= _PAUSE:
                raise RemoteError(
                    f"the push of {draft.head.value!r} has opened no merge request",
                    where=f"{self._address.base}/{self._address.project}",
                    hint="delete the branch and run it again, or open the merge request by hand; "
                    "a token with the scope `api` in HYBRID_CI_FORGE_TOKEN needs neither",
                )
            self._clock.sleep(_PAUSE)

    def update(self, number: int, *, title: str, body: str) -> PullRequest:
        """What the push has written already. Raises ConfigurationError for one that was not found before."""
        known = self._known.get(number)
        if known is None:
            raise ConfigurationError(f"there is no pull request #{number} that this run has seen")
        newest, tip = self._newest(known.head)
        if newest is not None and newest != number:  # the old one had ended, so the push opened another
            known = self.pull_requests(known.head, known.base)[0]
        return replace(known, title=title, body=body, head_commit=tip)

    def close(self, number: int, comment: str) -> PullRequest:
        """Raises LoginRefused: no push closes a merge request."""
        raise LoginRefused(
            f"a login that may only push can't close merge request !{number}",
            status=403,
            where=f"{self._address.base}/{self._address.project}/-/merge_requests/{number}",
            hint="close it by hand, or give a token with the scope `api` in HYBRID_CI_FORGE_TOKEN",
            details=(comment,) if comment else (),
        )

    # --- reading by calls, as far as GitLab lets -----------------------------------------------------------------

    def compare(self, repository: str, base: CommitId, head: CommitId) -> Comparison | None:
        """See ``Comparing``; None also when the login may not read that."""
        try:
            return self._calls.compare(repository, base, head)
        except LoginRefused:
            return None

    def statuses(self, commit: CommitId) -> Sequence[CommitStatus]:
        """See ``CommitStatuses``. Raises LoginRefused, which names the token to give, when it may not read them."""
        return self._calls.statuses(commit)

    def set_status(self, commit: CommitId, status: CommitStatus) -> None:
        """See ``CommitStatuses``. Raises as ``statuses``."""
        self._calls.set_status(commit, status)

    def _newest(self, head: BranchName) -> tuple[int | None, CommitId | None]:
        tip = self._list_refs(head.ref.value).get(head.ref.value)
        if tip is None:
            return None, None
        heads = self._list_refs(_HEADS)
        numbers = [int(match[1]) for name, at in heads.items() if at == tip and (match := _HEAD.fullmatch(name))]
        return max(numbers, default=None), tip


def _one_line(text: str) -> str:
    r"""A push option has no line breaks; GitLab reads ``\n`` as one. A backslash before an n is spelled out."""
    line = text.replace("\\n", "&#92;n").replace("\r\n", "\n").replace("\n", "\\n")
    encoded = line.encode()
    return line if len(encoded) <= _LONGEST else f"{encoded[:_LONGEST].decode('utf-8', 'ignore').rstrip(chr(92))}…"
