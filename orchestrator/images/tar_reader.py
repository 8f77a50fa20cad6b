"""Reads the files of a tar stream, member by member, with caps; nothing is ever extracted.

The standard library's reader is not used on purpose: it trusts sizes and extended headers of the archive
(CVE-2024-6232, CVE-2025-8194), and these archives hold names and sizes that a tested program chose. The format
is that of POSIX pax (https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html) with GNU long names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from orchestrator.core.errors import WorkFailed
from orchestrator.images.base import MEBIBYTE

_BLOCK = 512
_MAX_HEADER = 64 * 1024  # of an extended header or a long name
_REGULAR = frozenset({b"0", b"\0", b"7"})


class ArchiveRefused(WorkFailed):
    """A tar stream is broken, or larger than what may be read of it."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How much is read: bytes of one file, bytes of all together, and how many members are looked at."""

    file: int = 16 * MEBIBYTE
    total: int = 64 * MEBIBYTE
    members: int = 5000


def read_files(chunks: Iterable[bytes], limits: ReadLimits, where: str) -> dict[str, bytes]:
    """The regular files by their path; links, devices and folders are passed over. Raises ArchiveRefused.

    A path with ``..`` or a leading ``/`` is refused: nothing is written anywhere, but no honest engine sends one.
    """
    source = _Source(chunks, limits.total, where)
    files: dict[str, bytes] = {}
    for count, header in enumerate(_headers(source)):
        if count >= limits.members:
            raise ArchiveRefused(f"more than {limits.members} files were to be read back", where=where)
        if not header.regular:
            source.skip(header.size)
            continue
        if header.size > limits.file:
            raise ArchiveRefused(
                f"the file {header.name!r} is larger than {limits.file // MEBIBYTE} MiB",
                where=where,
                hint="read back a smaller file, or a folder without it",
            )
        files[_checked(header.name, where)] = source.take_padded(header.size)
    return files


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    size: int
    regular: bool


class _Source:
    """A byte stream with a budget."""

    def __init__(self, chunks: Iterable[bytes], budget: int, where: str) -> None:
        self._chunks = iter(chunks)
        self._buffer = bytearray()
        self._budget = budget
        self.where = where

    def take(self, size: int) -> bytes:
        """Exactly that many bytes. Raises ArchiveRefused at the end of the stream."""
        while len(self._buffer) < size:
            if not self._fill():
                raise ArchiveRefused("the archive ends too early", where=self.where)
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def take_padded(self, size: int) -> bytes:
        """A member's content; the padding after it is dropped."""
        content = self.take(size)
        self.skip_exactly(-size % _BLOCK)
        return content

    def skip(self, size: int) -> None:
        """Pass over a member's content and its padding."""
        self.skip_exactly(size + -size % _BLOCK)

    def skip_exactly(self, size: int) -> None:
        """Pass over bytes without keeping them."""
        while size > 0:
            if not self._buffer and not self._fill():
                raise ArchiveRefused("the archive ends too early", where=self.where)
            step = min(size, len(self._buffer))
            del self._buffer[:step]
            size -= step

    def _fill(self) -> bool:
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._budget -= len(chunk)
        if self._budget < 0:
            raise ArchiveRefused("what is to be read back is too large", where=self.where)
        self._buffer += chunk
        return True


def _headers(source: _Source) -> Iterator[_Header]:
    name: str | None = None
    size: int | None = None
    while True:
        block = source.take(_BLOCK)
        if not any(block):
            return
        _check_sum(block, source.where)
        kind = block[156:157]
        own_size = _number(block[124:136], source.where)
        if kind in (b"x", b"g", b"L", b"K"):
            if own_size > _MAX_HEADER:
                raise ArchiveRefused("an extended header of the archive is too large", where=source.where)
            content = source.take_padded(own_size)
            if kind == b"x":
                fields = _pax(content, source.where)
                name = fields.get("path", name)
                size = _decimal(fields["size"], source.where) if "size" in fields else size
            elif kind == b"L":
                name = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
            continue
        regular = kind in _REGULAR
        yield _Header(name or _name(block), (own_size if size is None else size), regular)
        name = size = None


def _name(block: bytes) -> str:
    name, prefix = block[:100].split(b"\0")[0], block[345:500].split(b"\0")[0]
    if prefix and block[257:263] == b"ustar\0":
        name = prefix + b"/" + name
    return name.decode("utf-8", "surrogateescape")


def _check_sum(block: bytes, where: str) -> None:
    expected = _number(block[148:156], where)
    if sum(block[:148]) + 8 * ord(" ") + sum(block[156:]) != expected:
        raise ArchiveRefused("a header of the archive is damaged", where=where)


def _number(field: bytes, where: str) -> int:
    """An octal number, or GNU's base-256 for large ones; never negative."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not all(digit in b"01234567" for digit in digits):
        raise ArchiveRefused("a number in a header of the archive is damaged", where=where)
    return int(digits or b"0", 8)


def _decimal(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise ArchiveRefused("a number in a header of the archive is damaged", where=where)
    return int(text)


def _pax(content: bytes, where: str) -> dict[str, str]:
    """The records ``<length> <key>=<value>\\n`` of an extended header."""
    fields: dict[str, str] = {}
    while content:
        length_text, space, _ = content[:24].partition(b" ")
        length = _decimal(length_text.decode("ascii", "replace"), where)
        record = content[len(length_text) + 1 : length]
        if not space or not len(length_text) + 2 < length <= len(content) or not record.endswith(b"\n"):
            raise ArchiveRefused("an extended header of the archive is damaged", where=where)
        key, _, value = record[:-1].partition(b"=")
        fields[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        content = content[length:]
    return fields


def _checked(name: str, where: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
        raise ArchiveRefused(f"the archive holds a path that leads outside: {name!r}", where=where)
    return str(path)
