"""Talking to a registry: log in when told to, ask again when it is ill, and say clearly what it refuses."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, Unpack

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.image import Repository
from orchestrator.core.secret import Secret
from orchestrator.engine.clock import Clock, Deadline
from orchestrator.images.base import MEBIBYTE
from orchestrator.images.credentials import Credentials, Login
from orchestrator.images.errors import LoginRefused, login_hint
from orchestrator.images.manifest import RegistryLied, json_object
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

MAX_SMALL = MEBIBYTE
PULL, PUSH = "pull", "pull,push"


class How(TypedDict, total=False):
    """What a request may say beyond its place; ``body`` is of ``media_type``."""

    accept: tuple[str, ...]
    actions: str
    follow: bool
    body: bytes
    media_type: str


class RegistrySession:
    """Sends requests about a repository. ``seconds`` is the time for one question, its retries included."""

    def __init__(
        self,
        credentials: Credentials,
        clock: Clock,
        ca_bundle: Path | None,
        token_hosts: Mapping[str, frozenset[str]],
        seconds: float,
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._token_hosts = token_hosts
        self._seconds = seconds
        self._http = RegistryHttp(clock, _verify(ca_bundle, os.environ))
        self._authorizations: dict[tuple[str, str], Secret] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def url(self, repository: Repository, path: str = "") -> str:
        """Where the registry's API has this; ``path`` that begins with a slash is from its root."""
        base = self._http.base(api_host(repository.registry))
        return base + path if path.startswith("/") else f"{base}/v2/{repository.path}/{path}"

    def find(self, repository: Repository, method: str, path: str, limit: int, **how: Unpack[How]) -> Answer | None:
        """As ``ask``, but a 404 is an answer too: None."""
        answer = self._patiently(repository, method, path, limit, how)
        return None if answer.status == 404 else self._good(repository, answer, how)

    def ask(self, repository: Repository, method: str, path: str, limit: int, **how: Unpack[How]) -> Answer:
        """Ask, log in when told to, try again when the registry is ill. ``limit`` caps the answer's body.

        Raises LoginRefused, RegistryLied, RemoteError.
        """
        return self._good(repository, self._patiently(repository, method, path, limit, how), how)

    def _patiently(self, repository: Repository, method: str, path: str, limit: int, how: How) -> Answer:
        deadline = Deadline(self._clock, self._seconds)

        def attempt() -> Answer:
            request = Request(
                method,
                self.url(repository, path),
                limit,
                how.get("accept", ()),
                follow=how.get("follow", False),
                body=how.get("body"),
                media_type=how.get("media_type", "application/octet-stream"),
            )
            return self.once(repository, request, deadline, how.get("actions", PULL))

        return retry(
            attempt,
            clock=self._clock,
            seconds=self._seconds,
            when=lambda error: isinstance(error, RegistryUnavailable),
            at_least=lambda error: error.wait if isinstance(error, RegistryUnavailable) else 0.0,
        )

    def _good(self, repository: Repository, answer: Answer, how: How) -> Answer:
        if not 200 <= answer.status < 300:
            raise self.refusal(repository, answer, push="push" in how.get("actions", PULL))
        return answer

    def once(self, repository: Repository, request: Request, deadline: Deadline, actions: str = PULL) -> Answer:
        """Send with the login that worked before; on a 401, get a new one and send once more."""
        scope = f"repository:{repository.path}:{actions}"
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
            raise self.refusal(repository, answer, push="push" in scope)
        document = json_object(answer.body, f"the token service of {host}")
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RemoteError(
                f"the token service of {host} gave no token", where=realm.partition("?")[0], hint="run again"
            )
        return Secret(f"Bearer {token}", f"the token service of {host}")

    def refusal(self, repository: Repository, answer: Answer, *, push: bool) -> RemoteError:
        """The error for an answer that is no success."""
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


def _token_request(realm: str, service: str | None, login: Login | None, scope: str) -> Request:
    """By the token specification: GET with Basic, or for an identity token OAuth 2's refresh by POST."""
    fields = {"scope": scope} | ({"service": service} if service else {})
    if login is not None and login.is_identity_token:
        form = fields | {
            "grant_type": "refresh_token",
            "refresh_token": login.password.reveal(),
            "client_id": "hybrid-ci",
        }
        return Request("POST", realm, MAX_SMALL, form=form)
    authorization = basic(login.username, login.password) if login is not None else None
    return Request("GET", _with_query(realm, fields), MAX_SMALL, authorization=authorization)


def _with_query(url: str, fields: Mapping[str, str]) -> str:
    from urllib.parse import urlencode

    return f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}"


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
