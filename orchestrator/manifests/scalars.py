"""How a string is spelled in YAML and JSON: when it needs quotes, and which characters of the file hold it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from orchestrator.manifests.tree import Scalar, Segment

# What some reader takes for something else than a string: the implicit types of YAML 1.1 (https://yaml.org/type/),
# the core schema of YAML 1.2 (section 10.3.2), and what go-yaml adds (underscores anywhere, 0o, leading zeros).
_WORDS = frozenset(
    {"", "~", "null", "y", "n", "yes", "no", "on", "off", "true", "false", "=", "<<"}
    | {".nan", ".inf", "+.inf", "-.inf", "nan", "inf", "+inf", "-inf", "infinity"}
)
_NUMBER = re.compile(
    r"[-+]?(?:0x[0-9a-f]+|0o?[0-7]+|0b[01]+|[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?"
    r"|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?)",
    re.IGNORECASE,
)
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?")
# Plain scalars that no reader trips over, in flow collections too: no indicator first, no flow indicator inside.
_PLAIN = re.compile(r"[A-Za-z0-9_./$\\(<=~^+][^\x00-\x1f,\[\]{}#\x7f-\U0010ffff]*")

_VALUE = attrgetter("value")
_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[^\n])|[^\\]", re.DOTALL)
_PROPERTIES = re.compile(r"(?:[&!][^\s]*(?:\s|#[^\n]*\n)+)*")


class CannotSpell(Exception):
    """A place can't be edited in the spelling that it has; the message says why."""


def is_null(node: Scalar | None) -> bool:
    """A null that is written out (YAML 1.2, 10.2.1.1): as good as no value, and no text to be read."""
    return node is not None and node.style is None and node.tag is None and node.value.lower() in ("~", "null")


def looks_typed(text: str) -> bool:
    """Some YAML reader takes this plain scalar for a number, a date, a truth value or null."""
    lowered = text.lower()
    if lowered in _WORDS:
        return True
    return bool(_NUMBER.fullmatch(text.replace("_", ""))) or bool(_TIMESTAMP.fullmatch(text))


def plain_is_safe(text: str) -> bool:
    """The text can stand without quotes, and every reader sees this string."""
    if looks_typed(text) or not _PLAIN.fullmatch(text):
        return False
    return ": " not in text and not text.endswith((":", " "))


