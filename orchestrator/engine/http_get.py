"""One GET to a server that a policy names: no redirect, a capped body, one deadline."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from orchestrator.core.secret import Secret
from orchestrator.engine.bounded import within

_MAX_BODY = 1 << 20
_AGENT = "hybrid-ci"


class NothingCame(Exception):
    """The server gave no answer; the text says why, without the URL."""


@dataclass(frozen=True, slots=True)
class Got:
    """A status and the beginning of a body as text; ``date`` is the server's header of that name."""

    status: int
    text: str
    date: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: nothing, and no credential, goes anywhere else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        """Never."""
        return


def get(url: str, seconds: float, token: Secret | None = None, ca_bundle: Path | None = None) -> Got:
    """Ask. ``token`` goes along as a bearer token; proxies are those of the environment. Raises NothingCame."""
    try:
        return within(seconds, lambda: _exchange(url, seconds, token, ca_bundle))
    except urllib.error.URLError as error:
        raise NothingCame(str(error.reason)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NothingCame(str(error) or type(error).__name__) from None


def _exchange(url: str, seconds: float, token: Secret | None, ca_bundle: Path | None) -> Got:
    context = ssl.create_default_context(cafile=str(ca_bundle) if ca_bundle is not None else None)
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, headers=_headers(token))  # noqa: S310  (the policy takes http and https only)
    try:
        with opener.open(request, timeout=seconds) as answer:
            return Got(answer.status, _text(answer), answer.headers.get("Date", ""))
    except urllib.error.HTTPError as answer:  # any status but success, a redirect too
        with answer:
            return Got(answer.code, _text(answer), answer.headers.get("Date", ""))


def _headers(token: Secret | None) -> Mapping[str, str]:
    headers = {"User-Agent": _AGENT, "Accept": "application/json, text/plain, */*"}
    return headers | ({"Authorization": f"Bearer {token.reveal()}"} if token is not None else {})


def _text(stream: IO[bytes]) -> str:
    return stream.read(_MAX_BODY).decode("utf-8", "replace")
