"""The little that we need to know of a Dockerfile: its instructions, and where each one stands.

It follows BuildKit's reading (https://docs.docker.com/reference/dockerfile/): line continuation by ``\\`` (or the
``escape`` directive), comments between continued lines, here-documents of RUN, COPY and ADD.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"#\s*(?P<name>[A-Za-z][A-Za-z0-9]*)\s*=\s*(?P<value>.+)")
_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+""")
_HEREDOC = re.compile(r"""\d*<<(?P<tabs>-?)(?P<quote>["']?)(?P<name>[^<"']+)(?P=quote)""")
_WITH_HEREDOCS = frozenset({"RUN", "COPY", "ADD", "ONBUILD"})


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its keyword in capitals, the rest of it, and its first and last line (from 1).

    A here-document belongs to its lines, and not to ``rest``.
    """

    keyword: str
    rest: str
    line: int
    last: int


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions in their order. A text that is no Dockerfile gives nonsense, never an error."""
    lines = text.removeprefix("\ufeff").split("\n")
    escape = "`" if directives(text).get("escape") == "`" else "\\"
    number = 0
    while number < len(lines):
        first = number
        joined, number = _joined(lines, number, escape)
        if joined.strip():
            found = _instruction(joined, first + 1, number)
            number = _behind_heredocs(found, lines, number)
            yield Instruction(found.keyword, found.rest, found.line, number)


def directives(text: str) -> Mapping[str, str]:
    """The parser directives (``# syntax=…``, ``# escape=…``), their names in small letters."""
    found: dict[str, str] = {}
    for line in text.removeprefix("\ufeff").split("\n"):
        match = _DIRECTIVE.fullmatch(line.strip())
        if match is None:
            break
        found.setdefault(match["name"].lower(), match["value"].strip())
    return found


def instruction_line(text: str, step: int) -> int | None:
    """The line of the builder's ``Step <step>/n``; None when the count does not fit.

    Arguments before the first FROM count as steps. A target only cuts the end off.
    """
    for count, instruction in enumerate(instructions(text), start=1):
        if count == step:
            return instruction.line
    return None


def words(rest: str) -> Sequence[str]:
    """The words of an instruction, as a shell would part them; quotes stay."""
    return _WORD.findall(rest)


def _joined(lines: Sequence[str], number: int, escape: str) -> tuple[str, int]:
    """The line with this number and those that continue it, and the number behind them. Comments are left out."""
    pieces: list[str] = []
    while number < len(lines):
        line = lines[number].rstrip()
        number += 1
        bare = line.lstrip()
        if bare.startswith("#") or (not bare and pieces):
            if not pieces:
                break  # a comment continues nothing
            continue
        pieces.append(line.removesuffix(escape))
        if not line.endswith(escape):
            break
    return "".join(pieces), number


def _instruction(joined: str, first: int, last: int) -> Instruction:
    keyword, *rest = joined.split(None, 1)
    return Instruction(keyword.upper(), " ".join(rest[0].split()) if rest else "", first, last)


def _behind_heredocs(instruction: Instruction, lines: Sequence[str], number: int) -> int:
    """The number of the line behind its here-documents. One that nothing ends is none."""
    if instruction.keyword not in _WITH_HEREDOCS:
        return number
    for match in filter(None, map(_HEREDOC.fullmatch, words(instruction.rest))):
        for place in range(number, len(lines)):
            line = lines[place].rstrip("\r")
            if (line.lstrip("\t") if match["tabs"] else line) == match["name"]:
                number = place + 1
                break
    return number
