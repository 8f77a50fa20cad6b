"""What a checkout tells of a commit: since where, which paths, and what a file was before."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.names import CommitId
from orchestrator.git.changed import difference, file_at
from tests.servers.git_repositories import git


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """``main`` with two commits, and a branch with two more that left it at the first one."""
    root = tmp_path / "app"
    (root / "api").mkdir(parents=True)
    git(tmp_path, "init", "-q", "-b", "main", str(root))
    commit(root, "api/x", "1\n")
    git(root, "checkout", "-q", "-b", "work")
    commit(root, "api/y", "1\n")
    commit(root, "api/z", "1\n")
    git(root, "checkout", "-q", "main")
    commit(root, "elsewhere", "1\n")
    git(root, "checkout", "-q", "work")
    return root


def commit(root: Path, path: str, text: str) -> str:
    (root / path).write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", path)
    return git(root, "rev-parse", "HEAD")


def test_a_base_is_compared_at_the_fork(checkout: Path) -> None:
    found = difference(checkout, "main", None, ci=True)
    assert found.paths == {"api/y", "api/z"}
    assert str(found.base) == git(checkout, "merge-base", "main", "work")


def test_a_base_that_only_the_remote_has_is_found_there(checkout: Path) -> None:
    git(checkout, "update-ref", "refs/remotes/origin/release", "main")
    assert difference(checkout, "release", None, ci=True).paths == {"api/y", "api/z"}


@pytest.mark.parametrize("base", ["nowhere", "--output=/tmp/x", "1" * 40, "main..work"])
def test_a_base_that_is_not_there_is_told_and_not_guessed(checkout: Path, base: str) -> None:
    found = difference(checkout, base, None, ci=False)
    assert (found.paths, found.base) == (None, None)
    assert base in found.reason


def test_histories_that_never_met_have_no_fork(checkout: Path) -> None:
    git(checkout, "checkout", "-q", "--orphan", "other")
    git(checkout, "commit", "-q", "-m", "Other")
    assert difference(checkout, "main", None, ci=False).paths is None


def test_a_person_is_told_what_the_last_commit_changes(checkout: Path) -> None:
    assert difference(checkout, None, None, ci=False).paths == {"api/z"}


def test_a_job_that_does_not_know_guesses_nothing(checkout: Path) -> None:
    assert difference(checkout, None, None, ci=True).paths is None
    assert difference(checkout, None, "0" * 40, ci=True).reason == "the branch is new"
    assert "fetch the whole history" in difference(checkout, None, "1" * 40, ci=True).reason


def test_a_folder_of_a_monorepo_sees_its_own_paths(checkout: Path) -> None:
    assert difference(checkout / "api", "main", None, ci=True).paths == {"y", "z"}


def test_a_file_is_told_as_it_was(checkout: Path) -> None:
    before = CommitId(git(checkout, "rev-parse", "HEAD"))
    commit(checkout, "api/x", "2\n")
    assert file_at(checkout, before, "api/x") == b"1\n"
    assert file_at(checkout / "api", before, "x") == b"1\n"
    assert file_at(checkout, before, "api/never") is None
    assert file_at(checkout, CommitId("1" * 40), "api/x") is None