def double_quoted(text: str) -> str:
    """The text in double quotes, readable as YAML and as JSON."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def escaped(text: str, style: str | None) -> str:
    """The text as it stands between quotes of this style."""
    if style == "'":
        return text.replace("'", "''")
    if style == '"':
        return double_quoted(text)[1:-1]
    return text


def content_start(text: str, node: Scalar) -> int:
    """Where the scalar itself begins, behind its anchor and tag."""
    if node.anchor is None and node.tag is None:
        return node.start
    match = _PROPERTIES.match(text, node.start, node.end)
    return match.end() if match else node.start


def segments(text: str, node: Scalar) -> list[Segment]:
    """Which characters of the file hold which part of the value. Raises CannotSpell where that can't be told.

    Found once for each scalar: a script may hold thousands of references.
    """
    if node.pieces is None:
        try:
            node.pieces = _segments(text, node)
        except CannotSpell as error:
            node.pieces = str(error)
    if isinstance(node.pieces, str):
        raise CannotSpell(node.pieces)
    return node.pieces


def _segments(text: str, node: Scalar) -> list[Segment]:
    start = content_start(text, node)
    raw = text[start : node.end]
    if node.style in ("|", ">"):
        return _block_segments(node, start, raw)
    if node.style in ("'", '"'):
        start, raw = start + 1, raw[1:-1]
    if raw == node.value:
        return [Segment(0, start, len(raw))]
    if node.style == "'" and raw.replace("''", "'") == node.value:
        return _single_quoted_segments(start, raw)
    if node.style == '"' and "\n" not in raw:
        return _double_quoted_segments(node, start, raw)
    return _folded_segments(node, start, raw)


def _single_quoted_segments(start: int, raw: str) -> list[Segment]:
    found: list[Segment] = []
    value = position = 0
    for part in raw.split("''"):
        found.append(Segment(value, start + position, len(part)))
        value += len(part) + 1
        position += len(part) + 2
    return found


def _double_quoted_segments(node: Scalar, start: int, raw: str) -> list[Segment]:
    """Runs between escapes. An escape is one character of the value, but in JSON two of them may make one."""
    found: list[Segment] = []
    value = run = run_value = 0
    for match in _ESCAPE.finditer(raw):
        if match[0].startswith("\\"):
            found.append(Segment(run_value, start + run, match.start() - run))
            run, run_value = match.end(), value + 1
        value += 1
    found.append(Segment(run_value, start + run, len(raw) - run))
    if value != len(node.value) or any(
        raw[s.raw - start : s.raw - start + s.length] != node.value[s.value : s.value + s.length] for s in found
    ):
        raise CannotSpell("its escape sequences can't be followed")
    return found


def _block_segments(node: Scalar, start: int, raw: str) -> list[Segment]:
    """Block scalars: the header line, then indented lines."""
    header_end = raw.find("\n")
    if header_end < 0:
        return []
    lines = _lines(raw, header_end + 1)
    explicit = re.search(r"[1-9]", raw[:header_end].partition("#")[0])
    filled = [(offset, line) for offset, line in lines if line.strip(" ")]
    if not filled:
        return []
    if explicit:
        raise CannotSpell("its block scalar has an explicit indentation")
    first = filled[0][1]
    indent = len(first) - len(first.lstrip(" "))
    return _align(node, [(start + offset + indent, line[indent:]) for offset, line in filled])


def _folded_segments(node: Scalar, start: int, raw: str) -> list[Segment]:
    """Plain and quoted scalars over several lines: every line stripped."""
    if "\\" in raw and node.style == '"':
        raise CannotSpell("it is quoted over several lines with escape sequences")
    if "''" in raw and node.style == "'":
        raise CannotSpell("it is quoted over several lines with doubled quotes")
    parts: list[tuple[int, str]] = []
    for offset, line in _lines(raw, 0):
        stripped = line.strip(" \t")
        if stripped:
            parts.append((start + offset + line.index(stripped), stripped))
    return _align(node, parts)


def _lines(raw: str, start: int) -> list[tuple[int, str]]:
    """Offset and text (without line end) of each line from ``start`` on."""
    found = []
    while start < len(raw):
        end = raw.find("\n", start)
        end = len(raw) if end < 0 else end
        found.append((start, raw[start:end].removesuffix("\r")))
        start = end + 1
    return found


def _align(node: Scalar, parts: list[tuple[int, str]]) -> list[Segment]:
    """Match each line to its place in the value: between two of them only line ends or blanks were folded."""
    found: list[Segment] = []
    position = 0
    for raw, line in parts:
        at = node.value.find(line, position)
        if at < 0 or node.value[position:at].strip(" \n"):
            raise CannotSpell("its lines can't be matched to its value")
        found.append(Segment(at, raw, len(line)))
        position = at + len(line)
    return found


def raw_at(pieces: Sequence[Segment], index: int) -> int | None:
    """Where the character ``value[index]`` stands in the file, or the end of a piece; None between two pieces."""
    after = bisect_right(pieces, index, key=_VALUE)
    for piece in pieces[max(after - 2, 0) : after]:
        if index <= piece.value + piece.length:
            return piece.raw + index - piece.value
    return None


def raw_span(pieces: Sequence[Segment], start: int, end: int) -> tuple[int, int]:
    """Where ``value[start:end]`` stands in the file. Raises CannotSpell when it is not in one piece."""
    after = bisect_right(pieces, start, key=_VALUE)
    for piece in pieces[max(after - 2, 0) : after]:
        if end <= piece.value + piece.length:
            return piece.raw + start - piece.value, piece.raw + end - piece.value
    raise CannotSpell("the text is folded over several lines or holds an escape sequence")
