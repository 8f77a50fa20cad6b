"""Manifest files on disk: found in folders, read where their bytes promise something, written by one rename each."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import InvalidName, RepoPath

_SUFFIXES = (".yaml", ".yml", ".json", ".tpl", ".gotmpl", ".j2")
_NAMES = frozenset({"Kustomization"})
_SKIPPED_FOLDERS = frozenset({".git", "node_modules", ".venv", ".terraform"})
_CHUNK = 64 * 1024
READ_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on disk, the path by which it is shown and matched, and what it held."""

    real: Path
    path: RepoPath
    content: bytes


@dataclass(frozen=True, slots=True)
class LocalPath:
    """A file on disk that was not read."""

    real: Path
    path: RepoPath


@dataclass(frozen=True, slots=True)
class Found:
    """The files that were kept, in the order of their paths, and how many were looked at."""

    files: tuple[LocalFile, ...]
    looked_at: int


def find_files(
    paths: Sequence[Path], keep: Callable[[bytes], bool], wanted: Callable[[str], bool] | None = None
) -> Found:
    """Read the manifests in files and folders, and keep those whose bytes ``keep`` wants; links are not followed.

    A file that is given by name is kept whatever it is called and holds; in folders the usual suffixes are read, and
    what ``wanted`` names by its shown path. Raises ConfigurationError for what is not there, is a link, or can't be
    read.
    """
    kept: dict[str, LocalFile] = {}
    seen: set[str] = set()
    for path in paths:
        if path.is_symlink():
            raise ConfigurationError("a symbolic link is not followed", where=str(path), hint="name the file itself")
        if path.is_dir():
            for real, shown in _in_folder(path, wanted):
                if shown not in seen:
                    seen.add(shown)
                    content = _read(real)
                    if keep(content):
                        kept[shown] = LocalFile(Path(real), _repo_path(shown), content)
        elif path.is_file():
            name = shown_path(path)
            seen.add(name.value)
            kept[name.value] = LocalFile(path, name, _read(os.fspath(path)))
        else:
            raise ConfigurationError("there is no such file or folder", where=str(path))
    return Found(tuple(file for _, file in sorted(kept.items())), len(seen))


def collect(paths: Sequence[Path], wanted: Callable[[RepoPath], bool] = lambda _: False) -> list[LocalPath]:
    """The files themselves, unread, sorted by path. Raises ConfigurationError as ``find_files`` does."""
    found: dict[str, LocalPath] = {}
    for path in paths:
        for real, shown in _in_folder(path, lambda text: wanted(_repo_path(text))):
            found.setdefault(shown, LocalPath(Path(real), _repo_path(shown)))
    return [file for _, file in sorted(found.items())]


def _in_folder(top: Path, wanted: Callable[[str], bool] | None) -> Iterator[tuple[str, str]]:
    """The real and the shown path of each candidate. Strings, because most of them are never looked at again."""
    shown_top = str(shown_path(top / "x"))[:-1]
    stack = [(os.fspath(top), shown_top)]
    while stack:
        real, shown = stack.pop()
        with os.scandir(real) as entries:
            for entry in entries:
                name = entry.name
                usual = name.endswith(_SUFFIXES) or name in _NAMES
                if (usual or (wanted is not None and wanted(shown + name))) and entry.is_file(follow_symlinks=False):
                    yield entry.path, shown + name
                elif entry.is_dir(follow_symlinks=False) and name not in _SKIPPED_FOLDERS:
                    stack.append((entry.path, f"{shown}{name}/"))


def shown_path(path: Path) -> RepoPath:
    """A path as a repository path: relative to the current folder where it lies below it."""
    full = Path(os.path.normpath(Path.cwd() / path))
    inside = full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full.relative_to(full.anchor)
    return _repo_path(inside.as_posix())


def _repo_path(text: str) -> RepoPath:
    try:
        return RepoPath(text)
    except InvalidName as error:
        raise ConfigurationError(error.message, where=text) from None


def _read(path: str) -> bytes:
    """The bytes, up to the limit and a little more: what is larger is refused by its size later on."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            chunk = os.read(descriptor, _CHUNK)
            if len(chunk) < _CHUNK:
                return chunk
            chunks, size = [chunk], len(chunk)
            while chunk and size <= READ_LIMIT:
                chunk = os.read(descriptor, 16 * _CHUNK)
                chunks.append(chunk)
                size += len(chunk)
            return b"".join(chunks)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigurationError(f"the file can't be read: {error.strerror}", where=path) from None


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
