"""YAML as nodes with character positions: what libyaml's events say, nothing resolved, nothing expanded.

Built from the event stream and not by a composer, for three reasons: a composer recurses (nesting then kills the
process), refuses repeated anchors (valid in YAML 1.2, section 3.2.2.2), and replaces an alias by its anchor's node,
so that an edit through the alias would silently land elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

_LARGE = 16  # pairs: beyond it a mapping is looked up through a dictionary


class Segment(NamedTuple):
    """``length`` characters of a scalar's value from ``value`` on stand in the file from ``raw`` on, unchanged."""

    value: int
    raw: int
    length: int


class Broken(Exception):
    """The text can't be read. ``index`` is the character where, when the parser knows it."""

    def __init__(self, reason: str, index: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.index = index


class TooMuch(Broken):
    """A limit is exceeded: nesting, or the number of values. Another way to read the text would not help."""


@dataclass(slots=True, eq=False)
class Scalar:
    """A scalar; ``style`` is None for plain, else ``'``, ``"``, ``|`` or ``>``. Marks include anchor and tag.

    ``pieces`` are its segments, or why it has none, once somebody asked for them.
    """

    start: int
    end: int
    value: str
    style: str | None
    tag: str | None = None
    anchor: str | None = None
    parent: Mapping | Sequence | None = None
    pieces: list[Segment] | str | None = None


@dataclass(slots=True, eq=False)
class Alias:
    """``*name``; ``target`` is the latest node anchored so before it, None when there is none."""

    start: int
    end: int
    name: str
    target: Node | None
    parent: Mapping | Sequence | None = None


@dataclass(slots=True, eq=False)
class Mapping:
    """Key and value pairs in the order of the file, duplicates included."""

    start: int
    end: int
    flow: bool
    tag: str | None = None
    anchor: str | None = None
    parent: Mapping | Sequence | None = None
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    _keys: dict[int, Node] | None = None
    _numbers: dict[int, int] | None = None
    _values: dict[str, Node] | None = None
    _doubled: Scalar | None = None
    _contested: frozenset[int] = frozenset()

    def get(self, key: str) -> Node | None:
        """The value of a key as it stands here (no merge, no alias resolved); the last of duplicates."""
        if len(self.pairs) > _LARGE:
            self._look()
            return self._values.get(key) if self._values is not None else None
        found = None
        for name, value in self.pairs:
            if type(name) is Scalar and name.value == key:
                found = value
        return found

    def key_of(self, value: Node) -> Scalar | None:
        """The key node of this value; None when the key is not a scalar."""
        found: Node | None = None
        if len(self.pairs) > _LARGE:
            self._look()
            found = self._keys.get(id(value)) if self._keys is not None else None
        else:
            for key, candidate in self.pairs:
                if candidate is value:
                    found = key
                    break
        return found if isinstance(found, Scalar) else None

    def number_of(self, key: Node) -> int | None:
        """Which pair has this very key node; None when it is none of this mapping."""
        if self._numbers is None:
            self._numbers = {id(one): number for number, (one, _) in enumerate(self.pairs)}
        return self._numbers.get(id(key))

    def doubled(self) -> Scalar | None:
        """The second of two equal keys, when there are such; a merge key may stand twice."""
        pairs = self.pairs
        if len(pairs) <= _LARGE and len({key.value for key, _ in pairs if type(key) is Scalar}) == len(pairs):
            return None
        self._look()
        return self._doubled

    def contested(self) -> frozenset[int]:
        """The identities of the values that stand under the doubled key."""
        self._look()
        return self._contested

    def _look(self) -> None:
        """Look through the pairs once; the tree does not change after it is built."""
        if self._keys is not None:
            return
        self._keys = {id(value): key for key, value in self.pairs}
        self._values = {}
        for key, value in self.pairs:
            if type(key) is Scalar:
                if key.value in self._values and key.value != "<<" and self._doubled is None:
                    self._doubled = key
                self._values[key.value] = value
        if (twice := self._doubled) is not None:
            same = (id(value) for key, value in self.pairs if type(key) is Scalar and key.value == twice.value)
            self._contested = frozenset(same)


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    start: int
    end: int
    flow: bool
    tag: str | None = None
    anchor: str | None = None
    parent: Mapping | Sequence | None = None
    items: list[Node] = field(default_factory=list)
    _places: dict[int, int] | None = None
    _names: dict[str, list[Node]] | None = None

    def index(self, item: Node) -> int:
        """The number of an item."""
        if self._places is None:
            self._places = {id(one): number for number, one in enumerate(self.items)}
        return self._places[id(item)]

    def named(self, name: str) -> list[Node]:
        """The items that have this ``name``."""
        if self._names is None:
            self._names = {}
            for item in self.items:
                found = text_at(item, "name")
                if found is not None:
                    self._names.setdefault(found, []).append(item)
        return self._names.get(name, [])


Node = Scalar | Alias | Mapping | Sequence


def scalar(node: Node | None) -> Scalar | None:
    """The scalar that stands here, through aliases; None for anything else."""
    seen = 0
    while isinstance(node, Alias) and seen < 16:
        node, seen = node.target, seen + 1
    return node if isinstance(node, Scalar) else None


def resolved(node: Node | None) -> Node | None:
    """The node that an alias stands for, or the node itself."""
    seen = 0
    while isinstance(node, Alias) and seen < 16:
        node, seen = node.target, seen + 1
    return node


def text_at(mapping: Node | None, *keys: str) -> str | None:
    """The text at a path of keys below a mapping, through aliases; None when it is not a scalar."""
    node: Node | None = mapping
    for key in keys:
        node = resolved(node)
        if not isinstance(node, Mapping):
            return None
        node = node.get(key)
    found = scalar(node)
    return found.value if found is not None else None


def node_at(mapping: Node | None, *keys: str) -> Node | None:
    """The node at a path of keys below a mapping, aliases on the way resolved."""
    node: Node | None = mapping
    for key in keys:
        node = resolved(node)
        if not isinstance(node, Mapping):
            return None
        node = node.get(key)
    return resolved(node)


def walk(root: Node) -> Iterator[Node]:
    """Every node below and including the root, in the order of the file. Aliases are not entered."""
    stack: list[Node] = [root]
    while stack:
        node = stack.pop()
        yield node
        if type(node) is Mapping:
            for key, value in reversed(node.pairs):
                stack.append(value)
                stack.append(key)
        elif type(node) is Sequence:
            stack.extend(reversed(node.items))


class End:
    """Stands in the order of nodes where a collection ends."""

    __slots__ = ()


class Start:
    """Stands in the order of nodes where a document begins."""

    __slots__ = ()


END = End()
START = Start()
Token = Node | End | Start


class Parsed(NamedTuple):
    """The documents of a text, and all nodes in the order of the text, with where documents begin and lists end."""

    roots: list[Node]
    order: list[Token]


def parse(text: str, depth: int, nodes: int) -> Parsed:
    """Read a YAML text. Raises Broken, and TooMuch for nesting beyond ``depth`` or more than ``nodes`` values."""
    with Explained():
        return _build(events(text), depth, nodes)


def events(text: str) -> Callable[[], Any]:
    """A source of events: libyaml's where PyYAML has it, else those of its own parser (slower, but the same)."""
    parser = yaml.CSafeLoader(text) if yaml.__with_libyaml__ else yaml.SafeLoader(text)
    source: Callable[[], Any] = parser.get_event
    return source


class Explained:
    """``with Explained():`` turns what the parser raises into Broken, with the place."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, yaml.YAMLError):
            raise _broken(error) from None


def _broken(error: yaml.YAMLError) -> Broken:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return Broken(error.problem or error.context or "it is not YAML", mark.index if mark else None)
    if isinstance(error, yaml.reader.ReaderError):
        position = error.position if isinstance(error.position, int) and error.position >= 0 else None
        return Broken(f"a character is not allowed in YAML: {error.reason}", position)
    return Broken(str(error).splitlines()[0])


def _build(next_event: Callable[[], Any], depth: int, limit: int) -> Parsed:  # noqa: C901, PLR0915
    """Put nodes together from events, with a stack of its own instead of recursion.

    One loop without calls, because this is where most of the time of finding pins goes.
    """
    scalar_event, mapping_start, mapping_end = yaml.ScalarEvent, yaml.MappingStartEvent, yaml.MappingEndEvent
    sequence_start, sequence_end = yaml.SequenceStartEvent, yaml.SequenceEndEvent
    roots: list[Node] = []
    order: list[Token] = []
    anchors: dict[str, Node] = {}
    stack: list[tuple[Mapping | Sequence | None, list[tuple[Node, Node]] | None, list[Node], Node | None]] = []
    # Where the next node goes: to ``pairs`` of a mapping, behind its ``key``, or to ``items`` of a list (or the roots).
    parent: Mapping | Sequence | None = None
    pairs: list[tuple[Node, Node]] | None = None
    items: list[Node] = roots
    key: Node | None = None
    while True:
        event = next_event()
        kind = type(event)
        node: Node
        opened: Mapping | Sequence | None = None
        if kind is scalar_event:
            start, end = event.start_mark.index, event.end_mark.index
            node = Scalar(start, end, event.value, event.style or None, event.tag, event.anchor, parent)
        elif kind is mapping_end or kind is sequence_end:
            order.append(END)
            if parent is not None:
                parent.end = event.end_mark.index
            parent, pairs, items, key = stack.pop()
            continue
        elif kind is mapping_start:
            mark = event.start_mark.index
            node = opened = Mapping(mark, mark, event.flow_style is True, event.tag, event.anchor, parent)
        elif kind is sequence_start:
            mark = event.start_mark.index
            node = opened = Sequence(mark, mark, event.flow_style is True, event.tag, event.anchor, parent)
        elif kind is yaml.AliasEvent:
            target = anchors.get(event.anchor)
            node = Alias(event.start_mark.index, event.end_mark.index, event.anchor, target, parent)
        elif kind is yaml.DocumentStartEvent:
            anchors = {}
            order.append(START)
            continue
        elif kind is yaml.StreamEndEvent or event is None:
            return Parsed(roots, order)
        else:
            continue
        order.append(node)
        if event.anchor is not None and kind is not yaml.AliasEvent:
            anchors[event.anchor] = node
        if pairs is None:
            items.append(node)
        elif key is None:
            key = node
        else:
            pairs.append((key, node))
            key = None
        if opened is not None:
            stack.append((parent, pairs, items, key))
            parent, key = opened, None
            pairs, items = (opened.pairs, roots) if isinstance(opened, Mapping) else (None, opened.items)
            if len(stack) > depth:
                raise TooMuch(f"it is nested deeper than {depth} levels", opened.start)
        if len(order) > limit:
            raise TooMuch(f"it holds more than {limit} values", node.start)
