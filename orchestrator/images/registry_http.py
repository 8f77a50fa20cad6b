"""HTTP to registries, distrustful: no redirect with a login, no proxy for loopback, capped and timed reads."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.secret import Secret
from orchestrator.engine.bounded import within
from orchestrator.engine.causes import is_cut_off, root_reason
from orchestrator.engine.clock import Clock, Deadline
from orchestrator.images.manifest import RegistryLied
from orchestrator.images.registry_auth import is_loopback

_CONNECT_SECONDS, _READ_SECONDS = 10.0, 30.0
_CHUNK = 64 * 1024
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class RegistryUnavailable(RemoteError):
    """The registry does not answer, or says that it cannot now. Worth another try."""

    def __init__(self, message: str, *, where: str, wait: float = 0.0, hint: str | None = None) -> None:
        super().__init__(message, where=where, hint=hint or "run again when the registry is back")
        self.wait = wait  # seconds that the registry asks for


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``authorization`` goes to the URL's host alone; ``limit`` caps the body that is read."""

    method: str
    url: str
    limit: int
    accept: tuple[str, ...] = ()
    authorization: Secret | None = None
    form: Mapping[str, str] | None = None
    follow: bool = False
    body: bytes | None = None
    media_type: str = "application/octet-stream"  # of the body


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and the whole body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class _Session(requests.Session):
    """A session that never looks at a redirect.

    Even when told not to follow one, requests parses its address and reads its whole body, whatever its size.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: there is no redirect."""
        return


class RegistryHttp:
    """Sends requests to registries. ``verify`` is the CA bundle, or True for the machine's own."""

    def __init__(self, clock: Clock, verify: str | bool = True) -> None:
        self._clock = clock
        self._verify = verify
        self._schemes: dict[str, str] = {}
        self._lock = threading.Lock()
        self._session = _Session()
        self._session.trust_env = False  # .netrc would add logins; proxies and CA bundle are given per request
        self._session.headers.clear()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # nothing to remember
        self._session.mount("https://", HTTPAdapter(pool_maxsize=16))
        self._session.mount("http://", HTTPAdapter(pool_maxsize=16))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._session.close()

    def base(self, host: str) -> str:
        """``https://host``; a registry on loopback that does not speak TLS gets ``http``."""
        if not is_loopback(host):
            return f"https://{host}"
        with self._lock:
            if host not in self._schemes:
                self._schemes[host] = self._find_scheme(host)
            return f"{self._schemes[host]}://{host}"

    def send(self, request: Request, deadline: Deadline) -> Answer:
        """The answer, whatever its status but those that ask to come back. Raises RegistryUnavailable, RegistryLied.

        Redirects are followed only when the request says so, and then without the login.
        """
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._once(request, deadline)
            if answer.status not in _REDIRECTS:
                return answer
            request = self._redirected(request, answer)
        raise RegistryLied("the registry redirects in circles", where=_place(request.url))

    def _once(self, request: Request, deadline: Deadline) -> Answer:
        where = _place(request.url)
        try:
            answer = within(deadline.remaining, lambda: self._exchange(request, deadline, where))
        except requests.exceptions.InvalidURL:
            raise RegistryLied("the registry names an address that is no URL", where=where) from None
        except TimeoutError:
            raise RegistryUnavailable("the registry did not answer in time", where=where) from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if isinstance(error, requests.exceptions.SSLError) and not is_cut_off(error):
                raise _no_trust(error, where) from None
            raise RegistryUnavailable(f"the registry does not answer: {root_reason(error)}", where=where) from None
        if answer.status in _RETRIED:
            raise RegistryUnavailable(
                f"the registry answered {answer.status} {_phrase(answer.status)}",
                where=where,
                wait=_retry_after(answer.headers.get("Retry-After", ""), self._clock.now()),
            )
        return answer

    def _exchange(self, request: Request, deadline: Deadline, where: str) -> Answer:
        with self._session.request(
            request.method,
            request.url,
            headers=_headers(request),
            data=dict(request.form) if request.form is not None else request.body,
            allow_redirects=False,
            stream=True,
            timeout=(
                min(_CONNECT_SECONDS, max(0.1, deadline.remaining)),
                min(_READ_SECONDS, max(0.1, deadline.remaining)),
            ),
            verify=self._verify,
            proxies=_proxies(request.url),
        ) as response:
            body = _read(response, request, deadline, where)
            return Answer(response.status_code, CaseInsensitiveDict(response.headers), body)

    def _redirected(self, request: Request, answer: Answer) -> Request:
        where = _place(request.url)
        location = answer.headers.get("Location", "")
        if not request.follow or request.method not in ("GET", "HEAD") or not location:
            raise RegistryLied(
                f"the registry redirects where that has no place ({answer.status})",
                where=where,
                hint="use the registry's real address in the image's repository",
            )
        try:
            target = urljoin(request.url, location)
            parts = urlsplit(target)
            host = parts.hostname or ""
            local = is_loopback(host) if host else False
        except ValueError:
            raise RegistryLied("the registry redirects to an address that is no URL", where=where) from None
        from_here = is_loopback(urlsplit(request.url).netloc.rpartition("@")[2])
        allowed = (parts.scheme == "https" and (not local or from_here)) or (
            parts.scheme == "http" and local and from_here
        )
        if not allowed or not host or parts.username is not None:
            raise RegistryLied(
                f"the registry redirects to a place that is not allowed: {parts.scheme}://{host}",
                where=where,
                hint="blobs are fetched over https only",
            )
        return Request(request.method, target, request.limit, request.accept, follow=True)

    def _find_scheme(self, host: str) -> str:
        """Ask over TLS first. What answers in clear text on this machine is a registry without TLS."""
        ask = partial(
            self._session.get,
            f"https://{host}/v2/",
            timeout=_CONNECT_SECONDS,
            verify=self._verify,
            proxies={},
            allow_redirects=False,
            stream=True,
        )
        try:
            within(_READ_SECONDS, ask).close()
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise _no_trust(error, host) from None
            return "http"
        except (TimeoutError, requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError):
            return "http"  # nobody there at all is told by the request that follows
        return "https"


