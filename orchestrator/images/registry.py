"""Registries over the OCI distribution API: every answer is hashed, no answer is believed.

See https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.image import Digest, InvalidReference, Repository, TaggedImage
from orchestrator.core.secret import Secret
from orchestrator.engine.clock import Clock, Deadline, SystemClock
from orchestrator.images.base import MEBIBYTE, RegistryManifest
from orchestrator.images.credentials import Credentials, Login, RegistryCredentials
from orchestrator.images.errors import LoginRefused, login_hint
from orchestrator.images.manifest import ACCEPTED, RegistryLied, json_object, read_manifest, verified
from orchestrator.images.registry_auth import (
    BasicChallenge,
    BearerChallenge,
    Challenge,
    api_host,
    check_realm,
    parse_challenge,
)
from orchestrator.images.registry_http import Answer, RegistryHttp, RegistryUnavailable, Request, basic
from orchestrator.images.retrying import retry

_MAX_MANIFEST = 4 * MEBIBYTE
_MAX_CONFIG = 8 * MEBIBYTE
_MAX_SMALL = MEBIBYTE
_SECONDS = 60.0


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
        self._credentials = credentials or RegistryCredentials(os.environ, Path.home())
        self._clock = clock or SystemClock()
        self._token_hosts = token_hosts or {}
        self._seconds = seconds
        self._http = RegistryHttp(self._clock, _verify(ca_bundle, os.environ))
        self._authorizations: dict[tuple[str, str], Secret] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    # --- the port -------------------------------------------------------------------------------------------------

    def check_login(self, repository: Repository, *, push: bool = False) -> None:
        """A cheap authenticated request: to read; with ``push``, an upload is begun and given up again.

        Only the beginning of an upload tells for sure that a push will be allowed: a token service may hand out a
        token for less than what was asked, and does so with success. Raises LoginRefused, RemoteError.
        """
        if not push:
            self._ask(repository, "GET", "tags/list?n=1", _MAX_SMALL, none_on_404=True)
            return
        answer = self._ask(repository, "POST", "blobs/uploads/", _MAX_SMALL, actions="pull,push")
        location = answer.headers.get("Location", "") if answer is not None else ""
        if location.startswith("/"):  # elsewhere it expires by itself; we go to no other host for that
            self._give_up_upload(repository, location)

    def resolve(self, image: TaggedImage) -> Digest | None:
        """The digest of the bytes that the tag points to now; None when there is no such tag."""
        found = self._manifest(image.repository, image.tag)
        return found.digest if found is not None else None

    def manifest(self, repository: Repository, digest: Digest) -> RegistryManifest | None:
        """The manifest or index with this digest, its bytes hashed; None when there is none."""
        return self._manifest(repository, digest.value, expected=digest)

    def config(self, repository: Repository, digest: Digest) -> Mapping[str, object]:
        """The image configuration with this digest, hashed. Raises RemoteError when there is none."""
        answer = self._ask(repository, "GET", f"blobs/{digest}", _MAX_CONFIG, none_on_404=True, follow=True)
        where = f"{repository}@{digest}"
        if answer is None:
            raise RemoteError(
                "the registry does not hold the configuration that the image's manifest names",
                where=where,
                hint="push the image again",
            )
        return json_object(verified(answer.body, digest, where), where)

    # --- how ------------------------------------------------------------------------------------------------------

    def _manifest(
        self, repository: Repository, reference: str, expected: Digest | None = None
    ) -> RegistryManifest | None:
        answer = self._ask(
            repository,
            "GET",
            f"manifests/{reference}",
            _MAX_MANIFEST,
            accept=ACCEPTED,
            none_on_404=True,
            follow=expected is not None,  # by tag, only the registry itself may answer
        )
        if answer is None:
            return None
        where = f"{repository}@{expected}" if expected is not None else f"{repository}:{reference}"
        if expected is not None:
            verified(answer.body, expected, where)
        _check_claim(answer, where)
        return read_manifest(answer.body, answer.headers.get("Content-Type", ""), where)

    def _ask(
        self,
        repository: Repository,
        method: str,
        path: str,
        limit: int,
        *,
        accept: tuple[str, ...] = (),
        actions: str = "pull",
        none_on_404: bool = False,
        follow: bool = False,
    ) -> Answer | None:
        """Ask, log in when told to, try again when the registry is ill. None for a 404 where that is an answer."""
        deadline = Deadline(self._clock, self._seconds)

        def attempt() -> Answer:
            url = f"{self._http.base(api_host(repository.registry))}/v2/{repository.path}/{path}"
            request = Request(method, url, limit, accept, follow=follow)
            return self._authorized(repository, request, f"repository:{repository.path}:{actions}", deadline)

        answer = retry(
            attempt,
            clock=self._clock,
            seconds=self._seconds,
            when=lambda error: isinstance(error, RegistryUnavailable),
            at_least=lambda error: error.wait if isinstance(error, RegistryUnavailable) else 0.0,
        )
        if answer.status == 404 and none_on_404:
            return None
        if not 200 <= answer.status < 300:
            raise self._refusal(repository, answer, push="push" in actions)
        return answer

    def _authorized(self, repository: Repository, request: Request, scope: str, deadline: Deadline) -> Answer:
        """Send with the login that worked before; on a 401, get a new one and send once more."""
        key = (repository.registry, scope)
        with self._lock:
            known = self._authorizations.get(key)
        answer = self._http.send(replace(request, authorization=known), deadline)
        if answer.status != 401:
            return answer
        challenge = parse_challenge(answer.headers.get("WWW-Authenticate", ""))
        fresh = self._log_in(repository, challenge, scope, deadline)
        if fresh is None:
            return answer
        with self._lock:
            self._authorizations[key] = fresh
        return self._http.send(replace(request, authorization=fresh), deadline)

    def _log_in(
        self, repository: Repository, challenge: Challenge | None, scope: str, deadline: Deadline
    ) -> Secret | None:
        login = self._credentials.login(repository.registry)
        match challenge:
            case BasicChallenge():
                usable = login is not None and not login.is_identity_token
                return basic(login.username, login.password) if login is not None and usable else None
            case BearerChallenge():
                return self._token(repository, challenge, login, scope, deadline)
            case None:
                return None

    def _token(
        self, repository: Repository, challenge: BearerChallenge, login: Login | None, scope: str, deadline: Deadline
    ) -> Secret:
        host = api_host(repository.registry)
        realm = check_realm(challenge.realm, host, self._token_hosts)
        request = _token_request(realm, challenge.service, login, scope)
        answer = self._http.send(request, deadline)
        if answer.status != 200:
            raise self._refusal(repository, answer, push="push" in scope)
        document = json_object(answer.body, f"the token service of {host}")
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RemoteError(
                f"the token service of {host} gave no token", where=realm.partition("?")[0], hint="run again"
            )
        return Secret(f"Bearer {token}", f"the token service of {host}")

    def _refusal(self, repository: Repository, answer: Answer, *, push: bool) -> RemoteError:
        logged_in = self._credentials.login(repository.registry) is not None
        details = _messages(answer)
        if answer.status in (401, 403):
            return LoginRefused(
                f"the registry does not let this job {'push to' if push else 'read'} {repository} ({answer.status})",
                where=str(repository),
                hint=login_hint(repository.registry, logged_in=logged_in),
                details=details,
            )
        if answer.status == 404:
            return RemoteError(
                f"the registry has no repository {repository.path}",
                where=str(repository),
                hint="create it there first, or correct the image's repository",
                details=details,
            )
        return RemoteError(
            f"the registry answered {answer.status}", where=str(repository), hint="run again", details=details
        )

    def _give_up_upload(self, repository: Repository, location: str) -> None:
        scope = f"repository:{repository.path}:pull,push"
        deadline = Deadline(self._clock, 10.0)
        url = self._http.base(api_host(repository.registry)) + location
        try:
            self._authorized(repository, Request("DELETE", url, _MAX_SMALL), scope, deadline)
        except (RemoteError, RegistryLied):
            return  # an upload without content expires by itself; what was asked is answered


def _token_request(realm: str, service: str | None, login: Login | None, scope: str) -> Request:
    """By the token specification: GET with Basic, or for an identity token OAuth 2's refresh by POST."""
    fields = {"scope": scope} | ({"service": service} if service else {})
    if login is not None and login.is_identity_token:
        form = fields | {
            "grant_type": "refresh_token",
            "refresh_token": login.password.reveal(),
            "client_id": "hybrid-ci",
        }
        return Request("POST", realm, _MAX_SMALL, form=form)
    authorization = basic(login.username, login.password) if login is not None else None
    return Request("GET", _with_query(realm, fields), _MAX_SMALL, authorization=authorization)


def _with_query(url: str, fields: Mapping[str, str]) -> str:
    from urllib.parse import urlencode

    return f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}"


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


def _messages(answer: Answer) -> list[str]:
    """What the registry says about an error (distribution specification, error codes)."""
    try:
        errors = json_object(answer.body, "").get("errors")
    except RegistryLied:
        return []
    if not isinstance(errors, list):
        return []
    return [f"{error.get('code')}: {error.get('message')}"[:300] for error in errors[:5] if isinstance(error, dict)]


def _verify(ca_bundle: Path | None, environment: Mapping[str, str]) -> str | bool:
    """The CA file to trust: the one that is given, else the environment's, else the machine's."""
    if ca_bundle is not None:
        if not ca_bundle.is_file():
            raise ConfigurationError(
                "the CA bundle for registries does not exist",
                where=str(ca_bundle),
                hint="correct HYBRID_CI_CA_BUNDLE",
            )
        return str(ca_bundle)
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        path = environment.get(variable)
        if path and Path(path).exists():
            return path
    return True
