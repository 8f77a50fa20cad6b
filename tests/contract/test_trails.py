"""What every GitOpsRepository tells of what commits changed."""

from __future__ import annotations

import pytest

from orchestrator.core.names import CommitId, RepoPath
from orchestrator.gitops.base import FileChange
from tests.contract.test_gitops_repository import World, world  # noqa: F401  (the fixture)
from tests.servers.git_repositories import Link

PROD = ["apps/*/prod/**"]
API = RepoPath("apps/api/prod/kustomization.yaml")


@pytest.fixture
def commits(world: World) -> list[CommitId]:  # noqa: F811
    """Five commits, oldest first."""
    return [
        world.seed({"README.md": b"1", API.value: b"1\n", "apps/api/dev/kustomization.yaml": b"1\n"}),
        world.seed({"README.md": b"2"}),
        world.seed({API.value: b"2\n", "apps/api/dev/kustomization.yaml": b"2\n"}),
        world.seed({"apps/web/prod/deep/er/values.yaml": b"web\n", "apps/web/prod/link": Link("deep")}),
        world.seed({API.value: None, "apps/web/prod/link": b"a file now\n"}),
    ]


def test_a_trail_tells_of_each_commit_what_it_changed(world: World, commits: list[CommitId]) -> None:  # noqa: F811
    steps = world.port.trail(commits[-1], PROD, 10)

    assert [step.commit.id for step in steps] == commits[::-1]
    assert [dict(step.files) for step in steps] == [
        {API: FileChange(b"2\n", None), RepoPath("apps/web/prod/link"): FileChange(None, b"a file now\n")},
        {RepoPath("apps/web/prod/deep/er/values.yaml"): FileChange(None, b"web\n")},
        {API: FileChange(b"1\n", b"2\n")},
        {},
        {API: FileChange(None, b"1\n")},
    ]
    assert all(step.merged is None for step in steps)


def test_a_trail_that_is_cut_still_tells_what_its_last_commit_changed(
    world: World,  # noqa: F811
    commits: list[CommitId],
) -> None:
    steps = world.port.trail(commits[-1], ["**/kustomization.yaml"], 3)

    assert [step.commit.id for step in steps] == commits[:1:-1]
    assert set(steps[-1].files) == {API, RepoPath("apps/api/dev/kustomization.yaml")}


def test_two_commits_are_compared_in_both_directions(world: World, commits: list[CommitId]) -> None:  # noqa: F811
    forward = world.port.between(commits[0], commits[2], ["apps"])
    backward = world.port.between(commits[2], commits[0], ["apps"])

    assert forward[API] == FileChange(b"1\n", b"2\n")
    assert backward == {path: FileChange(change.after, change.before) for path, change in forward.items()}
    assert world.port.between(commits[0], commits[1], ["apps"]) == {}
    assert world.port.between(commits[3], commits[3], ["**"]) == {}


def test_a_trail_can_be_asked_for_again_and_further(world: World, commits: list[CommitId]) -> None:  # noqa: F811
    first = world.port.trail(commits[-1], PROD, 2)
    again = world.port.trail(commits[-1], PROD, 4)

    assert list(again[:2]) == list(first)
    assert len(again) == 4
