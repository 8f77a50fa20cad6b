"""Manifest files on disk: found in folders, read where their bytes promise something, written by one rename each."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import ConfigurationError, Conflict, WorkFailed
from orchestrator.core.names import InvalidName, RepoPath

_SUFFIXES = (".yaml", ".yml", ".json", ".tpl", ".gotmpl", ".j2")
_NAMES = frozenset({"Kustomization"})
_SKIPPED_FOLDERS = frozenset({".git", "node_modules", ".venv", ".terraform"})
_CHUNK = 64 * 1024
READ_LIMIT = 64 * 1024 * 1024

STANDARD_INPUT = Path("-")
STANDARD_INPUT_NAME = RepoPath("-")


@dataclass(frozen=True, slots=True)
class OutsidePath(RepoPath):
    """A file outside the current folder: matched like any other path, and shown by its full path on this machine."""

    def __str__(self) -> str:
        return f"/{self.value}"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on disk, the path by which it is shown and matched, and what it held.

    ``named`` says that it was given by its own path, not found in a folder.
    """

    real: Path
    path: RepoPath
    content: bytes
    named: bool = False


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


def to_path(text: str) -> Path:
    """A path as it is written on a command line: ``-`` is the standard input, and ``./-`` is a file of that name."""
    path = Path(text)
    return Path.cwd() / path if path == STANDARD_INPUT and text != "-" else path


def find_files(
    paths: Sequence[Path],
    keep: Callable[[bytes], bool],
    wanted: Callable[[str], bool] | None = None,
    *,
    stdin_name: RepoPath = STANDARD_INPUT_NAME,
) -> Found:
    """Read the manifests in files and folders, and keep those whose bytes ``keep`` wants; links are not followed.

    A file that is given by name is kept whatever it is called and holds, and so is the standard input (``-``), which
    is called ``stdin_name``; in folders the usual suffixes are read, and what ``wanted`` names by its shown path.
    Raises ConfigurationError for what is not there, is a link, or can't be read.
    """
    kept: dict[str, LocalFile] = {}
    seen: set[str] = set()
    for path in paths:
        if path == STANDARD_INPUT:
            seen.add("-")
            kept["-"] = LocalFile(path, stdin_name, _read_standard_input(), named=True)
        elif path.is_symlink():
            raise ConfigurationError(
                "a symbolic link is not followed",
                where=str(path),
                hint="name what it points to, or give its content as '-'",
            )
        elif path.is_dir():
            for real, shown in _in_folder(path, wanted):
                if shown not in seen:
                    seen.add(shown)
                    content = _read(real)
                    if keep(content):
                        kept[shown] = LocalFile(Path(real), _repo_path(shown), content)
        elif path.is_file():
            name = shown_path(path)
            seen.add(str(name))
            kept[str(name)] = LocalFile(path, name, _read(os.fspath(path)), named=True)
        else:
            raise _no_manifest(path)
    return Found(tuple(file for _, file in sorted(kept.items())), len(seen))


def _no_manifest(path: Path) -> ConfigurationError:
    """Why a path that is no file and no folder can't be read."""
    if path.exists():
        return ConfigurationError(
            "this is neither a regular file nor a folder", where=str(path), hint="give its content as '-' instead"
        )
    return ConfigurationError("there is no such file or folder", where=str(path), hint="check the spelling of the path")


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
        with _scan(real) as entries:
            for entry in entries:
                name = entry.name
                if name == ".git":
                    continue  # a folder, or a file in a linked work tree: no path inside the repository
                usual = name.endswith(_SUFFIXES) or name in _NAMES
                if (usual or (wanted is not None and wanted(shown + name))) and entry.is_file(follow_symlinks=False):
                    yield entry.path, shown + name
                elif entry.is_dir(follow_symlinks=False) and name not in _SKIPPED_FOLDERS:
                    stack.append((entry.path, f"{shown}{name}/"))


def _scan(folder: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
    try:
        return os.scandir(folder)
    except OSError as error:
        raise ConfigurationError(
            f"the folder can't be read: {error.strerror}", where=folder, hint="check the permissions"
        ) from None


def shown_path(path: Path) -> RepoPath:
    """A path as a repository path: relative to the current folder where it lies below it, else an OutsidePath."""
    full = Path(os.path.normpath(Path.cwd() / path))
    inside = full.is_relative_to(Path.cwd())
    return _repo_path(full.relative_to(Path.cwd()).as_posix() if inside else full.as_posix())


def _repo_path(text: str) -> RepoPath:
    """The path that is shown as this text."""
    try:
        return OutsidePath(text.lstrip("/")) if text.startswith("/") else RepoPath(text)
    except InvalidName as error:
        raise ConfigurationError(error.message, where=text, hint=error.hint) from None


def _read_standard_input() -> bytes:
    """All of it, up to the limit and a little more, as with files."""
    try:
        return sys.stdin.buffer.read(READ_LIMIT + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the standard input can't be read: {error.strerror}", where="-", hint="give a file, or pipe one in"
        ) from None


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
        raise ConfigurationError(
            f"the file can't be read: {error.strerror}", where=path, hint="check the permissions"
        ) from None


def replace_file(path: Path, content: bytes, expected: bytes) -> None:
    """Put new bytes in the place of a file by one rename; its mode stays.

    Raises Conflict when the file is no longer what was read, and WorkFailed when it can't be written.
    """
    try:
        if path.is_symlink() or path.read_bytes() != expected:
            raise Conflict(
                "the file was changed by somebody else in the meantime",
                where=str(path),
                hint="look at the change, and run it again",
            )
        mode = stat.S_IMODE(path.stat().st_mode)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> WorkFailed:
    return WorkFailed(
        f"the file can't be written: {error.strerror}",
        where=str(path),
        hint="check the permissions and the space of its folder, and run it again: what is written already stays",
    )