def basic(username: str, password: Secret) -> Secret:
    """The value of a Basic Authorization header (RFC 7617)."""
    pair = f"{username}:{password.reveal()}".encode()
    return Secret("Basic " + base64.b64encode(pair).decode(), password.source)


def _headers(request: Request) -> dict[str, str]:
    headers = {"User-Agent": "hybrid-ci", "Accept-Encoding": "identity"}  # compressed, a body could be a bomb
    headers["Accept"] = ", ".join(request.accept) or "application/json"
    if request.authorization is not None:
        headers["Authorization"] = request.authorization.reveal()
    if request.body is not None:
        headers["Content-Type"] = request.media_type
    elif request.method in ("POST", "PUT") and request.form is None:
        headers["Content-Length"] = "0"
    return headers


def _read(response: requests.Response, request: Request, deadline: Deadline, where: str) -> bytes:
    """The body, at most ``limit`` bytes of it, and before the deadline."""
    if request.method == "HEAD":
        return b""
    too_large = RegistryLied(
        f"the registry's answer is larger than {request.limit} bytes; it was not read further", where=where
    )
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced[:20]) > request.limit:
        raise too_large
    body = bytearray()
    read = getattr(response.raw, "read1", response.raw.read)  # urllib3 1 has no read1
    while chunk := read(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > request.limit:
            raise too_large
        if deadline.expired:
            raise RegistryUnavailable("the registry's answer did not end in time", where=where)
    return bytes(body)


def _proxies(url: str) -> dict[str, str]:
    host = urlsplit(url).netloc.rpartition("@")[2]
    return {} if is_loopback(host) else dict(get_environ_proxies(url))


def _place(url: str) -> str:
    """The URL for people: no credentials, no query (a signed address is a credential)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _no_trust(error: Exception, where: str) -> ConfigurationError:
    return ConfigurationError(
        "the registry's TLS certificate is not trusted",
        where=where,
        hint="name the CA that signed it in HYBRID_CI_CA_BUNDLE (a PEM file)",
        details=[root_reason(error)],
    )


def _retry_after(text: str, now: datetime) -> float:
    """Seconds that a ``Retry-After`` header asks for: a number, or a date (RFC 9110, 10.2.3)."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
        return max(0.0, (when - now).total_seconds())
    except (ValueError, TypeError):
        return 0.0
