"""Environments and the policy that governs them: what an application may touch, and from where images may come.

The policy comes from the GitOps repository's base branch only, so no application can widen its own rights.
"""

from __future__ import annotations

import difflib
import graphlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NoReturn

from orchestrator.core.delivery import Delivery
from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.freeze import Freeze
from orchestrator.core.gates import FreezeGate, Gate, HoldGate, OrderGate, SoakGate, VetoGate
from orchestrator.core.image import Repository
from orchestrator.core.mirrors import Mirror, Originals, local_name
from orchestrator.core.names import BranchName
from orchestrator.core.order import OrderRule
from orchestrator.core.patterns import matches, names
from orchestrator.core.waves import CLUSTER, Rings, split

# A name with a wildcard or a slash in it would turn the paths of an environment into others. Clusters too.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
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
    """A named set of paths. ``{application}`` in a path stands for the application that hands off.

    ``gates`` are those that the policy asks for; ``all_gates`` has also those that are always asked. ``order`` are
    patterns of repositories with the rule that tells their order. ``rings`` is set for an environment that is many
    clusters: it stands for them until ``Policy.expanded``. A cluster has its ``group`` (the environment that it
    belongs to) and its ``wave`` (from 1). ``mirrors`` say which images have other names here.
    """

    name: str
    paths: tuple[str, ...]
    after: tuple[str, ...] = ()
    strategy: Strategy = Strategy.PULL_REQUEST
    branch: BranchName | None = None
    targets: tuple[Target, ...] = ()
    gates: tuple[Gate, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    order: tuple[tuple[str, OrderRule], ...] = ()
    delivery: Delivery = field(default_factory=Delivery)
    rings: Rings | None = None
    group: str | None = None
    wave: int = 0
    mirrors: tuple[Mirror, ...] = ()

    def local(self, image: Repository) -> Repository:
        """What an image, named by its original name, is called here."""
        return local_name(image, self.mirrors)

    @property
    def all_gates(self) -> tuple[Gate, ...]:
        """Every gate of a change to this environment. Holds, vetoes and the order can't be left out."""
        freeze = (FreezeGate(self.freezes),) if self.freezes else ()
        return (HoldGate(), VetoGate(), OrderGate(self.order), *freeze, *self.gates)

    def patterns(self, application: str) -> tuple[str, ...]:
        """The paths for this application."""
        return tuple(path.replace("{application}", application) for path in self.paths)

    def targets_for(self, application: str) -> tuple[Target, ...]:
        """The configured targets for this application."""
        return tuple(replace(t, file=t.file.replace("{application}", application)) for t in self.targets)


@dataclass(frozen=True, slots=True)
class ApplicationRule:
    """What one application (or a pattern of names) may do. Empty lists but ``images`` do not narrow."""

    name: str
    images: tuple[str, ...]
    environments: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    release_refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiver:
    """A written exception from the cluster-credential guard: one signal, with its reason."""

    signal: str
    reason: str


@dataclass(frozen=True, slots=True)
class Wave:
    """A group of environments that are promoted together; ``number`` counts from 1."""

    group: str
    number: int
    environments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one GitOps repository. ``origin`` says where they were read, for messages.

    ``found`` has the evidence for each environment where there is no policy file and the layout was all there was.
    ``identities`` are the clouds whose identity a job that pushes images may hold. ``release_refs`` are patterns of
    branches and refs that a release may be made from (none: any). ``immutable_tags``: a tag that carries an image is
    never given another commit's. ``require_tested_platforms``: every platform of an image has to be tested before it
    is handed off.
    """

    environments: Mapping[str, Environment]
    base: BranchName
    origin: str
    applications: tuple[ApplicationRule, ...] = ()
    registries: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = field(default=())
    identities: tuple[str, ...] = ()
    release_refs: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    immutable_tags: bool = False
    require_tested_platforms: bool = False

    @property
    def originals(self) -> Originals:
        """Tells the original names of images; for many of them, keep it."""
        return Originals(mirror for one in self.environments.values() for mirror in one.mirrors)

    def patterns_of_rings(self) -> tuple[str, ...]:
        """Where the clusters of environments with waves are, for whoever lists them; empty when all are known."""
        return tuple(one.rings.pattern for one in self.environments.values() if one.rings is not None)

    def expanded(self, paths: Iterable[str]) -> Policy:
        """The policy with every cluster as an environment of its own; ``paths`` are the files that exist.

        Clusters of a later wave come after those of the wave before it; whatever came after the whole environment
        comes after all of its clusters. One whose pattern finds nothing stays as it is, and can't be used. Raises
        ConfigurationError when the name of a cluster is taken or none that an environment may have.
        """
        if not self.patterns_of_rings():
            return self
        known = tuple(paths)
        clusters = {
            name: found
            for name, one in self.environments.items()
            if one.rings is not None and (found := _clusters(one, one.rings, known, self.origin))
        }
        every: dict[str, Environment] = {}
        for name, environment in self.environments.items():
            for one in clusters.get(name, (environment,)):
                if one.name in every or (one.name in self.environments and one.name != name):
                    raise ConfigurationError(
                        f"the name {one.name!r} stands for an environment and for a cluster",
                        where=self.origin,
                        hint=f"rename the environment, or the folder that the waves of {name!r} find",
                    )
                gates = tuple(_with_clusters(gate, clusters) for gate in one.gates)
                every[one.name] = replace(one, after=_names(one.after, clusters), gates=gates)
        return replace(self, environments=every)

    def waves(self, group: str) -> tuple[Wave, ...]:
        """The waves of an environment, in order; one wave of itself where it has none. Raises ConfigurationError."""
        numbers: dict[int, list[str]] = {}
        for name, environment in self.environments.items():
            if environment.group == group:
                numbers.setdefault(environment.wave, []).append(name)
        if not numbers:
            return (Wave(group, 1, (self.environment(group).name,)),)
        return tuple(Wave(group, number, tuple(names)) for number, names in sorted(numbers.items()))

    def members(self, name: str) -> tuple[str, ...]:
        """The environments that a name stands for: all its clusters, or itself. Raises ConfigurationError."""
        return tuple(one for wave in self.waves(name) for one in wave.environments)

    def environment(self, name: str) -> Environment:
        """The environment of this name. Raises ConfigurationError."""
        found = self.environments.get(name)
        if found is not None and found.rings is not None:
            raise ConfigurationError(
                f"no folder is a cluster of the environment {name!r}",
                where=f"{self.origin}: {found.rings.pattern}",
                hint="correct the pattern of its waves",
            )
        if found is not None:
            return found
        if clusters := [one.name for one in self.environments.values() if one.group == name]:
            raise ConfigurationError(
                f"the environment {name!r} is {len(clusters)} clusters in waves",
                where=self.origin,
                hint=f"name a wave of it, or one cluster, such as {clusters[0]!r}",
            )
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
        if (
            rule is not None
            and rule.environments
            and not {environment.name, environment.group or environment.name} & {*rule.environments}
        ):
            self._refuse(f"the application {application!r} may not hand off to {environment.name!r}", rule.environments)
        for image in images:
            self._check_registry(image)
            names = {str(image), str(self.originals(image))}
            if rule is not None and not any(matches(pattern, name) for pattern in rule.images for name in names):
                self._refuse(f"the application {application!r} may not change the image {image}", rule.images)

    def allows(self, application: str, environment: Environment, path: str) -> bool:
        """The application may change this path: it lies in the environment, and in the rule's own paths."""
        inside = any(matches(pattern, path) for pattern in environment.patterns(application))
        rule = self._rule(application)
        if rule is None or not rule.paths:
            return inside
        return inside and any(matches(own.replace("{application}", application), path) for own in rule.paths)

    def authorise_ref(self, application: str, ref: str | None) -> None:
        """The application may be released from this branch or tag (None: nobody knows which). Raises Refused."""
        rule = self._rule(application)
        allowed = rule.release_refs if rule is not None and rule.release_refs else self.release_refs
        if not allowed or (ref is not None and any(names(_whole_ref(one), ref) for one in allowed)):
            return
        made = f"from {ref}" if ref is not None else "from a commit whose branch or tag is not known"
        self._refuse(f"a release of the application {application!r} is not made {made}", allowed)

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
        if not _PLAIN_NAME.fullmatch(application):
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


def _whole_ref(pattern: str) -> str:
    """A pattern without ``refs/`` names a branch."""
    return pattern if pattern.startswith("refs/") else f"refs/heads/{pattern}"


def _clusters(environment: Environment, rings: Rings, paths: Sequence[str], origin: str) -> tuple[Environment, ...]:
    """The clusters of an environment with waves, first wave first. Raises ConfigurationError for a bad name."""
    folders = rings.folders(paths)
    for folder in folders:
        if not _PLAIN_NAME.fullmatch(rings.member(folder)):
            raise ConfigurationError(
                f"{rings.member(folder)!r} can't be the name of an environment",
                where=f"{origin}: {folder!r}",
                hint="use letters, digits, '.', '_' and '-' in the names of clusters' folders",
            )
    waves = split(folders, rings.sizes)
    return tuple(
        replace(
            environment,
            name=_member(environment.name, rings, folder),
            paths=tuple(path.replace(CLUSTER, folder) for path in environment.paths),
            targets=tuple(replace(one, file=one.file.replace(CLUSTER, folder)) for one in environment.targets),
            after=tuple(_member(environment.name, rings, one) for one in waves[index - 1])
            if index
            else environment.after,
            rings=None,
            group=environment.name,
            wave=index + 1,
        )
        for index, wave in enumerate(waves)
        for folder in wave
    )


def _member(name: str, rings: Rings, folder: str) -> str:
    return f"{name}/{rings.member(folder)}"


def _with_clusters(gate: Gate, clusters: Mapping[str, Sequence[Environment]]) -> Gate:
    return replace(gate, environments=_names(gate.environments, clusters)) if isinstance(gate, SoakGate) else gate


def _names(after: Sequence[str], clusters: Mapping[str, Sequence[Environment]]) -> tuple[str, ...]:
    """What an environment comes after, with every cluster by its own name."""
    return tuple(
        name for one in after for name in ([each.name for each in clusters[one]] if one in clusters else [one])
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
