"""Load the two configuration files. Every problem of a file is reported at once, with line, key and fix."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.config.models import ApplicationConfig, PolicyConfig
from orchestrator.core.environment import (
    POLICY_PATH,
    ApplicationRule,
    Environment,
    Policy,
    Strategy,
    Target,
    Waiver,
    order,
)
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName

DEFAULT_FILE = "hybrid-ci.yaml"
_SIZE_LIMIT = 1 << 20
_NODE_LIMIT = 20_000
_DEPTH_LIMIT = 50
_CREDENTIAL_IN_URL = re.compile(r"//[^/@\s]*@")
_Location = tuple[str | int, ...]
_Model = typing.TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LoadedApplication:
    """An application's configuration and where it lies."""

    config: ApplicationConfig
    file: Path

    @property
    def directory(self) -> Path:
        """The folder that its relative paths start from."""
        return self.file.parent


def load_application(file: Path) -> LoadedApplication:
    """Read ``hybrid-ci.yaml``. Raises ConfigurationError with every problem found."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(
            "there is no configuration file",
            where=str(file),
            hint="run `hybrid-ci init` here, or name one with --config",
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file can't be read: {error.strerror}",
            where=str(file),
            hint="check the path and its permissions",
        ) from None
    return LoadedApplication(_validate(ApplicationConfig, content, str(file)), file.resolve())


def load_policy(content: bytes, origin: str, base: BranchName) -> Policy:
    """Read the policy file of a base branch. Raises ConfigurationError with every problem found."""
    config = _validate(PolicyConfig, content, origin)
    if config.base != base.value:
        raise ConfigurationError(
            f"the policy names {config.base!r} as the base branch, but it was read from {base.value!r}",
            where=f"{origin}: base",
            hint="set gitops.base in hybrid-ci.yaml to the branch that the policy names",
        )
    policy = Policy(
        environments={name: _environment(name, config) for name in config.environments},
        base=base,
        origin=origin,
        applications=tuple(
            ApplicationRule(name, tuple(rule.images), tuple(rule.environments), tuple(rule.paths))
            for name, rule in config.applications.items()
        ),
        registries=tuple(config.registries),
        writers=tuple(config.writers),
        waivers=tuple(Waiver(waiver.signal, waiver.reason) for waiver in config.guard.waivers),
    )
    _check_references(policy)
    return policy


def missing_policy(origin: str) -> ConfigurationError:
    """What to raise when the base branch holds no policy."""
    return ConfigurationError(
        f"the GitOps repository has no {POLICY_PATH}",
        where=origin,
        hint="`hybrid-ci init --gitops` in a checkout of that repository writes one; commit it to the base branch",
    )


def _environment(name: str, config: PolicyConfig) -> Environment:
    entry = config.environments[name]
    return Environment(
        name=name,
        paths=tuple(entry.paths),
        after=tuple(entry.after),
        strategy=Strategy(entry.strategy),
        branch=BranchName(entry.branch) if entry.branch else None,
        targets=tuple(Target(t.file, t.path, Repository.parse(t.image)) for t in entry.targets),
    )


def _check_references(policy: Policy) -> None:
    """Names that point to other entries, and branches that would undermine the policy."""
    for environment in policy.environments.values():
        for earlier in environment.after:
            policy.environment(earlier)
        if environment.branch == policy.base:
            raise ConfigurationError(
                f"the environment {environment.name!r} commits straight to the branch that holds the policy",
                where=policy.origin,
                hint="give it a branch of its own, or use strategy: pull-request",
            )
    for rule in policy.applications:
        for name in rule.environments:
            policy.environment(name)
    order(policy.environments)


# --- YAML with line numbers -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Document:
    data: object
    lines: Mapping[_Location, int]
    problems: tuple[tuple[int, str], ...]


def _validate(model: type[_Model], content: bytes, where: str) -> _Model:
    document = _parse(content, where)
    problems = list(document.problems)
    loaded: _Model | None = None
    try:
        loaded = model.model_validate(document.data)
    except ValidationError as error:
        problems += [_explain(model, detail, document.lines) for detail in error.errors()]
    if problems or loaded is None:
        raise _problems_error(problems, where)
    return loaded


def _problems_error(problems: Iterable[tuple[int, str]], where: str) -> ConfigurationError:
    listed = sorted(set(problems))
    count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
    return ConfigurationError(
        f"the configuration has {count}",
        where=f"{where}:{listed[0][0]}",
        details=[f"{where}:{line}: {text}" for line, text in listed],
        hint="`hybrid-ci schema` prints the JSON Schema that editors complete and check from",
    )


def _parse(content: bytes, where: str) -> _Document:
    if len(content) > _SIZE_LIMIT:
        raise ConfigurationError(f"the file is larger than {_SIZE_LIMIT >> 20} MiB", where=where)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError("the file is not UTF-8", where=where, details=[str(error)]) from None
    loader = yaml.SafeLoader(text)  # the pure parser: libyaml's composer can be crashed by deep nesting
    try:
        node = loader.get_single_node()
        builder = _Builder(loader)
        data = builder.build(node, ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"the file is not valid YAML: {error.problem}", where=f"{where}:{line}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigurationError("the file is not valid YAML", where=where, details=[str(error)]) from None
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise ConfigurationError("the file holds no mapping of keys to values", where=f"{where}:1")
    return _Document(data, builder.lines, tuple(builder.problems))


class _Builder:
    """Turns composed nodes into plain data, remembering the line of every key and refusing duplicate ones."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._nodes = 0
        self.lines: dict[_Location, int] = {(): 1}
        self.problems: list[tuple[int, str]] = []

    def build(self, node: yaml.Node, at: _Location) -> object:
        self._nodes += 1
        if self._nodes > _NODE_LIMIT or len(at) > _DEPTH_LIMIT:
            raise yaml.YAMLError("the document is too large or too deep once its aliases are followed")
        self.lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*at, index)) for index, item in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, at: _Location) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            if key in result:
                self.problems.append((line, f"the key {_dotted((*at, key))!r} appears twice"))
            self.lines.setdefault((*at, key), line)
            value = self.build(value_node, (*at, key))
            result.setdefault(key, value)
        return result


