"""YAML as nodes with character positions: what libyaml's events say, nothing resolved, nothing expanded.

Built from the event stream and not by a composer, for three reasons: a composer recurses (nesting then kills the
process), refuses repeated anchors (valid in YAML 1.2, section 3.2.2.2), and replaces an alias by its anchor's node,
so that an edit through the alias would silently land elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

_LARGE = 16  # pairs: beyond it a mapping is looked up through a dictionary


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
    """A scalar; ``style`` is None for plain, else ``'``, ``"``, ``|`` or ``>``. Marks include anchor and tag."""

    start: int
    end: int
    value: str
    style: str | None
    tag: str | None = None
    anchor: str | None = None
    parent: Mapping | Sequence | None = None


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
    _values: dict[str, Node] | None = None
    _doubled: Scalar | None = None

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
        self._look()
        found = self._keys.get(id(value)) if self._keys is not None else None
        return found if isinstance(found, Scalar) else None

    def doubled(self) -> Scalar | None:
        """The second of two equal keys, when there are such; a merge key may stand twice."""
        self._look()
        return self._doubled

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
    _names: dict[str, int] | None = None

    def index(self, item: Node) -> int:
        """The number of an item."""
        if self._places is None:
            self._places = {id(one): number for number, one in enumerate(self.items)}
        return self._places[id(item)]

    def named(self, name: str) -> int:
        """How many items have this ``name``."""
        if self._names is None:
            self._names = {}
            for item in self.items:
                found = text_at(item, "name")
                if found is not None:
                    self._names[found] = self._names.get(found, 0) + 1
        return self._names.get(name, 0)


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


def _events(text: str) -> Any:
    """A source of events: libyaml where PyYAML has it, else PyYAML's own parser (slower, the same events)."""
    if yaml.__with_libyaml__:
        return yaml.CSafeLoader(text)
    return yaml.Loader(text)


def parse(text: str, depth: int, nodes: int) -> list[Node]:
    """The documents of a YAML text. Raises Broken, also for nesting beyond ``depth`` or more than ``nodes`` nodes."""
    try:
        return _Builder(depth, nodes).build(_events(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Broken(error.problem or error.context or "it is not YAML", mark.index if mark else None) from None
    except yaml.reader.ReaderError as error:
        position = error.position if isinstance(error.position, int) and error.position >= 0 else None
        raise Broken(f"a character is not allowed in YAML: {error.reason}", position) from None
    except yaml.YAMLError as error:
        raise Broken(str(error).splitlines()[0]) from None


class _Builder:
    """Puts nodes together from events, with a stack of its own instead of recursion."""

    def __init__(self, depth: int, nodes: int) -> None:
        self.depth = depth
        self.nodes = nodes
        self.count = 0
        self.roots: list[Node] = []
        self.stack: list[Mapping | Sequence] = []
        self.keys: list[Node | None] = []  # per open mapping: the key that waits for its value
        self.anchors: dict[str, Node] = {}

    def build(self, parser: Any) -> list[Node]:
        """Consume the events."""
        next_event = parser.get_event
        while True:
            event = next_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                style = event.style
                node: Node = Scalar(
                    event.start_mark.index,
                    event.end_mark.index,
                    event.value,
                    style or None,
                    event.tag,
                    event.anchor,
                )
                self._add(node, event.anchor)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._open(event, kind is yaml.MappingStartEvent)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.stack.pop().end = event.end_mark.index
                self.keys.pop()
            elif kind is yaml.AliasEvent:
                target = self.anchors.get(event.anchor)
                self._add(Alias(event.start_mark.index, event.end_mark.index, event.anchor, target), None)
            elif kind is yaml.DocumentStartEvent:
                self.anchors = {}
            elif kind is yaml.StreamEndEvent or event is None:
                return self.roots
            if self.count > self.nodes:
                raise TooMuch(f"it holds more than {self.nodes} values", event.start_mark.index)

    def _open(self, event: Any, mapping: bool) -> None:
        kind = Mapping if mapping else Sequence
        mark = event.start_mark.index
        node = kind(mark, mark, bool(event.flow_style), event.tag, event.anchor)
        self._add(node, event.anchor)
        self.stack.append(node)
        self.keys.append(None)
        if len(self.stack) > self.depth:
            raise TooMuch(f"it is nested deeper than {self.depth} levels", mark)

    def _add(self, node: Node, anchor: str | None) -> None:
        self.count += 1
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.stack:
            self.roots.append(node)
            return
        parent = self.stack[-1]
        node.parent = parent
        if type(parent) is Sequence:
            parent.items.append(node)
            return
        key = self.keys[-1]
        if key is None:
            self.keys[-1] = node
        else:
            parent.pairs.append((key, node))  # type: ignore[union-attr]  # type() is not narrowed
            self.keys[-1] = None
