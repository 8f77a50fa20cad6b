"""The ledger: what landed on a branch, however it was merged, and what may be believed of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.change import Action, Change
from orchestrator.core.image import Digest, PinnedImage
from orchestrator.core.names import BranchName, CommitId, RefName, RepoPath
from orchestrator.core.release import RecordReference, Tested
from orchestrator.core.trailers import trailers
from orchestrator.gitops.ledger import evidence_of, landed
from tests.simulators.clock import FakeClock
from tests.simulators.gitops_repository import SimulatedGitOps, SimulatedGitServer

MAIN = "refs/heads/main"
API = PinnedImage.parse("ghcr.io/acme/shop/api:1.4.2@sha256:" + "a1" * 32)
OTHER = PinnedImage.parse("ghcr.io/acme/shop/worker:1.4.2@sha256:" + "b2" * 32)
TESTED = Tested(API.repository, API.digest, "c3" * 32, "d4" * 32)
RECORD = RecordReference(API.repository, Digest("sha256:" + "e5" * 32))


def change(release: str = "one", **parts: object) -> Change:
    made = Change(Action.RELEASE, "dev", "shop", (API,), release, tested=(TESTED,), records=(RECORD,))
    return replace(made, **parts)  # type: ignore[arg-type]


def message(one: Change, subject: str = "Release shop to dev") -> str:
    return "\n".join([subject, "", *trailers(one), ""])


@pytest.fixture
def server() -> SimulatedGitServer:
    made = SimulatedGitServer()
    made.commit_files({"README.md": b"x"})
    return made


def client(server: SimulatedGitServer) -> SimulatedGitOps:
    return SimulatedGitOps(server, FakeClock(), "hybrid-ci <ci@acme.example>")


def tip(server: SimulatedGitServer) -> CommitId:
    return server.refs[BranchName("main").ref]


def merge(server: SimulatedGitServer, one: Change, merge_message: str = "Merge pull request #1") -> None:
    """By a merge commit, as forges do it: its own message says nothing."""
    base = tip(server)
    head = server.commit_files({f"{one.release}.yaml": b"x"}, "refs/heads/work", message(one), parent=base.value)
    files = dict(server.commits[head].files)
    merged = server.store(files, (base, head), "forge <forge@example.com>", merge_message, server.commits[head].when)
    server.refs[RefName(MAIN)] = merged


def releases(server: SimulatedGitServer, limit: int = 200) -> list[str]:
    return [one.change.release for one in landed(client(server), tip(server), limit)]


def test_a_change_that_was_merged_is_found_behind_its_merge(server: SimulatedGitServer) -> None:
    merge(server, change())
    (found,) = landed(client(server), tip(server))
    assert found.change == change()
    assert found.commit.id == tip(server)
    assert found.made.id == found.commit.parents[1]


def test_a_change_that_was_rebased_or_committed_is_found_on_the_branch(server: SimulatedGitServer) -> None:
    server.commit_files({"a": b"1"}, message=message(change()))
    server.commit_files({"b": b"1"}, message="Something else")
    assert releases(server) == ["one"]


def test_the_newest_comes_first(server: SimulatedGitServer) -> None:
    merge(server, change("one"))
    server.commit_files({"a": b"1"}, message=message(change("two")))
    merge(server, change("three"))
    assert releases(server) == ["three", "two", "one"]


def test_it_looks_no_further_back_than_it_is_told(server: SimulatedGitServer) -> None:
    for number in range(5):
        merge(server, change(str(number)))
    assert releases(server, limit=2) == ["4", "3"]


def test_a_merge_whose_own_message_carries_the_change_counts_once(server: SimulatedGitServer) -> None:
    merge(server, change(), message(change(), "Merge pull request #1"))
    assert releases(server) == ["one"]


def test_what_was_tested_is_read_from_what_landed(server: SimulatedGitServer) -> None:
    merge(server, change())
    assert evidence_of(client(server), tip(server), "shop") == {TESTED}


def test_a_branch_that_nobody_merged_says_nothing(server: SimulatedGitServer) -> None:
    server.commit_files({"a": b"1"}, "refs/heads/work", message(change()), parent=tip(server).value)
    assert evidence_of(client(server), tip(server), "shop") == frozenset()


def test_another_application_says_nothing_about_this_one(server: SimulatedGitServer) -> None:
    merge(server, change(scope="evil"))
    assert evidence_of(client(server), tip(server), "shop") == frozenset()


def test_a_change_says_nothing_about_images_that_it_did_not_pin(server: SimulatedGitServer) -> None:
    merge(server, change(images=(OTHER,)))
    assert evidence_of(client(server), tip(server), "shop") == frozenset()


def test_trailers_above_the_last_paragraph_say_nothing(server: SimulatedGitServer) -> None:
    server.commit_files(
        {"a": b"1"}, message=message(change()) + "\nCo-authored-by: Somebody <a@b.example>\n\nThe end.\n"
    )
    assert RepoPath("a") in server.commits[tip(server)].files
    assert releases(server) == []
