"""What a push that failed means for people: which answers are final, and what to do about them."""

from __future__ import annotations

from orchestrator.core.errors import Conflict, Refused, RemoteError
from orchestrator.core.names import RefName
from orchestrator.git.failures import Failure, explain
from orchestrator.git.remote import PushAnswer


def raise_if_final(answer: PushAnswer, ref: RefName, url: str) -> None:
    """Raise for answers that trying again does not change."""
    if answer.failure is Failure.REFUSED:
        raise Refused(
            f"the GitOps repository's rules refuse the push to {ref}",
            where=url,
            hint="hybrid-ci never goes around the rules: let the token's owner write this branch, or change the rule",
            details=answer.text,
        )
    if answer.failure is Failure.REF_CLASH:
        raise Conflict(
            f"{ref} can't be made: another ref stands where one of its folders should be, or below it",
            where=url,
            hint="rename or delete the ref that is in the way (see the server's answer)",
            details=answer.text,
        )
    if answer.failure is Failure.NO_PUSH:
        message, hint = explain(answer.failure, "being written")
        raise RemoteError(message, where=url, hint=hint, details=answer.text)
    if answer.failure in (Failure.LOGIN, Failure.MISSING, Failure.REDIRECTED, Failure.UNTRUSTED_HOST):
        raise RemoteError(
            f"the GitOps repository did not let us push to {ref}",
            where=url,
            hint="check that the token (or ssh key) is valid and may write this repository",
            details=answer.text,
        )


def gave_up(answer: PushAnswer, ref: RefName, url: str) -> RemoteError:
    return RemoteError(
        f"the push to {ref} failed again and again",
        where=url,
        hint="nothing has landed; it is safe to run again",
        details=answer.text,
    )
