"""The three things that an edit can do to a file, each with the characters that it replaces and what must come of it.

A step carries its intention (this scalar now reads so; this pair is new; this pair is gone) beside the splice, so that
the proof can check the one against the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from orchestrator.manifests.scalars import (
    CannotSpell,
    content_start,
    double_quoted,
    escaped,
    plain_is_safe,
    raw_span,
    segments,
)
from orchestrator.manifests.tree import Mapping, Node, Scalar, Token

_COLON = re.compile(r"[ \t]*:")
_JSON_WORD = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null")
_SEPARATOR = re.compile(r"\s*,\s*")
_LIKE = 16  # pairs that are looked at for the layout of a new one


@dataclass(frozen=True, slots=True)
class Splice:
    """Characters ``start`` to ``end`` become ``text``."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Inside:
    """The step that a write makes in the YAML that its scalar holds as a text, and the nodes of that YAML."""

    order: list[Token]
    step: Step


@dataclass(frozen=True, slots=True)
class Write:
    """``value[start:end]`` of a scalar becomes ``new``; a string for every reader, unless ``typed``."""

    node: Scalar
    start: int
    end: int
    new: str
    splice: Splice
    typed: bool = False
    inside: Inside | None = None


@dataclass(frozen=True, slots=True)
class Insert:
    """A mapping gets a new pair, behind the pair of ``after``."""

    mapping: Mapping
    after: Scalar
    key: str
    value: str
    splice: Splice


@dataclass(frozen=True, slots=True)
class Remove:
    """A mapping loses the pair of this key."""

    mapping: Mapping
    key: Scalar
    splice: Splice


Step = Write | Insert | Remove


def ordered(splices: Iterable[Splice]) -> list[Splice]:
    """In the order of the file; several at one place stay in the order in which they were planned; no doubles."""
    return sorted(dict.fromkeys(splices), key=lambda splice: (splice.start, splice.end))


def apply(text: str, splices: list[Splice]) -> str:
    """The text with every splice made. They must not overlap; equal ones are made once. Raises CannotSpell."""
    parts: list[str] = []
    position = 0
    for splice in ordered(splices):
        if splice.start < position:
            raise CannotSpell("two edits want to change the same characters in different ways")
        parts.append(text[position : splice.start])
        parts.append(splice.text)
        position = splice.end
    parts.append(text[position:])
    return "".join(parts)


def written_value(node: Scalar, writes: Iterable[Write]) -> str:
    """What a scalar holds after these writes, which do not overlap. Raises CannotSpell."""
    value, position = node.value, 0
    parts: list[str] = []
    for start, end, new in sorted({(write.start, write.end, write.new) for write in writes}):
        if start < position or (start == end == position and parts):
            raise CannotSpell("two images want to stand at the same place")
        parts += [value[position:start], new]
        position = end
    return "".join(parts) + value[position:]


def write(text: str, node: Scalar, value: str, *, typed: bool = False) -> list[Step]:
    """Give a scalar a new value in the spelling that it has; nothing when it has it already.

    ``typed`` allows a plain number to become another plain number; otherwise the value is a string for every
    reader afterwards, with quotes where it needs them. Raises CannotSpell.
    """
    length = len(node.value.rstrip("\n")) if node.style in ("|", ">") else len(node.value)
    return replace(text, node, 0, length, value, typed=typed)


def replace(text: str, node: Scalar, start: int, end: int, new: str, *, typed: bool = False) -> list[Step]:
    """Replace ``value[start:end]`` of a scalar, leaving the rest of it as it is spelled. Raises CannotSpell."""
    if node.value[start:end] == new and (start < end or node.style is not None):
        return []
    if node.style is None and start == 0 and end == len(node.value):
        return [Write(node, start, end, new, _whole_plain(text, node, new, typed), typed)]
    if node.value == "":
        if node.style not in ("'", '"'):
            raise CannotSpell("it is an empty block scalar")
        return [Write(node, 0, 0, new, Splice(node.end - 1, node.end - 1, escaped(new, node.style)))]
    raw_start, raw_end = raw_span(segments(text, node), start, end)
    return [Write(node, start, end, new, Splice(raw_start, raw_end, escaped(new, node.style)))]


def _whole_plain(text: str, node: Scalar, new: str, typed: bool) -> Splice:
    plain = typed or plain_is_safe(new)
    if _is_json_word(node):
        plain = typed and _JSON_WORD.fullmatch(new) is not None
    spelled = new if plain else double_quoted(new)
    start = content_start(text, node)
    if node.value == "" and start == node.end:
        at = node.end if node.start < node.end else _behind_colon(text, node)
        return Splice(at, at, " " + spelled)
    if "\n" in text[start : node.end]:
        raise CannotSpell("it is a plain scalar over several lines")
    return Splice(start, node.end, spelled)


def _is_json_word(node: Scalar) -> bool:
    """Its place can be one of a JSON text, where all that stands without quotes is a number, a truth value or null."""
    parent = node.parent
    if not isinstance(parent, Mapping) or not parent.flow or _JSON_WORD.fullmatch(node.value) is None:
        return False
    key = parent.key_of(node)
    return key is not None and key.style == '"'


