"""One exchange with a forge's API, distrustful: one host, no redirect, no ambient login, capped and timed reads.

``requests`` itself would follow a redirect with a body, read ``.netrc``, and let REQUESTS_CA_BUNDLE override the
session's own bundle; each of that is switched off here, so what stands above only decides when to ask again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.names import printable_url
from orchestrator.core.secret import Secret
from orchestrator.engine.bounded import within
from orchestrator.engine.causes import is_cut_off, root_reason

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CHUNK = 64 * 1024
_PORTS = {"https": 443, "http": 80}
_BREAKDOWN = "something went wrong while executing"  # GitHub's GraphQL, where its REST API would say 5xx


@dataclass(frozen=True, slots=True)
class Limits:
    """What one exchange may take: seconds until connected, between bytes, and altogether; bytes of the answer."""

    connect: float = 10.0
    read: float = 30.0
    whole: float = 90.0
    body: int = 32 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``payload`` is sent as JSON; ``authorization`` is the whole value of the login's header."""

    method: str
    url: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    payload: object | None = None
    authorization: Secret | None = None

    @property
    def place(self) -> str:
        """Method and URL for messages: without query, which may hold what people typed."""
        return f"{self.method} {printable_url(self.url)}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (whatever their case) and the whole body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=CaseInsensitiveDict)
    body: bytes = b""
    place: str = ""

    def json(self) -> Any:
        """The body as JSON; None when there is none. Raises RemoteError when it is something else."""
        if not self.body.strip():
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise RemoteError(
                "the forge's answer is not JSON",
                where=self.place,
                hint="is this the address of its API? A proxy in between may have answered",
            ) from None

    @property
    def message(self) -> str:
        """What the server says went wrong, when it says so in a way that we know; for messages and for reasons."""
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            return ""
        if not isinstance(data, dict):
            return ""
        for key in ("message", "error_description", "error"):
            if data.get(key):
                return data[key] if isinstance(data[key], str) else json.dumps(data[key], ensure_ascii=False)
        return ""

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """The errors that GraphQL tells, which answers with 200 whatever happens; none of any other answer."""
        if self.status != 200 or not self.place.endswith("/graphql") or b'"errors"' not in self.body:
            return []
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            return []
        told = data.get("errors") if isinstance(data, dict) else None
        return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []

    @property
    def failed(self) -> bool:
        """The server broke down over it. How far it had come with a change, nobody knows."""
        broken = any(_BREAKDOWN in str(one.get("message")).lower() for one in self.complaints)
        return broken or self.status >= 500 or self.status in (408, 425)


class Unanswered(RemoteError):
    """There is no whole answer. ``sent`` is False when the server can't have seen the request."""

    def __init__(self, message: str, *, where: str, sent: bool) -> None:
        super().__init__(message, where=where, hint="run it again when the forge is back")
        self.sent = sent


class ForgeAddress:
    """Where a forge's API is: https, or plain http on this machine. Nothing is ever sent anywhere else."""

    def __init__(self, base: str) -> None:
        """Raises ConfigurationError for an address that is none, holds a credential, or would leak one."""
        self.base = base.rstrip("/")
        parts = _split(base)
        if parts is None or not parts.hostname or parts.scheme not in _PORTS or parts.query or parts.fragment:
            raise ConfigurationError(
                f"{printable_url(base)!r} is not the address of a forge's API", hint="such as https://git.example.com"
            )
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError(
                "the forge's address holds a credential", where=printable_url(base), hint="give the token by variable"
            )
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ConfigurationError(
                "plain http is refused: it would send the token in clear text",
                where=printable_url(base),
                hint="use https://",
            )
        self._origin = _origin(parts)

    def url(self, path: str) -> str:
        """The URL of a path below the base, or of an absolute one of the same host. Raises RemoteError for others."""
        if path.startswith("/"):
            return self.base + path
        parts = _split(path)
        if parts is None or not parts.hostname or _origin(parts) != self._origin:
            raise RemoteError(
                "the forge names an address that is not its own; nothing was sent there",
                where=printable_url(path),
                details=[f"its own is {self.base}"],
                hint="correct the forge's base URL: host and port must be the ones that it uses in its answers",
            )
        return path

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.base).netloc

    @property
    def local(self) -> bool:
        """It is on this machine."""
        return (urlsplit(self.base).hostname or "") in _LOOPBACK


