"""Making a local forge, and what its server hook lets through."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, Conflict, Refused
from orchestrator.core.names import BranchName, CommitId, RefName, RemoteURL, RepoPath
from orchestrator.forges.base import Guarding, PullRequestDraft
from orchestrator.forges.local import LocalForge
from orchestrator.forges.local_setup import HOOK
from orchestrator.gitops.repository import GitRepository
from tests.servers.git_repositories import commit_files, git, make_bare

MAIN = RefName("refs/heads/main")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A local forge with one commit on main, and a person's clone with one more."""
    path = tmp_path / "gitops.git"
    LocalForge.init(path)
    commit_files(path, {"a.yaml": b"old\n"})
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(path), str(clone))
    (clone / "a.yaml").write_text("new\n")
    git(clone, "commit", "--quiet", "--all", "--message", "Change")
    return path


@pytest.fixture
def clone(bare: Path) -> Path:
    """The person's clone."""
    return bare.parent / "clone"


def push(clone: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Push as a person does."""
    return subprocess.run(
        ["git", *arguments], cwd=clone, capture_output=True, text=True, check=False, env=os.environ | environment
    )


def tip(bare: Path, ref: str = "refs/heads/main") -> str:
    return git(bare, "for-each-ref", "--format=%(objectname)", ref)


# --- init ----------------------------------------------------------------------------------------------------------


def test_a_new_forge_is_an_empty_bare_repository_whose_head_is_the_base(tmp_path: Path) -> None:
    LocalForge.init(tmp_path / "deep/gitops.git", "trunk")
    bare = tmp_path / "deep/gitops.git"
    assert git(bare, "rev-parse", "--is-bare-repository") == "true"
    assert git(bare, "symbolic-ref", "HEAD") == "refs/heads/trunk"
    assert LocalForge(bare).list() == []
    LocalForge(bare).check_access()


def test_init_again_keeps_everything(bare: Path) -> None:
    commit_files(bare, {"a.yaml": b"new\n"}, ref="refs/heads/x", parent=tip(bare))
    forge = LocalForge(bare)
    opened = forge.open(PullRequestDraft("t", "", BranchName("x"), BranchName("main")))
    config = (bare / "config").read_text()
    LocalForge.init(bare)
    assert forge.list() == [opened]
    assert (bare / "config").read_text() == config
    assert (bare / "hooks/pre-receive").read_text() == HOOK


def test_init_with_another_base_protects_both(bare: Path, clone: Path) -> None:
    git(bare, "update-ref", "refs/heads/stable", tip(bare))
    LocalForge.init(bare, "stable")
    assert git(bare, "config", "--get-all", "hybrid-ci.protectedBranch").split() == ["main", "stable"]
    assert push(clone, "push", "origin", "HEAD:stable").returncode != 0
    assert push(clone, "push", "origin", "HEAD:main").returncode != 0


def test_an_existing_bare_repository_becomes_a_forge(tmp_path: Path) -> None:
    bare = make_bare(tmp_path / "old.git")
    commit = commit_files(bare, {"a.yaml": b"old\n"})
    with pytest.raises(ConfigurationError, match="not a local forge"):
        LocalForge(bare).check_access()
    LocalForge.init(bare).check_access()
    assert tip(bare) == commit


def test_init_sets_required_approvals_and_leaves_them_when_not_told(tmp_path: Path) -> None:
    bare = tmp_path / "gitops.git"
    assert LocalForge.init(bare, required_approvals=2).required_approvals() == 2
    assert LocalForge.init(bare).required_approvals() == 2
    assert LocalForge.init(bare, required_approvals=0).required_approvals() == 0


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="neither empty nor a bare repository"):
        LocalForge.init(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_checkout_is_left_alone(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(ConfigurationError, match="neither empty nor a bare repository"):
        LocalForge.init(tmp_path)
    with pytest.raises(ConfigurationError, match="not a bare Git repository"):
        LocalForge.init(tmp_path / ".git")


def test_a_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "gitops.git"
    file.write_text("mine")
    with pytest.raises(ConfigurationError, match="a file stands"):
        LocalForge.init(file)
    assert file.read_text() == "mine"


def test_a_hook_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    bare = make_bare(tmp_path / "old.git")
    hook = bare / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(Conflict, match="hook already") as caught:
        LocalForge.init(bare)
    assert caught.value.where == str(hook)
    assert hook.read_text() == "#!/bin/sh\nexit 0\n"


@pytest.mark.parametrize("name", ["missing.git", "file"])
def test_what_is_no_forge_is_said_to_be_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    forge = LocalForge(tmp_path / name)
    for ask in (forge.check_access, forge.list, lambda: forge.show(1), lambda: forge.close(1, "no")):
        with pytest.raises(ConfigurationError, match="no local forge") as caught:
            ask()
        assert "forge init" in str(caught.value.hint)


# --- the hook ------------------------------------------------------------------------------------------------------


def test_the_hook_is_plain_posix_shell() -> None:
    done = subprocess.run(["sh", "-n"], input=HOOK, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["push", "origin", "HEAD:main"],
        ["push", "--force", "origin", "HEAD:main"],
        ["push", "origin", ":main"],
        ["push", "--force-with-lease", "origin", "HEAD:refs/heads/main"],
        ["-c", "core.hooksPath=/dev/null", "push", "--no-verify", "origin", "HEAD:main"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_a_direct_push_to_the_base_is_refused_as_a_protected_branch(
    bare: Path, clone: Path, arguments: list[str]
) -> None:
    before = tip(bare)
    done = push(clone, *arguments)
    assert done.returncode != 0
    assert "Protected branch update failed for refs/heads/main" in done.stderr
    assert "must be made through a pull request" in done.stderr
    assert "(pre-receive hook declined)" in done.stderr
    assert tip(bare) == before


def test_a_pushers_global_hooks_path_does_not_switch_the_protection_off(bare: Path, clone: Path) -> None:
    config = bare.parent / "global"
    config.write_text("[core]\n\thooksPath = /dev/null\n")
    before = tip(bare)
    assert push(clone, "push", "origin", "HEAD:main", GIT_CONFIG_GLOBAL=str(config)).returncode != 0
    assert tip(bare) == before


def test_a_push_that_also_moves_the_base_is_refused_as_a_whole(bare: Path, clone: Path) -> None:
    assert push(clone, "push", "origin", "HEAD:main", "HEAD:feature").returncode != 0
    assert tip(bare, "refs/heads/feature") == ""


@pytest.mark.parametrize("ref", ["refs/heads/feature", "refs/heads/main2", "refs/heads/x/main", "refs/tags/main"])
def test_every_other_ref_can_be_pushed_moved_and_deleted(bare: Path, clone: Path, ref: str) -> None:
    assert push(clone, "push", "origin", f"HEAD^:{ref}").returncode == 0
    assert push(clone, "push", "--force", "origin", f"HEAD:{ref}").returncode == 0
    assert tip(bare, ref) == git(clone, "rev-parse", "HEAD")
    assert push(clone, "push", "origin", f":{ref}").returncode == 0
    assert tip(bare, ref) == ""


def test_the_first_push_fills_an_empty_forge_and_the_second_is_refused(bare: Path, clone: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.git"
    LocalForge.init(empty)
    assert push(clone, "push", str(empty), "HEAD^:refs/heads/main").returncode == 0
    assert push(clone, "push", str(empty), "HEAD:refs/heads/main").returncode != 0
    assert tip(empty) == tip(bare)


@pytest.mark.parametrize("hidden", [True, False])
def test_the_forges_own_refs_cannot_be_pushed(bare: Path, clone: Path, hidden: bool) -> None:
    if not hidden:
        git(bare, "config", "--unset", "receive.hideRefs")
    done = push(clone, "push", "origin", "HEAD:refs/hybrid-ci/pulls/1")
    assert done.returncode != 0
    assert "local forge" in done.stderr
    assert tip(bare, "refs/hybrid-ci") == ""


def test_our_own_repository_adapter_is_refused_with_the_servers_words(bare: Path, tmp_path: Path) -> None:
    before = tip(bare)
    with GitRepository(RemoteURL(str(bare)), patience=10, workdir=tmp_path) as repository:
        commit = repository.commit(CommitId(before), {RepoPath("a.yaml"): b"new\n"}, "Change")
        with pytest.raises(Refused) as caught:
            repository.push(MAIN, commit, CommitId(before))
    assert any("Protected branch update failed" in line for line in caught.value.details)
    assert tip(bare) == before


def test_the_merge_of_the_forge_is_not_stopped_by_the_hook(bare: Path, clone: Path) -> None:
    assert push(clone, "push", "origin", "HEAD:feature").returncode == 0
    forge = LocalForge(bare)
    opened = forge.open(PullRequestDraft("t", "", BranchName("feature"), BranchName("main")))
    assert opened.head_commit is not None
    merged = forge.merge(opened.number, opened.head_commit)
    assert tip(bare) == str(merged.merge_commit)


def test_a_local_forge_says_which_branches_a_push_can_move(tmp_path: Path) -> None:
    forge = LocalForge.init(tmp_path / "gitops.git", "main")
    assert isinstance(forge, Guarding)
    assert forge.can_push(BranchName("main")) is False
    assert forge.can_push(BranchName("lab")) is True


def test_a_plain_repository_can_not_tell_which_branches_a_push_can_move(tmp_path: Path) -> None:
    assert LocalForge(tmp_path).can_push(BranchName("main")) is None
