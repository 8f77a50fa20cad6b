"""Repositories made to hurt: nothing of them runs, nothing is written outside, and what can't be read is said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, HybridCIError
from orchestrator.core.names import BranchName, CommitId, InvalidName, RefName, RemoteURL, RepoPath
from orchestrator.git.command import Transport, create_bare
from orchestrator.git.source import read_source
from orchestrator.gitops.base import Landed, Unreadable
from orchestrator.gitops.outcome import Opened
from orchestrator.gitops.repository import GitRepository
from tests.integration.git.handoffs import harbour
from tests.integration.git.worlds import API, BOT, FILES, MAIN, served
from tests.servers.git_repositories import Content, Link, Submodule, commit_files, git, make_bare
from tests.unit.gitops.changes import KUSTOMIZATION, POLICY, change


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
        "apps/api/embedded.git/config": b"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = tree\n"
        + f'\tfsmonitor = "{run}"\n'.encode(),
        "apps/api/embedded.git/tree/x": b"",
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


def test_the_zoo_bites_who_checks_it_out(tmp_path: Path) -> None:
    """Else the tests below would show nothing."""
    trap = tmp_path / "trap"
    bare = make_bare(tmp_path / "gitops.git")
    commit_files(bare, {**_hostile_files(trap), ".gitattributes": b"* filter=evil\n"})
    git(tmp_path, "clone", "--quiet", str(bare), "checkout")
    assert not trap.exists()
    git(tmp_path / "checkout/apps/api/embedded.git", "status")
    assert trap.read_text().startswith("ran")
    (tmp_path / "checkout/README.md").unlink()
    git(tmp_path / "checkout", "-c", f"filter.evil.smudge=echo smudged > {trap}", "checkout", "--", "README.md")
    assert trap.read_text() == "smudged\n"
    assert (tmp_path / "checkout/apps/api/prod/out.yaml").read_bytes() == Path("/etc/passwd").read_bytes()


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


def test_a_whole_handoff_into_a_zoo_runs_nothing_and_writes_nothing_outside(tmp_path: Path, canary: Path) -> None:
    root = tmp_path / "srv"
    with harbour(root) as port:
        animals = {name: content for name, content in _hostile_files(canary).items() if name not in FILES}
        animals |= {"apps/shop/dev/link.yaml": Link("/etc/passwd"), "apps/shop/dev/up": Link("../../../../../tmp")}
        animals |= {name.replace("apps/api/", "apps/shop/dev/"): content for name, content in animals.items()}
        base = commit_files(port.world.bare, animals)
        for name in (f"refs/heads/--output={canary}", "refs/heads/-f", "refs/heads/hybrid-ci/--exec=x", "refs/tags/-u"):
            git(port.world.bare, "update-ref", name, base)
        hooks = sorted((port.world.bare / "hooks").iterdir())
        before = sorted(tmp_path.iterdir()), sorted(root.iterdir())

        outcome = port.hand_off(change(2))

        assert isinstance(outcome, Opened)
        changed = git(port.world.bare, "diff-tree", "-r", "--name-only", base, outcome.commit.value).split()
        assert changed == ["apps/shop/dev/kustomization.yaml", "apps/shop/dev/worker.yaml"]
        assert (sorted(tmp_path.iterdir()), sorted(root.iterdir())) == before
        assert sorted((port.world.bare / "hooks").iterdir()) == hooks
        assert list(Path.home().iterdir()) == []


@pytest.mark.parametrize("linked", ["apps/shop/dev", "apps/shop", "apps"])
def test_an_environment_behind_a_symlink_is_refused_and_nothing_is_pushed(
    tmp_path: Path, canary: Path, linked: str
) -> None:
    outside = tmp_path / "outside" / "shop" / "dev"
    outside.mkdir(parents=True)
    (outside / "kustomization.yaml").write_bytes(KUSTOMIZATION)
    target = {"apps": "../outside", "apps/shop": "../../outside/shop", "apps/shop/dev": "../../../outside/shop/dev"}
    with harbour(tmp_path / "srv") as port:
        gone: dict[str, Content] = dict.fromkeys(git(port.world.bare, "ls-tree", "-r", "--name-only", "main").split())
        policy: dict[str, Content] = {name: POLICY for name in gone if name.startswith(".hybrid-ci/")}
        commit_files(port.world.bare, {**gone, **policy, linked: Link(target[linked])})
        with pytest.raises(Unreadable) as error:
            port.hand_off(change(2))
        assert port.pushes == 0
    assert (error.value.exit_code, error.value.where) == (4, linked)
    assert (outside / "kustomization.yaml").read_bytes() == KUSTOMIZATION


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


@pytest.mark.parametrize("scheme", ["ext", "fd", "git", "http"])
def test_git_itself_may_use_no_scheme_but_the_one_that_was_asked_for(tmp_path: Path, canary: Path, scheme: str) -> None:
    """The second line: should such a URL ever get past the type of URLs, or come from the repository's own settings."""
    store = create_bare(tmp_path / "private.git")
    command = f"sh -c touch% {canary}"
    hostile = {"ext": f"ext::{command}", "fd": "fd::17", "git": "git://127.0.0.1:1/x", "http": "http://127.0.0.1:1/x"}
    with (store.git_dir / "config").open("a") as config:
        config.write(f'[remote "origin"]\n\turl = {hostile[scheme]}\n')
    completed = store.run(["ls-remote", "origin"], check=False, transport=Transport(protocols=("https",)))
    assert "not allowed" in completed.error_text


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
