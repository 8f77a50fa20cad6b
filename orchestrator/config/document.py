"""YAML with line numbers, for the configuration files: bounded, plain data only, every duplicate key a problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import yaml

from orchestrator.core.errors import ConfigurationError

SIZE_LIMIT = 1 << 20
_NODE_LIMIT = 20_000
_DEPTH_LIMIT = 50
_LONGEST_NUMBER = 64  # bits
_LISTED = 100

Location = tuple[str | int, ...]
Problem = tuple[int, str]  # line, and what is wrong there


@dataclass(frozen=True, slots=True)
class Document:
    """The plain data of a file, the line of every key, and the problems that the parser itself does not mind."""

    data: object
    lines: Mapping[Location, int]
    problems: tuple[Problem, ...]

    def line(self, location: Location) -> int:
        """The line of this key, or of the nearest one above it."""
        while location not in self.lines:
            location = location[:-1]
        return self.lines[location]


def parse(content: bytes, where: str) -> Document:
    """Read a file that holds one mapping. Raises ConfigurationError."""
    if len(content) > SIZE_LIMIT:
        raise ConfigurationError(
            f"the file is larger than {SIZE_LIMIT >> 20} MiB", where=where, hint="is it the right one?"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            "the file is not UTF-8", where=f"{where}:{line}", hint="save it with the encoding UTF-8"
        ) from None
    builder = _Builder()
    try:
        data = builder.read(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(
            f"the file is not valid YAML: {error.problem}",
            where=f"{where}:{line}",
            hint="look at this line and the one above; indent with spaces, and quote what holds ': ' or '#'",
        ) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigurationError(
            f"the file holds a character that YAML does not allow: U+{ord(text[error.position]):04X}",
            where=f"{where}:{line}",
            hint="remove it, or write it as an escape in double quotes",
        ) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError(
            f"the file is not valid YAML: {error or type(error).__name__}", where=where, hint="check it with an editor"
        ) from None
    if not isinstance(data, dict):
        raise ConfigurationError(
            "the file holds no mapping of keys to values",
            where=f"{where}:1",
            hint="it begins with `version: 1`; `hybrid-ci schema` prints what it may hold",
        )
    return Document(data, builder.lines, tuple(builder.problems))


def problems_error(problems: Iterable[Problem], where: str) -> ConfigurationError:
    """The one error that lists every problem of a file."""
    listed = sorted(set(problems))
    count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
    more = [f"… and {len(listed) - _LISTED} more"] if len(listed) > _LISTED else []
    return ConfigurationError(
        f"the configuration has {count}",
        where=f"{where}:{listed[0][0]}",
        details=[f"{where}:{line}: {text}" for line, text in listed[:_LISTED]] + more,
        hint="correct these lines; `hybrid-ci schema config|policy` prints the JSON Schema for your editor",
    )


def dotted(location: Location) -> str:
    """``images.api.tests[0].run``; a key that is longer than any of ours is cut."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if len(part) <= 60 else f"{part[:60]}…")
    return text


class _BoundedLoader(yaml.SafeLoader):
    """The pure parser (libyaml's composer can be crashed by deep nesting), which stops at the first node too many."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One node and all below it. Raises ComposerError above the limits."""
        self._nodes += 1
        self._depth += 1
        if self._nodes > _NODE_LIMIT or self._depth > _DEPTH_LIMIT:
            problem = "it is too deep" if self._depth > _DEPTH_LIMIT else "it has too many entries"
            raise yaml.composer.ComposerError(None, None, problem, self.get_mark())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Builder:
    """Turns composed nodes into plain data, remembering the line of every key."""

    def __init__(self) -> None:
        self._nodes = 0
        self.lines: dict[Location, int] = {(): 1}
        self.problems: list[Problem] = []

    def read(self, text: str) -> object:
        """The data of the one document in the text. Raises YAMLError."""
        loader = _BoundedLoader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else self._build(loader, node, ())
        finally:
            loader.dispose()

    def _build(self, loader: yaml.SafeLoader, node: yaml.Node, at: Location) -> object:
        self._nodes += 1
        if self._nodes > _NODE_LIMIT or len(at) > _DEPTH_LIMIT:  # the composer counted an alias as one
            problem = "it is too large or too deep once its aliases are followed"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        self.lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(loader, node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(loader, item, (*at, index)) for index, item in enumerate(node.value)]
        try:
            value = loader.construct_object(node)
            if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
                raise OverflowError
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError):  # 2026-13-45, !!bool maybe, 0x_
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{str(node.value)[:40]!r} is no {kind}; in quotes it is text", node.start_mark
            ) from None
        return value

    def _mapping(self, loader: yaml.SafeLoader, node: yaml.MappingNode, at: Location) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            if key in result:
                self.problems.append((line, f"the key {dotted((*at, key))!r} appears twice"))
            self.lines.setdefault((*at, key), line)
            value = self._build(loader, value_node, (*at, key))
            result.setdefault(key, value)
        return result
