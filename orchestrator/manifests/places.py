"""Places: where a node stands, as people write it, and from such a text back to the node.

``doc[0].spec.template.spec.containers[name=api].image``: keys with dots between them, list items by number or by
their name, odd keys as ``["a.b"]``. Without ``doc[N]`` a place is looked for in every document.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from orchestrator.core.errors import ConfigurationError
from orchestrator.manifests.tree import Mapping, Node, Scalar, Sequence, resolved, text_at

_STEP = re.compile(
    r"""\.?(?:(?P<key>[^.\[\]"'=]+)|\[(?P<index>\d+)\]|\[(?P<by>[A-Za-z]+)=(?P<named>[^\]]*)\]"""
    r"""|\["(?P<double>(?:[^"\\]|\\.)*)"\]|\['(?P<single>[^']*)'\])"""
)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_$@/-]+")

_SHOWN = 200  # characters of a key; a longer one is told, and can't be asked for

Step = str | int | tuple[str, str]


def steps_to(node: Node) -> list[tuple[Mapping | Sequence, Node]]:
    """Each collection on the way from the root, with the child that the way goes through."""
    way: list[tuple[Mapping | Sequence, Node]] = []
    child: Node = node
    while child.parent is not None:
        way.append((child.parent, child))
        child = child.parent
    return way[::-1]


class Places:
    """The places of the nodes of a file. What lies on the way to several of them is spelled once."""

    def __init__(self, roots: list[Node]) -> None:
        self._roots = roots
        self._known: dict[int, tuple[str, str]] = {}

    def of(self, node: Node) -> str:
        """Where a node stands, with list items told by their name where that is unique."""
        return self.both(node)[0]

    def both(self, node: Node) -> tuple[str, str]:
        """Where a node stands: with list items told by their names, and by their numbers."""
        way: list[Node] = []
        current: Node | None = node
        while current is not None and id(current) not in self._known:
            way.append(current)
            current = current.parent
        found = ("", "") if current is None else self._known[id(current)]
        for child in reversed(way):
            found = self._step(found, child)
            self._known[id(child)] = found
        return found

    def _step(self, above: tuple[str, str], child: Node) -> tuple[str, str]:
        parent = child.parent
        if parent is None:
            root = f"doc[{bisect_left(self._roots, child.start, key=_start)}]"
            return root, root
        if isinstance(parent, Mapping):
            spelled = _key(parent, child)
            return above[0] + spelled, above[1] + spelled
        number = f"[{parent.index(child)}]"
        name = _unique_name(parent, child)
        return above[0] + (number if name is None else f"[name={name}]"), above[1] + number


def _start(root: Node) -> int:
    return root.start


def _key(parent: Mapping, child: Node) -> str:
    key = parent.key_of(child)
    if key is None:  # the child is a key itself, or its key is no scalar
        return '["?"]'
    text = key.value if len(key.value) <= _SHOWN else key.value[:_SHOWN] + "…"
    return f".{text}" if _PLAIN_KEY.fullmatch(text) else '["' + text.replace('"', '\\"') + '"]'


def _unique_name(parent: Sequence, child: Node) -> str | None:
    name = text_at(child, "name")
    if not name or "]" in name or len(name) > _SHOWN:
        return None
    return name if len(parent.named(name)) == 1 else None


def parse_place(text: str) -> tuple[int | None, tuple[Step, ...]]:
    """The document number (None: any) and the steps of a place. Raises ConfigurationError."""
    document, rest = None, text.strip()
    if match := re.match(r"doc\[(\d+)\]", rest):
        document, rest = int(match[1]), rest[match.end() :]
    rest = rest.removeprefix("$")
    steps: list[Step] = []
    position = 0
    while position < len(rest):
        match = _STEP.match(rest, position)
        if match is None:
            raise ConfigurationError(
                f"{text!r} is not a place in a manifest",
                hint="write it as in spec.template.spec.containers[name=api].image",
            )
        steps.append(_step(match))
        position = match.end()
    return document, tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["index"] is not None:
        return int(match["index"])
    if match["by"] is not None:
        return match["by"], match["named"]
    if match["double"] is not None:
        return re.sub(r"\\(.)", r"\1", match["double"])
    return match["single"] if match["single"] is not None else match["key"]


def find_place(roots: list[Node], text: str) -> Iterator[Node]:
    """The nodes at a place, aliases on the way resolved. Raises ConfigurationError for a malformed place."""
    document, steps = parse_place(text)
    for number, root in enumerate(roots):
        if document is None or document == number:
            yield from _descend(root, steps)


def _descend(node: Node, steps: tuple[Step, ...]) -> Iterator[Node]:
    if not steps:
        yield node
        return
    here = resolved(node)
    if isinstance(here, Sequence):
        for item in _items(here, steps[0]):
            yield from _descend(item, steps[1:])
    elif isinstance(here, Mapping):
        for length in range(1, len(steps) + 1):
            if not isinstance(steps[length - 1], str):
                break
            value = here.get(".".join(str(step) for step in steps[:length]))
            if value is not None:
                yield from _descend(value, steps[length:])
                return


def _items(sequence: Sequence, step: Step) -> list[Node]:
    if isinstance(step, int):
        return sequence.items[step : step + 1]
    if isinstance(step, tuple) and step[0] == "name":
        return sequence.named(step[1])
    if isinstance(step, tuple):
        return [item for item in sequence.items if text_at(item, step[0]) == step[1]]
    return []


def on_the_way(node: Node) -> list[Mapping]:
    """The mappings that a node lies in, with itself: where a doubled key would make its place ambiguous."""
    found = [parent for parent, _ in steps_to(node) if isinstance(parent, Mapping)]
    if isinstance(node, Mapping):
        found.append(node)
    return found


def container_name(node: Node) -> str | None:
    """The name of the container, step or entry that a node belongs to: the nearest list item with a name, or key."""
    for parent, child in reversed(steps_to(node)):
        if isinstance(parent, Sequence):
            return text_at(child, "name")
    return None


def key_above(node: Node) -> str | None:
    """The key under which a node stands; for list items the key of the list."""
    child: Node = node
    while child.parent is not None:
        if isinstance(child.parent, Mapping):
            key = child.parent.key_of(child)
            return key.value if isinstance(key, Scalar) else None
        child = child.parent
    return None
