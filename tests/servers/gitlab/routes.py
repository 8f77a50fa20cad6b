"""Which call goes to which handler, with the parts of its path decoded one by one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import unquote

from tests.servers.forge_http import Call, Reply

Handler = Callable[..., Reply]
_Any = TypeVar("_Any", bound=Callable[..., Reply])


class Routes:
    """Patterns such as ``GET /projects/:project/merge_requests/:iid``."""

    def __init__(self) -> None:
        self._known: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, key: str) -> Callable[[_Any], _Any]:
        """The decorated function answers this."""
        method, _, path = key.partition(" ")
        pattern = re.compile(re.sub(r":(\w+)", r"(?P<\1>[^/]+)", path))

        def register(handler: _Any) -> _Any:
            self._known.append((method, pattern, handler))
            return handler

        return register

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        """The handler of a path that is still encoded, and the parts of the path."""
        for known, pattern, handler in self._known:
            match = pattern.fullmatch(path)
            if known == method and match:
                return handler, {name: unquote(value) for name, value in match.groupdict().items()}
        return None


def message(status: int, text: Any) -> Reply:
    """GitLab's usual error."""
    return Reply(status, {"message": text})


def not_found(what: str) -> Reply:
    """404 for something."""
    return message(404, f"404 {what} Not Found")


def fields(call: Call) -> dict[str, Any]:
    """The parameters of a call: of the query and of the body."""
    body = call.json if call.body else {}
    return {**call.query, **(body if isinstance(body, dict) else {})}


def truth(value: object) -> bool:
    """A boolean parameter, as the query or JSON gives it."""
    return value is True or str(value).lower() in ("true", "1")
