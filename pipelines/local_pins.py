"""Pins in local files: list them, set them. No Git, no forge, no configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from orchestrator.core.change import FileEdit
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import ImageReference, Repository
from orchestrator.core.names import RepoPath
from orchestrator.core.patterns import matches
from orchestrator.manifests.mention import holder, may_hold_any
from orchestrator.manifests.pins import DEFAULT, Edit, Findings, Pin, ScanOptions, Unresolved, find_pins, set_images
from orchestrator.manifests.values import ValueEdit, set_value
from pipelines.local_files import LocalFile, find_files, replace_file
from pipelines.render_proof import prove_by_rendering

_PARALLEL_FROM = 2000  # files: below it starting processes costs more than it saves
_HINTED = 10


@dataclass(frozen=True, slots=True)
class LocalPins:
    """What files and folders hold. ``files`` is how many were looked at."""

    pins: tuple[Pin, ...]
    unresolved: tuple[Unresolved, ...]
    files: int


@dataclass(frozen=True, slots=True)
class LocalEdits:
    """What was, or would be, written: per file the bytes before and after, and the pins and values behind it."""

    edits: tuple[Edit, ...]
    values: tuple[ValueEdit, ...]
    files: int

    @property
    def changed(self) -> bool:
        """At least one file differs."""
        return any(edit.changed for edit in self.edits) or any(value.changed for value in self.values)

    @property
    def file_edits(self) -> tuple[FileEdit, ...]:
        """The changed files, for a diff: two edits of one file are one."""
        first: dict[RepoPath, bytes] = {}
        last: dict[RepoPath, bytes] = {}
        everything: list[Edit | ValueEdit] = [*self.edits, *self.values]
        for one in everything:
            if one.changed:
                first.setdefault(one.path, one.before)
                last[one.path] = one.after
        return tuple(FileEdit(path, before, last[path]) for path, before in sorted(first.items()))


def list_pins(
    paths: Sequence[Path], options: ScanOptions, images: Sequence[Repository] = (), *, workers: int | None = None
) -> LocalPins:
    """Every pin in files and folders, or those of ``images``; large folders are read by several processes."""
    keep = holder(images) if images else may_hold_any
    found_files = find_files(paths, _with_targets(keep, options), _targeted(options))
    findings = _find_all(found_files.files, options, workers or os.cpu_count() or 1)
    pins = tuple(pin for found in findings for pin in found.pins if not images or pin.image.repository in images)
    return LocalPins(pins, tuple(problem for found in findings for problem in found.unresolved), found_files.looked_at)


def _find_all(kept: Sequence[LocalFile], options: ScanOptions, workers: int) -> list[Findings]:
    work = [(file.path, file.content, options) for file in kept]
    if len(work) < _PARALLEL_FROM or workers < 2:
        return [_find(one) for one in work]
    with ProcessPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(_find, work, chunksize=max(1, len(work) // (workers * 8))))


def _find(work: tuple[RepoPath, bytes, ScanOptions]) -> Findings:
    return find_pins(*work)


@dataclass(frozen=True, slots=True)
class Request:
    """What shall be set in which files. ``names`` are kustomize names with the image that each shall become."""

    paths: tuple[Path, ...]
    images: tuple[ImageReference, ...] = ()
    names: tuple[tuple[str, ImageReference], ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    options: ScanOptions = DEFAULT
    prove: bool = False


def set_images_in(request: Request, *, write: bool = True) -> LocalEdits:
    """Plan every edit, prove it, and only then write, each file by one rename.

    Raises ConfigurationError when an image stands in none of the files or a file that names it is broken, Refused
    for what can't be edited without guessing; then no file was touched.
    """
    found = find_files(request.paths, _keep(request), _targeted(request.options))
    edits: list[Edit] = []
    values: list[ValueEdit] = []
    for file in found.files:
        current = file.content
        for edit in _image_edits(request, file, current):
            edits.append(edit)
            current = edit.after
        for at, value in request.values:
            values.append(set_value(file.path, current, at, value, request.options))
            current = values[-1].after
    result = LocalEdits(tuple(edits), tuple(values), found.looked_at)
    _check_found(request, result, found.files)
    real = {file.path: file.real for file in found.files}
    if request.prove and result.changed:
        changed = {real[edit.path]: edit.after for edit in result.file_edits}
        prove_by_rendering(changed, [*request.images, *(image for _, image in request.names)])
    if write:
        for one in result.file_edits:
            replace_file(real[one.path], one.after, one.before)
    return result


def _keep(request: Request) -> Callable[[bytes], bool]:
    """Which files are parsed at all, by their bytes."""
    if request.values or request.options.targets:
        return lambda _: True
    repositories = [image.repository for image in request.images]
    names = [name.encode() for name, _ in request.names]
    mentioned = holder(repositories)
    return lambda content: mentioned(content) or any(name in content for name in names)


def _image_edits(request: Request, file: LocalFile, content: bytes) -> Iterator[Edit]:
    options = _for_file(request.options, file)
    if request.images:
        yield (edit := set_images(file.path, content, request.images, options))
        content = edit.after
    for name, image in request.names:
        yield (edit := set_images(file.path, content, (image,), replace(options, names=(name,))))
        content = edit.after


def _targeted(options: ScanOptions) -> Callable[[str], bool] | None:
    if not options.targets:
        return None
    return lambda path: any(matches(target.file, path) for target in options.targets)


def _with_targets(keep: Callable[[bytes], bool], options: ScanOptions) -> Callable[[bytes], bool]:
    """With targets a file need not name the image, so the bytes decide nothing."""
    return (lambda _: True) if options.targets else keep


def _for_file(options: ScanOptions, file: LocalFile) -> ScanOptions:
    """Targets of other files do not make this one a target."""
    mine = tuple(target for target in options.targets if matches(target.file, file.path.value))
    return options if len(mine) == len(options.targets) else replace(options, targets=mine)


def _check_found(request: Request, result: LocalEdits, kept: Sequence[LocalFile]) -> None:
    """Every image that was asked for stands somewhere. Raises ConfigurationError."""
    found = {pin.image.repository for edit in result.edits for pin in edit.pins}
    named = {pin.container for edit in result.edits for pin in edit.pins if pin.format == "kustomization"}
    missing = [str(image.repository) for image in request.images if image.repository not in found]
    missing += [name for name, _ in request.names if name not in named]
    if not missing:
        return
    raise ConfigurationError(
        f"no pin of {', '.join(missing)} was found",
        where=f"{result.files} file{'s' if result.files != 1 else ''}",
        details=list(islice(_hints(kept, request.options), _HINTED)),
        hint="'hybrid-ci pins' lists what is there; places that name no repository need --target, others --at",
    )


def _hints(kept: Sequence[LocalFile], options: ScanOptions) -> Iterator[str]:
    """What the files that speak of the image hold instead."""
    for file in kept:
        findings = find_pins(file.path, file.content, replace(options, places=(), containers=(), names=()))
        yield from (f"{problem.where}: {problem.reason}" for problem in findings.unresolved)
        yield from (f"{pin.where}: {pin.image}" for pin in findings.pins)
