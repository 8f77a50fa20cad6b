"""Registries over the OCI distribution API: every answer is hashed, no answer is believed.

See https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urljoin, urlsplit

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, InvalidReference, Repository, TaggedImage
from orchestrator.engine.clock import Clock, Deadline, SystemClock
from orchestrator.images.base import MEBIBYTE, Descriptor, RegistryManifest
from orchestrator.images.credentials import Credentials, RegistryCredentials
from orchestrator.images.manifest import ACCEPTED, RegistryLied, json_object, read_manifest, verified
from orchestrator.images.referrers import fallback_tag, read_referrers, with_referrer
from orchestrator.images.registry_http import Answer, Request
from orchestrator.images.registry_session import MAX_SMALL, PUSH, RegistrySession
from orchestrator.images.registry_upload import upload
from orchestrator.images.retrying import retry

_MAX_MANIFEST = 4 * MEBIBYTE
_MAX_BLOB = 8 * MEBIBYTE
_SECONDS = 60.0
_MOST_PAGES = 10
_NEXT = re.compile(r""";\s*rel="?next"?\s*(?:;|$)""", re.I)


class HttpRegistry:
    """Satisfies Registry. ``seconds`` is the time for one question, its retries included.

    ``ca_bundle`` replaces the machine's CA certificates; ``token_hosts`` names further hosts that issue tokens for
    a registry's host.
    """

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        clock: Clock | None = None,
        ca_bundle: Path | None = None,
        token_hosts: Mapping[str, frozenset[str]] | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        self._clock = clock or SystemClock()
        self._seconds = seconds
        logins = credentials or RegistryCredentials(os.environ, Path.home())
        self._session = RegistrySession(logins, self._clock, ca_bundle, token_hosts or {}, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._session.close()

    # --- may we? --------------------------------------------------------------------------------------------------

    def check_login(self, repository: Repository, *, push: bool = False) -> None:
        """A cheap authenticated request: to read; with ``push``, an upload is begun and given up again.

        Only the beginning of an upload tells for sure that a push will be allowed: a token service may hand out a
        token for less than what was asked, and does so with success. Raises LoginRefused, RemoteError.
        """
        if not push:
            self._session.find(repository, "GET", "tags/list?n=1", MAX_SMALL)
            return
        answer = self._session.ask(repository, "POST", "blobs/uploads/", MAX_SMALL, actions=PUSH)
        location = answer.headers.get("Location", "")
        if location.startswith("/"):  # elsewhere it expires by itself; we go to no other host for that
            self._give_up_upload(repository, location)

    def _give_up_upload(self, repository: Repository, location: str) -> None:
        request = Request("DELETE", self._session.url(repository, location), MAX_SMALL)
        try:
            self._session.once(repository, request, Deadline(self._clock, 10.0), PUSH)
        except (RemoteError, RegistryLied):
            return  # an upload without content expires by itself; what was asked is answered

    # --- reading --------------------------------------------------------------------------------------------------

    def resolve(self, image: TaggedImage) -> Digest | None:
        """The digest of the bytes that the tag points to now; None when there is no such tag."""
        found = self._manifest(image.repository, image.tag)
        return found.digest if found is not None else None

    def manifest(self, repository: Repository, digest: Digest) -> RegistryManifest | None:
        """The manifest or index with this digest, its bytes hashed; None when there is none."""
        return self._manifest(repository, digest.value, expected=digest)

    def config(self, repository: Repository, digest: Digest) -> Mapping[str, object]:
        """The image configuration with this digest, hashed. Raises RemoteError when there is none."""
        return json_object(self.blob(repository, digest), f"{repository}@{digest}")

    def blob(self, repository: Repository, digest: Digest) -> bytes:
        """A small blob (8 MiB at most), hashed. Raises RemoteError when there is none."""
        answer = self._session.find(repository, "GET", f"blobs/{digest}", _MAX_BLOB, follow=True)
        where = f"{repository}@{digest}"
        if answer is None:
            raise RemoteError(
                "the registry does not hold a blob that a manifest names", where=where, hint="push it again"
            )
        return verified(answer.body, digest, where)

    def referrers(self, repository: Repository, subject: Digest, artifact_type: str) -> Sequence[Descriptor]:
        """The artifacts of this type that refer to the digest: by the referrers API, else by the fallback tag."""
        page = f"referrers/{subject}?{urlencode({'artifactType': artifact_type})}"  # a bare + would be read as a space
        found: list[Descriptor] = []
        for _ in range(_MOST_PAGES):
            answer = self._session.find(repository, "GET", page, _MAX_MANIFEST)
            if answer is None:
                return self._fallback(repository, subject, artifact_type)
            found += read_referrers(answer.body, artifact_type, f"{repository}@{subject}")
            page = _next_page(answer, self._session.url(repository))
            if not page:
                return found
        raise RegistryLied(
            f"the registry's list of referrers does not end after {_MOST_PAGES} pages", where=str(subject)
        )

    def _fallback(self, repository: Repository, subject: Digest, artifact_type: str) -> Sequence[Descriptor]:
        index = self._manifest(repository, fallback_tag(subject))
        return read_referrers(index.content, artifact_type, f"{repository}@{subject}") if index is not None else ()

    # --- writing --------------------------------------------------------------------------------------------------

    def put_blob(self, repository: Repository, content: bytes) -> Digest:
        """Store a small blob; one that is there already is not sent again. Raises LoginRefused, RemoteError."""
        digest = Digest.of(content)
        there = self._session.find(repository, "HEAD", f"blobs/{digest}", MAX_SMALL, follow=True)
        if there is None:
            upload(self._session, repository, digest, content, self._clock, self._seconds)
        return digest

    def put_manifest(self, repository: Repository, content: bytes, media_type: str, tag: str | None = None) -> Digest:
        """Store these very bytes, and point the tag to them. Doing it twice changes nothing. Raises RemoteError."""
        self._put(repository, content, media_type, tag)
        return Digest.of(content)

    def attach(self, repository: Repository, subject: Digest, content: bytes, media_type: str) -> Digest:
        """Store an artifact's manifest that names ``subject``, so that ``referrers`` lists it from then on.

        A registry without the referrers API says so by leaving ``OCI-Subject`` out; there the list is a tag that
        we keep (distribution specification, "Pushing Manifests with Subject"). A tag knows no compare-and-swap, so
        it is read back until our entry stands in it.
        """
        answer = self._put(repository, content, media_type, None)
        if answer.headers.get("OCI-Subject") is None:
            retry(
                lambda: self._list_in_tag(repository, subject, content),
                clock=self._clock,
                seconds=self._seconds,
                when=lambda error: isinstance(error, _Overtaken),
            )
        return Digest.of(content)

    def _list_in_tag(self, repository: Repository, subject: Digest, content: bytes) -> None:
        tag = fallback_tag(subject)
        index = self._manifest(repository, tag)
        listed = with_referrer(index.content if index is not None else None, content, f"{repository}:{tag}")
        if listed is None:
            return
        self._put(repository, listed.content, listed.media_type, tag)
        back = self._manifest(repository, tag)
        if back is None or with_referrer(back.content, content, f"{repository}:{tag}") is not None:
            raise _Overtaken("another job listed its artifact at the same time", where=f"{repository}:{tag}")

    def _put(self, repository: Repository, content: bytes, media_type: str, tag: str | None) -> Answer:
        path = f"manifests/{tag or Digest.of(content)}"
        return self._session.ask(repository, "PUT", path, MAX_SMALL, actions=PUSH, body=content, media_type=media_type)

    # --- how ------------------------------------------------------------------------------------------------------

    def _manifest(
        self, repository: Repository, reference: str, expected: Digest | None = None
    ) -> RegistryManifest | None:
        answer = self._session.find(
            repository,
            "GET",
            f"manifests/{reference}",
            _MAX_MANIFEST,
            accept=ACCEPTED,
            follow=expected is not None,  # by tag, only the registry itself may answer
        )
        if answer is None:
            return None
        where = f"{repository}@{expected}" if expected is not None else f"{repository}:{reference}"
        if expected is not None:
            verified(answer.body, expected, where)
        _check_claim(answer, where)
        return read_manifest(answer.body, answer.headers.get("Content-Type", ""), where)


class _Overtaken(RemoteError):
    """The fallback tag was written by somebody else between our write and our look."""


def _next_page(answer: Answer, base: str) -> str:
    """The path of the next page that a ``Link`` header names (RFC 8288); empty when this was the last one.

    One on another host is none: what is there is no answer of this registry.
    """
    target, _, parameters = answer.headers.get("Link", "").strip().removeprefix("<").partition(">")
    if not _NEXT.search(parameters):
        return ""
    try:
        parts = urlsplit(urljoin(base, target))
    except ValueError:
        return ""
    here = parts.netloc == urlsplit(base).netloc and parts.path.startswith("/v2/")
    return f"{parts.path}?{parts.query}" if here else ""


def _check_claim(answer: Answer, where: str) -> None:
    """A Docker-Content-Digest header that is not the digest of the body is a lie, whatever the reason."""
    claimed = answer.headers.get("Docker-Content-Digest")
    if claimed is None:
        return
    try:
        digest = Digest(claimed)
    except InvalidReference:
        raise RegistryLied("the registry names a digest that is none", where=where, details=[claimed[:200]]) from None
    verified(answer.body, digest, where)
