"""Storing a small blob in a registry in one piece (distribution specification, "Pushing a blob monolithically")."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, Repository
from orchestrator.engine.clock import Clock, Deadline
from orchestrator.images.manifest import RegistryLied
from orchestrator.images.registry_http import Answer, RegistryUnavailable, Request
from orchestrator.images.registry_session import MAX_SMALL, PUSH, RegistrySession
from orchestrator.images.retrying import retry


class _UploadLost(RemoteError):
    """The registry does not know the upload any more that it has just begun; a new one may do better."""


def upload(
    session: RegistrySession, repository: Repository, digest: Digest, content: bytes, clock: Clock, seconds: float
) -> None:
    """Begin an upload and send the bytes. A second time stores the same bytes, so it is tried again as a whole.

    Raises LoginRefused, RegistryLied, RemoteError.
    """
    deadline = Deadline(clock, seconds)

    def attempt() -> None:
        begun = session.ask(repository, "POST", "blobs/uploads/", MAX_SMALL, actions=PUSH)
        url = _upload_url(session.url(repository), begun, digest)
        request = Request("PUT", url, MAX_SMALL, body=content)
        answer = session.once(repository, request, deadline, PUSH)
        if answer.status == 404:
            raise _UploadLost("the registry lost an upload", where=str(repository), hint="run again")
        if answer.status != 201:
            raise session.refusal(repository, answer, push=True)

    retry(
        attempt,
        clock=clock,
        seconds=seconds,
        when=lambda error: isinstance(error, (RegistryUnavailable, _UploadLost)),
    )


def _upload_url(base: str, begun: Answer, digest: Digest) -> str:
    """Where to send the bytes: on the registry's own host, because the login goes along. Raises RegistryLied."""
    location = begun.headers.get("Location", "")
    url = urljoin(base, location)
    if not location or urlsplit(url)[:2] != urlsplit(base)[:2]:
        raise RegistryLied(
            "the registry wants the upload sent to another host",
            where=urlsplit(base).netloc,
            hint="use the registry's real address in the image's repository",
        )
    return f"{url}{'&' if urlsplit(url).query else '?'}digest={digest}"
