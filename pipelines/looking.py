"""What the commands that only look have in common: whom they ask, which rules hold, and what environments run.

Nothing here writes or needs the right to. Git is asked in a number of requests that does not grow with images or
environments; every environment of a branch is read in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.core.environment import Environment, Policy
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import ImageReference, Repository
from orchestrator.core.mirrors import Originals
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.core.patterns import matches
from orchestrator.gitops.base import Naming
from orchestrator.gitops.desk import missing_branch
from orchestrator.manifests.discover import path_patterns
from orchestrator.manifests.model import Findings, Pin
from orchestrator.manifests.options import ScanOptions
from orchestrator.manifests.pins import find_pins
from orchestrator.manifests.running import Side
from pipelines.counting import Tally
from pipelines.policy import policy_to_look_at
from pipelines.ports import Ports, Standpoint
from pipelines.promote_reading import Tree

EVERY_APPLICATION = "*"


def _unknown_distance(older: CommitId, newer: CommitId) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class Looking:
    """Whom to ask, and from where; ``tally`` counts the questions.

    ``distance`` counts the commits of the application between two of its own, where its checkout can tell.
    ``written_at`` has the line of the configuration that names an image.
    """

    ports: Ports
    at: Standpoint
    tally: Tally
    distance: Callable[[CommitId, CommitId], int | None] = _unknown_distance
    written_at: Mapping[Repository, str] = field(default_factory=dict)

    @classmethod
    def through(
        cls,
        ports: Ports,
        at: Standpoint,
        *,
        distance: Callable[[CommitId, CommitId], int | None] = _unknown_distance,
        written_at: Mapping[Repository, str] | None = None,
    ) -> Looking:
        """With every question to Git and to the forge counted from now on."""
        tally = Tally()
        return cls(tally.counted(ports), at, tally, distance, written_at or {})

    @property
    def own_images(self) -> frozenset[Repository]:
        """Those of the application at hand."""
        return frozenset(self.at.images.values())


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to see. Nothing named: all of the application, or everything where there is none.

    ``images`` are configured names, repositories, or last parts of repositories; ``everything`` also shows what does
    not belong to the application at hand.
    """

    environments: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """An environment with the files that say what it runs, at the tip of its branch."""

    environment: Environment
    branch: BranchName
    patterns: tuple[str, ...]
    files: Mapping[RepoPath, bytes]
    side: Side

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.environment.name

    def holds(self, path: str) -> bool:
        """The path is one of the environment's."""
        return any(matches(pattern, path) for pattern in self.patterns)


class PinReader:
    """Finds pins, each file's once: the trees of a branch hold the same files again and again.

    Images come by their original names, so that environments can be compared whose images come from mirrors.
    """

    def __init__(self, originals: Originals | None = None) -> None:
        self._originals = originals or Originals()
        self._known: dict[tuple[RepoPath, bytes, ScanOptions], Findings] = {}

    def __call__(self, path: RepoPath, content: bytes, options: ScanOptions) -> Findings:
        """As ``find_pins``."""
        key = (path, content, options)
        if key not in self._known:
            found = find_pins(path, content, options)
            self._known[key] = replace(found, pins=tuple(map(self._by_original_name, found.pins)))
        return self._known[key]

    def _by_original_name(self, pin: Pin) -> Pin:
        name = self._originals(pin.image.repository)
        return pin if name == pin.image.repository else replace(pin, image=replace(pin.image, repository=name))


@dataclass(frozen=True, slots=True)
class Scene:
    """The rules that hold, and where the branches are. ``application`` is whose paths are looked at (None: all)."""

    policy: Policy
    tips: Mapping[BranchName, CommitId]
    application: str | None
    read: PinReader = field(default_factory=PinReader, repr=False)

    @property
    def tip(self) -> CommitId:
        """Where the base branch is."""
        return self.tips[self.policy.base]

    def branch(self, environment: Environment) -> BranchName:
        """The branch that holds the environment."""
        return environment.branch or self.policy.base

    def patterns(self, environment: Environment) -> tuple[str, ...]:
        """The environment's paths, for the application at hand or for all."""
        return path_patterns(environment, self.application)

    def options(self, environment: Environment) -> ScanOptions:
        """How its files are read."""
        return ScanOptions(targets=environment.targets_for(self.application or EVERY_APPLICATION))

    def chosen(self, names: Sequence[str]) -> tuple[Environment, ...]:
        """The environments of these names, all when there are none, in the order of promotion.

        One with waves is all its clusters. Raises ConfigurationError for an unknown name.
        """
        wanted = [one for name in names for one in self.policy.members(name)] or list(self.policy.environments)
        ranked = ranks(self.policy.environments)
        known = list(self.policy.environments)
        ordered = sorted(dict.fromkeys(wanted), key=lambda name: (ranked[name], known.index(name)))
        return tuple(self.policy.environments[name] for name in ordered)


