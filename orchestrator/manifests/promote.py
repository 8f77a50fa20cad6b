"""Promotion by image: what one environment runs, written into the pins of another, whatever their files look like.

Pins are copied by image and container, never by path and never as text: the target keeps its own configuration, its
own forms and its own quotes. What can't be told is refused with its reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from orchestrator.core.errors import Refused
from orchestrator.core.image import DEFAULT_REGISTRY, ImageReference, Repository
from orchestrator.core.names import RepoPath
from orchestrator.manifests.model import Edit, Pin, PinChange, Unresolved
from orchestrator.manifests.options import DEFAULT, ScanOptions
from orchestrator.manifests.pins import find_pins, set_image
from orchestrator.manifests.running import Files, Side


@dataclass(frozen=True, slots=True)
class Copied:
    """What the target shall run: the reference, the pin that it comes from, and the pins that it goes to."""

    image: ImageReference
    source: Pin
    targets: tuple[Pin, ...]


@dataclass(frozen=True, slots=True)
class NotCopied:
    """An image that stays as it is in the target, with the reason.

    ``repository`` is the source's. ``refused`` is False where nothing is to do; ``places`` are the lines that the
    reason speaks of, where there are several. ``missing``: a file, or the image in it, is not there or can't be read,
    which a person has to correct before anything else.
    """

    repository: Repository
    reason: str
    where: str
    refused: bool = True
    places: tuple[str, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """What goes from one environment to another, and what does not.

    With anything ``refused`` it is not complete, and a caller that needs all stops.
    """

    copied: tuple[Copied, ...]
    left: tuple[NotCopied, ...]

    @property
    def refused(self) -> tuple[NotCopied, ...]:
        """What should have been promoted and can't be."""
        return tuple(one for one in self.left if one.refused)


@dataclass(frozen=True, slots=True)
class Promotion:
    """The edits of a promotion, one for each file that changes, and what was not copied."""

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
    only: Collection[Repository] | None = None,
    *,
    images: Mapping[Repository, Repository] | None = None,
    source_options: ScanOptions = DEFAULT,
    target_options: ScanOptions = DEFAULT,
    need_digest: bool = True,
) -> Promotion:
    """Bring the target's pins to what the source runs, for all images that both have, or for ``only`` these.

    As ``compare``, with the edits: where several versions run, each container gets its own. Nothing of one image is in
    the way of another. Raises ConfigurationError for options that are not valid.
    """
    found = compare(
        Side(source, source_options), Side(target, target_options), only, images=images, need_digest=need_digest
    )
    edits, failed = _edits(target, found.copied, target_options)
    bad = {one.repository for one in failed}
    names = {goal: origin for origin, goal in (images or {}).items()}
    left = [
        NotCopied(names.get(one.repository, one.repository), one.error.message, one.error.where or "") for one in failed
    ]
    copied = tuple(one for one in found.copied if one.image.repository not in bad)
    return Promotion(tuple(edits), copied, (*found.left, *left))


def compare(
    source: Side,
    target: Side,
    only: Collection[Repository] | None = None,
    *,
    images: Mapping[Repository, Repository] | None = None,
    need_digest: bool = True,
) -> Compared:
    """What the target shall run so that it runs what the source does. Nothing is edited; a side serves many times.

    ``images`` says which repository of the target is which of the source, where they differ (a mirror, a registry
    for each environment); all others have the same name in both. ``need_digest`` refuses a source pin that has only
    a tag: it may mean something else by now.
    """
    task = _Task(source, target, dict(images or {}), only is not None, need_digest)
    outcomes = [outcome for goal, origins in task.goals(only) for outcome in task.outcomes(goal, origins)]
    copied = tuple(one for one in outcomes if isinstance(one, Copied))
    return Compared(copied, tuple(one for one in outcomes if isinstance(one, NotCopied)))


