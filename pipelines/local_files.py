"""Manifest files on disk: found in folders, read in parallel, written in place by one rename each."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import RepoPath

_SUFFIXES = (".yaml", ".yml", ".json", ".tpl", ".gotmpl", ".j2")
_NAMES = frozenset({"Kustomization"})
_SKIPPED_FOLDERS = frozenset({".git", "node_modules", ".venv", ".terraform"})
_BATCH = 512
READ_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on disk with the path by which it is shown and matched."""

    real: Path
    path: RepoPath
    named: bool  # given by name, not found in a folder


def collect(paths: Sequence[Path], wanted: Callable[[RepoPath], bool] = lambda _: False) -> list[LocalFile]:
    """The manifests in files and folders, sorted; links are not followed.

    A file that is given by name is taken whatever it is called; in folders the usual suffixes are, and what
    ``wanted`` names. Raises ConfigurationError for what is not there or is a symbolic link.
    """
    found: dict[str, LocalFile] = {}
    for path in paths:
        for one in _below(path, wanted):
            found.setdefault(str(one.real), one)
    return sorted(found.values(), key=lambda one: one.path)


def _below(path: Path, wanted: Callable[[RepoPath], bool]) -> Iterator[LocalFile]:
    if path.is_symlink():
        raise ConfigurationError("a symbolic link is not followed", where=str(path), hint="name the file itself")
    if path.is_dir():
        yield from _in_folder(path, wanted)
    elif path.is_file():
        yield LocalFile(path, shown(path), True)
    else:
        raise ConfigurationError("there is no such file or folder", where=str(path))


def _in_folder(top: Path, wanted: Callable[[RepoPath], bool]) -> Iterator[LocalFile]:
    prefix = str(shown(top / "x"))[:-1] if str(top) != "." else ""
    base = os.fspath(top)
    stack = [""]
    while stack:
        folder = stack.pop()
        with os.scandir(f"{base}/{folder}") as entries:
            for entry in entries:
                inside = f"{folder}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _SKIPPED_FOLDERS:
                        stack.append(f"{inside}/")
                elif entry.is_file(follow_symlinks=False):
                    path = RepoPath(prefix + inside)
                    if entry.name.endswith(_SUFFIXES) or entry.name in _NAMES or wanted(path):
                        yield LocalFile(Path(base, inside), path, False)


def shown(path: Path) -> RepoPath:
    """A path as a repository path: relative to the current folder where it lies below it."""
    full = Path(os.path.normpath(Path.cwd() / path))
    inside = full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full.relative_to(full.anchor)
    return RepoPath(inside.as_posix())


def read(files: Iterable[LocalFile], keep: Callable[[bytes], bool]) -> Iterator[tuple[LocalFile, bytes]]:
    """The contents of files that ``keep`` wants, in their order; read by several threads.

    Raises ConfigurationError for a file that can't be read.
    """
    batches = _batched(list(files))
    if len(batches) == 1:
        yield from _read_batch(batches[0], keep)
        return
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for kept in pool.map(lambda batch: _read_batch(batch, keep), batches):
            yield from kept


def _batched(files: list[LocalFile]) -> list[list[LocalFile]]:
    return [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)] or [[]]


def _read_batch(files: list[LocalFile], keep: Callable[[bytes], bool]) -> list[tuple[LocalFile, bytes]]:
    kept = []
    for file in files:
        try:
            descriptor = os.open(file.real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                content = _read_all(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ConfigurationError(f"the file can't be read: {error.strerror}", where=str(file.real)) from None
        if file.named or keep(content):
            kept.append((file, content))
    return kept


def _read_all(descriptor: int) -> bytes:
    """Up to the limit and one byte more: what is larger is refused by its size later on."""
    chunk = os.read(descriptor, 256 * 1024)
    if len(chunk) < 256 * 1024:
        return chunk
    chunks = [chunk]
    size = len(chunk)
    while chunk and size <= READ_LIMIT:
        chunk = os.read(descriptor, 1024 * 1024)
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def replace_file(path: Path, content: bytes, expected: bytes) -> None:
    """Put new bytes in the place of a file by one rename; its mode stays.

    Raises ConfigurationError when the file is no longer what was read, or can't be written.
    """
    try:
        if path.is_symlink() or path.read_bytes() != expected:
            raise ConfigurationError("the file was changed by somebody else in the meantime", where=str(path))
        mode = stat.S_IMODE(path.stat().st_mode)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ConfigurationError(f"the file can't be written: {error.strerror}", where=str(path)) from None
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise ConfigurationError(f"the file can't be written: {error.strerror}", where=str(path)) from None
