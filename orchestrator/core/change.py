"""A change: an intent (environment and image to digest), never a text patch, and the plan that applies it.

The intent travels in commit trailers, so that it can be read back from Git alone and computed again on
whatever the branch's tip is by then.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from orchestrator.core.image import ImageReference, PinnedImage, Repository
from orchestrator.core.names import BranchName, CommitId, InvalidName, RepoPath
from orchestrator.core.override import Override
from orchestrator.core.release import RecordReference, Release, SourceCommit, Tested

_Proven = TypeVar("_Proven", Tested, RecordReference, "ImageOrigin")


class Action(StrEnum):
    """Why a change is made."""

    RELEASE = "release"
    PIN = "pin"
    PROMOTE = "promote"
    HOLD = "hold"
    LIFT_HOLD = "lift-hold"
    VETO = "veto"
    LIFT_VETO = "lift-veto"


@dataclass(frozen=True, slots=True)
class Position:
    """Where the source commit stands on its branch: an unauthenticated claim that orders releases.

    Raises InvalidName for a text that is no branch name.
    """

    branch: str
    count: int

    def __post_init__(self) -> None:
        BranchName(self.branch)

    def before(self, other: Position | None) -> bool:
        """Both stand on the same branch, and the other one is further along."""
        return other is not None and self.branch == other.branch and self.count < other.count


@dataclass(frozen=True, slots=True)
class Carried:
    """An image of another change that still waits on the same branch, with its own place in the order."""

    image: PinnedImage
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class ImageOrigin:
    """Where one image was built from, in a change whose images come from several releases."""

    repository: Repository
    source: CommitId | None = None
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What shall run where. ``scope`` is the application; with the environment it names the branch.

    ``images`` are this release's own; ``carried`` are those of earlier handoffs that nobody merged yet. ``tested``
    and ``records`` say what was proven of the images; they are no part of what the change writes into manifests.
    ``overrides`` are the rules that were set aside for it. A promotion has in ``taken_from`` the environment that runs
    the images already. ``origins`` are of images that were not built from the change's own ``source``.
    """

    action: Action
    environment: str
    scope: str
    images: tuple[PinnedImage, ...]
    release: str
    source: CommitId | None = None
    position: Position | None = None
    carried: tuple[Carried, ...] = ()
    tested: tuple[Tested, ...] = ()
    records: tuple[RecordReference, ...] = ()
    overrides: tuple[Override, ...] = ()
    taken_from: str | None = None
    origins: tuple[ImageOrigin, ...] = ()

    @classmethod
    def of(cls, action: Action, environment: str, release: Release) -> Change:
        """The change that brings a release to an environment."""
        source = release.source
        return cls(
            action,
            environment,
            release.application,
            release.pins,
            release.id,
            source.id if source else None,
            position_of(source) if source else None,
            tested=release.tested,
            records=release.records,
        )

    @property
    def branch(self) -> BranchName:
        """The stable branch of this environment and scope."""
        return branch_for(self.environment, self.scope)

    @property
    def pins(self) -> tuple[PinnedImage, ...]:
        """Everything that it pins: its own images and the carried ones."""
        return (*self.images, *(one.image for one in self.carried))

    def on_top_of(self, other: Change, *, carry: bool) -> Change | None:
        """This change where ``other`` came first: of each image the newer one. None when nothing here is newer.

        With ``carry`` the other one still waits, so what only it holds stays.
        """
        theirs = {one.image.repository: one for one in other._each()}
        own = tuple(image for image in self.images if not self._before(image, theirs.get(image.repository)))
        if not own:
            return None
        ours = {image.repository for image in own}
        carried = tuple(one for repository, one in theirs.items() if repository not in ours) if carry else ()
        waiting = {one.image.repository for one in carried}
        return replace(
            self,
            images=own,
            carried=carried,
            tested=_about(ours, self.tested) + _about(waiting, other.tested),
            records=_about(ours, self.records) + _about(waiting, other.records),
            overrides=tuple(dict.fromkeys((*self.overrides, *(other.overrides if carried else ())))),
            origins=_about(ours, self.origins) + tuple(o for one in carried if (o := other.origin_to_carry(one.image))),
        )

    def origin(self, repository: Repository) -> ImageOrigin:
        """What is known of where this image of the change was built from."""
        for known in self.origins:
            if known.repository == repository:
                return known
        for one in self.carried:
            if one.image.repository == repository:
                return ImageOrigin(repository, None, one.position)
        return ImageOrigin(repository, self.source, self.position)

    def origin_to_carry(self, image: PinnedImage) -> ImageOrigin | None:
        """The origin of an image that another change carries on, where there is more to it than its position."""
        found = self.origin(image.repository)
        return found if found.source is not None else None

    def repeats(self, other: Change) -> bool:
        """The other one asked for all of it already."""
        return set(self.images) <= set(other.pins)

    def _each(self) -> tuple[Carried, ...]:
        return (*(Carried(image, self.origin(image.repository).position) for image in self.images), *self.carried)

    def _before(self, image: PinnedImage, other: Carried | None) -> bool:
        own = self.origin(image.repository).position
        return own is not None and other is not None and own.before(other.position)


def _about(repositories: Set[Repository], proven: tuple[_Proven, ...]) -> tuple[_Proven, ...]:
    return tuple(one for one in proven if one.repository in repositories)


def position_of(source: SourceCommit) -> Position | None:
    """Where the commit stands; None where nobody can say, or what the CI calls its branch is none."""
    if not source.branch or not source.first_parent_count:
        return None
    try:
        return Position(source.branch, source.first_parent_count)
    except InvalidName:
        return None


def branch_for(environment: str, scope: str) -> BranchName:
    """The one branch for an environment and a scope: ``hybrid-ci/<encoded environment>/<encoded scope>``."""
    return BranchName(f"hybrid-ci/{encode(environment)}/{encode(scope)}")


def encode(name: str) -> str:
    """A name as one part of a ref: reversible, and ``prod`` never clashes with ``prod/eu-1``.

    Everything but lower-case letters, digits and an inner ``-`` becomes ``_xx`` (UTF-8 hex), so that two names
    never meet on a file system that ignores case, and no part ends in ``.lock``.
    """
    safe = re.sub(r"[^a-z0-9-]", lambda match: "".join(f"_{byte:02x}" for byte in match[0].encode()), name)
    return safe.replace("-", "_2d", 1) if safe.startswith("-") else safe


@dataclass(frozen=True, slots=True)
class PlannedPin:
    """One pin that the change moves."""

    path: RepoPath
    line: int
    place: str
    before: ImageReference
    after: PinnedImage


@dataclass(frozen=True, slots=True)
class FileEdit:
    """One file, before and after. ``new``: it was not there before; ``removed``: it is not there afterwards."""

    path: RepoPath
    before: bytes
    after: bytes
    new: bool = False
    removed: bool = False


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """A change computed on one commit: exactly what would be written. No edits: it already holds there."""

    change: Change
    base: CommitId
    edits: tuple[FileEdit, ...]
    pins: tuple[PlannedPin, ...]

    @property
    def moved(self) -> tuple[PinnedImage, ...]:
        """Those of the change's images that are not there already."""
        moved = {pin.after.repository for pin in self.pins}
        return tuple(image for image in self.change.pins if image.repository in moved)

    @property
    def empty(self) -> bool:
        """There is nothing to do."""
        return not self.edits
