"""Load the two configuration files. Every problem of a file is reported at once, with line, key and fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from orchestrator.config.application import ApplicationConfig
from orchestrator.config.document import SIZE_LIMIT, Document, Location, Problem, parse, problems_error
from orchestrator.config.explain import did_you_mean, explain
from orchestrator.config.graph import broken_references
from orchestrator.config.policy import EnvironmentConfig, PolicyConfig
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
from orchestrator.core.gates import ApprovalsGate, FreezeGate, SoakGate
from orchestrator.core.image import Repository
from orchestrator.core.mirrors import Mirror, conflicts, registry_name
from orchestrator.core.names import BranchName
from orchestrator.core.order import OrderRule

DEFAULT_FILE = "hybrid-ci.yaml"
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class LoadedApplication:
    """An application's configuration, where it lies, and the line of each of its keys."""

    config: ApplicationConfig
    file: Path
    lines: Mapping[Location, int] = field(default_factory=dict, repr=False)

    @property
    def directory(self) -> Path:
        """The folder that its relative paths start from."""
        return self.file.parent

    def place(self, *keys: str | int) -> str:
        """``file:line`` of a key, or of the nearest one above it."""
        line = next((self.lines[keys[:end]] for end in range(len(keys), -1, -1) if keys[:end] in self.lines), None)
        return f"{self.file}:{line}" if line else str(self.file)


def load_application(file: Path) -> LoadedApplication:
    """Read ``hybrid-ci.yaml``. Raises ConfigurationError with every problem found."""
    try:
        content = read_limited(file)
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
    return parse_application(content, file)


def parse_application(content: bytes, file: Path) -> LoadedApplication:
    """The same from the content that the file has, or shall have."""
    config, document = validated(ApplicationConfig, content, str(file))
    if problems := [(document.line(location), text) for location, text in broken_references(config)]:
        raise problems_error(problems, str(file))
    return LoadedApplication(config, file.resolve(), document.lines)


def load_policy(content: bytes, origin: str, base: BranchName | None) -> Policy:
    """Read the policy file of a base branch. Raises ConfigurationError with every problem found.

    ``base`` is None where no branch is at hand to compare with (``check``); then its own word is taken.
    """
    config, document = validated(PolicyConfig, content, origin)
    if base is not None and config.base != base.value:
        raise ConfigurationError(
            f"the policy names {config.base!r} as the base branch, but it was read from {base.value!r}",
            where=f"{origin}:{document.line(('base',))}",
            hint="set gitops.base in hybrid-ci.yaml to the branch that the policy names",
        )
    if problems := [(document.line(location), text) for location, text in _broken_references(config)]:
        raise problems_error(problems, origin)
    return Policy(
        environments={name: _environment(name, config) for name in config.environments},
        base=BranchName(config.base),
        origin=origin,
        applications=tuple(
            ApplicationRule(
                name, tuple(rule.images), tuple(rule.environments), tuple(rule.paths), tuple(rule.release_refs)
            )
            for name, rule in config.applications.items()
        ),
        registries=tuple(config.registries),
        writers=tuple(config.writers),
        waivers=tuple(Waiver(waiver.signal, waiver.reason) for waiver in config.guard.waivers),
        identities=tuple(config.guard.allow_registry_identity),
        release_refs=tuple(config.release_refs),
        immutable_tags=config.immutable_tags,
        require_tested_platforms=config.require_tested_platforms,
    )


def missing_policy(origin: str) -> ConfigurationError:
    """What to raise when the base branch holds no policy."""
    return ConfigurationError(
        f"the GitOps repository has no {POLICY_PATH}",
        where=origin,
        hint="`hybrid-ci init --gitops` in a checkout of that repository writes one; commit it to the base branch",
    )


def read_limited(file: Path) -> bytes:
    """The content, as far as the parser has to see it to refuse its size. Raises OSError."""
    with file.open("rb") as stream:
        return stream.read(SIZE_LIMIT + 1)


