"""Pins in local files: list them, set them. No Git, no forge, no configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from orchestrator.core.change import FileEdit
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import ImageReference, Repository
from orchestrator.core.names import RepoPath
from orchestrator.core.patterns import matches
from orchestrator.manifests.formats.kustomization import FILE_NAMES
from orchestrator.manifests.kustomize_entry import add_image, is_kustomization
from orchestrator.manifests.mention import holder, may_hold_any
from orchestrator.manifests.pins import DEFAULT, Edit, Findings, Pin, ScanOptions, Unresolved, find_pins, set_images
from orchestrator.manifests.values import ValueEdit, set_value
from pipelines.local_arguments import NamedImage
from pipelines.local_files import STANDARD_INPUT, STANDARD_INPUT_NAME, Found, LocalFile, find_files, replace_file
from pipelines.local_leftovers import leftovers
from pipelines.render_proof import prove_by_rendering

_PARALLEL_FROM = 2000  # files: below it starting processes costs more than it saves
_HINTED = 10
_NAMED = 3


@dataclass(frozen=True, slots=True)
class LocalPins:
    """What files and folders hold. ``files`` is how many were looked at."""

    pins: tuple[Pin, ...]
    unresolved: tuple[Unresolved, ...]
    files: int


@dataclass(frozen=True, slots=True)
class LocalEdits:
    """What was, or would be, written: per file the bytes before and after, and the pins and values behind it.

    ``left`` are the places that name a wanted image and were not edited. ``output`` is the standard input after the
    edits, where it was edited.
    """

    edits: tuple[Edit, ...]
    values: tuple[ValueEdit, ...]
    files: int
    left: tuple[Unresolved, ...] = ()
    output: bytes | None = None

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
        return tuple(FileEdit(path, first[path], last[path]) for path in sorted(first, key=str))


def list_pins(
    paths: Sequence[Path],
    options: ScanOptions,
    images: Sequence[Repository] = (),
    *,
    workers: int | None = None,
    stdin_name: RepoPath = STANDARD_INPUT_NAME,
) -> LocalPins:
    """Every pin in files and folders, or those of ``images``; large folders are read by several processes."""
    keep = holder(images) if images else may_hold_any
    found_files = find_files(paths, _with_targets(keep, options), _targeted(options), stdin_name=stdin_name)
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
    """What shall be set in which files. ``names`` are kustomize names with the image that each shall become.

    ``spelled`` are the repositories of ``images`` as they were written. An entry that a kustomization lacks is added
    for a name where the file itself is among ``paths``, as kustomize does, and with ``add`` for any image, also where
    the kustomization's folder is among them. ``stdin_name`` is what the standard input is called.
    """

    paths: tuple[Path, ...]
    images: tuple[ImageReference, ...] = ()
    names: tuple[NamedImage, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    options: ScanOptions = DEFAULT
    prove: bool = False
    spelled: tuple[str, ...] = ()
    add: bool = False
    stdin_name: RepoPath = STANDARD_INPUT_NAME


def set_images_in(request: Request, *, write: bool = True) -> LocalEdits:
    """Plan every edit, prove it, and only then write, each file by one rename.

    Raises ConfigurationError when an image stands in none of the files or a file that names it is broken, Refused
    for what can't be edited without guessing; then no file was touched. Conflict and WorkFailed tell of a file that
    could not be written; those before it were.
    """
    _check_standard_input(request)
    paths = _with_kustomizations(request.paths) if request.add else request.paths
    found = find_files(paths, _keep(request), _targeted(request.options), stdin_name=request.stdin_name)
    result = _planned(request, found)
    _check_found(request, result, found.files)
    real = {file.path: file.real for file in found.files}
    if request.prove and result.changed:
        changed = {real[edit.path]: edit.after for edit in result.file_edits}
        prove_by_rendering(changed, [*request.images, *(named.image for named in request.names)])
    if write and result.output is None:
        for one in result.file_edits:
            replace_file(real[one.path], one.after, one.before)
    return result


def _check_standard_input(request: Request) -> None:
    """Its result goes to the standard output, where nothing else has a place. Raises ConfigurationError."""
    if STANDARD_INPUT not in request.paths:
        return
    if len(request.paths) > 1:
        raise ConfigurationError(
            "the standard input can't be edited together with files",
            where="the path '-'",
            hint="leave '-' out, or run it once for each",
        )
    if request.prove:
        raise ConfigurationError(
            "the standard input belongs to no kustomization that could be rendered",
            where="--prove render",
            hint="leave --prove out, or name the file",
        )


def _with_kustomizations(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """The kustomization that a named folder holds itself counts as named."""
    direct = [path / name for path in paths if path.is_dir() for name in sorted(FILE_NAMES)]
    return (*(file for file in direct if file.is_file() and not file.is_symlink()), *paths)


def _planned(request: Request, found: Found) -> LocalEdits:
    """Every edit, file by file."""
    edits: list[Edit] = []
    values: list[ValueEdit] = []
    left: list[Unresolved] = []
    output: bytes | None = None
    for file in found.files:
        mine: list[Edit] = []
        current = file.content
        for edit in _image_edits(request, file, current):
            mine.append(edit)
            current = edit.after
        for at, value in request.values:
            values.append(set_value(file.path, current, at, value, request.options))
            current = values[-1].after
        edits += mine
        left += leftovers(file, mine, request.images, request.names, request.options)
        output = current if file.real == STANDARD_INPUT else output
    return LocalEdits(tuple(edits), tuple(values), found.looked_at, tuple(left), output)


def _keep(request: Request) -> Callable[[bytes], bool]:
    """Which files are parsed at all, by their bytes."""
    if request.values or request.options.targets:
        return lambda _: True
    repositories = [image.repository for image in request.images]
    names = [named.name.encode() for named in request.names]
    mentioned = holder(repositories)
    return lambda content: mentioned(content) or any(name in content for name in names)


def _image_edits(request: Request, file: LocalFile, content: bytes) -> Iterator[Edit]:
    options = _for_file(request.options, file)
    may_add = file.named and (request.names or request.add) and is_kustomization(file.path, content, options)
    if request.images:
        yield (edit := set_images(file.path, content, request.images, options))
        content = edit.after
        there = {pin.image.repository for pin in edit.pins}
        for image, spelled in zip(request.images, request.spelled, strict=False):
            if request.add and may_add and image.repository not in there:
                yield (edit := add_image(file.path, content, spelled, image, spelled, options))
                content = edit.after
    for named in request.names:
        only = replace(options, names=(named.name,))
        edit = set_images(file.path, content, (named.image,), only, spelled=named.spelled)
        if may_add and not edit.pins:
            edit = add_image(file.path, content, named.name, named.image, named.spelled, options)
        yield edit
        content = edit.after


def _targeted(options: ScanOptions) -> Callable[[str], bool] | None:
    if not options.targets:
        return None
    return lambda path: any(matches(target.file, path.lstrip("/")) for target in options.targets)


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
    missing += [one.name for one in request.names if one.name not in named]
    if not missing:
        return
    raise ConfigurationError(
        f"no pin of {', '.join(missing)} was found",
        where=_looked_at(request.paths, result.files),
        details=list(dict.fromkeys(islice(chain(map(_told, result.left), _hints(kept, request.options)), _HINTED))),
        hint=_advice(kept),
    )


def _looked_at(paths: Sequence[Path], files: int) -> str:
    """The paths as they were given, and how many files that are."""
    named = ", ".join(str(path) for path in paths[:_NAMED]) + (", …" if len(paths) > _NAMED else "")
    return f"{named} ({files} file{'s' if files != 1 else ''})"


def _advice(kept: Sequence[LocalFile]) -> str:
    """What to do where an image was not found."""
    if any(file.named and is_kustomization(file.path, file.content) for file in kept):
        return "to add an entry to the kustomization, use --add; 'hybrid-ci pins' lists what is there"
    return "'hybrid-ci pins' lists what is there; places that name no repository need --target, others --at"


def _told(problem: Unresolved) -> str:
    return f"{problem.where}: {problem.reason}"


def _hints(kept: Sequence[LocalFile], options: ScanOptions) -> Iterator[str]:
    """What the files that speak of the image hold instead."""
    for file in kept:
        findings = find_pins(file.path, file.content, replace(options, places=(), containers=(), names=()))
        yield from map(_told, findings.unresolved)
        yield from (f"{pin.where}: {pin.image}" for pin in findings.pins)
