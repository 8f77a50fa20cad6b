"""The index by folder id: what is written is read, and nothing that happens to the file is believed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.core.image import Repository
from orchestrator.gitops.git_index import TreeIndex, words_of, words_of_name

KEY, OTHER = TreeIndex.key("1" * 40, [("**", "*.yaml")]), TreeIndex.key("2" * 40, [("**", "*.yaml")])


@pytest.mark.parametrize(
    "content",
    [
        b"image: ghcr.io/acme/my-api:1\n",
        b"repository: acme/my-api\ntag: '1'\n",
        b'{"image":"ghcr.io/acme/my-api@sha256:' + b"0" * 64 + b'"}',
        b"my-api",
    ],
)
def test_a_file_that_names_the_image_holds_its_words(content: bytes) -> None:
    words = words_of_name(Repository.parse("ghcr.io/acme/my-api"))
    assert words is not None
    assert words <= words_of(content)


def test_other_words_are_not_taken_for_it() -> None:
    words = words_of_name(Repository.parse("ghcr.io/acme/my-api"))
    assert words is not None
    assert not words <= words_of(b"apiVersion: v1\nmyapi: MY-API my_apis\n")


def test_a_word_too_long_for_the_index_is_said_to_be_unknown() -> None:
    assert words_of_name(Repository.parse("ghcr.io/acme/" + "a" * 60)) is None


def test_what_is_asked_is_part_of_the_key() -> None:
    assert TreeIndex.key("1" * 40, [("*.yaml",)]) != TreeIndex.key("1" * 40, [("**", "*.yaml")])
    assert TreeIndex.key("1" * 40, [("a",), ("b",)]) == TreeIndex.key("1" * 40, [("b",), ("a",)])


def test_what_is_written_is_read_by_the_next_run(tmp_path: Path) -> None:
    with closing(TreeIndex(tmp_path / "index")) as index:
        index.add({KEY: frozenset({b"api", b"web"}), OTHER: frozenset()})
    with closing(TreeIndex(tmp_path / "index")) as index:
        assert index.words([KEY, OTHER, b"unknown"]) == {KEY: {b"api", b"web"}, OTHER: frozenset()}


def test_thousands_of_folders_are_asked_for_at_once(tmp_path: Path) -> None:
    entries = {b"%d" % number: frozenset({b"w%d" % number}) for number in range(3000)}
    with closing(TreeIndex(tmp_path / "index")) as index:
        index.add(entries)
        assert index.words(list(entries)) == entries


def _other_words(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE folders SET words = x'6f74686572'")


def _other_kinds(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE folders SET words = 7, hash = NULL")


def _garbage(path: Path) -> None:
    path.write_bytes(b"\xff" * 9000)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _other_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE folders RENAME COLUMN words TO letters")


@pytest.mark.parametrize("damage", [_other_words, _other_kinds, _garbage, _cut, _other_table])
def test_a_corrupted_index_is_dropped_and_made_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "index"
    with closing(TreeIndex(path)) as index:
        index.add({KEY: frozenset({b"api"})})
    damage(path)
    with closing(TreeIndex(path)) as index:
        assert index.words([KEY]) == {}
    with closing(TreeIndex(path)) as index:
        index.add({KEY: frozenset({b"api"})})
        assert index.words([KEY]) == {KEY: {b"api"}}


def test_writers_at_once_do_not_harm_each_other(tmp_path: Path) -> None:
    def write(number: int) -> None:
        with closing(TreeIndex(tmp_path / "index")) as index:
            for step in range(5):
                index.add({b"%d.%d" % (number, step): frozenset({b"own"}), KEY: frozenset({b"api"})})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    keys = [b"%d.%d" % (number, step) for number in range(8) for step in range(5)]
    with closing(TreeIndex(tmp_path / "index")) as index:
        assert index.words([KEY, *keys]) == {KEY: {b"api"}, **{key: {b"own"} for key in keys}}


def test_an_index_that_has_grown_too_big_is_begun_anew(tmp_path: Path) -> None:
    with closing(TreeIndex(tmp_path / "index", most_bytes=100_000)) as index:
        index.add({b"%d" % number: frozenset({b"x" * 40, b"%d" % number}) for number in range(3000)})
        index.add({KEY: frozenset({b"api"})})
        assert index.words([KEY, b"7"]) == {KEY: {b"api"}}


def test_a_folder_that_can_not_be_written_is_no_trouble(tmp_path: Path) -> None:
    with closing(TreeIndex(tmp_path / "no" / "such" / "folder")) as index:
        index.add({KEY: frozenset({b"api"})})
        assert index.words([KEY]) == {}
