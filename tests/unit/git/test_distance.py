"""How far two commits of the application are from each other, as its checkout tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.names import CommitId
from orchestrator.git.distance import distance_in
from tests.servers.git_repositories import git


@pytest.fixture
def checkout(tmp_path: Path) -> tuple[Path, list[CommitId]]:
    """Four commits in a row, and one beside the last two."""
    git(tmp_path, "init", "-q", "-b", "main")
    commits = []
    for number in range(4):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", str(number))
        commits.append(CommitId(git(tmp_path, "rev-parse", "HEAD")))
    git(tmp_path, "checkout", "-q", "-b", "side", commits[1].value)
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "beside")
    return tmp_path, [*commits, CommitId(git(tmp_path, "rev-parse", "HEAD"))]


def test_commits_are_counted_in_both_directions(checkout: tuple[Path, list[CommitId]]) -> None:
    folder, (first, second, _, last, _) = checkout
    distance = distance_in(folder)

    assert (distance(first, last), distance(last, second), distance(last, last)) == (3, -2, 0)


def test_what_diverged_is_absent_or_cut_off_has_no_distance(checkout: tuple[Path, list[CommitId]]) -> None:
    folder, (first, _, _, last, beside) = checkout
    git(folder, "clone", "-q", "--depth=1", f"file://{folder}", "shallow")

    assert distance_in(folder)(last, beside) is None
    assert distance_in(folder)(first, CommitId("1" * 40)) is None
    assert distance_in(folder / "shallow")(beside, beside) is None


def test_a_folder_without_a_repository_tells_nothing(tmp_path: Path) -> None:
    assert distance_in(tmp_path)(CommitId("1" * 40), CommitId("2" * 40)) is None
