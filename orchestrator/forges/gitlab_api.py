"""python-gitlab on our own calls: it knows GitLab's API, ``Calls`` knows when and whether to ask.

The library has an interface for backends. Ours sends every request through ``Calls``: one host, no redirect, one
deadline, no second write without a look. The library itself holds no token, and never sees a limit or a 5xx.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import quote, urlencode

import gitlab

from orchestrator.core.errors import ConfigurationError, HybridCIError, Refused, RemoteError
from orchestrator.core.secret import Secret
from orchestrator.core.text import printable
from orchestrator.forges.calls import Calls, LoginRefused
from orchestrator.forges.exchange import Answer
from orchestrator.forges.gitlab_address import GitLabAddress
from orchestrator.forges.gitlab_shapes import Json

PAGE = 100
_NEXT = re.compile(r'<([^>]+)>[^,]*\brel="?next"?')
_LONGEST_REASON = 300
_LOCK_SECONDS = 120.0
_MOST = 10_000  # entries of a list that has no end


class TokenKind(Enum):
    """How GitLab takes a token: the header's name, and what stands before the token."""

    ACCESS = ("Authorization", "Bearer ")  # personal, project and group access tokens
    JOB = ("JOB-TOKEN", "")  # CI_JOB_TOKEN

    @property
    def header(self) -> str:
        """The header's name."""
        return self.value[0]


@dataclass(frozen=True, slots=True)
class TokenLogin:
    """A login by a token that does not change. A ``Login`` for ``Calls``."""

    token: Secret
    kind: TokenKind = TokenKind.ACCESS

    def authorization(self) -> Secret | None:
        """The header's value."""
        return Secret(self.kind.value[1] + self.token.reveal(), self.token.source)

    def renew(self) -> bool:
        """There is no other token."""
        return False


class Declined(RemoteError):
    """GitLab understood, and said no with this status: 400, 404, 405, 406, 409 or 422. ``reason`` is its own text."""

    def __init__(self, status: int, reason: str, where: str) -> None:
        super().__init__(
            f"GitLab declined ({status}): {reason or 'it gave no reason'}",
            where=where,
            hint="see GitLab's reason; nothing was changed",
        )
        self.status, self.reason = status, reason


class GitLabApi:
    """One project on one GitLab."""

    def __init__(self, calls: Calls, address: GitLabAddress) -> None:
        self.calls, self.address = calls, address
        self.client = gitlab.Gitlab(
            address.base,
            keep_base_url=True,  # links to further pages may name a host that only GitLab itself knows
            retry_transient_errors=False,
            backend=partial(_CallsBackend, calls),
        )
        self.path = project_path(address.project)

    @property
    def where(self) -> str:
        """The project's URL, for messages."""
        return f"{self.address.base}/{self.address.project}"

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Json:
        """An object. Raises Declined, and what ``Calls.send`` raises."""
        with self.asking():
            return self._object(self.client.http_get(path, query_data=dict(query or {})))

    def pages(self, path: str, query: Mapping[str, object] | None = None, most: int | None = None) -> list[Json]:
        """A list, with all its pages; or its first ``most`` entries, and no page more. Raises as ``get``."""
        wanted = {"per_page": min(most or PAGE, PAGE), **(query or {})}
        try:
            with self.asking():
                found: list[Json] = list(
                    islice(self.client.http_list(path, query_data=wanted, iterator=True), most or _MOST)
                )
        except (TypeError, LookupError):  # the library takes whatever it gets for a list
            raise self._no_list() from None
        if not all(isinstance(one, dict) for one in found):
            raise self._no_list()
        return found

    def exists(self, path: str, query: Mapping[str, object]) -> bool:
        """There is something at this path. Raises as ``get``."""
        try:
            with self.asking():
                self.client.http_head(path, query_data=dict(query))
        except Declined as declined:
            if declined.status != 404:
                raise
            return False
        return True

    def post(self, path: str, data: Mapping[str, object]) -> Json:
        """What was made. Raises as ``get``, and Doubtful."""
        return self._unlocked(lambda: self.client.http_post(path, post_data=dict(data)))

    def put(self, path: str, data: Mapping[str, object]) -> Json:
        """What it is now. Raises as ``get``, and Doubtful."""
        return self._unlocked(lambda: self.client.http_put(path, post_data=dict(data)))

    def _unlocked(self, write: Callable[[], object]) -> Json:
        """The answer to a write, once nobody else holds GitLab's lock on the thing any more (409)."""

        def ask() -> Json | None:
            try:
                with self.asking():
                    return self._object(write())
            except Declined as declined:
                if declined.status == 409 and "Resource lock" in declined.reason:
                    return None
                raise

        answer = self.calls.poll(ask, _LOCK_SECONDS)
        if answer is None:
            raise RemoteError(
                "GitLab is busy with the same thing, again and again", where=self.where, hint="run it again later"
            )
        return answer

    @contextmanager
    def asking(self) -> Iterator[None]:
        """The library's errors as ours."""
        try:
            yield
        except gitlab.exceptions.GitlabParsingError:
            raise RemoteError(
                "the forge's answer is not JSON",
                where=self.where,
                hint="is this GitLab's base URL? A proxy in between may have answered",
            ) from None
        except gitlab.exceptions.GitlabError as error:
            raise Declined(error.response_code or 0, reason_in(error.response_body), self.where) from None

    def _no_list(self) -> RemoteError:
        return RemoteError("the forge's answer is not a list of objects", where=self.where, hint="run it again later")

    def _object(self, answer: object) -> Json:
        if isinstance(answer, dict):
            return answer
        if isinstance(answer, list):  # a merge train answers with its cars
            return {"items": answer}
        raise RemoteError("the forge's answer is not an object", where=self.where)


