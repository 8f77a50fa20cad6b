"""The little that we need to know of a Dockerfile: where a step stands, and which bases it names.

It follows the classic builder's reading (https://docs.docker.com/reference/dockerfile/): line continuation by
``\\`` (or the ``escape`` directive), comments between continued lines, here-documents not known to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.image import ImageReference, InvalidReference

_DIRECTIVE = re.compile(r"#\s*(?P<name>[A-Za-z]+)\s*=\s*(?P<value>\S+)")
_FROM = re.compile(r"(?:--\S+\s+)*(?P<image>\S+)(?:\s+[Aa][Ss]\s+(?P<stage>\S+))?")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its keyword in capitals, the rest of it, and the line (from 1) where it begins."""

    keyword: str
    rest: str
    line: int


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions in their order. A text that is no Dockerfile gives nonsense, never an error."""
    escape = _escape_character(text)
    pieces: list[str] = []
    first = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if not pieces:
            first = number
        continued = line.endswith(escape)
        pieces.append(line.removesuffix(escape).strip() if continued else line)
        if not continued:
            yield _instruction(pieces, first)
            pieces = []
    if pieces:
        yield _instruction(pieces, first)


def instruction_line(text: str, step: int, target: str | None = None) -> int | None:
    """The line of the builder's ``Step <step>/n``; None when the count does not fit.

    Arguments before the first FROM count as steps, and with a target the builder leaves out what comes after it.
    """
    del target  # it only cuts the end off, so the count from the beginning stays
    for count, instruction in enumerate(instructions(text), start=1):
        if count == step:
            return instruction.line
    return None


def base_images(text: str) -> tuple[ImageReference, ...]:
    """The images that FROM and ``COPY --from`` name outright; stages, ``scratch`` and variables are left out."""
    stages: set[str] = set()
    found: dict[ImageReference, None] = {}
    for instruction in instructions(text):
        name = _named_image(instruction, stages)
        if name is None or "$" in name or name == "scratch":
            continue
        try:
            found[ImageReference.parse(name)] = None
        except InvalidReference:
            continue  # the engine will say what it thinks of it
    return tuple(found)


def _named_image(instruction: Instruction, stages: set[str]) -> str | None:
    if instruction.keyword == "FROM":
        match = _FROM.match(instruction.rest)
        if match is None:
            return None
        known = match["image"].lower() in stages
        if match["stage"]:
            stages.add(match["stage"].lower())
        return None if known else match["image"]
    if instruction.keyword == "COPY" and (match := re.search(r"--from=(\S+)", instruction.rest)):
        return None if match[1].lower() in stages or match[1].isdigit() else match[1]
    return None


def _instruction(pieces: list[str], line: int) -> Instruction:
    keyword, _, rest = " ".join(pieces).partition(" ")
    return Instruction(keyword.upper(), rest.strip(), line)


def _escape_character(text: str) -> str:
    for line in text.splitlines():
        match = _DIRECTIVE.fullmatch(line.strip())
        if match is None:
            break
        if match["name"].lower() == "escape" and match["value"] == "`":
            return "`"
    return "\\"
