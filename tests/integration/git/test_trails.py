"""What a trail costs over real HTTP: requests that do not grow with commits, and no more than what changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.names import CommitId
from orchestrator.gitops.base import FileChange
from tests.integration.git.worlds import API, MAIN, Served, served
from tests.servers.git_repositories import commit_files, git

COMMITS = 40
LARGE = b"x" * 3_000


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Served]:
    """A branch with many commits beside many files that nobody asks for."""
    others = {f"other/{folder}/{number}.yaml": LARGE + b"%d" % number for folder in range(20) for number in range(10)}
    with served(tmp_path, {API.value: b"0\n", **others}) as world:
        for number in range(1, COMMITS):
            commit_files(world.bare, {API.value: b"%d\n" % number, f"other/{number % 20}/0.yaml": b"%d" % number})
        yield world


def test_a_trail_takes_the_same_requests_however_long_it_is(long: Served) -> None:
    def cost(limit: int) -> tuple[int, int]:
        with long.client() as client:
            tip = client.tips([MAIN])[MAIN]
            long.server.requests.clear()
            steps = client.trail(tip, ["apps/*/prod/**"], limit)
            assert len(steps) == limit
            return len(long.server.requests), long.server.bytes_sent

    short, whole = cost(5), cost(COMMITS)

    assert short[0] == whole[0]
    assert whole[1] < 100_000  # the files alone that nobody asked for are 600 kB


def test_a_trail_over_http_tells_every_change(long: Served) -> None:
    with long.client() as client:
        steps = client.trail(client.tips([MAIN])[MAIN], ["apps/*/prod/**"], COMMITS)

    assert [step.files[API] for step in steps[:-1]] == [
        FileChange(b"%d\n" % (number - 1), b"%d\n" % number) for number in range(COMMITS - 1, 0, -1)
    ]
    assert steps[-1].files[API] == FileChange(None, b"0\n")


def test_a_merge_comes_with_what_it_merged(long: Served) -> None:
    base = git(long.bare, "rev-parse", MAIN.value)
    head = commit_files(long.bare, {API.value: b"merged\n"}, ref="refs/heads/side", message="On the side", parent=base)
    tree = git(long.bare, "rev-parse", f"{head}^{{tree}}")
    merge = git(long.bare, "commit-tree", tree, "-p", base, "-p", head, "-m", "Merge")
    git(long.bare, "update-ref", MAIN.value, merge)

    with long.client() as client:
        steps = client.trail(CommitId(merge), ["apps"], 2)
        cut = client.trail(CommitId(merge), ["apps"], 1)

    assert [step.merged.message if step.merged else None for step in steps] == ["On the side\n", None]
    assert cut[0].merged is not None
    assert [step.commit.id for step in steps] == [CommitId(merge), CommitId(base)]
