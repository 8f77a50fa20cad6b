"""What a promotion would move: the files of every environment read in one batch, and compared by image."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from orchestrator.core.change import Action, Change, ChangePlan, ImageOrigin
from orchestrator.core.environment import Environment, Policy
from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.facts import Moving, Run
from orchestrator.core.image import Digest, ImageReference, PinnedImage, Repository
from orchestrator.core.mirrors import Originals
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.core.order import Origin
from orchestrator.core.patterns import literal_prefix, matches
from orchestrator.gitops.base import GitOpsRepository
from orchestrator.gitops.desk import missing_own_branch
from orchestrator.gitops.ledger import Landed, landed
from orchestrator.gitops.plan import plan_change
from orchestrator.gitops.provenance import (
    Key,
    Known,
    Skipped,
    by_original_names,
    known_of,
    skipped_in,
    still_open,
)
from orchestrator.manifests.options import ScanOptions
from orchestrator.manifests.promote import Compared, Copied, NotCopied, compare
from orchestrator.manifests.running import Side
from pipelines.promote_targets import Route
from pipelines.promotion import Promoted

_File = TypeVar("_File")


class Tree(Generic[_File]):
    """Files of one commit (or what became of them), found by patterns without asking every file for every pattern."""

    def __init__(self, files: Mapping[RepoPath, _File]) -> None:
        self._files = {path.value: (path, content) for path, content in files.items()}
        self._sorted = sorted(self._files)

    def under(self, patterns: Sequence[str]) -> dict[RepoPath, _File]:
        """The files that one of the patterns names."""
        found: dict[RepoPath, _File] = {}
        for pattern in patterns:
            prefix = literal_prefix(pattern)
            for position in range(bisect_left(self._sorted, prefix), len(self._sorted)):
                name = self._sorted[position]
                if not name.startswith(prefix):
                    break
                if matches(pattern, name):
                    path, content = self._files[name]
                    found[path] = content
        return found


@dataclass(frozen=True, slots=True)
class World:
    """The environments of a promotion as they are at one look: files and ledgers by branch. ``tips`` has them all.

    The ledger and what runs have images by their original names; files have those of their environment.
    """

    policy: Policy
    scope: str
    tips: Mapping[BranchName, CommitId]
    trees: Mapping[BranchName, Tree[bytes]]
    ledger: tuple[Landed, ...]
    originals: Originals = field(default_factory=Originals)

    def tip_of(self, environment: Environment) -> CommitId:
        """The commit that holds the environment now."""
        return self.tips[branch_of(self.policy, environment)]

    def files(self, environment: Environment) -> dict[RepoPath, bytes]:
        """Its files, for this scope."""
        return self.trees[branch_of(self.policy, environment)].under(environment.patterns(self.scope))

    def side(self, environments: Sequence[Environment]) -> Side:
        """What they run together."""
        files = {path: content for one in environments for path, content in self.files(one).items()}
        targets = tuple(target for one in environments for target in one.targets_for(self.scope))
        return Side(files, ScanOptions(targets=targets))

    @property
    def skips(self) -> tuple[Skipped, ...]:
        """Environments that earlier promotions left out, and that nobody brought up to date since."""
        known = [
            one
            for one in skipped_in(self.ledger)
            if one.environment in self.policy.environments and one.left_out in self.policy.environments
        ]
        names = dict.fromkeys(name for one in known for name in (one.environment, one.left_out))
        runs = [run for name in names for run in self._runs(self.policy.environments[name])]
        return still_open(known, runs)

    def _runs(self, environment: Environment) -> Iterable[Run]:
        side = self.side([environment])
        for repository in side.repositories:
            for pin in side.running(repository):
                if pin.image.digest is not None:
                    yield Run(environment.name, self.originals(repository), pin.image.digest)


def branch_of(policy: Policy, environment: Environment) -> BranchName:
    """The branch that the environment lives on."""
    return environment.branch or policy.base


def read_world(repository: GitOpsRepository, policy: Policy, route: Route, base_tip: CommitId) -> World:
    """One look at all environments of the route: one batch of files and one ledger for each branch they live on.

    Raises ConfigurationError when a branch is not there, RemoteError.
    """
    own = dict.fromkeys(one.branch for one in (*route.sources, *route.targets) if one.branch is not None)
    found = repository.tips([branch.ref for branch in own]) if own else {}
    for branch in own:
        if branch.ref not in found:
            raise missing_own_branch(repository, branch, policy.base)
    tips = {policy.base: base_tip, **{branch: found[branch.ref] for branch in own}}
    originals = policy.originals
    ledger = by_original_names((one for tip in tips.values() for one in landed(repository, tip)), originals)
    wanted = _involved(policy, route, ledger)
    trees: dict[BranchName, Tree[bytes]] = {}
    for branch, tip in tips.items():
        patterns = [p for one in wanted if branch_of(policy, one) == branch for p in one.patterns(route.scope)]
        trees[branch] = Tree(repository.files(tip, list(dict.fromkeys(patterns))) if patterns else {})
    return World(policy, route.scope, tips, trees, ledger, originals)


def _involved(policy: Policy, route: Route, ledger: Sequence[Landed]) -> tuple[Environment, ...]:
    """The environments to read: those of the route, and those whose skips may be made good by now."""
    skipped = [name for one in skipped_in(ledger) for name in (one.environment, one.left_out)]
    others = [policy.environments[name] for name in dict.fromkeys(skipped) if name in policy.environments]
    known = {one.name: one for one in (*route.sources, *route.targets)}
    branches = {branch_of(policy, one) for one in known.values()} | {policy.base}
    return (*known.values(), *(one for one in others if one.name not in known and branch_of(policy, one) in branches))


# --- what would move ------------------------------------------------------------------------------------------------


def prepare(world: World, route: Route, source: Side, only: Sequence[Repository] | None) -> tuple[Promoted, ...]:
    """What each target would get, planned on what it holds now.

    Raises ConfigurationError when an image or a file is missing, Refused when the policy does not let the scope have
    an image that was asked for: nothing is begun then.
    """
    named = None if only is None else _as_source_has(world, source, only)
    compared = [_compared(world, source, target, named) for target in route.targets]
    keys = {key for side, found in compared for key in keys_of(world, side, map(_pinned, found.copied))}
    known = known_of(world.ledger, keys)
    return tuple(
        _promoted(world, route, target, side, found, known)
        for target, (side, found) in zip(route.targets, compared, strict=True)
    )


def _compared(
    world: World, source: Side, target: Environment, only: Sequence[Repository] | None
) -> tuple[Side, Compared]:
    here = {one: target.local(world.originals(one)) for one in source.repositories.union(only or ())}
    world.policy.authorise(world.scope, target, [here[one] for one in only or ()])
    side = world.side([target])
    found = compare(source, side, only, images={one: name for one, name in here.items() if one != name})
    missing = [one for one in found.refused if one.missing]
    if not side.files or (not found.copied and not found.refused) or missing:
        raise _missing(world, target, side, found)
    return side, _one_version_each(_permitted(world, target, found))


def _as_source_has(world: World, source: Side, named: Sequence[Repository]) -> tuple[Repository, ...]:
    """The images by the names that the source has for them; as they were named where it has none."""
    there = {world.originals(one): one for one in source.repositories}
    return tuple(one if one in source.repositories else there.get(world.originals(one), one) for one in named)


def _missing(world: World, target: Environment, side: Side, found: Compared) -> ConfigurationError:
    patterns = ", ".join(target.patterns(world.scope))
    reasons = [f"{one.repository}: {one.reason}" + (f" ({one.where})" if one.where else "") for one in found.left]
    what = (
        f"the environment {target.name!r} has no file of {world.scope!r}"
        if not side.files
        else f"nothing can be promoted to {target.name!r} as it is"
    )
    return ConfigurationError(
        what,
        where=f"{patterns} ({len(side.files)} file{'s' if len(side.files) != 1 else ''})",
        details=reasons[:20],
        hint="add the image to a manifest of that environment first, or correct the file; nothing was changed",
    )


def _permitted(world: World, target: Environment, found: Compared) -> Compared:
    """Without what the policy does not let this scope change: other people's images in the same files.

    They stay as they are, so what could not be told of them is in nobody's way either.
    """
    copied, left = [], []
    for one in found.copied:
        forbidden = _forbidden(world, target, one.image.repository)
        if forbidden is None:
            copied.append(one)
        else:
            left.append(NotCopied(one.image.repository, forbidden, one.source.where, refused=False))
    for other in found.left:
        here = target.local(world.originals(other.repository))
        forbidden = _forbidden(world, target, here) if other.refused and not other.missing else None
        left.append(other if forbidden is None else NotCopied(here, forbidden, other.where, refused=False))
    return Compared(tuple(copied), tuple(left))


def _forbidden(world: World, target: Environment, repository: Repository) -> str | None:
    """Why the scope may not change the image there; None when it may."""
    try:
        world.policy.authorise(world.scope, target, [repository])
    except Refused as refused:
        return refused.message
    return None


def _one_version_each(found: Compared) -> Compared:
    """A change brings one version of an image; where each container has its own, a person has to say which."""
    versions: dict[Repository, set[ImageReference]] = {}
    for one in found.copied:
        versions.setdefault(one.image.repository, set()).add(one.image)
    several = {repository for repository, images in versions.items() if len(images) > 1}
    left = [
        NotCopied(
            one,
            "its containers run several versions, and a promotion brings one: "
            + ", ".join(_short(image) for image in sorted(versions[one], key=str)),
            _where(found, one),
        )
        for one in sorted(several)
    ]
    return Compared(tuple(one for one in found.copied if one.image.repository not in several), (*found.left, *left))


def _short(image: ImageReference) -> str:
    digest = image.digest.short if image.digest is not None else ""
    return f"{image.tag} {digest}".strip() if image.tag is not None else digest


def _where(found: Compared, repository: Repository) -> str:
    return next(one.source.where for one in found.copied if one.image.repository == repository)


def _promoted(
    world: World, route: Route, target: Environment, side: Side, found: Compared, known: Mapping[Key, Known]
) -> Promoted:
    moving = [one for one in found.copied if any(pin.image != one.image for pin in one.targets)]
    if not moving or any(one.refused for one in found.left):
        return Promoted(target, left=found.left)
    images = tuple(_pinned(one) for one in moving)
    change = _change(world, route, target, images, known)
    try:
        plan = plan_change(change, world.tip_of(target), world.files(target), world.policy)
    except Refused as refused:
        left = NotCopied(images[0].repository, refused.message, refused.where or "")
        return Promoted(target, left=(*found.left, left))
    return Promoted(target, change, plan, moving_of(world, side, images, known), left=found.left)


def _change(
    world: World, route: Route, target: Environment, images: tuple[PinnedImage, ...], known: Mapping[Key, Known]
) -> Change:
    facts = [_known_here(world, one, known) for one in images]
    shared = {(one.origin.source, one.origin.position) for one in facts}
    source, position = shared.pop() if len(shared) == 1 else (None, None)
    change = Change(
        Action.PROMOTE,
        target.name,
        route.scope,
        images,
        "",
        source,
        position if source is not None else None,
        tested=tuple(each for one in facts for each in one.tested),
        records=tuple(each for one in facts for each in one.records),
        overrides=route.overrides_for(target),
        taken_from=route.taken_from,
        origins=() if source is not None else tuple(one.origin for one in facts if _says_something(one.origin)),
    )
    return replace(change, release=_identity(change))


def _known_here(world: World, image: PinnedImage, known: Mapping[Key, Known]) -> Known:
    """What is known of an image, by the name that it has in the target; its records stay where they lie."""
    found = known.get((world.originals(image.repository), image.digest), Known(ImageOrigin(image.repository)))
    tested = tuple(replace(one, repository=image.repository) for one in found.tested)
    return replace(found, origin=replace(found.origin, repository=image.repository), tested=tested)


def _says_something(origin: ImageOrigin) -> bool:
    return origin.source is not None or origin.position is not None


def _identity(change: Change) -> str:
    """The same images with the same exceptions give the same id: twelve hex digits."""
    told = [change.action, change.scope, change.taken_from or "", *sorted(map(str, change.images))]
    told += [f"{one.kind} {one.environment} {one.reason}" for one in change.overrides]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


def moving_of(
    world: World, side: Side, images: Sequence[PinnedImage], known: Mapping[Key, Known]
) -> tuple[Moving, ...]:
    """Each image with what runs now; one that runs in several versions comes once for each of them."""
    found: list[Moving] = []
    for image in images:
        original = world.originals(image.repository)
        alone = Moving(image, _origin(known, original, image.digest), original=original)
        pins = [pin.image for pin in side.running(image.repository)]
        current = [one for one in dict.fromkeys(pins) if one.tag is not None or one.digest is not None]
        found += [replace(alone, runs=one, runs_origin=_origin(known, original, one.digest)) for one in current] or [
            alone
        ]
    return tuple(found)


def moving_in(world: World, side: Side, plan: ChangePlan) -> tuple[Moving, ...]:
    """Everything that a plan moves: its change's own images, and those that it carries from earlier handoffs.

    Where the ledger knows nothing of an image, what the change itself says of it counts.
    """
    change, images = plan.change, plan.moved
    known = known_of(world.ledger, keys_of(world, side, images))
    carried = {one.image for one in change.carried}
    return tuple(
        replace(
            one,
            origin=one.origin if one.origin != Origin() else _said_by(change, one.repository),
            carried=one.image in carried,
        )
        for one in moving_of(world, side, images, known)
    )


def _said_by(change: Change, repository: Repository) -> Origin:
    found = change.origin(repository)
    return Origin(found.source, found.position)


def keys_of(world: World, side: Side, images: Iterable[PinnedImage]) -> set[Key]:
    """The images, and what runs of them now, by their original names."""
    found: set[Key] = set()
    for image in images:
        original = world.originals(image.repository)
        found.add((original, image.digest))
        found |= {(original, pin.image.digest) for pin in side.running(image.repository) if pin.image.digest}
    return found


def _origin(known: Mapping[Key, Known], repository: Repository, digest: Digest | None) -> Origin:
    found = known.get((repository, digest)) if digest is not None else None
    return Origin(found.origin.source, found.origin.position) if found is not None else Origin()


def _pinned(one: Copied) -> PinnedImage:
    assert one.image.digest is not None  # noqa: S101  (compare refuses a source without a digest)
    return PinnedImage(one.image.repository, one.image.digest, one.image.tag)
