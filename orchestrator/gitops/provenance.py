"""What the ledger knows of images that are on their way: where they were built from, what was proven, what was skipped.

Trailers are claims of whoever could merge: they order promotions and are shown, and no gate takes them for a proof.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from orchestrator.core.change import Action, Change, ImageOrigin
from orchestrator.core.facts import Run
from orchestrator.core.image import Digest, PinnedImage, Repository
from orchestrator.core.mirrors import Originals
from orchestrator.core.override import OverrideKind
from orchestrator.core.release import RecordReference, Tested
from orchestrator.gitops.ledger import Landed

Key = tuple[Repository, Digest]


def by_original_names(ledger: Iterable[Landed], originals: Originals) -> tuple[Landed, ...]:
    """The same changes with every image by its original name, as one environment's mirror is none of another's."""
    return tuple(replace(one, change=_by_original_names(one.change, originals)) for one in ledger)


def _by_original_names(change: Change, originals: Originals) -> Change:
    if all(originals(image.repository) == image.repository for image in change.pins):
        return change
    return replace(
        change,
        images=tuple(replace(one, repository=originals(one.repository)) for one in change.images),
        carried=tuple(
            replace(one, image=replace(one.image, repository=originals(one.image.repository))) for one in change.carried
        ),
        tested=tuple(replace(one, repository=originals(one.repository)) for one in change.tested),
        origins=tuple(replace(one, repository=originals(one.repository)) for one in change.origins),
    )


@dataclass(frozen=True, slots=True)
class Known:
    """What landed changes say of one image."""

    origin: ImageOrigin
    tested: tuple[Tested, ...] = ()
    records: tuple[RecordReference, ...] = ()


def known_of(ledger: Iterable[Landed], wanted: Collection[Key]) -> Mapping[Key, Known]:
    """What the changes say of these images, the newest word of each kind; an image that none speaks of is left out."""
    found: dict[Key, Known] = {}
    for one in ledger:
        for image in one.change.pins:
            key = image.repository, image.digest
            if key in wanted:
                earlier = found.get(key, Known(ImageOrigin(image.repository)))
                found[key] = _joined(earlier, one, image)
    return found


def _joined(known: Known, one: Landed, image: PinnedImage) -> Known:
    """With what this older change says where newer ones said nothing."""
    origin = one.change.origin(image.repository)
    tested = tuple(
        each for each in one.change.tested if (each.repository, each.digest) == (image.repository, image.digest)
    )
    only_one = sum(pin.repository == image.repository for pin in one.change.pins) == 1
    records = tuple(each for each in one.change.records if each.repository == image.repository) if only_one else ()
    return replace(
        known,
        origin=ImageOrigin(
            image.repository, known.origin.source or origin.source, known.origin.position or origin.position
        ),
        tested=known.tested or tested,
        records=known.records or records,
    )


@dataclass(frozen=True, slots=True)
class Skipped:
    """A promotion that left an environment out, with the images that it brought past it."""

    environment: str
    left_out: str
    reason: str
    images: tuple[PinnedImage, ...]
    at: datetime | None


def skipped_in(ledger: Iterable[Landed]) -> tuple[Skipped, ...]:
    """Every promotion with a skip, newest first."""
    return tuple(
        Skipped(
            one.change.environment, override.environment or "", override.reason, one.change.images, one.commit.committed
        )
        for one in ledger
        if one.change.action is Action.PROMOTE
        for override in one.change.overrides
        if override.kind is OverrideKind.SKIP
    )


def still_open(skips: Iterable[Skipped], runs: Sequence[Run]) -> tuple[Skipped, ...]:
    """Those that nobody made good: the environment runs the image still, and the one that was left out does not."""
    there = {(run.environment, run.repository, run.digest) for run in runs}
    open_ones = []
    for one in skips:
        images = tuple(
            image
            for image in one.images
            if (one.environment, image.repository, image.digest) in there
            and (one.left_out, image.repository, image.digest) not in there
        )
        if images:
            open_ones.append(replace(one, images=images))
    return tuple(open_ones)
