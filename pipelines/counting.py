"""How often Git and the forge are asked, and how many requests that took: the same ports, counted."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from orchestrator.forges.base import CountingCalls, Forge
from pipelines.ports import Ports

_Port = TypeVar("_Port")


class Tally:
    """Counts the calls of ports by kind and method. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {}
        self._forges: list[tuple[Forge, int]] = []  # with what each had sent before

    def counted(self, ports: Ports) -> Ports:
        """The same ports; what the GitOps repository and the forge are asked is counted from now on."""
        forge = None
        if ports.forge is not None:
            self._forges.append((ports.forge, _sent(ports.forge)))
            forge = self._wrapped("forge", ports.forge)
        return replace(ports, repository=self._wrapped("git", ports.repository), forge=forge)

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """So many calls of each method, by kind; under ``api`` the requests that the forge's API got for them."""
        sent: Counter[str] = Counter()
        for forge, before in self._forges:
            sent[forge.name] += _sent(forge) - before
        with self._lock:
            counted = {**self._counts, "api": +sent} if +sent else self._counts
            return {kind: dict(sorted(methods.items())) for kind, methods in sorted(counted.items())}

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


def _sent(forge: Forge) -> int:
    """Requests to its API; 0 for a forge that has none."""
    return forge.api_calls if isinstance(forge, CountingCalls) else 0


def _property(port: object, name: str) -> property:
    return property(lambda _self: getattr(port, name))
