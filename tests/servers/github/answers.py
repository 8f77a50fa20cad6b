"""GitHub's refusals, in its own words and form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.servers.forge_http import Reply

_DOCUMENTATION = "https://docs.github.com/rest"


class Refusal(Exception):
    """A route says no."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply.payload))
        self.reply = reply


def refuse(
    status: int,
    message: str,
    *errors: Mapping[str, Any] | str,
    headers: Mapping[str, str] | None = None,
    **more: str,
) -> Refusal:
    """A refusal; ``errors`` are the list that a 422 has."""
    payload: dict[str, Any] = {"message": message, "documentation_url": _DOCUMENTATION, "status": str(status), **more}
    if errors:
        payload["errors"] = list(errors)
    return Refusal(Reply(status, payload, dict(headers or {})))


def not_found() -> Reply:
    """404."""
    return refuse(404, "Not Found").reply


def invalid(resource: str, *, field: str | None = None, code: str = "custom", message: str | None = None) -> Refusal:
    """A 422 with one error in its list."""
    error = {"resource": resource, "code": code}
    error |= {"field": field} if field else {}
    error |= {"message": message} if message else {}
    return refuse(422, "Validation Failed", error)
