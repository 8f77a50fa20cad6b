"""The graph of a pipeline, as data: which stages there are, what each needs, and in which order they may run.

Nothing here runs anything: ``plan`` prints this graph, and the engine runs it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from orchestrator.core.errors import ConfigurationError


class Kind(StrEnum):
    """What a stage does."""

    PREFLIGHT = "preflight"
    BUILD = "build"
    TEST = "test"
    TESTED = "tested"  # where everything meets that has to pass before the first push
    PUSH = "push"
    HANDOFF = "handoff"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Node:
    """A stage in the graph. ``image`` is the image that it is about.

    ``skip`` says why it does not run this time; its dependents run all the same.
    """

    name: str
    kind: Kind
    needs: tuple[str, ...] = ()
    image: str | None = None
    skip: str | None = None

    @property
    def runs(self) -> bool:
        """It is not left out."""
        return self.skip is None


@dataclass(frozen=True)
class Graph:
    """Stages without a circle, in the order in which they were declared.

    Raises ConfigurationError: two stages of one name, a need that no stage has, a circle (named from stage to stage).
    """

    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        if len(self._by_name) < len(self.nodes):
            names = [node.name for node in self.nodes]
            doubled = next(name for name in names if names.count(name) > 1)
            raise ConfigurationError(f"there are two stages {doubled!r}", hint="give each stage a name of its own")
        for node in self.nodes:
            for need in node.needs:
                if need not in self._by_name:
                    raise ConfigurationError(f"the stage {node.name!r} needs {need!r}, and there is no such stage")
        sorted_order(self.needs)

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """What each stage waits for, in the declared order of the stages."""
        return {node.name: tuple(dict.fromkeys(node.needs)) for node in self.nodes}

    @cached_property
    def order(self) -> tuple[Node, ...]:
        """Every stage after what it needs; of those that could run, the one that was declared first."""
        return tuple(self._by_name[name] for name in sorted_order(self.needs))

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def ancestors(self, name: str) -> frozenset[str]:
        """Everything that comes before this stage, directly or not."""
        return _reach(self.needs, name)

    def descendants(self, name: str) -> frozenset[str]:
        """Everything that comes after this stage, directly or not."""
        after: dict[str, list[str]] = {}
        for node, needs in self.needs.items():
            for need in needs:
                after.setdefault(need, []).append(node)
        return _reach(after, name)

    def drawn_needs(self, name: str) -> tuple[str, ...]:
        """The needs that a picture has to show: those that no other need of the same stage implies."""
        needs = self.needs[name]
        implied = {earlier for need in needs for earlier in self.ancestors(need)}
        return tuple(need for need in needs if need not in implied)

    def skipping(self, reasons: Mapping[str, str]) -> Graph:
        """The same graph with these stages left out of the run, each for its reason."""
        return Graph(tuple(replace(n, skip=reasons[n.name]) if n.name in reasons else n for n in self.nodes))


def sorted_order(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The names, each after what it needs; of those that could come next, the one that stands first in the mapping.

    Raises ConfigurationError for a circle.
    """
    place = {name: index for index, name in enumerate(needs)}
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise ConfigurationError(
            f"the stages wait for each other: {circle}", hint="remove one of these needs (or a `before`)"
        ) from None
    ready: list[tuple[int, str]] = []
    ordered: list[str] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, (place[name], name))
        _, first = heapq.heappop(ready)
        ordered.append(first)
        sorter.done(first)
    return tuple(ordered)


def _reach(steps: Mapping[str, Sequence[str]], start: str) -> frozenset[str]:
    """What the steps lead to from here, without the start itself."""
    found: set[str] = set()
    left = list(steps.get(start, ()))
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += steps.get(name, ())
    return frozenset(found)
