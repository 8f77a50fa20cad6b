"""The mirror that outlives a run: the next run fetches only what changed, and nothing that happens to it does harm."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import RepoPath
from orchestrator.gitops.base import Landed
from orchestrator.gitops.repository import GitRepository
from tests.integration.git.worlds import API, BOT, FILES, MAIN, Served
from tests.servers.git_faults import UPLOAD
from tests.servers.git_repositories import commit_files, git

README = RepoPath("README.md")


def _fetches(world: Served) -> int:
    """Packs that were asked for: listings are requests of the same kind, but small."""
    return sum(request.kind == UPLOAD and request.bytes_out > 400 for request in world.server.requests)


def _read(world: Served, cache: Path, path: str = "README.md") -> bytes:
    with world.client(cache=cache) as client:
        tip = client.tips([MAIN])[MAIN]
        return client.files(tip, [path])[RepoPath(path)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_the_second_run_fetches_nothing_when_nothing_changed(world: Served, cache: Path) -> None:
    assert _read(world, cache) == b"read me\n"
    world.server.requests.clear()
    assert _read(world, cache) == b"read me\n"
    assert len(world.server.requests) == 2  # one listing


def test_the_next_run_fetches_only_what_changed(world: Served, cache: Path) -> None:
    big = b"".join(b"%d\n" % (number * number) for number in range(100_000))
    commit_files(world.bare, {"big.bin": big})
    _read(world, cache)
    commit_files(world.bare, {"README.md": b"second\n"})
    world.server.requests.clear()
    assert _read(world, cache) == b"second\n"
    assert world.server.bytes_sent < 10_000
    assert _read(world, cache, "big.bin") == big


def test_a_handoff_by_the_mirror_lands(world: Served, cache: Path) -> None:
    for number in range(3):
        commit_files(world.bare, {"log": b"%d" % number})
        with world.client(cache=cache) as client:
            tips = client.tips([MAIN, BOT])
            assert client.files(tips[MAIN], ["apps/**"]).keys() == {RepoPath(path) for path in FILES if "/" in path}
            new = client.commit(tips[MAIN], {API: b"%d" % number}, "Release")
            assert client.push(BOT, new, tips.get(BOT)) == Landed(new)
            if BOT in tips:
                assert len(client.commits(tips[MAIN], tips[BOT])) == 1
    git(world.bare, "fsck", "--strict")


def test_a_branch_that_was_rewritten_is_no_trouble(world: Served, cache: Path) -> None:
    _read(world, cache)
    commit_files(world.bare, {"README.md": b"rewritten\n"}, parent=None)
    assert _read(world, cache) == b"rewritten\n"
    commit_files(world.bare, {"README.md": b"and on\n"})
    assert _read(world, cache) == b"and on\n"


@pytest.mark.parametrize("damage", ["garbage", "truncate", "empty index", "no packs", "one bit"])
def test_a_broken_mirror_is_dropped_and_made_again(world: Served, cache: Path, damage: str) -> None:
    _read(world, cache)
    _damage(cache, damage)
    for _ in range(3):
        assert _read(world, cache) == b"read me\n"
    commit_files(world.bare, {"README.md": b"second\n"})
    for _ in range(2):  # the damage may lie where only the fetch of the second commit looks
        assert _read(world, cache) == b"second\n"
    world.server.requests.clear()
    assert _read(world, cache) == b"second\n"
    assert len(world.server.requests) == 2, "the mirror was not made again"


def _damage(cache: Path, damage: str) -> None:
    packs = list(cache.rglob("*.pack"))
    assert packs
    for pack in packs:
        index = pack.with_suffix(".idx")
        data = bytearray(pack.read_bytes())
        kept = index.read_bytes()
        for path in (pack, index):
            path.unlink()
        match damage:
            case "garbage":
                pack.write_bytes(b"\xff" * len(data))
            case "truncate":
                pack.write_bytes(data[: len(data) // 2])
            case "one bit":
                data[len(data) // 2] ^= 1
                pack.write_bytes(data)
            case "empty index":
                pack.write_bytes(data)
        if damage == "empty index":
            index.write_bytes(b"")
        elif damage != "no packs":
            index.write_bytes(kept)


def test_many_runs_share_one_mirror(world: Served, cache: Path) -> None:
    def one(number: int) -> bool:
        with GitRepository(world.url, patience=30, workdir=world.bare.parent, cache=cache) as client:
            if number % 3 == 0:
                commit_files(
                    world.bare, {f"others/{number}": b"x"}, ref=f"refs/heads/o{number}", parent=world.tip.value
                )
            tip = client.tips([MAIN])[MAIN]
            assert client.files(tip, ["README.md"])[README] == b"read me\n"
            new = client.commit(tip, {API: b"%d" % number}, "Release")
            return isinstance(client.push(BOT.branch.__class__(f"bot/{number}").ref, new, None), Landed)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(16)))
    world.server.requests.clear()
    assert _read(world, cache) == b"read me\n"
    assert len(world.server.requests) == 2
    assert not list(cache.rglob("draft-*")) and not list(cache.rglob("tmp-*"))


def test_a_mirror_that_has_grown_long_is_replaced(world: Served, cache: Path) -> None:
    _read(world, cache)
    index = next(cache.rglob("*.idx"))
    for number in range(70):
        (index.parent / f"pack-{number:040}.idx").write_bytes(index.read_bytes())
    assert _read(world, cache) == b"read me\n"
    assert len(list(cache.rglob("pack"))) == 2
    world.server.requests.clear()
    assert _read(world, cache) == b"read me\n"
    assert len(world.server.requests) == 2


def test_a_cache_that_cannot_be_written_is_a_configuration_error(world: Served, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError):
        world.client(cache=tmp_path / "file" / "cache")
