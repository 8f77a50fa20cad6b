"""The build context as a tar stream: made while it is sent, in a stable order, never written to disk."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import ConfigurationError
from orchestrator.engine.events import Reporter
from orchestrator.images.base import MEBIBYTE, BuildSpec
from orchestrator.images.bases import with_local_bases
from orchestrator.images.context_size import check_size
from orchestrator.images.ignore import Selection, ignore_patterns, select, unreadable

_CHUNK = 256 * 1024
_BLOCK = tarfile.BLOCKSIZE
_IGNORE_FILE = ".dockerignore"
_MAX_DOCKERFILE = MEBIBYTE


@dataclass(frozen=True, slots=True)
class Context:
    """A planned context: what is sent, and under which name the engine finds the Dockerfile in it."""

    root: Path
    selection: Selection
    dockerfile_name: str
    dockerfile: bytes
    extra: tuple[tuple[str, bytes], ...]

    def stream(self) -> Iterator[bytes]:
        """The tar archive in chunks. Raises ConfigurationError when a file vanishes, changes or cannot be read."""
        yield from _chunked(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        for name, content in self.extra:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            yield _header(info)
            yield content
            yield _padding(len(content))
        for path in self._ordered():
            yield from _member(self.root, path)
        yield bytes(2 * _BLOCK)

    def _ordered(self) -> Sequence[str]:
        """Names that fit into a plain header, the Dockerfile first of them, then the others.

        Docker's client takes stdin for an archive by its first 512 bytes alone, and a long or foreign name needs more:
        with one in front, the whole archive would be read as a Dockerfile.
        """
        replaced = {name for name, _ in self.extra}
        paths = [path for path in self.selection.paths if path not in replaced]
        return sorted(paths, key=lambda path: (not _is_plain(path), path != self.dockerfile_name))


def _is_plain(path: str) -> bool:
    return path.isascii() and len(path) < tarfile.LENGTH_NAME


def plan_context(spec: BuildSpec) -> Context:
    """Look at the folder and the Dockerfile. Raises ConfigurationError: something is missing, unreadable, too large."""
    if not spec.context.is_dir():
        raise ConfigurationError(
            f"the build context of {spec.name} is not a folder",
            where=str(spec.context),
            hint="correct `context` of this image; it is relative to the configuration file",
        )
    content = with_local_bases(_read_dockerfile(spec), spec.bases, spec.arguments)
    patterns = ignore_patterns(spec.context, spec.dockerfile)
    selection = select(spec.context, patterns)
    check_size(spec, selection.paths)
    name = _name_inside(spec)
    if name is None:
        return _with_foreign_dockerfile(spec.context, selection, content)
    extra = [(name, content)] if name not in selection.paths or spec.bases else []
    ignore = spec.context / _IGNORE_FILE
    if _IGNORE_FILE not in selection.paths and ignore.is_file() and not ignore.is_symlink():
        # The engine reads it and then takes itself out what it names: the Dockerfile and this file.
        extra.append((_IGNORE_FILE, ignore.read_bytes()))
    return Context(spec.context, selection, name, content, tuple(extra))


def tell_left_out(context: Context, spec: BuildSpec, reporter: Reporter) -> None:
    """Say which files only our own list keeps out of the build context."""
    left_out = context.selection.left_out
    if not left_out:
        return
    names = ", ".join(left_out[:5]) + (f" and {len(left_out) - 5} more" if len(left_out) > 5 else "")
    reporter.log(
        f"build {spec.name}", f"left out of the build context: {names} (send one by naming it: !name in .dockerignore)"
    )


def _with_foreign_dockerfile(root: Path, selection: Selection, content: bytes) -> Context:
    """A Dockerfile from elsewhere travels under a name of its own, and the engine is told to keep it out of COPY."""
    name = f".dockerfile.{hashlib.sha256(content).hexdigest()[:20]}"
    ignore = root / _IGNORE_FILE
    present = _IGNORE_FILE in selection.paths and ignore.is_file()
    text = ignore.read_bytes() if present else _IGNORE_FILE.encode()
    extra = ((_IGNORE_FILE, text + b"\n" + name.encode() + b"\n"), (name, content))
    return Context(root, selection, name, content, extra)


def _read_dockerfile(spec: BuildSpec) -> bytes:
    path = spec.dockerfile
    target = path.resolve()
    if path.is_symlink() and not target.is_relative_to(spec.context.resolve()):
        raise ConfigurationError(
            f"the Dockerfile of {spec.name} is a symlink that leads out of its context",
            where=str(path),
            hint="name the file itself in `dockerfile`",
        )
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_DOCKERFILE + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigurationError(
            f"the Dockerfile of {spec.name} does not exist",
            where=str(path),
            hint="correct `dockerfile` of this image, or write the file",
        ) from None
    except OSError as error:
        raise unreadable(path, error) from None
    if len(content) > _MAX_DOCKERFILE:
        raise ConfigurationError(f"the Dockerfile of {spec.name} is larger than 1 MiB", where=str(path))
    return content


def _name_inside(spec: BuildSpec) -> str | None:
    """The Dockerfile's path in the context; None when it stands elsewhere."""
    path, root = Path(os.path.normpath(spec.dockerfile)), Path(os.path.normpath(spec.context))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def _member(root: Path, path: str) -> Iterator[bytes]:
    full = root / path
    try:
        status = full.lstat()
        info = _describe(full, path, status)
    except OSError as error:
        raise unreadable(full, error) from None
    if info is None:
        return
    yield _header(info)
    if info.isreg():
        yield from _content(full, info.size)
        yield _padding(info.size)


def _describe(full: Path, path: str, status: os.stat_result) -> tarfile.TarInfo | None:
    """The header of a file, folder or symlink; sockets, pipes and devices have no place in an image."""
    info = tarfile.TarInfo(path)
    info.mode = stat.S_IMODE(status.st_mode)
    info.mtime = max(0, int(status.st_mtime))
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(full)  # noqa: PTH115  (Path would normalise it)
    elif stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISREG(status.st_mode):
        info.size = status.st_size
    else:
        return None
    return info


def _content(full: Path, size: int) -> Iterator[bytes]:
    """Exactly ``size`` bytes, because the header has promised them."""
    left = size
    try:
        with os.fdopen(os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            while left and (chunk := file.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise unreadable(full, error) from None
    if left:
        raise ConfigurationError(
            "a file of the build context shrank while it was sent",
            where=str(full),
            hint="let nothing write into the context during a build, or leave the file out by .dockerignore",
        )


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _chunked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in few large chunks: each one is a chunk on the wire."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= _CHUNK:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
