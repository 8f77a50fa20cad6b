"""Thirty-two writers on one local forge, over real git: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from orchestrator.core.errors import HybridCIError
from orchestrator.core.names import BranchName, CommitId
from orchestrator.forges.base import CommitStatus, NotMergeable, NotOpen, PullRequest, PullRequestDraft, StatusState
from orchestrator.forges.base import PullRequestState as State
from orchestrator.forges.local import LocalForge
from tests.servers.git_repositories import commit_files, git

WRITERS = 32
PATIENCE = 100.0  # seconds; a machine that does other work too makes thirty-two writers slow, not wrong
MAIN = BranchName("main")
_T = TypeVar("_T")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A local forge whose main branch has one commit."""
    path = tmp_path / "gitops.git"
    LocalForge.init(path)
    commit_files(path, {"README.md": b"read me\n"})
    return path


def add_branches(bare: Path, count: int = WRITERS) -> list[BranchName]:
    """Branches from main that each add a file of their own."""
    main = git(bare, "rev-parse", "main")
    names = [BranchName(f"hybrid-ci/env-{number}/shop") for number in range(count)]
    for number, name in enumerate(names):
        commit_files(bare, {f"apps/{number}.yaml": b"%d\n" % number}, ref=name.ref.value, parent=main)
    return names


def on(bare: Path, actor: str = "hybrid-ci") -> LocalForge:
    """One writer's forge."""
    return LocalForge(bare, actor=actor, seconds=PATIENCE)


def draft(head: BranchName, title: str = "Release") -> PullRequestDraft:
    return PullRequestDraft(title, "", head, MAIN)


def at_once(works: Sequence[Callable[[], _T]]) -> list[_T]:
    """Start all of them together; what they gave, in order."""
    start = threading.Barrier(len(works))

    def work(one: Callable[[], _T]) -> _T:
        start.wait()
        return one()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(work, works))


def by_each(count: int, work: Callable[[int], _T]) -> list[_T]:
    """The same work by ``count`` writers, each told its number."""
    return at_once([lambda number=number: work(number) for number in range(count)])  # type: ignore[misc]


def head_of(pull: PullRequest) -> CommitId:
    assert pull.head_commit is not None
    return pull.head_commit


def assert_sound(bare: Path) -> None:
    """git finds nothing wrong, no lock is left, and every open pair has exactly one index."""
    git(bare, "fsck", "--strict", "--no-dangling")
    assert list(bare.rglob("*.lock")) == []
    opened = [(pull.head, pull.base) for pull in on(bare).list(State.OPEN)]
    assert len(opened) == len(set(opened))
    indexes = git(bare, "for-each-ref", "--format=%(refname)", "refs/hybrid-ci/open").split()
    assert len(indexes) == len(opened)


def test_many_writers_open_the_same_pair_and_there_is_one_pull_request(bare: Path) -> None:
    (head,) = add_branches(bare, 1)
    opened = by_each(WRITERS, lambda number: on(bare, f"writer-{number}").open(draft(head, f"by {number}")))
    assert len(set(opened)) == 1
    assert on(bare).list() == [opened[0]]
    assert_sound(bare)


def test_many_writers_open_different_pairs_and_every_number_is_given_once(bare: Path) -> None:
    heads = add_branches(bare)
    opened = by_each(WRITERS, lambda number: on(bare).open(draft(heads[number])))
    assert sorted(pull.number for pull in opened) == list(range(1, WRITERS + 1))
    assert {pull.number: pull.head for pull in on(bare).list()} == {pull.number: pull.head for pull in opened}
    assert_sound(bare)


def test_many_writers_change_one_pull_request_and_no_change_is_lost(bare: Path) -> None:
    (head,) = add_branches(bare, 1)
    number = on(bare).open(draft(head)).number

    def work(writer: int) -> PullRequest:
        forge = on(bare, f"reviewer-{writer}")
        if writer % 2:
            return forge.approve(number)
        return forge.update(number, title=f"Release {writer}", body=f"by {writer}")

    by_each(WRITERS, work)
    shown = on(bare).show(number)
    assert set(shown.approvals) == {f"reviewer-{writer}" for writer in range(1, WRITERS, 2)}
    assert (shown.title, shown.body) in {(f"Release {writer}", f"by {writer}") for writer in range(0, WRITERS, 2)}
    assert_sound(bare)


