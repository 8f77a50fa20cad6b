"""Promotion by image: what one environment runs, written into the pins of another, whatever their files look like.

Pins are copied by image and container, never by path and never as text: the target keeps its own configuration, its
own forms and its own quotes. What can't be told is refused with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core.image import ImageReference, Repository
from orchestrator.core.names import RepoPath
from orchestrator.manifests.mention import mentions
from orchestrator.manifests.model import Edit, Findings, Pin, PinChange, Unresolved
from orchestrator.manifests.options import DEFAULT, ScanOptions
from orchestrator.manifests.pins import find_pins, set_image

Files = Mapping[RepoPath, bytes]


@dataclass(frozen=True, slots=True)
class Copied:
    """What the target shall run: the reference, the pin that it comes from, and the pins that it goes to."""

    image: ImageReference
    source: Pin
    targets: tuple[Pin, ...]


@dataclass(frozen=True, slots=True)
class NotCopied:
    """An image that stays as it is in the target, with the reason. ``refused`` is False where nothing is to do."""

    repository: Repository | None
    reason: str
    where: str
    refused: bool = True


@dataclass(frozen=True, slots=True)
class Promotion:
    """The edits of a promotion. With anything ``refused`` it is not complete, and a caller that needs all stops."""

    edits: tuple[Edit, ...]
    copied: tuple[Copied, ...]
    left: tuple[NotCopied, ...]

    @property
    def refused(self) -> tuple[NotCopied, ...]:
        """What should have been promoted and can't be."""
        return tuple(one for one in self.left if one.refused)

    @property
    def changes(self) -> tuple[PinChange, ...]:
        """Every pin that changes."""
        return tuple(change for edit in self.edits for change in edit.changes)


def promote(
    source: Files,
    target: Files,
    images: Sequence[Repository] | None = None,
    *,
    source_options: ScanOptions = DEFAULT,
    target_options: ScanOptions = DEFAULT,
    need_digest: bool = True,
) -> Promotion:
    """Bring the target's pins to what the source runs, for all images that both have, or for ``images``.

    ``need_digest`` refuses a source pin that has only a tag: it may mean something else by now. Raises
    ConfigurationError and Refused as ``set_image`` does.
    """
    from_pins, from_problems = _read(source, source_options)
    to_pins, to_problems = _read(target, target_options)
    wanted = sorted(set(images) if images is not None else {pin.image.repository for pin in from_pins})
    copied: list[Copied] = []
    left: list[NotCopied] = []
    for repository in wanted:
        here = [pin for pin in from_pins if pin.image.repository == repository]
        there = [pin for pin in to_pins if pin.image.repository == repository]
        reason = _missing(repository, here, there, source, target, [*from_problems, *to_problems], images is not None)
        if reason is not None:
            left.append(reason)
            continue
        for outcome in _assign(repository, here, there, need_digest):
            (copied if isinstance(outcome, Copied) else left).append(outcome)  # type: ignore[arg-type]
    return Promotion(tuple(_edits(target, copied, target_options)), tuple(copied), tuple(left))


def _read(files: Files, options: ScanOptions) -> tuple[list[Pin], list[Unresolved]]:
    found: list[Findings] = [find_pins(path, content, options) for path, content in sorted(files.items())]
    return [pin for one in found for pin in one.pins], [problem for one in found for problem in one.unresolved]


def _missing(
    repository: Repository,
    here: list[Pin],
    there: list[Pin],
    source: Files,
    target: Files,
    problems: list[Unresolved],
    asked: bool,
) -> NotCopied | None:
    """Why an image can't be promoted at all; None when both environments pin it."""
    blocking = _blocking(repository, {**source, **target}, problems)
    if not here:
        if blocking is not None:
            return NotCopied(repository, f"the source does not pin it: {blocking.reason}", blocking.where)
        return NotCopied(repository, "the source environment does not pin it", "", refused=asked)
    if not there:
        if blocking is not None:
            return NotCopied(repository, f"the target does not pin it: {blocking.reason}", blocking.where)
        return NotCopied(repository, "the target environment does not have it", here[0].where, refused=asked)
    return None


def _blocking(repository: Repository, files: Files, problems: list[Unresolved]) -> Unresolved | None:
    """The unresolved place that speaks of this image, if there is one: a range, a variable, a broken file."""
    for problem in problems:
        speaks = problem.text.encode() if problem.text else files.get(problem.path, b"")
        if mentions(speaks, (repository,)):
            return problem
    return None


def _assign(
    repository: Repository, here: list[Pin], there: list[Pin], need_digest: bool
) -> Iterator[Copied | NotCopied]:
    """Which version of the source goes to which pins of the target: one for all, or one for each container."""
    groups: dict[tuple[Pin, ImageReference], list[Pin]] = {}
    for pin in there:
        candidates = _candidates(here, pin)
        versions = {(one.image.tag, one.image.digest) for one in candidates}
        if len(versions) > 1:
            listed = ", ".join(sorted({one.text for one in candidates}))
            yield NotCopied(repository, f"the source runs several versions of it: {listed}", pin.where)
            continue
        source = candidates[0]
        if source.image.digest is None and (need_digest or source.image.tag is None):
            yield NotCopied(repository, f"the source pins no digest: {source.text}", source.where)
            continue
        groups.setdefault((source, source.image), []).append(pin)
    for (source, image), pins in groups.items():
        yield Copied(image, source, tuple(pins))


def _candidates(here: list[Pin], pin: Pin) -> list[Pin]:
    """The source's pins for one pin of the target: those of the same container where several versions run."""
    if len({(one.image.tag, one.image.digest) for one in here}) == 1:
        return here
    same = [one for one in here if one.container is not None and one.container == pin.container]
    named = [one for one in same if one.path.name == pin.path.name]
    return named or same or here


def _edits(target: Files, copied: Sequence[Copied], options: ScanOptions) -> Iterator[Edit]:
    """One edit a file, made of one step for each version that goes to it."""
    by_path: dict[RepoPath, list[tuple[ImageReference, tuple[str, ...]]]] = {}
    for one in copied:
        for path in dict.fromkeys(pin.path for pin in one.targets):
            places = tuple(pin.at for pin in one.targets if pin.path == path)
            by_path.setdefault(path, []).append((one.image, places))
    for path in sorted(by_path):
        before = after = target[path]
        changes: list[PinChange] = []
        pins: list[Pin] = []
        for image, places in by_path[path]:
            edit = set_image(path, after, image, replace(options, places=places))
            after = edit.after
            changes += edit.changes
            pins += edit.pins
        yield Edit(path, before, after, tuple(changes), tuple(pins))
