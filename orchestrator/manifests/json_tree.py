"""JSON into the same nodes as YAML: YAML's parser reads most JSON, but no surrogate escapes and not every tab."""

from __future__ import annotations

import json
import re

from orchestrator.manifests.tree import END, START, Broken, Mapping, Node, Parsed, Scalar, Sequence, Token, TooMuch

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:(?P<mark>[\[\]{},:])|(?P<string>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrtu])*")"""
    r"""|(?P<word>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null)|(?P<end>\Z))"""
)


def parse_json(text: str, depth: int, nodes: int) -> Parsed:
    """The one document of a JSON text (RFC 8259). Raises Broken."""
    return _Reader(text, depth, nodes).read()


class _Reader:
    """A loop over tokens with an explicit stack; each open container remembers what may come next."""

    def __init__(self, text: str, depth: int, nodes: int) -> None:
        self.text = text
        self.depth = depth
        self.left = nodes
        self.stack: list[Mapping | Sequence] = []
        self.key: list[Scalar | None] = []
        self.root: Node | None = None
        self.expect = "value"
        self.order: list[Token] = [START]

    def read(self) -> Parsed:
        """Consume the tokens."""
        position = 0
        while True:
            match = _TOKEN.match(self.text, position)
            if match is None:
                raise Broken("it is not JSON", position)
            if match.lastgroup == "end":
                break
            self._token(match)
            position = match.end()
        if self.stack or self.root is None:
            raise Broken("the JSON text ends too early", len(self.text))
        return Parsed([self.root], self.order)

    def _token(self, match: re.Match[str]) -> None:
        kind = match.lastgroup or ""
        start, end = match.span(kind)
        word = match[kind]
        if kind == "mark":
            self._mark(word, start, end)
        else:
            self._scalar(word, start, end, quoted=kind == "string")

    def _mark(self, mark: str, start: int, end: int) -> None:
        if mark in "[{":
            if self.expect not in ("value", "value or end"):
                raise Broken(f"{mark!r} is not expected here", start)
            node = Mapping(start, end, True) if mark == "{" else Sequence(start, end, True)
            self._add(node)
            self.stack.append(node)
            self.key.append(None)
            if len(self.stack) > self.depth:
                raise TooMuch(f"it is nested deeper than {self.depth} levels", start)
            self.expect = "key or end" if mark == "{" else "value or end"
        elif mark in "]}":
            self._close(mark, start, end)
        else:
            wanted = "comma or end" if mark == "," else "colon"
            if self.expect != wanted:
                raise Broken(f"{mark!r} is not expected here", start)
            self.expect = "value" if mark == ":" or isinstance(self.stack[-1], Sequence) else "key"

    def _close(self, mark: str, start: int, end: int) -> None:
        kind = Mapping if mark == "}" else Sequence
        if not self.stack or not isinstance(self.stack[-1], kind) or not self.expect.endswith("or end"):
            raise Broken(f"{mark!r} is not expected here", start)
        self.stack.pop().end = end
        self.order.append(END)
        self.key.pop()
        self.expect = "comma or end" if self.stack else "nothing"

    def _scalar(self, word: str, start: int, end: int, *, quoted: bool) -> None:
        if self.expect in ("colon", "comma or end", "nothing") or (self.expect.startswith("key") and not quoted):
            raise Broken("a value is not expected here", start)
        if quoted:
            try:
                value = json.loads(word)
            except ValueError as error:
                raise Broken(f"a JSON string is broken: {error}", start) from None
        node = Scalar(start, end, value if quoted else word, '"' if quoted else None)
        if self.expect.startswith("key"):
            node.parent = self.stack[-1]
            self.order.append(node)
            self.key[-1] = node
            self.expect = "colon"
            return
        self._add(node)

    def _add(self, node: Node) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooMuch("it holds too many values", node.start)
        self.expect = "comma or end" if self.stack else "nothing"
        self.order.append(node)
        if not self.stack:
            if self.root is not None:
                raise Broken("a second value stands after the first", node.start)
            self.root = node
            return
        parent = self.stack[-1]
        node.parent = parent
        if isinstance(parent, Sequence):
            parent.items.append(node)
            return
        key = self.key[-1]
        if key is None:
            raise Broken("a value without a key", node.start)
        parent.pairs.append((key, node))
        self.key[-1] = None
