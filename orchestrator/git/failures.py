"""What a remote's refusal means. Pure: git's words in, a class of failure out.

The words are those of git itself, of libcurl, and of the forges. They are evidence, not truth: after a failed
push the ref is read back before anything is decided, whatever the words were.
"""

from __future__ import annotations

import re
from enum import StrEnum

from orchestrator.core.errors import RemoteError


class Failure(StrEnum):
    """Why a remote operation failed, as far as its words tell."""

    RACE = "race"  # somebody else moved the ref
    INCOMPLETE = "incomplete"  # git wants to push what our commit stands on, and most of that is not here
    REF_CLASH = "ref clash"  # refs/heads/a stands where refs/heads/a/b should go, or the other way round
    REFUSED = "refused"  # the server's rules say no, and will say so again
    LOGIN = "login"  # not authenticated, or not allowed
    MISSING = "missing"  # no such repository (or none that we may see)
    OTHER_FORMAT = "other format"  # the repository uses SHA-256 where we took SHA-1, or the other way round
    REDIRECTED = "redirected"
    NO_SUCH_OBJECT = "no such object"  # the server does not give the id that we asked for
    NO_FILTER = "no filter"  # it refuses the kind of partial fetch
    NO_SHALLOW = "no shallow"  # it can't do shallow fetches (the dumb protocol)
    NO_PUSH = "no push"  # nor take pushes
    UNTRUSTED_HOST = "untrusted host"  # TLS certificate or ssh host key
    TRANSIENT = "transient"
    UNKNOWN = "unknown"


# One phrase a line, as a regular expression. The first match wins, so the transient look-alikes of a refusal
# stand before the refusals.
_PHRASES: tuple[tuple[Failure, str], ...] = (
    (Failure.TRANSIENT, "unable to determine if workflow can be created or updated due to timeout"),
    (
        Failure.REF_CLASH,
        """exists; cannot create
        directory/file conflict
        there are still refs under""",
    ),
    (
        Failure.REFUSED,
        r"""GH0\d\d:
        protected branch
        hook declined
        refusing to allow an? .* to create or update workflow
        denied by (?:rule|policy)
        push declined due to
        repository rule violations
        archived
        deny updating a hidden ref
        not allowed to push
        is read-only
        fsck error
        refusing to update checked out branch""",
    ),
    (
        Failure.RACE,
        """non-fast-forward
        fetch first
        cannot lock ref
        failed to lock
        incorrect old value
        stale info
        reference already exists
        failed to update ref""",
    ),
    (
        Failure.NO_SUCH_OBJECT,
        """not our ref
        unadvertised object
        couldn't find remote ref
        no such remote ref
        did not send all necessary objects""",
    ),
    (Failure.INCOMPLETE, r"bad tree object|bad object [0-9a-f]{40}|unable to read [0-9a-f]{40}"),
    (
        Failure.NO_FILTER,
        """filter '.*' not supported
        tree filter allows max depth""",
    ),
    (
        Failure.NO_SHALLOW,
        """dumb http transport does not support
        does not support shallow
        shallow capabilities""",
    ),
    (Failure.NO_PUSH, "git-http-push failed"),
    (Failure.OTHER_FORMAT, "hash algorithm|object format"),
    (
        Failure.REDIRECTED,
        r"""unable to update url base from redirection
        returned error: 30\d""",
    ),
    (
        Failure.UNTRUSTED_HOST,
        r"""host key verification failed
        certificate (?:verify|verification) failed
        ssl certificate problem
        no (?:\S+ )?host key is known""",
    ),
    (
        Failure.LOGIN,
        r"""authentication failed
        could not read (?:username|password)
        terminal prompts disabled
        permission denied
        returned error: 40[13]
        access denied
        invalid credentials
        permission to .* denied
        write access to repository not granted""",
    ),
    (
        Failure.MISSING,
        r"""repository (?:.*)?not found
        returned error: 404
        does not appear to be a git repository
        repository .* does not exist
        project you were looking for could not be found
        is this a git repository""",  # a page came instead
    ),
    (
        Failure.TRANSIENT,
        r"""early eof
        hung up
        (?:failed to|couldn't|could not) (?:connect|resolve)
        returned error: (?:429|5\d\d)
        http 5\d\d
        rpc failed
        connection (?:reset|refused|timed out|closed)
        timed out
        operation too slow
        transfer closed
        empty reply
        unexpected disconnect
        broken pipe
        (?:recv|send) failure
        expected flush
        invalid server response
        bad line length
        protocol error
        invalid index-pack
        index-pack failed
        (?:internal server error|temporarily unavailable|too many requests)""",
    ),
)
_COMPILED = tuple(
    (failure, re.compile("|".join(line.strip() for line in phrases.splitlines()), re.IGNORECASE))
    for failure, phrases in _PHRASES
)


class RemoteFailure(RemoteError):
    """A fetch, a listing or a push failed at the remote; ``failure`` is the class of its words."""

    def __init__(self, message: str, failure: Failure, *, where: str, hint: str | None, details: list[str]) -> None:
        super().__init__(message, where=where, hint=hint, details=details)
        self.failure = failure


def classify(text: str) -> Failure:
    """The class of what git and the server said."""
    for failure, pattern in _COMPILED:
        if pattern.search(text):
            return failure
    return Failure.UNKNOWN


def is_transient(failure: Failure) -> bool:
    """Trying again can help."""
    return failure in (Failure.TRANSIENT, Failure.UNKNOWN)


_EXPLANATIONS: dict[Failure, tuple[str, str | None]] = {
    Failure.LOGIN: (
        "the GitOps repository refused the login",
        "check that the token (or ssh key) is valid and may read and write this repository",
    ),
    Failure.MISSING: (
        "the GitOps repository was not found",
        "check its URL or path; a forge gives the same answer when the token may not see the repository",
    ),
    Failure.NO_PUSH: (
        "the GitOps repository's server takes no pushes at this address",
        "it serves the repository's files only (the dumb protocol): use an address that git can push to",
    ),
    Failure.REDIRECTED: (
        "the GitOps repository's server redirects to another address",
        "a credential is never sent on: configure the address that it redirects to, if you trust it",
    ),
    Failure.UNTRUSTED_HOST: (
        "the GitOps repository's server could not be authenticated",
        "add its host key to known_hosts, or its authority to the CA bundle",
    ),
    Failure.NO_SUCH_OBJECT: (
        "the GitOps repository does not give a commit that it had a moment ago",
        "somebody may have rewritten the branch; run again",
    ),
}


def explain(failure: Failure, what: str) -> tuple[str, str | None]:
    """A sentence and a hint for people; ``what`` names the operation."""
    return _EXPLANATIONS.get(failure, (f"the GitOps repository failed while {what}", "it is safe to run again"))
