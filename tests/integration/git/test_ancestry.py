"""How two source commits stand to each other: by a checkout, or by a remote that sends commits and no content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.core.names import CommitId, RemoteURL
from orchestrator.core.order import Ancestry
from orchestrator.git.ancestry import SourceHistory, ancestry_in
from orchestrator.git.failures import RemoteFailure
from tests.servers.git_http import GitHTTPServer, serving
from tests.servers.git_repositories import commit_files, git, make_bare

BIG = b"x" * 200_000


@dataclass(frozen=True)
class History:
    """Three commits on main, and one that leaves it after the first."""

    bare: Path
    server: GitHTTPServer
    first: CommitId
    second: CommitId
    third: CommitId
    aside: CommitId

    @property
    def remote(self) -> SourceHistory:
        return SourceHistory(RemoteURL(self.server.url("app.git")))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    bare = make_bare(tmp_path / "served" / "app.git")
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    first, second, third = (
        CommitId(commit_files(bare, {"data": BIG + b"%d" % number}, message=f"Commit {number}")) for number in range(3)
    )
    aside = CommitId(commit_files(bare, {"other": BIG}, "refs/heads/aside", parent=first.value))
    with serving(tmp_path / "served") as server:
        yield History(bare, server, first, second, third, aside)


def test_the_remote_tells_every_relation(history: History) -> None:
    tell = history.remote.ancestry
    assert tell(history.first, history.third) is Ancestry.DESCENDANT
    assert tell(history.third, history.first) is Ancestry.ANCESTOR
    assert tell(history.third, history.aside) is Ancestry.DIVERGED
    assert tell(history.second, history.second) is Ancestry.SAME


def test_no_content_is_fetched(history: History) -> None:
    history.remote.ancestry(history.first, history.third)
    assert history.server.bytes_sent < 4000


def test_a_server_without_filters_or_ids_is_asked_for_its_branches(history: History) -> None:
    git(history.bare, "config", "uploadpack.allowAnySHA1InWant", "false")
    git(history.bare, "config", "uploadpack.allowFilter", "false")
    assert history.remote.ancestry(history.first, history.aside) is Ancestry.DESCENDANT


def test_a_commit_that_nobody_has_makes_the_order_unknown(history: History) -> None:
    assert history.remote.ancestry(history.first, CommitId("e" * 40)) is Ancestry.UNKNOWN


def test_a_repository_that_is_not_there_is_no_answer(history: History) -> None:
    with pytest.raises(RemoteFailure):
        SourceHistory(RemoteURL(history.server.url("gone.git"))).ancestry(history.first, history.third)


def test_a_checkout_tells_from_its_own_history_and_says_when_it_is_cut(history: History, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    git(tmp_path, "clone", "--quiet", str(history.bare), str(whole))
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{history.bare}", str(cut))
    assert ancestry_in(whole, history.first, history.third) is Ancestry.DESCENDANT
    assert ancestry_in(whole, history.third, history.first) is Ancestry.ANCESTOR
    assert ancestry_in(whole, history.third, CommitId("e" * 40)) is Ancestry.UNKNOWN
    assert ancestry_in(cut, history.first, history.third) is Ancestry.UNKNOWN
