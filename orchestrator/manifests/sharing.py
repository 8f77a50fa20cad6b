"""What else an edit reaches: the references that read the same scalar, and the places that follow through an alias.

Looked up once for an edit, since one anchor may stand behind every pin of a file.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import NamedTuple

from orchestrator.core.image import Repository
from orchestrator.manifests.formats.common import Scan
from orchestrator.manifests.forms import Whole
from orchestrator.manifests.merges import merging
from orchestrator.manifests.reader import Reference
from orchestrator.manifests.steps import Insert, Step, Write
from orchestrator.manifests.tree import Alias, Mapping, Node, Scalar

# Places that one change tells of; the rest are counted. Thousands of pins below one anchor with thousands of aliases
# would otherwise make millions of texts that nobody reads.
_TOLD = 20


class _Spans:
    """The references that read a part of one scalar each, by the start of the part."""

    def __init__(self, references: list[tuple[int, int, Reference]]) -> None:
        references.sort(key=lambda one: one[0])
        self._references = references
        self._starts = [start for start, _, _ in references]
        self._ends = list(accumulate((end for _, end, _ in references), max))

    def touching(self, start: int, end: int) -> Iterator[Reference]:
        """Those that read some of ``value[start:end]``."""
        number = bisect_left(self._starts, end) - 1
        while number >= 0 and self._ends[number] > start:
            if self._references[number][1] > start:
                yield self._references[number][2]
            number -= 1


class Sharing:
    """The references of a file by the scalars that they read, and its aliases by what they stand for."""

    def __init__(self, scan: Scan, references: list[Reference]) -> None:
        self._place = scan.document.places.of
        self._aliases_of = scan.document.aliases_of
        self._readers: dict[int, dict[Repository, Reference]] = {}
        parts: dict[int, list[tuple[int, int, Reference]]] = {}
        for reference in references:
            form = reference.form
            if isinstance(form, Whole):
                parts.setdefault(id(form.main), []).append((form.start, form.end, reference))
                continue
            for part in form.scalars:
                self._readers.setdefault(id(part), {}).setdefault(form.image.repository, reference)
        self._spans = {number: _Spans(found) for number, found in parts.items()}
        self._anchors: dict[int, _Aliases] = {}
        self._known: dict[tuple[int, str | None], _Following] = {}
        self._followers: dict[tuple[int, str | None], tuple[str, ...]] = {}

    def readers(self, write: Write) -> Iterator[Reference]:
        """The references that read characters which are to be written; of each repository one is enough."""
        number = id(write.node)
        yield from self._readers.get(number, {}).values()
        if number in self._spans:
            yield from self._spans[number].touching(write.start, write.end)

    def followers(self, planned: list[Step]) -> tuple[str, ...]:
        """The places that read what is written through an alias or a merge; beyond 20 their number."""
        found: list[str] = []
        for step in planned:
            node: Node = step.node if isinstance(step, Write) else step.mapping
            key = None if isinstance(step, Write) else step.key if isinstance(step, Insert) else step.key.value
            number = (id(node), key)
            if number not in self._followers:
                self._followers[number] = self._follow(node, key)
            found += self._followers[number]
        return tuple(found)

    def _follow(self, node: Node, key: str | None) -> tuple[str, ...]:
        told, total = self._above(node, key)
        here = self._place(node)
        found = tuple(self._place(alias) + here[len(self._place(anchored)) :] for alias, anchored in told)
        return (*found, f"and {total - len(told)} more") if total > len(told) else found

    def _above(self, node: Node, key: str | None) -> _Following:
        """The aliases of a node, of which ``key`` is written, and of everything that it lies in."""
        way: list[tuple[Node, str | None]] = []
        current: Node | None = node
        while current is not None and (id(current), key) not in self._known:
            way.append((current, key))
            key = _key_of(current)
            current = current.parent
        found = _Following((), 0) if current is None else self._known[id(current), key]
        for one, below in reversed(way):
            if getattr(one, "anchor", None) is not None and (aliases := self._of(one)).all:
                own = [(alias, one) for alias in aliases.without(below, _TOLD)]
                total = len(aliases.all) - len(aliases.overriding.get(below or "", ()))
                found = _Following((*own, *found.told)[:_TOLD], found.total + total)
            self._known[id(one), below] = found
        return found

    def _of(self, anchored: Node) -> _Aliases:
        if id(anchored) not in self._anchors:
            self._anchors[id(anchored)] = _Aliases(self._aliases_of(anchored))
        return self._anchors[id(anchored)]


class _Following(NamedTuple):
    """Some aliases, each with what it stands for, and how many there are in all."""

    told: tuple[tuple[Alias, Node], ...]
    total: int


class _Aliases:
    """The aliases of one node; ``overriding`` by a key are those whose mapping holds that key itself."""

    def __init__(self, aliases: list[Alias]) -> None:
        self.all = aliases
        self.overriding: dict[str, set[int]] = {}
        for alias in aliases:
            merged = merging(alias)
            for key in {key.value for key, _ in merged.pairs if isinstance(key, Scalar)} if merged is not None else ():
                self.overriding.setdefault(key, set()).add(id(alias))

    def without(self, key: str | None, count: int) -> list[Alias]:
        """The first of those that follow when this key is written."""
        passed = self.overriding.get(key, set()) if key is not None else set()
        return list(islice((alias for alias in self.all if id(alias) not in passed), count))


def _key_of(node: Node) -> str | None:
    """The key under which a node stands in its mapping."""
    key = node.parent.key_of(node) if isinstance(node.parent, Mapping) else None
    return key.value if key is not None else None
