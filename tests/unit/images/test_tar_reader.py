"""Files come out of a container as a stream that is read and never extracted."""

from __future__ import annotations

import ast
import contextlib
import io
import tarfile
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.images.tar_reader import ArchiveRefused, ReadLimits, read_files

LIMITS = ReadLimits(file=10_000, total=100_000, members=50)
ROOT = Path(__file__).parents[3]


def archive(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def read(raw: bytes, step: int = 700, limits: ReadLimits = LIMITS) -> dict[str, bytes]:
    return read_files((raw[i : i + step] for i in range(0, len(raw), step)), limits, "/out")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("step", [1, 511, 512, 513, 100_000])
def test_files_are_read_in_every_format_and_rhythm(form: int, step: int) -> None:
    long = "folder/" * 15 + "file.xml"
    raw = archive((member("a.xml"), b"a"), (member(long), b"b" * 513), (member("empty"), b""), form=form)
    assert read(raw, step) == {"a.xml": b"a", long: b"b" * 513, "empty": b""}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_very_long_and_foreign_names_are_read(form: int) -> None:
    names = ["x" * 300, "grüße-" * 40, "a\nb"]
    raw = archive(*((member(name), name.encode()) for name in names), form=form)
    assert read(raw) == {name: name.encode() for name in names}


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, b"S", b"Z"],
)
def test_what_is_no_regular_file_is_passed_over(kind: bytes) -> None:
    raw = archive((member("evil", kind, "/etc/passwd"), b""), (member("good"), b"g"))
    assert read(raw) == {"good": b"g"}


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "..", "a/.."])
def test_a_path_that_leads_outside_is_refused(name: str) -> None:
    with pytest.raises(ArchiveRefused):
        read(archive((member(name), b"x")))


def header(**changes: bytes) -> bytes:
    """A header with fields replaced at their place, its checksum right again."""
    raw = bytearray(member("a").tobuf(tarfile.USTAR_FORMAT))
    places = {"size": 124, "type": 156, "name": 0}
    for field, value in changes.items():
        raw[places[field] : places[field] + len(value)] = value
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def pax(record: bytes) -> bytes:
    padded = record + bytes(-len(record) % 512)
    return header(type=b"x", size=b"%011o\0" % len(record)) + padded


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\1" * 512, id="noise"),
        pytest.param(b"x" * 100, id="half a block"),
        pytest.param(archive((member("a"), b"x" * 600))[:700], id="cut in a file"),
        pytest.param(archive((member("a"), b"x"))[:512], id="cut after a header"),
        pytest.param(header(size=b"\xff" * 12), id="negative size"),
        pytest.param(header(size=b"\x80" + b"\xff" * 11), id="enormous size"),
        pytest.param(header(size=b"-0000000001\0"), id="minus"),
        pytest.param(header(size=b"0x000000010\0"), id="hexadecimal"),
        pytest.param(header(type=b"x", size=b"77777777777\0"), id="enormous extended header"),
        pytest.param(header(type=b"L", size=b"77777777777\0"), id="enormous long name"),
        pytest.param(pax(b"9 size=-5\n") + header(), id="negative size in an extended header"),
        pytest.param(pax(b"99999 path=x\n") + header(), id="record longer than its header"),
        pytest.param(pax(b"0 path=x\n") + header(), id="record of no length"),
        pytest.param(pax(b"12 path=x\n") + header(), id="record of a wrong length"),
        pytest.param(pax(b"path=x\n") + header(), id="record without a length"),
        pytest.param(pax(b"1" * 5000) + header(), id="digits without end"),
        pytest.param(pax(b"13 path=../x\n") + header() + bytes(1024), id="a path outside by extended header"),
        pytest.param(pax(b"26 size=9999999999999999\n") + header(), id="enormous size in an extended header"),
    ],
)
def test_container_result_tar_corpus(raw: bytes) -> None:
    with pytest.raises(ArchiveRefused):
        read(raw)


def test_a_damaged_header_is_refused() -> None:
    raw = bytearray(archive((member("a"), b"x")))
    raw[0] ^= 1
    with pytest.raises(ArchiveRefused, match="damaged"):
        read(bytes(raw))


def _endless(block: bytes) -> Iterator[bytes]:
    yield header(size=b"00000001000\0")
    yield from repeat(block)


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(lambda: _endless(b"x" * 65536), id="content"),
        pytest.param(lambda: repeat(header(size=b"00000000000\0")), id="members"),
        pytest.param(lambda: repeat(pax(b"10 path=x\n")), id="extended headers"),
        pytest.param(lambda: repeat(header(type=b"5")), id="folders"),
    ],
)
def test_a_stream_without_end_is_cut(chunks: Callable[[], Iterator[bytes]]) -> None:
    with pytest.raises(ArchiveRefused):
        read_files(chunks(), LIMITS, "/out")


def test_a_large_file_is_refused_before_it_is_read() -> None:
    with pytest.raises(ArchiveRefused, match="larger"):
        read(archive((member("a"), b"x" * 10_001)))


def test_many_small_files_are_refused() -> None:
    with pytest.raises(ArchiveRefused):
        read(archive(*((member(f"f{n}"), b"") for n in range(51))))


@given(st.binary(max_size=3000))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    with contextlib.suppress(ArchiveRefused):
        read(raw)


@given(st.binary(min_size=1, max_size=40), st.integers(0, 3000))
def test_no_damage_breaks_the_reader(noise: bytes, at: int) -> None:
    raw = bytearray(archive((member("a"), b"a" * 600), (member("x" * 200), b"b")))
    raw[at : at + len(noise)] = noise
    with contextlib.suppress(ArchiveRefused):
        read(bytes(raw))


def test_no_extractall_in_source() -> None:
    """Nothing of ours unpacks an archive; the standard library's reader is not even opened."""
    found = [
        f"{path}:{node.lineno}"
        for folder in ("orchestrator", "pipelines")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("extractall", "extract", "unpack_archive", "extractfile", "open")
        and isinstance(node.value, ast.Name)
        and node.value.id in ("tarfile", "tar", "archive", "zipfile", "shutil")
    ]
    assert found == []
