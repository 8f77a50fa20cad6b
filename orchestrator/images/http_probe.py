"""One HTTP request to a port on loopback: no proxy, no redirect, a capped body."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass

from orchestrator.engine.bounded import within
from orchestrator.images.base import MEBIBYTE

_MAX_BODY = MEBIBYTE
_GRACE = 1.0  # seconds for what was read in time to be handed over


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
    connection = http.client.HTTPConnection(*address, timeout=max(0.05, seconds))
    try:
        return within(seconds + _GRACE, lambda: _exchange(connection, path, seconds))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(str(error) or type(error).__name__) from None
    finally:
        connection.close()


def _exchange(connection: http.client.HTTPConnection, path: str, seconds: float) -> Answer:
    until = time.monotonic() + seconds
    connection.request("GET", path, headers={"Connection": "close", "User-Agent": "hybrid-ci"})
    with connection.getresponse() as response:
        return Answer(response.status, _read(response, until))


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
