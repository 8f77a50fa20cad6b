"""How often the server is asked, and for how much: where refs are comes together with what is new of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.names import CommitId, RefName, RemoteURL, RepoPath
from orchestrator.git.failures import RemoteFailure
from orchestrator.git.remote import Remote
from orchestrator.git.store import ObjectStore
from orchestrator.gitops.base import Landed
from tests.integration.git.worlds import API, BOT, MAIN, Served
from tests.servers.git_faults import RECEIVE_REFS, UPLOAD, UPLOAD_REFS
from tests.servers.git_repositories import commit_files, git

README = RepoPath("README.md")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def _asked(world: Served) -> int:
    """Requests since the last time."""
    count = len(world.server.requests)
    world.server.requests.clear()
    return count


def test_the_tip_and_its_upper_folders_come_with_one_fetch(world: Served) -> None:
    with world.client() as client:
        tips = client.tips([MAIN, BOT])
        assert tips == {MAIN: world.tip}
        assert _asked(world) == 3
        assert client.files(world.tip, ["README.md"]) == {README: b"read me\n"}
        assert _asked(world) == 2  # the file; no more for the commit


def test_what_is_new_comes_as_a_difference(world: Served, cache: Path) -> None:
    others: dict[str, bytes] = {f"apps/app-{number:04}/k.yaml": b"%d" % number for number in range(2000)}
    commit_files(world.bare, {**others})
    with world.client(cache=cache) as client:
        client.files(client.tips([MAIN])[MAIN], ["apps/app-0001/**"])
    commit_files(world.bare, {"apps/app-0007/k.yaml": b"new"})
    world.server.requests.clear()
    with world.client(cache=cache) as client:
        assert client.files(client.tips([MAIN, BOT])[MAIN], ["apps/app-0001/**"])
    assert world.server.bytes_sent < 2500
    assert _asked(world) == 3


def test_the_same_run_gets_only_the_difference_after_a_lost_race(world: Served) -> None:
    commit_files(world.bare, {f"apps/app-{number:04}/k.yaml": b"%d" % number for number in range(2000)})
    with world.client() as client:
        client.files(client.tips([MAIN])[MAIN], ["README.md"])
        commit_files(world.bare, {"README.md": b"faster\n"})
        world.server.requests.clear()
        tip = client.tips([MAIN])[MAIN]
        assert world.server.bytes_sent < 2500
        assert client.files(tip, ["README.md"]) == {README: b"faster\n"}


def test_a_difference_to_a_folder_that_is_not_here_is_completed(world: Served, cache: Path) -> None:
    """The server takes it that we have the whole of the earlier commit."""
    many: dict[str, bytes] = {f"other/deep/folder/{number:04}.yaml": b"%d" % number for number in range(500)}
    commit_files(world.bare, {**many})
    with world.client(cache=cache) as client:
        client.files(client.tips([MAIN])[MAIN], ["README.md"])
    commit_files(world.bare, {"other/deep/folder/0250.yaml": b"new"})
    git(world.bare, "repack", "-adfq")
    with world.client(cache=cache) as client:
        found = client.files(client.tips([MAIN])[MAIN], ["other/**"])
    assert len(found) == 500
    assert found[RepoPath("other/deep/folder/0250.yaml")] == b"new"


def test_what_is_asked_of_the_server_does_not_grow_with_its_branches(world: Served, cache: Path) -> None:
    lines = "".join(f"create refs/heads/hybrid-ci/prod/web-{number} {world.tip}\n" for number in range(3000))
    git(world.bare, "update-ref", "--stdin", stdin=lines.encode())
    git(world.bare, "update-ref", BOT.value, world.tip.value)
    git(world.bare, "update-ref", f"{BOT}-worker", world.tip.value)
    for _ in range(2):
        world.server.requests.clear()
        with world.client(cache=cache) as client:
            assert client.tips([MAIN, BOT]) == {MAIN: world.tip, BOT: world.tip}
        assert world.server.bytes_sent < 2000


def test_a_branch_that_we_pushed_is_read_back_by_one_request(world: Served) -> None:
    with world.client() as client:
        new = client.commit(client.tips([MAIN])[MAIN], {API: b"new\n"}, "Release")
        assert client.push(BOT, new, None) == Landed(new)
        _asked(world)
        assert client.tips([BOT]) == {BOT: new}
        assert [request.kind for request in world.server.requests] == [RECEIVE_REFS]


@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_a_branch_that_is_not_ours_any_more_is_not_read_back_as_ours(world: Served, how: str) -> None:
    with world.client() as client:
        new = client.commit(client.tips([MAIN])[MAIN], {API: b"new\n"}, "Release")
        client.push(BOT, new, None)
        if how == "moved":
            other = CommitId(commit_files(world.bare, {"README.md": b"theirs\n"}, ref=BOT.value))
            assert client.tips([BOT]) == {BOT: other}
        else:
            git(world.bare, "update-ref", "-d", BOT.value)
            assert client.tips([BOT]) == {}


def test_a_read_back_that_fails_asks_again_otherwise(world: Served) -> None:
    with world.client() as client:
        new = client.commit(client.tips([MAIN])[MAIN], {API: b"new\n"}, "Release")
        client.push(BOT, new, None)
        world.server.fail("403", on=RECEIVE_REFS, times=2)
        assert client.tips([BOT]) == {BOT: new}


@pytest.mark.parametrize("on", [UPLOAD_REFS, UPLOAD])
@pytest.mark.parametrize("fault", ["503_before", "reset_before", "truncate"])
def test_a_look_that_fails_is_made_again_in_the_plain_way(world: Served, cache: Path, on: str, fault: str) -> None:
    for number in range(2):
        tip = CommitId(commit_files(world.bare, {"README.md": b"%d" % number}))
        world.server.fail(fault, on=on)
        with world.client(cache=cache) as client:
            assert client.tips([MAIN, BOT]) == {MAIN: tip}
            assert client.files(tip, ["README.md"]) == {README: b"%d" % number}


def test_a_difference_that_is_too_big_is_given_up(world: Served, tmp_path: Path) -> None:
    with world.client() as client:
        client.tips([MAIN])
    store = ObjectStore.create(tmp_path / "own.git")
    remote = Remote(RemoteURL(str(world.url)), store)
    noise = {f"folder-{number:05}/file": b"%d" % number for number in range(3000)}
    commit_files(world.bare, {**noise})
    with pytest.raises(RemoteFailure):
        remote.look([MAIN], 60.0, filter_spec="blob:none", most_bytes=20_000)
    assert remote.look([MAIN], 60.0, filter_spec="blob:none", most_bytes=20_000_000).keys() == {MAIN}
    store.close()


def test_another_branch_with_a_history_of_its_own_is_not_taken_for_a_difference(world: Served) -> None:
    environment = RefName("refs/heads/env/prod")
    for number in range(50):
        commit_files(world.bare, {f"noise-{number}": b"x"}, ref=environment.value, parent=None if not number else "")
    with world.client() as client:
        client.tips([MAIN])
        tip = client.tips([environment])[environment]
        assert len(client.files(tip, ["noise-*"])) == 50
        cuts = (client._home / "objects-sha1-0.git/shallow").read_text().split()
    assert tip.value in cuts