def test_many_writers_merge_different_pull_requests_into_one_base_and_all_land(bare: Path) -> None:
    heads = add_branches(bare)
    pulls = [on(bare).open(draft(head)) for head in heads]
    merged = by_each(WRITERS, lambda number: on(bare).merge(pulls[number].number, head_of(pulls[number])))
    first_parents = git(bare, "rev-list", "--first-parent", "--merges", "main").split()
    assert sorted(first_parents) == sorted(str(pull.merge_commit) for pull in merged)
    assert len(set(first_parents)) == WRITERS
    assert git(bare, "ls-tree", "--name-only", "main:apps").split() == sorted(f"{n}.yaml" for n in range(WRITERS))
    assert {pull.state for pull in on(bare).list()} == {State.MERGED}
    assert_sound(bare)


def test_many_writers_merge_the_same_pull_request_and_it_is_merged_once(bare: Path) -> None:
    (head,) = add_branches(bare, 1)
    pull = on(bare).open(draft(head))
    merged = by_each(WRITERS, lambda number: on(bare, f"w{number}").merge(pull.number, head_of(pull)))
    assert len(set(merged)) == 1
    assert git(bare, "rev-list", "--count", "--merges", "main") == "1"
    assert_sound(bare)


def test_whoever_comes_second_of_merging_and_closing_is_told_so(bare: Path) -> None:
    heads = add_branches(bare, WRITERS // 2)
    pulls = [on(bare).open(draft(head)) for head in heads]

    def work(writer: int) -> PullRequest | HybridCIError:
        pull, forge = pulls[writer // 2], on(bare)
        try:
            return forge.close(pull.number, "no") if writer % 2 else forge.merge(pull.number, head_of(pull))
        except (NotMergeable, NotOpen) as error:
            return error

    results = by_each(WRITERS, work)
    for number, pull in enumerate(pulls):
        ended = on(bare).show(pull.number)
        pair = results[2 * number : 2 * number + 2]
        assert [one for one in pair if not isinstance(one, HybridCIError)] == [ended]
        has_it = bool(git(bare, "ls-tree", "main", f"apps/{number}.yaml"))
        assert has_it == (ended.state is State.MERGED)
    assert_sound(bare)


def test_readers_never_see_a_half_written_state(bare: Path) -> None:
    heads = add_branches(bare, WRITERS)
    done = threading.Event()
    seen: list[int] = []

    def write(number: int) -> None:
        forge = on(bare)
        pull = forge.open(draft(heads[number]))
        forge.update(pull.number, title=f"Release {number}", body="")
        if number % 2:
            forge.merge(pull.number, head_of(pull), delete_branch=number % 4 == 1)
        else:
            forge.close(pull.number, "no")

    def read() -> None:
        while not done.is_set():
            listed = on(bare).list()
            assert len({pull.number for pull in listed}) == len(listed)
            assert all(pull.merge_commit for pull in listed if pull.state is State.MERGED)
            assert all(pull.head_commit for pull in listed if pull.state is not State.OPEN)
            seen.append(len(listed))

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        try:
            by_each(WRITERS, write)
        finally:
            done.set()
        reading.result()
    assert len(seen) > 1
    assert [pull.state for pull in on(bare).list()].count(State.MERGED) == WRITERS // 2
    assert_sound(bare)


def test_many_agents_write_statuses_of_one_commit_and_none_is_lost(bare: Path) -> None:
    commit = CommitId(git(bare, "rev-parse", "main"))
    by_each(
        WRITERS,
        lambda number: on(bare).set_status(
            commit, CommitStatus(f"flux/{number % 16}", StatusState.SUCCESS, f"{number}")
        ),
    )
    statuses = on(bare).statuses(commit)
    assert {status.context for status in statuses} == {f"flux/{number}" for number in range(16)}
    assert all(int(status.description) % 16 == int(status.context[5:]) for status in statuses)


def test_processes_share_a_forge_as_threads_do(bare: Path) -> None:
    heads = add_branches(bare, 8)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        numbers = pool.starmap(_whole_life, [(str(bare), head.value) for head in heads])
    assert sorted(numbers) == list(range(1, 9))
    assert git(bare, "rev-list", "--count", "--merges", "main") == "8"
    assert_sound(bare)


def _whole_life(path: str, head: str) -> int:
    """What one process does: open, approve, merge."""
    pull = on(Path(path)).open(draft(BranchName(head)))
    on(Path(path), "reviewer").approve(pull.number)
    return on(Path(path)).merge(pull.number, head_of(pull)).number
