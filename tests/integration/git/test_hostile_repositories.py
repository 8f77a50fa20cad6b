"""Repositories made to hurt: nothing of them runs, nothing is written outside, and what can't be read is said."""

from __future__ import annotations

import functools
import os
import threading
import zlib
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, HybridCIError, RemoteError
from orchestrator.core.names import BranchName, CommitId, InvalidName, RefName, RemoteURL, RepoPath
from orchestrator.git.source import read_source
from orchestrator.gitops.base import Landed, Unreadable
from orchestrator.gitops.repository import GitRepository
from tests.integration.git.worlds import API, BOT, FILES, MAIN, served
from tests.servers.git_http import serving
from tests.servers.git_repositories import Content, Link, Submodule, commit_files, git, make_bare


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that a command of a hostile repository would make."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), f"something ran: {path.read_text()}"


def _hostile_files(canary: Path) -> dict[str, Content]:
    run = f"sh -c 'echo ran >> {canary}'"
    return {
        **FILES,
        # an embedded bare repository with commands in its configuration
        "apps/api/embedded.git/HEAD": b"ref: refs/heads/main\n",
        "apps/api/embedded.git/config": f'[core]\n\tbare = true\n\tfsmonitor = "{run}"\n\thooksPath = hooks\n'.encode(),
        "apps/api/embedded.git/objects/x": b"",
        "apps/api/embedded.git/refs/x": b"",
        "apps/api/embedded.git/hooks/post-checkout": f"#!/bin/sh\n{run}\n".encode(),
        # filters, LFS, submodules
        ".gitattributes": b"* filter=evil diff=evil merge=evil text eol=crlf working-tree-encoding=UTF-16\n",
        ".lfsconfig": b"[lfs]\n\turl = http://127.0.0.1:1/steal\n",
        ".gitmodules": f'[submodule "x\r"]\n\tpath = "x\r"\n\turl = ext::{run}\n'.encode(),
        "sub": Submodule(),
        # ways out
        "apps/api/prod/out.yaml": Link("/etc/passwd"),
        "apps/out": Link("../../../../../../tmp"),
    }


@pytest.mark.parametrize("how", ["http", "file"])
def test_hostile_repo_zoo_executes_nothing(tmp_path: Path, canary: Path, how: str) -> None:
    with served(tmp_path, _hostile_files(canary)) as world:
        url = world.url if how == "http" else RemoteURL(str(world.bare))
        work = tmp_path / "work"
        work.mkdir()
        before = sorted(tmp_path.iterdir())
        with GitRepository(url, patience=5, workdir=work) as client:
            found = client.files(world.tip, ["**"])
            assert found[RepoPath("README.md")] == b"read me\n"  # no filter, no encoding, no CRLF
            assert RepoPath("apps/api/prod/out.yaml") not in found
            new = client.commit(world.tip, {API: b"new\n", RepoPath(".gitattributes"): b"* text\n"}, "Release")
            assert client.push(BOT, new, None) == Landed(new)
            client.commits(world.tip, new)
            assert not list(client._home.rglob("post-checkout"))
        assert list(work.iterdir()) == []
        assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("apps/api/prod/out.yaml", "apps/api/prod/out.yaml"),
        ("apps/out/x.yaml", "apps/out/*.yaml"),
        ("sub/x.yaml", "sub/**"),
    ],
)
def test_symlinked_manifest_symlinked_parent_and_gitlink_in_path_are_refused(
    tmp_path: Path, canary: Path, path: str, pattern: str
) -> None:
    with served(tmp_path, _hostile_files(canary)) as world, world.client() as client:
        with pytest.raises(Unreadable) as read:
            client.files(world.tip, [pattern])
        with pytest.raises(Unreadable) as written:
            client.commit(world.tip, {RepoPath(path): b"x"}, "Try")
        for error in (read, written):
            assert error.value.exit_code == 4
            assert error.value.where and path.startswith(error.value.where)


_INJECTIONS = [
    "--upload-pack=touch CANARY", "-u touch CANARY", "--exec=touch CANARY", "-oProxyCommand=touch CANARY",
    "ext::sh -c touch% CANARY", "fd::17", "ssh://-oProxyCommand=touch CANARY/x", "file://x\n--upload-pack=touch",
    "https://host/x\0y", "http::https://h/x", "git://host/x", "host:path", "-host:path", "--output=CANARY",
    "https://h/x --upload-pack=touch CANARY\r", "javascript://h/x", "transport::address", "../relative",
]  # fmt: skip


