"""What else an edit reaches: the references that read the same scalar, and the places that follow through an alias.

Looked up once for an edit, since one anchor may stand behind every pin of a file.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from orchestrator.core.image import Repository
from orchestrator.manifests.formats.common import Scan
from orchestrator.manifests.forms import Whole
from orchestrator.manifests.merges import overridden
from orchestrator.manifests.places import place, steps_to
from orchestrator.manifests.reader import Reference
from orchestrator.manifests.steps import Insert, Step, Write
from orchestrator.manifests.tree import Alias, Mapping, Node

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
        self._roots = scan.document.roots
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
        self._places: dict[int, str] = {}
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
        found: list[str] = []
        more = 0
        for anchored in (node, *(parent for parent, _ in reversed(steps_to(node)))):
            below_key, key = key, _key_of(anchored)
            if getattr(anchored, "anchor", None) is None or not (aliases := self._aliases_of(anchored)):
                continue
            aliases = [alias for alias in aliases if not overridden(alias, below_key)]
            told = aliases[: _TOLD - len(found)]
            more += len(aliases) - len(told)
            below = self._place(node)[len(self._place(anchored)) :] if told else ""
            found += [self._place(alias) + below for alias in told]
        return (*found, f"and {more} more") if more else tuple(found)

    def _place(self, node: Node | Alias) -> str:
        number = id(node)
        if number not in self._places:
            self._places[number] = place(self._roots, node)
        return self._places[number]


def _key_of(node: Node) -> str | None:
    """The key under which a node stands in its mapping."""
    key = node.parent.key_of(node) if isinstance(node.parent, Mapping) else None
    return key.value if key is not None else None