def _behind_colon(text: str, node: Scalar) -> int:
    """Where an empty value would stand: the parser's mark of it may lie behind blanks, comments and line ends."""
    key = node.parent.key_of(node) if isinstance(node.parent, Mapping) else None
    colon = _COLON.match(text, key.end) if key is not None else None
    if colon is None:
        raise CannotSpell("there is no value to replace")
    return colon.end()


def insert(text: str, mapping: Mapping, after: Scalar, key: str, value: str) -> Insert:
    """A new pair behind the pair of ``after``, in the layout of the pairs that are there. Raises CannotSpell."""
    index = _index(mapping, after)
    last = mapping.pairs[index][1]
    if mapping.get(key) is not None:
        raise CannotSpell(f"the key {key!r} is there already, with something that is not a single value")
    if mapping.flow:
        return Insert(mapping, after, key, value, _flow_insert(text, mapping, index, key, value))
    if not isinstance(last, Scalar) or last.style in ("|", ">") or "\n" in text[last.start : last.end]:
        raise CannotSpell(f"{key!r} can't be inserted behind a value over several lines")
    end = text.find("\n", last.end)
    line_start = text.rfind("\n", 0, after.start) + 1
    indent = " " * (after.start - line_start)
    spelled = value if plain_is_safe(value) else double_quoted(value)
    line = f"{indent}{_key_like(after, key)}: {spelled}"
    if end < 0:
        newline = "\r\n" if "\r\n" in text else "\n"
        return Insert(mapping, after, key, value, Splice(len(text), len(text), newline + line))
    newline = "\r\n" if text[end - 1 : end] == "\r" else "\n"
    return Insert(mapping, after, key, value, Splice(end + 1, end + 1, line + newline))


def _flow_insert(text: str, mapping: Mapping, index: int, key: str, value: str) -> Splice:
    key_node, value_node = mapping.pairs[index]
    end = value_node.end
    first = mapping.pairs[:_LIKE]
    separators = [text[before.end : following.start] for (_, before), (following, _) in pairwise(first)]
    fitting = [s for s in separators if _SEPARATOR.fullmatch(s)]
    separator = fitting[0] if fitting else ", "
    colon = text[key_node.end : value_node.start]
    if not re.fullmatch(r"\s*:[ \t]*", colon):
        raise CannotSpell(f"{key!r} can't be inserted behind {text[key_node.start : key_node.end]}")
    quoted = isinstance(key_node, Scalar) and key_node.style == '"'
    spelled = value if plain_is_safe(value) and not quoted else double_quoted(value)
    key_text = _key_like(key_node, key)
    return Splice(end, end, f"{separator}{key_text}{colon}{spelled}")


def _key_like(sibling: Node, key: str) -> str:
    style = sibling.style if isinstance(sibling, Scalar) else None
    return f"{style}{key}{style}" if style in ("'", '"') else key


def remove(text: str, mapping: Mapping, key: Scalar) -> Remove:
    """Take a pair out, with its line. Raises CannotSpell where that would take something else along."""
    index = _index(mapping, key)
    if len(mapping.pairs) == 1:
        raise CannotSpell(f"{key.value!r} is the only key of its mapping")
    span = _flow_removal(text, mapping, index) if mapping.flow else _block_removal(text, mapping, index)
    return Remove(mapping, key, Splice(span[0], span[1], ""))


def _flow_removal(text: str, mapping: Mapping, index: int) -> tuple[int, int]:
    key, value = mapping.pairs[index]
    if index == 0:
        span, between = (key.start, mapping.pairs[1][0].start), (value.end, mapping.pairs[1][0].start)
    else:
        previous = mapping.pairs[index - 1][1].end
        span, between = (previous, value.end), (previous, key.start)
    if not _SEPARATOR.fullmatch(text[between[0] : between[1]]):
        raise CannotSpell("a comment stands between the keys")
    return span


def _block_removal(text: str, mapping: Mapping, index: int) -> tuple[int, int]:
    key, value = mapping.pairs[index]
    if not isinstance(value, Scalar) or value.style in ("|", ">"):
        raise CannotSpell("its value is not one line")
    line_start = text.rfind("\n", 0, key.start) + 1
    line_end = text.find("\n", value.end)
    if text[line_start : key.start].strip(" ") == "":
        if line_end < 0:  # the last line, without a newline: the line before takes its place
            before = line_start - (2 if text[line_start - 2 : line_start] == "\r\n" else 1)
            return max(before, 0), len(text)
        return line_start, line_end + 1
    if index + 1 == len(mapping.pairs):
        raise CannotSpell("it shares its line with something else")
    following = mapping.pairs[index + 1][0].start
    if text[line_end + 1 : following].strip(" \r\n"):
        raise CannotSpell("a comment stands between the keys")
    return key.start, following


def _index(mapping: Mapping, key: Scalar) -> int:
    index = mapping.number_of(key)
    if index is None:
        raise CannotSpell(f"{key.value!r} is not a key of this mapping")
    return index
