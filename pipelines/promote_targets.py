"""Who is promoted to: the environments, waves and scope that a caller means, and what was set aside for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestrator.core.environment import Environment, Policy
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.facts import soaked_in
from orchestrator.core.gates import SoakGate
from orchestrator.core.image import Repository
from orchestrator.core.override import Override, OverrideKind
from pipelines.ports import Standpoint
from pipelines.promotion import PromoteOptions


@dataclass(frozen=True, slots=True)
class Route:
    """From these environments (several: the clusters of one) to those, for one scope."""

    scope: str
    taken_from: str
    sources: tuple[Environment, ...]
    targets: tuple[Environment, ...]
    overrides: tuple[Override, ...]

    def overrides_for(self, target: Environment) -> tuple[Override, ...]:
        """Those that mean something there."""
        asked = earlier_of(target)
        return tuple(one for one in self.overrides if one.environment is None or one.environment in asked)


def route(policy: Policy, at: Standpoint, options: PromoteOptions) -> Route:
    """What the options mean under this policy.

    Raises ConfigurationError for names that are not there, a wave that is none, and a way against the order.
    """
    sources = tuple(policy.environment(name) for name in policy.members(options.source))
    names = {one.name for one in sources}
    targets: dict[str, Environment] = {}
    for asked in options.targets:
        if asked in names or asked == options.source:
            raise ConfigurationError(f"{asked!r} can't be promoted to itself", hint="name another environment in --to")
        targets |= {name: policy.environment(name) for name in _clusters(policy, asked, options) if name not in names}
    if options.wave is not None and not any(one.group for one in targets.values()):
        raise ConfigurationError(
            "there are no waves there",
            where=", ".join(options.targets),
            hint="leave out --wave, or name such an environment",
        )
    _check_direction(policy, sources, tuple(targets.values()))
    overrides = _overrides(policy, options, tuple(targets.values()))
    scope = scope_of(policy, at, options.application)
    return Route(scope, options.source, sources, tuple(targets.values()), overrides)


def scope_of(policy: Policy, at: Standpoint, named: str | None) -> str:
    """The application, or the name of a set: as asked for, as configured, or the only one that the policy knows.

    Raises ConfigurationError when none of them says it.
    """
    if named or at.application:
        return named or at.application or ""
    known = [rule.name for rule in policy.applications if "*" not in rule.name and "?" not in rule.name]
    if len(known) == 1 == len(policy.applications):
        return known[0]
    hint = f"known applications: {', '.join(known)}" if known else "such as --application shop"
    raise ConfigurationError("which application, or set, is promoted?", where="--application", hint=hint)


def earlier_of(target: Environment) -> tuple[str, ...]:
    """The environments that its gates look at before an image may come."""
    soaks = [gate for gate in target.gates if isinstance(gate, SoakGate)]
    return tuple(dict.fromkeys((*target.after, *(name for gate in soaks for name in soaked_in(gate, target)))))


def _clusters(policy: Policy, asked: str, options: PromoteOptions) -> Sequence[str]:
    """The environment itself, or the clusters of the waves that are meant. Raises ConfigurationError."""
    if asked in policy.environments:
        return (asked,)
    waves = policy.waves(asked) if any(one.group == asked for one in policy.environments.values()) else ()
    if not waves:
        policy.environment(asked)  # tells what there is
    if options.all_waves:
        return policy.members(asked)
    found = next((wave for wave in waves if wave.number == options.wave), None)
    if found is not None:
        return found.environments
    shown = "; ".join(f"--wave {wave.number}: {', '.join(wave.environments[:5])}" for wave in waves[:5])
    count = f"{asked!r} has {len(waves)} wave{'s' if len(waves) != 1 else ''}"
    what = f"{count}, and no wave {options.wave}" if options.wave is not None else f"{count}: say which one goes"
    raise ConfigurationError(what, where=policy.origin, hint=f"{shown}; or --all-waves, each after the one before it")


def _check_direction(policy: Policy, sources: Sequence[Environment], targets: Sequence[Environment]) -> None:
    """Nothing is promoted to an environment that comes before where it is from. Raises ConfigurationError."""
    before: set[str] = set()
    queue = [name for one in sources for name in one.after]
    while queue:
        name = queue.pop()
        if name not in before:
            before.add(name)
            queue += policy.environments[name].after if name in policy.environments else ()
    for one in targets:
        if one.name in before:
            raise ConfigurationError(
                f"{one.name!r} comes before {sources[0].name!r}",
                where=policy.origin,
                hint="promote in the order of 'after'; an environment moves back by a rollback only",
            )


def _overrides(policy: Policy, options: PromoteOptions, targets: Sequence[Environment]) -> tuple[Override, ...]:
    """What is set aside, with its reason. Raises ConfigurationError, InvalidName for a reason that is none."""
    if bool(options.skip) != (options.reason is not None):
        raise ConfigurationError("a skip needs its reason, and a reason is for a skip", hint="--skip ENV --reason TEXT")
    asked_by_some = {name for target in targets for name in earlier_of(target)}
    skipped: list[str] = []
    for asked in options.skip:
        meant = [name for name in policy.members(asked) if name in asked_by_some]
        if not meant:
            raise ConfigurationError(
                f"{asked!r} does not come right before any of these environments, so there is nothing to skip",
                where="--skip",
                hint=f"right before them come: {', '.join(sorted(asked_by_some)) or 'none'}",
            )
        skipped += meant
    overrides = [Override(OverrideKind.SKIP, options.reason or "", name) for name in dict.fromkeys(skipped)]
    if options.allow_unknown_order is not None:
        overrides.append(Override(OverrideKind.UNKNOWN_ORDER, options.allow_unknown_order))
    return tuple(overrides)


def images_named(
    at: Standpoint, texts: Sequence[str], running: Collection[Repository]
) -> tuple[Repository, ...] | None:
    """The repositories that names mean: configured ones, the last part of what runs, or a repository as it is written.

    None when nothing is named. Raises InvalidReference, ConfigurationError for a name that means none, or several.
    """
    return tuple(dict.fromkeys(_repository(at, text, running) for text in texts)) or None


def _repository(at: Standpoint, text: str, running: Collection[Repository]) -> Repository:
    if text in at.images:
        return at.images[text]
    if "/" in text:
        return Repository.parse(text)
    called = sorted(one for one in running if one.name == text)
    if len(called) == 1:
        return called[0]
    names = [*at.images, *(str(one) for one in (called or sorted(running)))]
    what = f"{text!r} names several images" if called else f"there is no image {text!r}"
    raise ConfigurationError(what, where="--image", hint=f"known images: {', '.join(names[:20]) or 'none'}")