def project_path(project: str) -> str:
    """Where the API has a project."""
    return f"/projects/{quote(project, safe='')}"


def reason_in(body: bytes | None) -> str:
    """GitLab's reason in one line: ``message`` may be a text, a list, or lists by field."""
    try:
        data = json.loads(body or b"")
    except (ValueError, RecursionError):
        return ""
    found = data.get("message") or data.get("error_description") or data.get("error") if isinstance(data, dict) else ""
    return printable("; ".join(_lines(found)))[:_LONGEST_REASON]


def _lines(found: object) -> list[str]:
    if isinstance(found, dict):
        return [f"{name} {line}" for name, value in found.items() for line in _lines(value)]
    if isinstance(found, list):
        return [line for value in found for line in _lines(value)]
    return [str(found)] if found else []


def explain_refusal(login: TokenLogin, answer: Answer) -> HybridCIError | None:
    """What a 401 or 403 means, with the scope that is missing where GitLab tells it."""
    reason, details = reason_in(answer.body), (answer.message[:_LONGEST_REASON],) if answer.message else ()
    source = login.token.source
    if login.kind is TokenKind.JOB:
        return LoginRefused(
            f"a CI job token may not do this ({answer.status})",
            status=answer.status,
            where=answer.place,
            hint="give a project access token with the scope `api` and at least the role Developer in "
            "HYBRID_CI_FORGE_TOKEN; with a job token, a merge request is opened by the push alone",
            details=details,
        )
    scope = _missing_scope(answer)
    if scope:
        return LoginRefused(
            f"the token lacks the scope {scope}",
            status=answer.status,
            where=answer.place,
            hint=f"make a token with that scope for {source}; a token's scopes can't be changed later",
            details=details,
        )
    if answer.status == 401:
        return LoginRefused(
            f"GitLab refuses the token{f': {reason}' if reason else ''}",
            status=401,
            where=answer.place,
            hint=f"the token in {source} is wrong, expired or revoked; make a new one",
        )
    return LoginRefused(
        f"GitLab does not let this token do that{f': {reason}' if reason else ''}",
        status=403,
        where=answer.place,
        hint="it needs at least the role Developer in the project; an archived project takes no changes",
    )


def _missing_scope(answer: Answer) -> str:
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(data, dict) or data.get("error") != "insufficient_scope":
        return ""
    return " or ".join(f"`{name}`" for name in printable(str(data.get("scope") or "api")).split())


def require_project(api: GitLabApi) -> Json:
    """The project's settings. Raises ConfigurationError when it is not there (to us), Refused when it is archived."""
    try:
        found = api.get(api.path)
    except Declined as declined:
        if declined.status != 404:
            raise
        raise no_project(api) from None
    if found.get("archived") is True:
        raise Refused(
            "the project is archived, so nothing can be proposed to it",
            where=api.where,
            hint="unarchive it, or set gitops.repository to the one that took its place",
        )
    return found


def no_project(api: GitLabApi) -> ConfigurationError:
    """What to raise when the project is not there."""
    return ConfigurationError(
        f"GitLab shows this token no project {api.address.project!r}",
        where=api.address.base,
        hint="check gitops.repository (was it renamed?), and that the token is a member of the project",
    )


# --- the library's backend -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sent:
    """What the library wants to send."""

    content_type: str
    json: object
    data: None = None


class _Response:
    """An answer as the library reads one."""

    history: tuple[()] = ()  # of redirects, which are never followed

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    @property
    def response(self) -> Any:
        """What the library hands on."""
        return self

    @property
    def status_code(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Any:
        return self._answer.headers

    @property
    def content(self) -> bytes:
        return self._answer.body

    @property
    def reason(self) -> str:
        return ""

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """The link to the next page, which is all that is looked for."""
        match = _NEXT.search(self._answer.headers.get("Link", ""))
        return {"next": {"url": match[1]}} if match else {}

    def json(self) -> Any:
        return json.loads(self._answer.body)


class _CallsBackend:
    """Sends what the library wants to ask through ``Calls``."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def client(self) -> Any:
        """The library keeps a session; ours is inside ``Calls``."""
        return None

    @staticmethod
    def prepare_send_data(_files: object, post_data: object, _raw: bool) -> _Sent:
        """JSON is all that we send."""
        return _Sent("application/json", post_data)

    def http_request(
        self, method: str, url: str, json: object = None, params: Mapping[str, Any] | None = None, **_ignored: object
    ) -> _Response:
        """One request. The library's own ideas of login, timeout and TLS are left aside: ``Calls`` has them."""
        query = urlencode([(name, value) for name, values in (params or {}).items() for value in _texts(values)])
        return _Response(self._calls.send(method.upper(), f"{url}?{query}" if query else url, payload=json))


def _texts(value: object) -> list[str]:
    if isinstance(value, list | tuple):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, bool):
        return [str(value).lower()]
    return [] if value is None else [str(value)]