# --- pydantic's errors in our words -----------------------------------------------------------------------------


def _explain(model: type[BaseModel], detail: ErrorDetails, lines: Mapping[_Location, int]) -> tuple[int, str]:
    location = tuple(part for part in detail["loc"] if part != "[key]")
    known = location
    while known not in lines:
        known = known[:-1]
    return lines[known], _message(model, detail, location)


def _message(model: type[BaseModel], detail: ErrorDetails, location: _Location) -> str:
    key = _dotted(location)
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown key {key!r}" + _did_you_mean(str(location[-1]), _keys_at(model, location[:-1]))
        case "missing":
            return f"the key {key!r} is missing" + _purpose(model, location)
        case _:
            expected = detail["msg"].removeprefix("Value error, ")
            found = "" if isinstance(detail["input"], dict | list) else f" (found {_shown(detail['input'])})"
            return f"{key}: {expected[:1].lower()}{expected[1:]}{found}"


def _shown(value: object) -> str:
    text = _CREDENTIAL_IN_URL.sub("//***@", repr(value))
    return text if len(text) <= 60 else text[:57] + "…"


def _dotted(location: _Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _did_you_mean(key: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; expected one of {', '.join(sorted(names))}" if names else ""


def _purpose(model: type[BaseModel], location: _Location) -> str:
    parent = _model_at(model, location[:-1])
    field = parent.model_fields.get(str(location[-1])) if parent else None
    return f": {field.description}" if field and field.description else ""


def _keys_at(model: type[BaseModel], location: _Location) -> Iterable[str]:
    parent = _model_at(model, location)
    return parent.model_fields if parent else ()


def _model_at(model: type[BaseModel], location: _Location) -> type[BaseModel] | None:
    """The model that validates the mapping at this location."""
    annotation: object = model
    for part in location:
        container = typing.get_origin(annotation)
        if container in (dict, list):
            annotation = _unwrapped(typing.get_args(annotation)[-1])
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            annotation = _unwrapped(field.annotation) if field else None
        else:
            return None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _unwrapped(annotation: object) -> object:
    """The annotation without Annotated and Optional."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _unwrapped(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _unwrapped(next(argument for argument in arguments if argument is not type(None)))
    return annotation
