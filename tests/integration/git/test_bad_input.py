"""Repositories and servers that are missing, broken, odd or huge: a clear error, or correct work."""

from __future__ import annotations

import functools
import os
import shutil
import threading
import zlib
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, HybridCIError, RemoteError
from orchestrator.core.names import CommitId, RemoteURL, RepoPath
from orchestrator.git.failures import Failure, RemoteFailure
from orchestrator.gitops.base import Landed
from orchestrator.gitops.repository import GitRepository
from tests.integration.git.worlds import API, BOT, FILES, MAIN, served
from tests.servers.git_faults import UPLOAD_REFS
from tests.servers.git_http import serving
from tests.servers.git_repositories import Content, commit_files, git, make_bare


def test_a_repository_that_does_not_exist_is_explained(tmp_path: Path) -> None:
    with serving(tmp_path) as server, GitRepository(RemoteURL(server.url("no.git")), patience=3) as client:
        with pytest.raises(RemoteError) as error:
            client.tips([MAIN])
        assert "not found" in error.value.message
    with GitRepository(RemoteURL(str(tmp_path / "no.git")), patience=3) as client, pytest.raises(RemoteError) as error:
        client.tips([MAIN])
    assert "not found" in error.value.message


def test_an_empty_repository_has_no_tips_but_can_be_written(tmp_path: Path) -> None:
    make_bare(tmp_path / "empty.git")
    with serving(tmp_path) as server, GitRepository(RemoteURL(server.url("empty.git")), patience=3) as client:
        assert client.tips([MAIN]) == {}
        client.check_push(MAIN)
    assert git(tmp_path / "empty.git", "for-each-ref") == ""


def test_broken_objects_are_reported_with_their_id(tmp_path: Path) -> None:
    with served(tmp_path) as world, world.client() as client:
        blob = git(world.bare, "rev-parse", f"{MAIN}:{API}")
        for pack in (world.bare / "objects/pack").glob("*.pack"):
            data = pack.read_bytes()
            for part in (pack, pack.with_suffix(".idx")):
                part.unlink()
            git(world.bare, "unpack-objects", "-q", stdin=data)
        path = world.bare / "objects" / blob[:2] / blob[2:]
        path.chmod(0o644)
        path.write_bytes(zlib.compress(b"blob 3\0bad"))
        with pytest.raises(HybridCIError) as error:
            client.files(world.tip, [API.value])
    assert error.value.exit_code == 5


