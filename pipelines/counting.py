"""How often Git and the forge are asked: the same ports, counted."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pipelines.ports import Ports

_Port = TypeVar("_Port")


class Tally:
    """Counts the calls of ports by kind and method. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {}

    def counted(self, ports: Ports) -> Ports:
        """The same ports; what the GitOps repository and the forge are asked is counted from now on."""
        forge = self._wrapped("forge", ports.forge) if ports.forge is not None else None
        return replace(ports, repository=self._wrapped("git", ports.repository), forge=forge)

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """So many calls of each method, by kind."""
        with self._lock:
            return {kind: dict(sorted(methods.items())) for kind, methods in sorted(self._counts.items())}

    def _wrapped(self, kind: str, port: _Port) -> _Port:
        """Another object with the same methods: capabilities are told by which methods there are."""
        namespace: dict[str, Any] = {}
        for name in dir(type(port)):
            if not name.startswith("_"):
                member = getattr(type(port), name)
                namespace[name] = self._method(kind, name, port) if callable(member) else _property(port, name)
        counted: _Port = type(f"Counted{type(port).__name__}", (), namespace)()
        return counted

    def _method(self, kind: str, name: str, port: object) -> Callable[..., Any]:
        method = getattr(port, name)

        @functools.wraps(method)
        def call(_self: object, *arguments: Any, **named: Any) -> Any:
            with self._lock:
                self._counts.setdefault(kind, Counter())[name] += 1
            return method(*arguments, **named)

        return call


def _property(port: object, name: str) -> property:
    return property(lambda _self: getattr(port, name))
