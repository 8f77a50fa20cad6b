"""The proof after every edit: parse what came out, and find exactly the intended difference and no other.

The bytes are compared too: outside the planned splices they must be the ones that were there.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.manifests.scalars import looks_typed
from orchestrator.manifests.steps import Insert, Splice, Step, Write, ordered, written_value
from orchestrator.manifests.tree import Alias, Mapping, Node, Scalar, Sequence


class NotProven(Exception):
    """The edited text is not what was intended; nothing may be written."""


class _Intended:
    """The steps, by the node that they concern."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.writes: dict[int, list[Write]] = {}
        self.inserts: dict[int, list[Insert]] = {}
        self.removes: set[int] = set()
        for step in steps:
            if isinstance(step, Write):
                self.writes.setdefault(id(step.node), []).append(step)
            elif isinstance(step, Insert):
                self.inserts.setdefault(id(step.after), []).append(step)
            else:
                self.removes.add(id(step.key))


def prove(before: list[Node], after: list[Node], steps: Iterable[Step]) -> None:
    """The trees differ by these steps and by nothing else. Raises NotProven."""
    intended = _Intended(steps)
    if len(before) != len(after):
        raise NotProven("the number of documents changed")
    stack = list(zip(before, after, strict=True))
    while stack:
        old, new = stack.pop()
        if type(old) is Scalar and type(new) is Scalar:
            _compare_scalar(old, new, intended.writes.get(id(old)))
        elif type(old) is Mapping and type(new) is Mapping:
            _same_properties(old, new)
            stack.extend(_pairs(old, new, intended))
        elif type(old) is Sequence and type(new) is Sequence:
            _same_properties(old, new)
            if len(old.items) != len(new.items):
                raise NotProven("the length of a list changed")
            stack.extend(zip(old.items, new.items, strict=True))
        elif not (type(old) is Alias and type(new) is Alias and old.name == new.name):
            raise NotProven("the structure changed")


def _compare_scalar(old: Scalar, new: Scalar, writes: list[Write] | None) -> None:
    if old.tag != new.tag or old.anchor != new.anchor:
        raise NotProven("a tag or an anchor changed")
    if writes is None:
        if old.value != new.value or old.style != new.style:
            raise NotProven(f"the value {old.value[:40]!r} changed to {new.value[:40]!r}")
        return
    if new.value != (expected := written_value(old, writes)):
        raise NotProven(f"{new.value[:80]!r} stands where {expected[:80]!r} was to stand")
    if old.style is not None and old.style != new.style:
        raise NotProven("the quotes changed")
    if new.style is None and not writes[0].typed and old.tag is None and looks_typed(new.value):
        raise NotProven(f"{new.value!r} would not be read as a string")


def _same_properties(old: Mapping | Sequence, new: Mapping | Sequence) -> None:
    if old.flow != new.flow or old.tag != new.tag or old.anchor != new.anchor:
        raise NotProven("the style, tag or anchor of a collection changed")


def _pairs(old: Mapping, new: Mapping, intended: _Intended) -> list[tuple[Node, Node]]:
    """The pairs of old and new that belong together, once the planned insertions and removals are set aside."""
    if not intended.inserts and not intended.removes:
        if len(old.pairs) != len(new.pairs):
            raise NotProven("a key appeared or disappeared")
        return [both for pair in zip(old.pairs, new.pairs, strict=True) for both in zip(*pair, strict=True)]
    found: list[tuple[Node, Node]] = []
    rest = iter(new.pairs)
    for key, value in old.pairs:
        if id(key) not in intended.removes:
            new_key, new_value = _next(rest)
            found += [(key, new_key), (value, new_value)]
        for step in intended.inserts.get(id(key), ()):
            _check_inserted(step, *_next(rest))
    if next(rest, None) is not None:
        raise NotProven("a key appeared that was not to be there")
    return found


def _next(rest: Iterable[tuple[Node, Node]]) -> tuple[Node, Node]:
    pair = next(iter(rest), None)
    if pair is None:
        raise NotProven("a key disappeared")
    return pair


def _check_inserted(step: Insert, key: Node, value: Node) -> None:
    if not isinstance(key, Scalar) or not isinstance(value, Scalar):
        raise NotProven(f"{step.key!r} was to be inserted and is not there")
    if key.value != step.key or value.value != step.value:
        raise NotProven(f"{step.key!r} was to be inserted and is not there")
    if value.style is None and looks_typed(value.value):
        raise NotProven(f"{step.key!r} would not be read as a string")


def prove_bytes(before: str, after: str, splices: Iterable[Splice]) -> None:
    """Outside the splices every character is the one that was there. Raises NotProven."""
    position = shifted = 0
    for splice in ordered(splices):
        length = splice.start - position
        if before[position : splice.start] != after[shifted : shifted + length]:
            raise NotProven("a byte outside the planned places changed")
        shifted += length + len(splice.text)
        position = splice.end
    if before[position:] != after[shifted:]:
        raise NotProven("a byte outside the planned places changed")