def test_lfs_pointers_are_read_as_they_are(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"
    files: dict[str, Content] = {"big.yaml": pointer, ".gitattributes": b"*.yaml filter=lfs\n"}
    with served(tmp_path, files) as world, world.client() as client:
        assert client.files(world.tip, ["big.yaml"]) == {RepoPath("big.yaml"): pointer}


@pytest.mark.scenario(number=100)
def test_a_hundred_thousand_files_in_one_folder(tmp_path: Path) -> None:
    """One of them is read and changed: the others cost their names, nothing more."""
    with served(tmp_path, {}) as world:
        blob = git(world.bare, "hash-object", "-w", "--stdin", stdin=b"x: 1\n")
        listing = "".join(f"100644 blob {blob}\tservice-{number:06}.yaml\n" for number in range(100_000))
        tree = git(world.bare, "mktree", stdin=listing.encode())
        root = git(world.bare, "mktree", stdin=f"040000 tree {tree}\tapps\n".encode())
        tip = CommitId(git(world.bare, "commit-tree", root, "-m", "Many"))
        git(world.bare, "update-ref", MAIN.value, tip.value)
        path = RepoPath("apps/service-077777.yaml")
        with world.client() as client:
            assert client.files(tip, [path.value]) == {path: b"x: 1\n"}
            new = client.commit(tip, {path: b"x: 2\n"}, "One of many")
            assert client.push(BOT, new, None) == Landed(new)
        assert git(world.bare, "diff-tree", "-r", "--name-only", tip.value, new.value) == path.value
        assert world.server.bytes_received < 100_000  # what we sent: the tree goes as a delta


def test_names_that_nothing_should_have_are_left_alone(tmp_path: Path) -> None:
    """A tree can hold names that no checkout would accept; they are nobody's manifest."""
    with served(tmp_path, {}) as world:
        git(world.bare, "config", "receive.fsckObjects", "false")
        blob = git(world.bare, "hash-object", "-w", "--stdin", stdin=b"x\n")
        entries = b"".join(
            b"100644 " + name + b"\0" + bytes.fromhex(blob) for name in (b"..", b".git", b"a\\b", b"ok.yaml")
        )
        root = git(world.bare, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=entries)
        tip = CommitId(git(world.bare, "commit-tree", root, "-m", "Hostile names"))
        git(world.bare, "update-ref", MAIN.value, tip.value)
        with world.client() as client:
            assert {path.value for path in client.files(tip, ["**"])} == {"ok.yaml", "a\\b"}


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[str]:
    """A plain file server: git's dumb protocol."""
    handler = functools.partial(_QuietFiles, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class _QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""


def test_a_dumb_server_is_read_and_its_refusal_to_be_written_is_explained(tmp_path: Path, file_server: str) -> None:
    bare = make_bare(tmp_path / "dumb.git")
    first = CommitId(commit_files(bare, dict(FILES)))
    tip = CommitId(commit_files(bare, {"README.md": b"second\n"}))
    git(bare, "repack", "-adq")
    git(bare, "update-server-info")
    with GitRepository(RemoteURL(f"{file_server}/dumb.git"), patience=3, workdir=tmp_path) as client:
        assert client.tips([MAIN]) == {MAIN: tip}
        assert client.files(tip, ["README.md"]) == {RepoPath("README.md"): b"second\n"}
        assert [info.id for info in client.commits(first, tip)] == [tip]
        with pytest.raises(RemoteError) as error:
            client.check_push(MAIN)
        assert "takes no pushes" in error.value.message
        new = client.commit(tip, {API: b"new\n"}, "Release")
        with pytest.raises(RemoteError, match="takes no pushes"):
            client.push(BOT, new, None)
    assert error.value.exit_code == 5


def test_a_page_that_comes_instead_of_a_repository_is_told_as_such(tmp_path: Path, file_server: str) -> None:
    (tmp_path / "page.git/info").mkdir(parents=True)
    (tmp_path / "page.git/info/refs").write_text("<html>\nplease log in\n</html>\n")
    client = GitRepository(RemoteURL(f"{file_server}/page.git"), patience=3, workdir=tmp_path)
    with client, pytest.raises(RemoteFailure) as error:
        client.tips([MAIN])
    assert error.value.failure is Failure.MISSING


def test_a_server_that_cannot_cut_history_is_read_whole(tmp_path: Path) -> None:
    with served(tmp_path, protocol_v2=False) as world, world.client() as client:
        world.server.fail("no_shallow", UPLOAD_REFS, times=100)
        tip = CommitId(commit_files(world.bare, {"README.md": b"second\n"}))
        assert client.files(tip, ["README.md"]) == {RepoPath("README.md"): b"second\n"}
        assert [info.id for info in client.commits(world.tip, tip)] == [tip]
        new = client.commit(tip, {API: b"new\n"}, "Release")
        assert client.push(BOT, new, None) == Landed(new)


def test_a_dumb_server_that_points_elsewhere_sends_us_nowhere(tmp_path: Path, file_server: str) -> None:
    """Its alternates are a redirect by another name: the objects that only they have are not fetched."""
    other_root = tmp_path / "other"
    bare, other = make_bare(tmp_path / "dumb.git"), make_bare(other_root / "other.git")
    tip = CommitId(commit_files(other, dict(FILES)))
    git(bare, "fetch", "--quiet", str(other), f"{MAIN}:{MAIN}")
    git(bare, "update-server-info")
    for kept in (bare / "objects").glob("??"):
        shutil.rmtree(kept)
    for pack in (bare / "objects/pack").iterdir():
        pack.unlink()
    with serving(other_root) as elsewhere:
        (bare / "objects/info/http-alternates").write_text(f"{elsewhere.url('other.git')}/objects\n")
        client = GitRepository(RemoteURL(f"{file_server}/dumb.git"), patience=1, workdir=tmp_path)
        with client, pytest.raises(RemoteError) as error:
            client.files(tip, ["README.md"])
        assert elsewhere.requests == []
    assert error.value.exit_code == 5


def test_git_missing_is_a_configuration_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.git.command import git_version

    git_version.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        with GitRepository(RemoteURL("/somewhere"), workdir=tmp_path) as client, pytest.raises(ConfigurationError) as e:
            client.tips([MAIN])
        assert e.value.exit_code == 2
    finally:
        git_version.cache_clear()


def test_git_too_old_is_a_configuration_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.git.command import git_version

    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\necho git version 2.17.1\n")
    fake.chmod(0o755)
    git_version.cache_clear()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    try:
        with GitRepository(RemoteURL("/somewhere"), workdir=tmp_path) as client, pytest.raises(ConfigurationError) as e:
            client.tips([MAIN])
        assert "2.17.1" in e.value.message
    finally:
        git_version.cache_clear()