@pytest.mark.parametrize("text", _INJECTIONS)
def test_git_argument_injection_corpus_runs_nothing(tmp_path: Path, canary: Path, text: str) -> None:
    hostile = text.replace("CANARY", str(canary))
    with pytest.raises(ConfigurationError):
        GitRepository(RemoteURL(hostile), workdir=tmp_path)
    for kind in (RefName, BranchName, CommitId):
        if kind is BranchName and hostile in ("git://host/x", "../relative"):
            continue
        with pytest.raises(InvalidName):
            kind(hostile)


@pytest.mark.parametrize("host", ["--upload-pack=touch", "$(touch x)", "`touch x`", ";touch x"])
def test_hosts_and_paths_that_look_like_commands_reach_no_shell(tmp_path: Path, canary: Path, host: str) -> None:
    url = f"git@git.example:{host.replace('touch', f'touch {canary} #')}"
    with pytest.raises(HybridCIError), GitRepository(RemoteURL(url), patience=1, workdir=tmp_path) as client:
        client.tips([MAIN])


def test_hostile_ref_names_never_reach_argv_unqualified(tmp_path: Path, canary: Path) -> None:
    """Refs that the server has and that look like options come and go as data."""
    with served(tmp_path) as world:
        for name in (f"refs/heads/--output={canary}", "refs/heads/-f", "refs/heads/$(touch_x)", "refs/tags/--exec=x"):
            git(world.bare, "update-ref", name, world.tip.value)
        with world.client() as client:
            hostile = RefName("refs/heads/-f")
            assert client.tips([MAIN, hostile]) == {MAIN: world.tip, hostile: world.tip}
            new = client.commit(world.tip, {API: b"x"}, "Try")
            assert client.push(hostile, new, world.tip) == Landed(new)


# --- a user's own checkout -----------------------------------------------------------------------------------------


def test_a_hostile_checkout_runs_nothing_when_its_commit_is_read(tmp_path: Path, canary: Path) -> None:
    checkout = tmp_path / "app"
    checkout.mkdir()
    git(checkout, "init", "--quiet", "--initial-branch=main")
    (checkout / "file").write_text("1\n")
    (checkout / ".gitattributes").write_text("* filter=evil diff=evil\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "First\n\nbody")
    run = f"sh -c 'echo ran >> {canary}'"
    hook = checkout / ".git/hooks/post-index-change"
    hook.write_text(f"#!/bin/sh\n{run}\n")
    hook.chmod(0o755)
    include = tmp_path / "included"
    include.write_text(f'[filter "included"]\n\tclean = "{run}"\n\trequired = true\n')
    with (checkout / ".git/config").open("a") as config:
        config.write(
            f'[core]\n\tfsmonitor = "{run}"\n\tsshCommand = "{run}"\n\tpager = "{run}"\n\teditor = "{run}"\n'
            f'[filter "evil"]\n\tclean = "{run}"\n\tprocess = "{run}"\n\trequired = true\n'
            f'[diff "evil"]\n\ttextconv = "{run}"\n[diff]\n\texternal = "{run}"\n'
            f'[log]\n\tshowSignature = true\n[gpg]\n\tprogram = "{run}"\n[credential]\n\thelper = "!{run}"\n'
            f'[include]\n\tpath = {include}\n[remote "origin"]\n\turl = https://u:canary-secret@git.example/acme/app.git\n'
            f'\tuploadpack = "{run}"\n[alias]\n\tstatus = "!{run}"\n'
        )
    (checkout / "file").write_text("2\n")  # now git has to look at the content
    os.utime(checkout / "file", (1, 1))
    source = read_source(checkout)
    assert source.dirty
    assert source.remote == "https://git.example/acme/app.git"
    assert (source.branch, source.subject, source.first_parent_count) == ("main", "First", 1)


def test_a_poisoned_environment_does_not_move_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "app"
    checkout.mkdir()
    git(checkout, "init", "--quiet", "--initial-branch=main")
    git(checkout, "commit", "--quiet", "--allow-empty", "-m", "Mine")
    other = make_bare(tmp_path / "other.git")
    commit_files(other, {"x": b"1"}, message="Not mine")
    monkeypatch.setenv("GIT_DIR", str(other))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    monkeypatch.setenv("GIT_COMMON_DIR", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    source = read_source(checkout)
    assert (source.subject, source.dirty, source.branch) == ("Mine", False, "main")


# --- bad input -----------------------------------------------------------------------------------------------------


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