class _Session(requests.Session):
    """A session that never looks at a redirect (requests parses its address even when it is not followed)."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: there is no redirect."""
        return


class Exchanger:
    """Sends one request and reads its whole answer. Counts what it sends."""

    def __init__(
        self,
        address: ForgeAddress,
        *,
        ca_bundle: Path | None = None,
        headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        login_header: str = "Authorization",
    ) -> None:
        """``login_header`` is the header that a request's ``authorization`` goes into."""
        self._address = address
        self._login_header = login_header
        self._verify: str | bool = str(ca_bundle) if ca_bundle else True
        self._headers = {"User-Agent": "hybrid-ci", "Accept-Encoding": "identity", **(headers or {})}
        self._limits = limits or Limits()
        self._session = _Session()
        self._session.trust_env = False  # .netrc would add logins; proxies and CA bundle are given per request
        self._session.headers.clear()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in _PORTS:
            self._session.mount(f"{scheme}://", HTTPAdapter(max_retries=0, pool_maxsize=8))
        self.count = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the connections."""
        self._session.close()

    def send(self, request: Request, seconds: float) -> Answer:
        """The answer, whatever its status but a redirect. Raises Unanswered; ConfigurationError for a redirect or a
        certificate that nobody vouches for; RemoteError when the answer is too large."""
        self._address.url(request.url)  # a caller's mistake must not reach the network
        with self._lock:
            self.count += 1
        try:
            answer = within(min(seconds, self._limits.whole), lambda: self._exchange(request, seconds))
        except TimeoutError:
            raise Unanswered("the forge did not answer in time", where=request.place, sent=True) from None
        except requests.exceptions.ConnectTimeout:
            raise Unanswered("the forge can't be reached in time", where=request.place, sent=False) from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if isinstance(error, requests.exceptions.SSLError) and not is_cut_off(error):
                raise _no_trust(error, request.place) from None
            message = f"the forge does not answer: {root_reason(error)}"
            raise Unanswered(message, where=request.place, sent=not _never_connected(error)) from None
        if 300 <= answer.status < 400 and answer.status != 304:
            raise _redirected(request, answer)
        return answer

    def _exchange(self, request: Request, seconds: float) -> Answer:
        headers = dict(self._headers)
        body = None
        if request.payload is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(request.payload).encode()
        elif request.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = "0"
        if request.authorization is not None:
            headers[self._login_header] = request.authorization.reveal()
        left = max(0.1, seconds)
        with self._session.request(
            request.method,
            request.url,
            params=dict(request.parameters),
            data=body,
            headers=headers,
            allow_redirects=False,
            stream=True,
            timeout=(min(self._limits.connect, left), min(self._limits.read, left)),
            verify=self._verify,
            proxies={} if self._address.local else dict(get_environ_proxies(request.url)),
        ) as response:
            content = self._read(response, request.place)
            return Answer(response.status_code, CaseInsensitiveDict(response.headers), content, request.place)

    def _read(self, response: requests.Response, place: str) -> bytes:
        body = bytearray()
        read = getattr(response.raw, "read1", response.raw.read)  # urllib3 1 has no read1
        while chunk := read(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > self._limits.body:
                raise RemoteError(f"the forge's answer is larger than {self._limits.body} bytes", where=place)
        return bytes(body)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (a port that is no number raises here)
    except ValueError:
        return None
    return parts


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


def _redirected(request: Request, answer: Answer) -> ConfigurationError:
    target = printable_url(urljoin(request.url, answer.headers.get("Location", "")))
    return ConfigurationError(
        f"the forge redirects ({answer.status}); it was not followed, and no credential was sent on",
        where=request.place,
        details=[f"to {target}"] if answer.headers.get("Location") else [],
        hint="a repository that was renamed or moved redirects: use its new address in gitops.repository; "
        "otherwise correct the forge's base URL",
    )


def _never_connected(error: Exception) -> bool:
    """The connection was not made, so the request was not sent."""
    inner: object = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _no_trust(error: Exception, where: str) -> ConfigurationError:
    return ConfigurationError(
        "the forge's TLS certificate is not trusted",
        where=where,
        hint="name the CA that signed it in HYBRID_CI_CA_BUNDLE (a PEM file)",
        details=[root_reason(error)],
    )
