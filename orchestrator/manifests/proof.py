"""The proof after every edit: parse what came out, and find exactly the intended difference and no other.

The bytes are compared too: outside the planned splices they must be the ones that were there. The parser's events are
compared with the nodes that were read before, one by one and in order, so the proof needs no second tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from orchestrator.manifests.json_tree import parse_json
from orchestrator.manifests.scalars import looks_typed
from orchestrator.manifests.steps import Insert, Inside, Remove, Splice, Step, Write, apply, ordered, written_value
from orchestrator.manifests.tree import (
    END,
    Alias,
    Broken,
    End,
    Explained,
    Mapping,
    Node,
    Scalar,
    Sequence,
    Start,
    Token,
    events,
)

_IGNORED = frozenset({yaml.StreamStartEvent, yaml.DocumentEndEvent})
_ENDS = frozenset({yaml.MappingEndEvent, yaml.SequenceEndEvent})
_DEEP = 10_000  # for what was read within its limits before


class NotProven(Exception):
    """The edited text is not what was intended; nothing may be written."""


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A scalar that was to be inserted."""

    value: str


def prove(before: list[Token], after: str, steps: Iterable[Step], *, json: bool = False) -> None:
    """The text holds the nodes of ``before``, changed by these steps and by nothing else. Raises NotProven, Broken."""
    steps = list(steps)
    writes: dict[int, list[Write]] = {}
    for step in steps:
        if isinstance(step, Write):
            writes.setdefault(id(step.node), []).append(step)
    expected = _expected(before, steps)
    with Explained():
        _compare(expected, _json_tokens(after) if json else events(after), writes)


def prove_inside(steps: Iterable[Step]) -> None:
    """The YAML in every text that is written to holds its nodes, changed as planned. Raises NotProven, Broken."""
    texts: dict[int, list[tuple[Write, Inside]]] = {}
    for step in steps:
        if isinstance(step, Write) and step.inside is not None:
            texts.setdefault(id(step.inside.order), []).append((step, step.inside))
    for writes in texts.values():
        outer, inner = writes[0][0].node, [inside.step for _, inside in writes]
        edited = apply(outer.value, [step.splice for step in inner])
        if edited != written_value(outer, [write for write, _ in writes]):
            raise NotProven("the text inside would not come out as planned")
        prove(writes[0][1].order, edited, inner)
        prove_inside(inner)


def _expected(before: list[Token], steps: list[Step]) -> list[Token | _Fresh]:
    """The order of nodes with the insertions made and the removals left out; both concern pairs of two scalars."""
    inserts: dict[int, list[Insert]] = {}
    for step in steps:
        if isinstance(step, Insert):
            inserts.setdefault(id(step.after), []).append(step)
    removed = {id(step.key) for step in steps if isinstance(step, Remove)}
    if not inserts and not removed:
        return list(before)
    expected: list[Token | _Fresh] = []
    tokens = iter(before)
    for token in tokens:
        number = id(token)
        if number in removed:
            next(tokens)
            continue
        expected.append(token)
        if number in inserts:
            expected.append(next(tokens))
            for step in inserts[number]:
                expected += [_Fresh(step.key), _Fresh(step.value)]
    return expected


def _json_tokens(text: str) -> Callable[[], Any]:
    """The nodes of a JSON text in their order, one for each call; None at the end."""
    tokens = iter(parse_json(text, _DEEP, 10_000_000).order)
    return lambda: next(tokens, None)


def _compare(expected: list[Token | _Fresh], following: Callable[[], Any], writes: dict[int, list[Write]]) -> None:
    """Each token against the next event. Unchanged scalars are most of them, so they take the short way."""
    scalar_event = yaml.ScalarEvent
    compared: set[int] = set()
    for old in expected:
        new = following()
        kind = type(new)
        while kind in _IGNORED:
            new = following()
            kind = type(new)
        if type(old) is Scalar and (kind is scalar_event or kind is Scalar):
            if (
                old.value != new.value
                or old.style != (new.style or None)
                or old.tag != new.tag
                or old.anchor != new.anchor
            ):
                _compare_written(old, new, writes.get(id(old)))
                compared.add(id(old))
        elif old is not END or kind not in _ENDS:
            _compare_other(old, new)
    if len(compared) != len(writes):
        raise NotProven("a value that was to change stands there as before")
    rest = following()
    while type(rest) in _IGNORED:
        rest = following()
    if rest is not None and type(rest) is not yaml.StreamEndEvent:
        raise NotProven("something appeared at the end")


def _compare_written(old: Scalar, new: Any, writes: list[Write] | None) -> None:
    """A scalar that differs: it must be one that was to be written, with the value that was to be there."""
    if writes is None:
        raise NotProven(f"the value {old.value[:40]!r} changed to {new.value[:40]!r}")
    if old.tag != new.tag or old.anchor != new.anchor:
        raise NotProven("a tag or an anchor changed")
    if new.value != (wanted := written_value(old, writes)):
        raise NotProven(f"{new.value[:80]!r} stands where {wanted[:80]!r} was to stand")
    quoted_now = old.style is None and any(write.splice.text.lstrip().startswith('"') for write in writes)
    if (new.style or None) != ('"' if quoted_now else old.style):
        raise NotProven("the quotes changed")
    if not new.style and not writes[0].typed and old.tag is None and looks_typed(new.value):
        raise NotProven(f"{new.value!r} would not be read as a string")


def _compare_other(old: Token | _Fresh, new: Any) -> None:
    """Everything but two scalars."""
    kind = type(new)
    if isinstance(old, _Fresh):
        _compare_fresh(old, new)
    elif isinstance(old, Mapping | Sequence):
        same_kind = kind in ((yaml.MappingStartEvent, Mapping) if isinstance(old, Mapping) else _SEQUENCES)
        if not same_kind or old.tag != new.tag or old.anchor != new.anchor or old.flow != _is_flow(new):
            raise NotProven("a mapping or a list changed")
    elif isinstance(old, Alias):
        name = new.anchor if kind is yaml.AliasEvent else new.name if kind is Alias else None
        if name != old.name:
            raise NotProven("an alias changed")
    elif not isinstance(new, _MARKS.get(type(old), ())):
        raise NotProven("the structure changed")


_SEQUENCES = (yaml.SequenceStartEvent, Sequence)
_MARKS: dict[type, tuple[type, ...]] = {
    End: (yaml.MappingEndEvent, yaml.SequenceEndEvent, End),
    Start: (yaml.DocumentStartEvent, Start),
}


def _is_flow(new: Any) -> bool:
    return bool(new.flow if isinstance(new, Mapping | Sequence) else new.flow_style)


def _compare_fresh(old: _Fresh, new: Any) -> None:
    value = getattr(new, "value", None)
    if value != old.value or new.tag is not None:
        raise NotProven(f"{old.value!r} was to be inserted and is not there")
    if not new.style and looks_typed(old.value):
        raise NotProven(f"{old.value!r} would not be read as a string")


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


__all__ = ["Broken", "Node", "NotProven", "prove", "prove_bytes"]
