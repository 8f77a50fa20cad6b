"""Diffs, judged by ``git apply``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.change import FileEdit
from orchestrator.core.names import RepoPath
from orchestrator.reports.diff import readable, unified

NUMBERS = b"".join(b"line %d\n" % number for number in range(30))


def edit(path: str, before: bytes, after: bytes) -> FileEdit:
    return FileEdit(RepoPath(path), before, after)


def patched(folder: Path, edits: list[FileEdit]) -> list[bytes]:
    """What git makes of the files by the diff."""
    for one in edits:
        file = folder / os.fsdecode(one.path.value.encode("utf-8", "surrogateescape"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(one.before)
    patch = unified(edits).encode("utf-8", "surrogateescape")
    done = subprocess.run(["git", "apply", "-"], input=patch, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [(folder / os.fsdecode(one.path.value.encode("utf-8", "surrogateescape"))).read_bytes() for one in edits]


CONTENTS = {
    "one line": (b"image: a:1\n", b"image: a:2\n"),
    "in the middle": (NUMBERS, NUMBERS.replace(b"line 15\n", b"line fifteen\n")),
    "far apart": (NUMBERS, NUMBERS.replace(b"line 2\n", b"two\n").replace(b"line 28\n", b"twenty-eight\n")),
    "a line more": (b"a\nb\n", b"a\nx\nb\n"),
    "a line less": (b"a\nx\nb\n", b"a\nb\n"),
    "CRLF": (b"a: 1\r\nimage: a:1\r\nb: 2\r\n", b"a: 1\r\nimage: a:2\r\nb: 2\r\n"),
    "mixed line ends": (b"a\r\nb\nc\rd\n", b"a\r\nb2\nc\rd\n"),
    "a lone CR": (b"a\rb\rc\n", b"a\rB\rc\n"),
    "no final newline": (b"a\nimage: a:1", b"a\nimage: a:2"),
    "no final newline, far from the edit": (NUMBERS + b"end", NUMBERS.replace(b"line 3\n", b"three\n") + b"end"),
    "a final newline more": (b"a\nb", b"a\nb\n"),
    "a final newline less": (b"a\nb\n", b"a\nb"),
    "BOM": (b"\xef\xbb\xbfimage: a:1\n", b"\xef\xbb\xbfimage: a:2\n"),
    "UTF-8": ("name: größe\nimage: a:1\n".encode(), "name: größe\nimage: a:2\n".encode()),
    "Latin-1": (b"name: gr\xf6\xdfe\nimage: a:1\n", b"name: gr\xf6\xdfe\nimage: a:2\n"),
    "NUL": (b"a\0b\nimage: a:1\n", b"a\0b\nimage: a:2\n"),
    "line separators": ("a\u2028b\x85c\x0cd\nimage: a:1\n".encode(), "a\u2028b\x85c\x0cd\nimage: a:2\n".encode()),
    "trailing spaces": (b"image: a:1   \n\t\n   \n", b"image: a:2   \n\t\n   \n"),
    "dashes": (b"--- x\n+++ y\n@@ z\n-- a\n", b"--- x\n+++ y2\n@@ z\n-- b\n"),
    "to nothing but a line": (b"a\nb\nc\n", b"\n"),
    "escape sequences": (b"\x1b[31mred\nimage: a:1\n", b"\x1b[31mred\nimage: a:2\n"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_git_applies_the_diff(name: str, tmp_path: Path) -> None:
    before, after = CONTENTS[name]
    assert patched(tmp_path, [edit("envs/dev/app.yaml", before, after)]) == [after]


PATHS = [
    "app.yaml", "deep/er/app.yaml", "with space.yaml", " leading and trailing ", "größe.yaml", 'quo"te.yaml',
    "back\\slash.yaml", "tab\there.yaml", "new\nline.yaml", "new\n+++ b/evil.yaml", "bell\x07.yaml", "latin\udcf6.yaml",
    "a b/../".rstrip("/.") + "/c d.yaml", "-dash.yaml", "b/b/b.yaml", "a/a/a.yaml", "line\u2028sep.yaml",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_git_applies_the_diff_to_exactly_this_path(path: str, tmp_path: Path) -> None:
    assert patched(tmp_path, [edit(path, b"image: a:1\n", b"image: a:2\n")]) == [b"image: a:2\n"]
    assert sum(1 for file in tmp_path.rglob("*") if file.is_file()) == 1


def test_several_files_make_one_patch(tmp_path: Path) -> None:
    edits = [edit("a.yaml", b"1", b"2"), edit("b c.yaml", NUMBERS, NUMBERS[7:]), edit("d.yaml", b"x\r\n", b"y\r\n")]
    assert patched(tmp_path, edits) == [one.after for one in edits]


_bytes = st.lists(st.sampled_from([b"a", b"b: 1", b"\r", b"\n", b"\n", b"\xff", b" ", b"\t", b"--- x"]), max_size=20)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_bytes.map(b"".join), _bytes.map(b"".join))
def test_git_applies_any_diff(tmp_path: Path, before: bytes, after: bytes) -> None:
    if before and after and before != after:  # a pin never makes or empties a file
        assert patched(tmp_path, [edit("app.yaml", before, after)]) == [after]


def test_no_edit_is_no_diff() -> None:
    assert unified([]) == ""


def test_a_diff_reads_so() -> None:
    text = unified([edit("app.yaml", b"a: 1\nimage: a:1", b"a: 1\nimage: a:2")])
    assert text == (
        "--- a/app.yaml\n+++ b/app.yaml\n@@ -1,2 +1,2 @@\n a: 1\n"
        "-image: a:1\n\\ No newline at end of file\n+image: a:2\n\\ No newline at end of file\n"
    )


def test_on_a_terminal_nothing_in_a_diff_acts_on_it() -> None:
    diff = unified([edit("new\nline.yaml", b"\x1b[31mred\r\n\xff\n", "\x1b]0;title\x07\u202e\r\n".encode())])
    shown = readable(diff, terminal=True)
    assert not set(shown) & set("\x1b\x07\r\u202e\udcff")
    assert shown.count("\n") == diff.count("\n")
    assert readable(diff, terminal=False) == diff
