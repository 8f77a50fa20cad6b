"""Merge keys in the tree: the pairs that a mapping takes over by ``<<`` (https://yaml.org/type/merge.html)."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.manifests.tree import Mapping, Node, Scalar, Sequence, resolved

MERGE = "<<"
_SOURCES = 4  # mappings that one mapping takes over, directly or through others; people use two or three


class Taken(NamedTuple):
    """A value with the mapping in which it stands."""

    value: Node
    owner: Mapping


class Unclear(Exception):
    """Readers of YAML differ in what a mapping takes over, or it is too much to follow."""


def is_merge(key: Node) -> bool:
    """The key is ``<<`` and not a quoted text of these characters."""
    return type(key) is Scalar and key.value == MERGE and key.style is None


def taken_over(mapping: Mapping) -> dict[str, Taken]:
    """What a mapping inherits and does not hold itself: own keys win, then earlier sources. Raises Unclear."""
    own = {key.value for key, _ in mapping.pairs if isinstance(key, Scalar)}
    found: dict[str, Taken] = {}
    seen = {id(mapping)}
    waiting = _sources(mapping)[::-1]
    while waiting:
        source = waiting.pop()
        if id(source) in seen:
            continue
        seen.add(id(source))
        if len(seen) > _SOURCES:
            raise Unclear(f"more than {_SOURCES} mappings are merged here")
        for key, value in reversed(source.pairs):  # of a key that stands twice the last one counts
            if type(key) is Scalar and key.value != MERGE and key.value not in own and key.value not in found:
                found[key.value] = Taken(value, source)
        waiting += _sources(source)[::-1]
    return found


def from_one_source(mapping: Mapping) -> bool:
    """Everything that it inherits comes through one other mapping, which is read on its own. Raises Unclear."""
    return len({id(source) for source in _sources(mapping)}) <= 1


def _sources(mapping: Mapping) -> list[Mapping]:
    """The mappings behind the merge key, in their order."""
    values = [value for key, value in mapping.pairs if is_merge(key)]
    if len(values) > 1:
        raise Unclear("the merge key stands twice, and readers of YAML differ in what that means")
    if not values:
        return []
    value = resolved(values[0])
    candidates = [resolved(item) for item in value.items[: _SOURCES + 1]] if isinstance(value, Sequence) else [value]
    return [candidate for candidate in candidates if isinstance(candidate, Mapping)]