@dataclass(frozen=True, slots=True)
class _Task:
    """Both environments, and how they are compared. ``asked`` says that the images were named by somebody."""

    source: Side
    target: Side
    same: Mapping[Repository, Repository]
    asked: bool
    need_digest: bool

    def goals(self, only: Collection[Repository] | None) -> list[tuple[Repository, list[Repository]]]:
        """Each repository of the target, with those of the source that it is filled from."""
        wanted = set(only) if only is not None else self.source.repositories | self._unclear()
        goals: dict[Repository, list[Repository]] = {}
        for repository in sorted(wanted):
            goals.setdefault(self.same.get(repository, repository), []).append(repository)
        return sorted(goals.items())

    def _unclear(self) -> set[Repository]:
        """What the target runs and the source speaks of, in a way that can't be read."""
        origins = {self.origin(repository) for repository in self.target.repositories}
        return {one for one in origins - self.source.repositories if self.source.blocking(one, only_by_name=False)}

    def origin(self, goal: Repository) -> Repository:
        """What a repository of the target is called in the source."""
        return next((origin for origin, one in self.same.items() if one == goal), goal)

    def outcomes(self, goal: Repository, origins: Sequence[Repository]) -> Iterator[Copied | NotCopied]:
        """What becomes of one image."""
        here = [pin for origin in origins for pin in self.source.running(origin)]
        there = self.target.versioned(goal)
        if not here:
            yield self._not_in_source(origins[0])
        elif not there:
            yield self._not_in_target(goal, origins, here)
        else:
            read = chain.from_iterable(map(self.source.blocking, origins))
            unclear = [_unclear(origins[0], "source", problem) for problem in read]
            unclear += [_unclear(origins[0], "target", problem) for problem in self.target.blocking(goal)]
            yield from unclear or self._assign(goal, here, there)

    def _assign(self, goal: Repository, here: list[Pin], there: list[Pin]) -> Iterator[Copied | NotCopied]:
        """Which version of the source goes to which pins of the target: one for all, or one for each container."""
        groups: dict[tuple[Pin, ImageReference], list[Pin]] = {}
        for pin in there:
            candidates = _candidates(here, pin)
            source = candidates[0]
            origin = source.image.repository
            image = ImageReference(goal, source.image.tag, source.image.digest)
            if len({_version(one) for one in candidates}) > 1:
                listed = ", ".join(f"{one.text} ({one.where})" for one in candidates)
                reason = f"the source runs several versions of it: {listed}"
                yield NotCopied(origin, reason, pin.where, places=_several(candidates))
            elif source.image.digest is None and (self.need_digest or source.image.tag is None):
                reason = f"the source pins no digest: {source.text}"
                yield NotCopied(origin, reason, source.where, refused=self.asked or pin.image != image)
            else:
                groups.setdefault((source, image), []).append(pin)
        for (source, image), pins in groups.items():
            yield Copied(image, source, tuple(pins))

    def _not_in_source(self, origin: Repository) -> NotCopied:
        blocking = self.source.blocking(origin, only_by_name=False)
        if blocking:
            return _blocked(origin, "the source does not pin it", blocking)
        return NotCopied(origin, "the source environment does not pin it", "", refused=self.asked, missing=True)

    def _not_in_target(self, goal: Repository, origins: Sequence[Repository], here: list[Pin]) -> NotCopied:
        origin = origins[0]
        blocking = self.target.blocking(goal, only_by_name=False)
        if blocking:
            return _blocked(origin, "the target does not pin it", blocking)
        others = [one for one in sorted(self._free()) if goal == origin and _alike(origin, one)]
        if others:
            pins = [pin for other in others for pin in self.target.versioned(other)]
            reason = f"the target has {', '.join(map(str, others))} instead; map it if both are the same image"
            return NotCopied(origin, reason, pins[0].where, places=_several(pins))
        reason = "the target environment does not have it"
        return NotCopied(origin, reason, here[0].where, refused=self.asked, missing=True)

    def _free(self) -> frozenset[Repository]:
        """The repositories of the target that nothing of the source belongs to."""
        return self.target.repositories - self.source.repositories - frozenset(self.same.values())


