"""Paths that name much of a monorepo: what is read, what is remembered, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.core.image import Repository
from orchestrator.engine.events import SilentReporter
from orchestrator.gitops.base import Naming
from orchestrator.gitops.repository import GitRepository
from tests.integration.git.worlds import MAIN, Served, served
from tests.servers.git_repositories import Content, commit_files

_APPLICATIONS = 120
_GLOB = "**/*.yaml"


class Heard(SilentReporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Keep it."""
        self.warnings.append(text)


def _file(number: int, environment: str = "prod") -> str:
    return f"apps/app-{number:03}/{environment}/kustomization.yaml"


def _content(number: int, tag: str = "1") -> bytes:
    return b"images:\n  - name: ghcr.io/acme/app-%03d\n    newTag: '%b'\n" % (number, tag.encode())


@pytest.fixture
def monorepo(tmp_path: Path) -> Iterator[Served]:
    files: dict[str, Content] = {
        _file(number, environment): _content(number)
        for number in range(_APPLICATIONS)
        for environment in ("prod", "dev")
    }
    with served(tmp_path, {**files, "charts/values.yaml": b"tag: '1'\n"}) as world:
        yield world


def _naming(number: int, *paths: str) -> Naming:
    return Naming(frozenset([Repository.parse(f"ghcr.io/acme/app-{number:03}")]), paths)


def _search(
    world: Served, naming: Naming | None, cache: Path | None = None, pattern: str = _GLOB
) -> tuple[set[str], list[str], int]:
    """The files that were found, what was said, and how many bytes came."""
    world.server.requests.clear()
    heard = Heard()
    with GitRepository(world.url, workdir=world.bare.parent, cache=cache, reporter=heard) as client:
        found = client.files(client.tips([MAIN])[MAIN], [pattern], naming)
    return {path.value for path in found}, heard.warnings, world.server.bytes_sent


def _cost(warnings: list[str]) -> tuple[int, int]:
    """Folders and files that were read, as the warning tells."""
    (warning,) = warnings
    words = warning.partition(": ")[2].split()
    return int(words[0]), int(words[3])


def test_a_bare_glob_finds_the_files_and_says_what_it_costs(monorepo: Served) -> None:
    found, warnings, _ = _search(monorepo, _naming(7))
    assert found == {_file(7), _file(7, "dev")}
    assert _cost(warnings) == (2 + 3 * _APPLICATIONS + 1, 2 * _APPLICATIONS + 1)
    assert "{application}" in warnings[0]


def test_a_narrow_path_costs_nothing_that_must_be_said(monorepo: Served) -> None:
    found, warnings, _ = _search(monorepo, _naming(7), pattern="apps/app-007/prod/**")
    assert (found, warnings) == ({_file(7)}, [])


def test_the_same_cost_is_said_once(monorepo: Served) -> None:
    heard = Heard()
    with GitRepository(monorepo.url, workdir=monorepo.bare.parent, reporter=heard) as client:
        for _ in range(3):
            client.files(monorepo.tip, [_GLOB], _naming(7))
    assert len(heard.warnings) == 1


def test_who_reads_everything_on_purpose_is_not_warned(monorepo: Served) -> None:
    heard = Heard()
    with GitRepository(monorepo.url, workdir=monorepo.bare.parent, reporter=heard) as client:
        client.files(monorepo.tip, [_GLOB])
    assert heard.warnings == []


def test_a_configured_place_is_read_although_it_names_no_image(monorepo: Served, tmp_path: Path) -> None:
    for _ in range(2):
        found, _, _ = _search(monorepo, _naming(7, "charts/*.yaml"), tmp_path / "cache")
        assert found == {_file(7), _file(7, "dev"), "charts/values.yaml"}


def test_unchanged_folders_are_not_searched_twice(monorepo: Served, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _search(monorepo, _naming(7), cache)
    for number in (7, 8):  # what was remembered serves every image
        found, warnings, received = _search(monorepo, _naming(number), cache)
        assert found == {_file(number), _file(number, "dev")}
        assert warnings == []
        assert received < 1000
    found, warnings, _ = _search(monorepo, _naming(_APPLICATIONS), cache)
    assert (found, warnings) == (set(), [])


def test_no_file_is_read_where_nothing_changed(monorepo: Served, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _search(monorepo, _naming(7), cache)
    for pack in cache.rglob("objects/pack/*"):  # the index alone has to know
        pack.unlink()
    found, _, received = _search(monorepo, _naming(_APPLICATIONS), cache)
    assert found == set()
    assert received < 4000, "more than the commit and its upper folders came"


def test_a_changed_folder_is_searched_again_alone(monorepo: Served, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _search(monorepo, _naming(7), cache)
    commit_files(monorepo.bare, {_file(3): _content(7), _file(7): _content(50), "apps/app-999/new.yaml": _content(7)})
    found, warnings, received = _search(monorepo, _naming(7), cache)
    assert found == {_file(3), _file(7, "dev"), "apps/app-999/new.yaml"}
    assert warnings == []
    assert received < 4000
    assert _search(monorepo, _naming(50), cache)[0] == {_file(50), _file(50, "dev"), _file(7)}
    commit_files(monorepo.bare, {_file(3): None, "apps/app-999/new.yaml": None})
    assert _search(monorepo, _naming(7), cache)[0] == {_file(7, "dev")}


def test_another_pattern_is_another_question(monorepo: Served, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    _search(monorepo, _naming(7), cache)
    assert _search(monorepo, _naming(7), cache, "apps/*/prod/*.yaml")[0] == {_file(7)}
    assert _search(monorepo, _naming(7), cache, "apps/**")[0] == {_file(7), _file(7, "dev")}


@pytest.mark.parametrize("damage", [b"", b"\xff" * 9000, b"SQLite format 3\0" + b"\0" * 4096])
def test_a_corrupted_index_changes_no_answer(monorepo: Served, tmp_path: Path, damage: bytes) -> None:
    cache = tmp_path / "cache"
    _search(monorepo, _naming(7), cache)
    (index,) = cache.rglob("index.sqlite")
    index.write_bytes(damage)
    for _ in range(2):
        assert _search(monorepo, _naming(7), cache)[0] == {_file(7), _file(7, "dev")}
    assert _search(monorepo, _naming(8), cache)[1] == [], "the index was not made again"


def test_many_searches_share_one_index(monorepo: Served, tmp_path: Path) -> None:
    def search(number: int) -> bool:
        with GitRepository(monorepo.url, workdir=monorepo.bare.parent, cache=tmp_path / "cache") as client:
            found = client.files(client.tips([MAIN])[MAIN], [_GLOB], _naming(number))
        return {path.value for path in found} == {_file(number), _file(number, "dev")}

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(search, range(12)))
    assert _search(monorepo, _naming(5), tmp_path / "cache")[1] == []
