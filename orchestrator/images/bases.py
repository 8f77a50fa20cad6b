"""Images of the same project as bases: which ones a Dockerfile names, and how a build gets just those.

``FROM registry/acme/base:1`` of an image of the project means the one that this run has built, whatever its tag. A tag
in an engine can be moved by anybody who builds there, so what is built upon is named by its content: each base gets a
local reference of its own (``hybrid-ci.local/base:<the engine's id>``), and the Dockerfile that goes to the engine
names that one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import ImageReference, InvalidReference, Repository, TaggedImage
from orchestrator.images.base import BuiltImage
from orchestrator.images.dockerfile import Instruction, directives, instructions

_LOCAL = "hybrid-ci.local"
_FROM = re.compile(r"(?:--\S+\s+)*(?P<image>\S+)(?:\s+[Aa][Ss]\s+(?P<stage>\S+))?")
_OTHER_FROM = {
    "COPY": re.compile(r"--from=(?P<image>\S+)"),
    "RUN": re.compile(r"--mount=(?:\S*?,)?from=(?P<image>[^\s,]+)"),
}
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\}|(?P<plain>\w+))")


@dataclass(frozen=True, slots=True)
class Base:
    """A base as a Dockerfile names it: ``written`` there, ``name`` with its variables filled in.

    ``line`` and ``last`` are those of its instruction, from 1.
    """

    written: str
    name: str
    line: int
    last: int

    @property
    def repository(self) -> Repository | None:
        """The repository that it is of; None for what is no image reference."""
        try:
            return ImageReference.parse(self.name).repository
        except InvalidReference:
            return None


def bases(text: str, arguments: Mapping[str, str]) -> Iterator[Base]:
    """What FROM, ``COPY --from`` and ``RUN --mount=…,from=`` name, the Dockerfile's own stages left out.

    Variables are those that count there: ARG before the first FROM, with ``arguments`` over their defaults. One that
    nobody declares stays as it is written: BuildKit fills in some of its own, such as ``$TARGETARCH``.
    """
    stages: set[str] = set()
    variables: dict[str, str] = {}
    for instruction in instructions(text):
        if instruction.keyword == "ARG" and not stages:
            _define(instruction, variables, arguments)
        for match in _named(instruction):
            name = _filled(match["image"], variables)
            known = name.lower() in stages or name.isdigit()
            if instruction.keyword == "FROM":
                stages.add((match["stage"] or f"\0{len(stages)}").lower())  # one without a name counts too
            if not known and name != "scratch":
                yield Base(match["image"], name, instruction.line, instruction.last)


def registries(dockerfile: bytes, arguments: Mapping[str, str]) -> tuple[str, ...]:
    """The hosts that the build pulls from, sorted: those of its bases, and of a frontend that ``# syntax`` names."""
    text = dockerfile.decode("utf-8", "replace")
    names = [base.name for base in bases(text, arguments)]
    if syntax := directives(text).get("syntax"):
        names.append(syntax)
    found = set()
    for name in names:
        with suppress(InvalidReference):  # the builder will say what it thinks of it
            found.add(ImageReference.parse(name).repository.registry)
    return tuple(sorted(found))


def handed_repository(name: str) -> Repository:
    """The repository of the local references of the project's image with this name."""
    return Repository.parse(f"{_LOCAL}/{name}")


def local_reference(image: BuiltImage) -> TaggedImage:
    """What the image is called in the engine for those that are built upon it: a name that nothing else can have."""
    return TaggedImage(handed_repository(image.name), image.engine_id.hex[:32])


def with_local_bases(dockerfile: bytes, own: Mapping[str, BuiltImage], arguments: Mapping[str, str]) -> bytes:
    """The Dockerfile, with each base that is one of ``own`` (by name) under its local reference.

    Raises ConfigurationError where a name goes over several lines.
    """
    if not own:
        return dockerfile
    text = dockerfile.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    for base in bases(text, arguments):
        if base.name not in own:
            continue
        number = next((one for one in range(base.line - 1, base.last) if base.written in lines[one]), None)
        if number is None:
            raise ConfigurationError(
                f"the base {base.name} is written over several lines",
                where=f"Dockerfile:{base.line}",
                hint="write the name of an image of the project in one line",
            )
        lines[number] = lines[number].replace(base.written, str(local_reference(own[base.name])), 1)
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _define(instruction: Instruction, variables: dict[str, str], arguments: Mapping[str, str]) -> None:
    for word in instruction.rest.split():
        name, _, default = word.partition("=")
        variables[name] = arguments.get(name, _filled(default.strip("\"'"), variables))


def _named(instruction: Instruction) -> Iterator[re.Match[str]]:
    """Where the instruction names an image or a stage: a RUN may do so in each of its mounts."""
    if instruction.keyword == "FROM":
        yield from filter(None, [_FROM.match(instruction.rest)])
    elif (other := _OTHER_FROM.get(instruction.keyword)) is not None:
        yield from other.finditer(instruction.rest)


def _filled(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = variables.get(match["braced"] or match["plain"])
        if found is None and match["default"] is None:
            return match[0]
        return found or match["default"] or ""

    return _VARIABLE.sub(value, text)