def _unclear(repository: Repository, side: str, problem: Unresolved) -> NotCopied:
    """Beside its pins an image stands where nobody can tell what it is."""
    what = "also names it in a place" if problem.place else "names it in a file"
    reason = f"the {side} {what} that can't be used: {problem.reason}"
    return NotCopied(repository, reason, problem.where, missing=not problem.place)


def _blocked(repository: Repository, what: str, problems: Sequence[Unresolved]) -> NotCopied:
    return NotCopied(repository, f"{what}: {problems[0].reason}", problems[0].where, places=_several(problems))


def _several(found: Sequence[Pin | Unresolved]) -> tuple[str, ...]:
    """Where they are, when there is more than one."""
    return tuple(one.where for one in found) if len(found) > 1 else ()


def _alike(one: Repository, other: Repository) -> bool:
    """The same path in another registry, or behind a prefix there, as mirrors and caches have it."""
    short, long = sorted((_path(one), _path(other)), key=len)
    return short == long or ("/" in short and long.endswith(f"/{short}"))


def _path(repository: Repository) -> str:
    return repository.path.removeprefix("library/") if repository.registry == DEFAULT_REGISTRY else repository.path


def _candidates(here: list[Pin], pin: Pin) -> list[Pin]:
    """The source's pins for one pin of the target: those of the same container where several versions run."""
    if len({_version(one) for one in here}) == 1:
        return here
    same = [one for one in here if one.container is not None and one.container == pin.container]
    named = [one for one in same if one.path.name == pin.path.name]
    return named or same or here


def _version(pin: Pin) -> tuple[object, object]:
    return pin.image.tag, pin.image.digest


@dataclass(frozen=True, slots=True)
class _Failed:
    """An image that a file can't take, with the reason."""

    repository: Repository
    error: Refused


def _edits(target: Files, copied: Sequence[Copied], options: ScanOptions) -> tuple[list[Edit], tuple[_Failed, ...]]:
    """One edit for each file that changes. An image that one file refuses is written to no file at all."""
    by_path: dict[RepoPath, list[tuple[ImageReference, tuple[str, ...]]]] = {}
    for one in copied:
        for path in dict.fromkeys(pin.path for pin in one.targets):
            places = tuple(pin.at for pin in one.targets if pin.path == path)
            by_path.setdefault(path, []).append((one.image, places))
    outcomes = [_edit(path, target[path], steps, options) for path, steps in sorted(by_path.items())]
    failed = tuple(one for one in outcomes if isinstance(one, _Failed))
    if not failed:
        return [one for one in outcomes if isinstance(one, Edit) and one.changed], ()
    bad = {one.repository for one in failed}
    edits, more = _edits(target, [one for one in copied if one.image.repository not in bad], options)
    return edits, failed + more


def _edit(
    path: RepoPath, before: bytes, steps: Sequence[tuple[ImageReference, tuple[str, ...]]], options: ScanOptions
) -> Edit | _Failed:
    after = before
    changes: list[PinChange] = []
    pins: list[Pin] = []
    for image, places in steps:
        try:
            edit = set_image(path, after, image, replace(options, places=places))
            _check_others(edit, places, options)
        except Refused as error:
            return _Failed(image.repository, error)
        after = edit.after
        changes += edit.changes
        pins += edit.pins
    return Edit(path, before, after, tuple(changes), tuple(pins))


def _check_others(edit: Edit, places: tuple[str, ...], options: ScanOptions) -> None:
    """No pin at another place has changed, by an alias or a merge. Raises Refused."""
    if not edit.changed:
        return
    old, new = (
        {pin.at: pin for pin in find_pins(edit.path, content, options).pins if pin.at not in places}
        for content in (edit.before, edit.after)
    )
    for at, pin in old.items():
        if at not in new or new[at].image != pin.image:
            raise Refused(f"the edit would change {pin.image.repository} too, which shares the value", where=pin.where)
