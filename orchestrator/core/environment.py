"""Environments and the policy that governs them: what an application may touch, and from where images may come.

The policy comes from the GitOps repository's base branch only, so no application can widen its own rights.
"""

from __future__ import annotations

import difflib
import graphlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NoReturn

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName
from orchestrator.core.patterns import matches

# A name with a wildcard or a slash in it would turn the paths of an environment into others.
_APPLICATION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
POLICY_PATH = ".hybrid-ci/environments.yaml"


class Strategy(StrEnum):
    """How a change reaches an environment."""

    PULL_REQUEST = "pull-request"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class Target:
    """A place whose image can't be read from the file itself: the repository lives in a chart."""

    file: str
    path: str
    image: Repository


@dataclass(frozen=True, slots=True)
class Environment:
    """A named set of paths. ``{application}`` in a path stands for the application that hands off."""

    name: str
    paths: tuple[str, ...]
    after: tuple[str, ...] = ()
    strategy: Strategy = Strategy.PULL_REQUEST
    branch: BranchName | None = None
    targets: tuple[Target, ...] = ()

    def patterns(self, application: str) -> tuple[str, ...]:
        """The paths for this application."""
        return tuple(path.replace("{application}", application) for path in self.paths)

    def targets_for(self, application: str) -> tuple[Target, ...]:
        """The configured targets for this application."""
        return tuple(replace(t, file=t.file.replace("{application}", application)) for t in self.targets)


@dataclass(frozen=True, slots=True)
class ApplicationRule:
    """What one application (or a pattern of names) may do. Empty ``environments`` or ``paths`` do not narrow."""

    name: str
    images: tuple[str, ...]
    environments: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiver:
    """A written exception from the cluster-credential guard: one signal, with its reason."""

    signal: str
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one GitOps repository. ``origin`` says where they were read, for messages."""

    environments: Mapping[str, Environment]
    base: BranchName
    origin: str
    applications: tuple[ApplicationRule, ...] = ()
    registries: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = field(default=())

    def environment(self, name: str) -> Environment:
        """The environment of this name. Raises ConfigurationError."""
        if name in self.environments:
            return self.environments[name]
        close = difflib.get_close_matches(name, self.environments, n=1)
        known = ", ".join(self.environments) or "none"
        raise ConfigurationError(
            f"there is no environment {name!r}",
            where=self.origin,
            hint=f"did you mean {close[0]!r}?" if close else f"known environments: {known}",
        )

    def authorise(self, application: str, environment: Environment, images: Sequence[Repository]) -> None:
        """The application may hand these images off to this environment. Raises Refused."""
        rule = self._rule(application)
        if rule is not None and rule.environments and environment.name not in rule.environments:
            self._refuse(f"the application {application!r} may not hand off to {environment.name!r}", rule.environments)
        for image in images:
            self._check_registry(image)
            if rule is not None and not any(matches(pattern, str(image)) for pattern in rule.images):
                self._refuse(f"the application {application!r} may not change the image {image}", rule.images)

    def allows(self, application: str, environment: Environment, path: str) -> bool:
        """The application may change this path: it lies in the environment, and in the rule's own paths."""
        inside = any(matches(pattern, path) for pattern in environment.patterns(application))
        rule = self._rule(application)
        if rule is None or not rule.paths:
            return inside
        return inside and any(matches(own.replace("{application}", application), path) for own in rule.paths)

    def _refuse(self, message: str, allowed: Sequence[str]) -> NoReturn:
        raise Refused(
            message,
            where=self.origin,
            hint=f"allowed: {', '.join(allowed)}; the owners of the GitOps repository can change that",
        )

    def _check_registry(self, image: Repository) -> None:
        if self.registries and not any(matches(pattern, str(image)) for pattern in self.registries):
            raise Refused(
                f"images from {image} are not allowed",
                where=self.origin,
                hint=f"allowed registries: {', '.join(self.registries)}",
            )

    def _rule(self, application: str) -> ApplicationRule | None:
        if not _APPLICATION.fullmatch(application):
            raise Refused(
                f"{application!r} is not an application's name",
                where=self.origin,
                hint="use letters, digits, '.', '_' and '-'",
            )
        if not self.applications:
            return None
        for rule in self.applications:
            if matches(rule.name, application):
                return rule
        raise Refused(
            f"the application {application!r} is not listed",
            where=self.origin,
            hint="ask the GitOps repository's owners to add it under 'applications'",
        )


def order(environments: Mapping[str, Environment]) -> tuple[str, ...]:
    """The names in promotion order. Raises ConfigurationError for a cycle."""
    graph = {name: environment.after for name, environment in environments.items()}
    try:
        return tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        raise ConfigurationError(
            "the environments wait for each other in a circle: " + " after ".join(error.args[1]),
            hint="remove one of the 'after' entries",
        ) from None
