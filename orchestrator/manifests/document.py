"""A manifest file as text with its nodes: checked on the bytes first, then decoded, then parsed.

The checks come before any parser because parsers are where hostile input hurts: 80 KB of ``[`` end libyaml's
composer with a signal.
"""

from __future__ import annotations

import codecs
import re
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

from orchestrator.manifests.json_tree import parse_json
from orchestrator.manifests.options import ScanOptions
from orchestrator.manifests.places import Places
from orchestrator.manifests.tree import Alias, Broken, Mapping, Node, Parsed, Token, TooMuch, parse, walk

_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")
_STEPS = bytes({ord("["): 1, ord("{"): 1, ord("]"): 255, ord("}"): 255}.get(c, 0) for c in range(256))
_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# A bracket that text may leave open (a regular expression, a terminal colour) is no nesting: below this bound the
# parser's own depth count decides, beyond it no parser is tried.
_BRACKETS_PER_LEVEL = 10

_SHORT = 4096  # characters: below it counting line ends is as good as looking them up
_LINE_END = re.compile("\n")
_REGISTRY_KEY = re.compile(r"(?:registry|Registry|hub)[\"']?\s*:")
_TEMPLATE_LINE = re.compile(r"\{\{|\{%|<%")


class Unreadable(Broken):
    """A file is no readable manifest: too large, too deep, not UTF-8, not YAML."""


class TooLarge(Unreadable):
    """A file has more bytes than the options allow."""


class Template(Broken):
    """A file is a template that is not rendered yet, so it is no YAML."""


@dataclass(slots=True, eq=False)
class Document:
    """One file. ``roots`` are its YAML documents, ``order`` all their nodes; positions are characters of ``text``.

    ``json`` says by which grammar they were read; ``template`` why there are no roots and the text is read by lines.
    """

    text: str
    bom: bool
    roots: list[Node]
    order: list[Token]
    template: Template | None = None
    json: bool = False
    _ends: list[int] | None = None
    _policies: bool | None = None
    _registries: bool | None = None
    _aliases: dict[int, list[Alias]] | None = None
    _places: Places | None = None

    def line(self, index: int) -> int:
        """The 1-based line of a character, as an editor counts."""
        if self._ends is None:
            if index < _SHORT:
                return self.text.count("\n", 0, index) + 1
            self._ends = [match.start() for match in _LINE_END.finditer(self.text)]
        return bisect_left(self._ends, index) + 1

    @property
    def has_policies(self) -> bool:
        """Some comment may name a Flux image policy."""
        if self._policies is None:
            self._policies = "$imagepolicy" in self.text
        return self._policies

    @property
    def has_registries(self) -> bool:
        """Some key may name a registry."""
        if self._registries is None:
            self._registries = _REGISTRY_KEY.search(self.text) is not None
        return self._registries

    @property
    def places(self) -> Places:
        """Where its nodes stand."""
        if self._places is None:
            self._places = Places(self.roots)
        return self._places

    def encode(self, text: str) -> bytes:
        """A changed text as the bytes of this file: the byte order mark stays when there was one."""
        return (codecs.BOM_UTF8 if self.bom else b"") + text.encode("utf-8")

    def aliases_of(self, node: Node) -> list[Alias]:
        """Every alias in the file that stands for this very node."""
        if self._aliases is None:
            self._aliases = {}
            for found in self.order:
                if type(found) is Alias and found.target is not None:
                    self._aliases.setdefault(id(found.target), []).append(found)
        return self._aliases.get(id(node), [])


def position(text: str, index: int) -> tuple[int, int]:
    """1-based line and column of a character."""
    start = text.rfind("\n", 0, index) + 1
    return text.count("\n", 0, index) + 1, index - start + 1


def check_bytes(content: bytes, options: ScanOptions) -> None:
    """Size, encoding and nesting, on the bytes alone. Raises Unreadable."""
    if len(content) > options.size:
        raise TooLarge(f"it has {len(content)} bytes, more than the limit of {options.size}")
    for mark, name in _OTHER_ENCODINGS:
        if content.startswith(mark):
            raise Unreadable(f"it is encoded as {name}, not as UTF-8", 0)
    limit = options.depth * _BRACKETS_PER_LEVEL
    if content.count(b"[") + content.count(b"{") > limit and nesting(content) > limit:
        raise Unreadable(f"it is nested deeper than {options.depth} levels", 0)


def nesting(content: bytes) -> int:
    """An upper bound for the depth of flow collections: the largest rise in the count of open brackets."""
    brackets = content.translate(_STEPS, _NOT_BRACKETS)
    if not brackets:
        return 0
    levels = list(accumulate(array("b", brackets), initial=0))
    return max(map(int.__sub__, levels, accumulate(levels, min)))


def decode(content: bytes) -> tuple[str, bool]:
    """The text without byte order mark, and whether there was one. Raises Unreadable."""
    bom = content.startswith(codecs.BOM_UTF8)
    try:
        return content[3:].decode() if bom else content.decode(), bom
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        raise Unreadable(f"it is not UTF-8: {error.reason} at byte {error.start}", len(before)) from None


def load(content: bytes, options: ScanOptions, *, json: bool = False) -> Document:
    """Read a file. Raises Unreadable, or Template when it does not parse and holds template actions."""
    check_bytes(content, options)
    text, bom = decode(content)
    try:
        if json and (found := _as_json(text, options)) is not None:
            return Document(text, bom, *found, json=True)
        return Document(text, bom, *parse(text, options.depth, options.nodes))
    except Broken as error:
        if _TEMPLATE_LINE.search(text):
            raise Template(f"it is a template that is not rendered ({error.reason})", error.index) from None
        raise Unreadable(error.reason, error.index) from None


def _as_json(text: str, options: ScanOptions) -> Parsed | None:
    """By JSON's own grammar; None for what calls itself JSON and is none (comments, trailing commas)."""
    try:
        return parse_json(text, options.depth, options.nodes)
    except TooMuch:
        raise
    except Broken:
        return None


def template_actions(document: Document) -> list[Node]:
    """``{{ .Values.x }}`` as a value parses: as a flow mapping whose key is a flow mapping."""
    if "{{" not in document.text:
        return []
    return [node for root in document.roots for node in walk(root) if is_action(node)]


def is_action(node: Node) -> bool:
    """A mapping whose braces are those of a template."""
    if not isinstance(node, Mapping) or not node.flow or len(node.pairs) != 1:
        return False
    key = node.pairs[0][0]
    return isinstance(key, Mapping) and key.flow and key.start == node.start + 1