def validated(model: type[_Model], content: bytes, where: str) -> tuple[_Model, Document]:
    """The file's content as this model. Raises ConfigurationError with every problem of the file."""
    document = parse(content, where)
    problems: list[Problem] = list(document.problems)
    loaded: _Model | None = None
    try:
        loaded = model.model_validate(document.data)
    except ValidationError as error:
        problems += [explain(model, detail, document) for detail in error.errors()]
    if problems or loaded is None:
        raise problems_error(problems, where)
    return loaded, document


def _environment(name: str, config: PolicyConfig) -> Environment:
    entry = config.environments[name]
    return Environment(
        name=name,
        paths=tuple(entry.paths),
        after=tuple(entry.after),
        strategy=Strategy(entry.strategy),
        branch=BranchName(entry.branch) if entry.branch else None,
        targets=tuple(Target(t.file, t.path, Repository.parse(t.image)) for t in entry.targets),
        gates=tuple(gate.build() for gate in entry.gates),
        freezes=tuple(freeze.build() for freeze in (*config.freezes, *entry.freezes)),
        order=tuple((glob, OrderRule(rule)) for rules in (entry.order, config.order) for glob, rule in rules.items()),
        delivery=entry.pull_request.build(),
        rings=entry.waves.build() if entry.waves is not None else None,
        mirrors=_mirrors(entry),
    )


def _mirrors(entry: EnvironmentConfig) -> tuple[Mirror, ...]:
    return tuple(Mirror(registry_name(name), registry_name(here)) for name, here in entry.mirrors.items())


def _broken_gates(config: PolicyConfig, name: str) -> Iterator[tuple[Location, str]]:
    """Gates that could never be passed, or that a table could not tell apart."""
    entry = config.environments[name]
    names: set[str] = {gate.name for gate in Environment(name, ()).all_gates} | {FreezeGate.kind}
    for index, gate in enumerate(entry.gates):
        at: Location = ("environments", name, "gates", index)
        built = gate.build()
        if built.name in names:
            yield at, f"there is a gate {built.name!r} already; give this one a 'name' of its own"
        names.add(built.name)
        if isinstance(built, ApprovalsGate) and entry.strategy == "commit":
            yield (*at, "approvals"), "nobody can approve where there is no pull request (strategy: commit)"
        if not isinstance(built, SoakGate):
            continue
        if not built.environments and not entry.after and entry.waves is None:
            yield (*at, "soak"), f"nothing comes before {name!r}, so name the 'environments' to soak in"
        for place, other in enumerate(built.environments):
            where: Location = (*at, "soak", "environments", place)
            if other not in config.environments:
                yield where, f"there is no environment {other!r}" + did_you_mean(other, config.environments)
            elif other == name:
                yield where, "an environment does not soak in itself"


def _broken_references(config: PolicyConfig) -> Iterator[tuple[Location, str]]:
    """Names that point to other entries, and branches that would undermine the policy."""
    known = config.environments
    for text in conflicts([mirror for entry in known.values() for mirror in _mirrors(entry)]):
        yield ("environments",), text
    for name, entry in known.items():
        at: Location = ("environments", name)
        yield from _broken_gates(config, name)
        for index, earlier in enumerate(entry.after):
            if earlier not in known:
                yield (*at, "after", index), f"there is no environment {earlier!r}" + did_you_mean(earlier, known)
        if entry.branch == config.base:
            yield (
                (*at, "branch"),
                f"the environment {name!r} would be committed to the branch that holds the policy; give it a branch "
                "of its own, or use strategy: pull-request",
            )
    for name, rule in config.applications.items():
        for index, environment in enumerate(rule.environments):
            if environment not in known:
                text = f"there is no environment {environment!r}" + did_you_mean(environment, known)
                yield ("applications", name, "environments", index), text
    graph = {name: tuple(earlier for earlier in entry.after if earlier in known) for name, entry in known.items()}
    try:
        order({name: Environment(name, (), after=after) for name, after in graph.items()})
    except ConfigurationError as error:
        yield ("environments",), f"{error.message}; {error.hint}"
