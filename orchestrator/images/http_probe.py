"""One HTTP request to a port on loopback: no proxy, no redirect, a capped body."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass

from orchestrator.images.base import MEBIBYTE

_MAX_BODY = MEBIBYTE


class NoAnswer(Exception):
    """Nothing that speaks HTTP answered in time; worth another try."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and the beginning of a body."""

    status: int
    body: bytes


def ask(address: tuple[str, int], path: str, seconds: float) -> Answer:
    """GET ``path`` there. Raises NoAnswer.

    A port that is published but not served yet accepts and resets, so that counts as no answer too.
    """
    host, port = address
    connection = http.client.HTTPConnection(host, port, timeout=max(0.05, seconds))
    try:
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "hybrid-ci"})
        with connection.getresponse() as response:
            return Answer(response.status, _read(response, time.monotonic() + seconds))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(str(error) or type(error).__name__) from None
    finally:
        connection.close()


def _read(response: http.client.HTTPResponse, until: float) -> bytes:
    """At most a MiB, and at most until then: a stream without end is judged by its beginning."""
    body = bytearray()
    while len(body) < _MAX_BODY and time.monotonic() < until:
        try:
            chunk = response.read1(_MAX_BODY - len(body))
        except TimeoutError:
            break
        if not chunk:
            break
        body += chunk
    return bytes(body)