def look(looking: Looking, *, everything: bool = False) -> Scene:
    """Read the rules of the base branch, or what its layout suggests, and find the branches of the environments.

    Raises ConfigurationError when there is no such branch, or neither rules nor a layout; RemoteError.
    """
    repository = looking.ports.repository
    base = looking.at.base or repository.default_branch()
    if base is None:
        raise ConfigurationError(
            "the server does not tell the default branch of the GitOps repository",
            where=repository.url,
            hint="look from an application's checkout, whose hybrid-ci.yaml names it as gitops.base",
        )
    tips = dict(repository.tips([base.ref]))
    if base.ref not in tips:
        raise missing_branch(repository, base)
    policy = policy_to_look_at(repository, tips[base.ref], base, looking.ports.reporter)
    own = sorted({one.branch for one in policy.environments.values() if one.branch is not None})
    if own:
        tips |= repository.tips([branch.ref for branch in own])
    for branch in own:
        if branch.ref not in tips:
            looking.ports.reporter.warn(f"there is no branch {branch}, so nothing is known of the environments on it")
    application = None if everything else looking.at.application
    there = {branch: tips[branch.ref] for branch in (base, *own) if branch.ref in tips}
    return Scene(policy, there, application, PinReader(policy.originals))


def read_places(
    looking: Looking, scene: Scene, environments: Iterable[Environment], *, whole: bool = False
) -> tuple[Place, ...]:
    """What these environments hold, in one batch for each branch. Raises Unreadable, RemoteError.

    Those whose branch is not there are left out. For an application, files that name none of its images are left out,
    unless ``whole`` asks for them.
    """
    by_branch: dict[BranchName, list[Environment]] = {}
    for one in environments:
        by_branch.setdefault(scene.branch(one), []).append(one)
    found: dict[str, Place] = {}
    for branch, members in by_branch.items():
        if branch in scene.tips:
            patterns = tuple(dict.fromkeys(pattern for one in members for pattern in scene.patterns(one)))
            naming = None if whole else naming_of(looking, scene, members)
            tree = Tree(looking.ports.repository.files(scene.tips[branch], patterns, naming))
            found |= {one.name: place_of(scene, one, tree) for one in members}
    return tuple(found[one.name] for members in by_branch.values() for one in members if one.name in found)


def place_of(scene: Scene, environment: Environment, tree: Tree[bytes]) -> Place:
    """The environment with those of these files that are its own."""
    patterns = scene.patterns(environment)
    own = tree.under(patterns)
    return Place(
        environment, scene.branch(environment), patterns, own, Side(own, scene.options(environment), scene.read)
    )


def naming_of(looking: Looking, scene: Scene, environments: Iterable[Environment]) -> Naming | None:
    """For an application, its own images are all that files are read for."""
    if scene.application is None or not looking.at.images:
        return None
    asked = tuple(environments)
    targets = (target.file for one in asked for target in one.targets_for(scene.application))
    names = {name for image in looking.own_images for one in asked for name in (image, one.local(image))}
    return Naming(frozenset(names), tuple(dict.fromkeys(targets)))


def chosen_images(
    looking: Looking, scene: Scene, texts: Sequence[str], known: Collection[Repository]
) -> tuple[Repository, ...]:
    """Those of the known images that are wanted, in order. Raises ConfigurationError for a text that means none."""
    for text in texts:
        if not any(_means(looking, text, one) for one in known):
            raise ConfigurationError(
                f"no environment that is looked at has an image {text!r}",
                where=f"--image {text}",
                hint="write a configured name, a repository, or the last part of one",
                details=[f"there is {one}" for one in sorted(known)[:20]],
            )
    return meant_images(looking, scene, texts, known)


def meant_images(
    looking: Looking, scene: Scene, texts: Sequence[str], known: Collection[Repository]
) -> tuple[Repository, ...]:
    """The same, where a text that means none of them is no error; without texts those of the application at hand."""
    if texts:
        return tuple(sorted(one for one in known if any(_means(looking, text, one) for text in texts)))
    own = looking.own_images
    return tuple(sorted(one for one in known if scene.application is None or one in own or not own))


def _means(looking: Looking, text: str, repository: Repository) -> bool:
    if text in looking.at.images:
        return looking.at.images[text] == repository
    return text in (str(repository), repository.path, repository.name) or matches(text, str(repository))


def versions(side: Side, image: Repository) -> tuple[ImageReference, ...]:
    """What runs of an image, each version once, in a fixed order."""
    return tuple(sorted({pin.image for pin in side.running(image)}, key=str))


def ranks(environments: Mapping[str, Environment]) -> dict[str, int]:
    """How many steps each environment is from the first one, on the longest way."""
    found: dict[str, int] = {}

    def rank(name: str) -> int:
        if name not in found:
            found[name] = 0  # a circle can't come here from a policy; it ends anyhow
            found[name] = 1 + max((rank(one) for one in environments[name].after if one in environments), default=-1)
        return found[name]

    for name in environments:
        rank(name)
    return found


def firsts(environments: Mapping[str, Environment], name: str) -> tuple[str, ...]:
    """The environments without one before them from which changes come to this one; itself when it is such."""
    seen: dict[str, None] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop(0)
        if current in seen or current not in environments:
            continue
        seen[current] = None
        waiting += environments[current].after
    return tuple(one for one in environments if one in seen and not environments[one].after)
