"""What landed on a branch, by the trailers of its commits.

A merge keeps the handoff's commit as its second parent; a rebase or a direct commit puts it on the branch itself. A
squash may lose the trailers, so what runs is told by the pins in the branch's trees, never by the ledger: it enriches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator.core.change import Change
from orchestrator.core.names import CommitId
from orchestrator.core.release import Tested
from orchestrator.core.trailers import read_trailers
from orchestrator.gitops.base import CommitInfo, GitOpsRepository, Step

DEPTH = 200  # commits of the branch: months, as a rule


@dataclass(frozen=True, slots=True)
class Landed:
    """A change on a branch: ``commit`` is the one by which it came to the branch, ``made`` the one that carries it."""

    commit: CommitInfo
    made: CommitInfo
    change: Change


def landed(repository: GitOpsRepository, tip: CommitId, limit: int = DEPTH) -> Iterator[Landed]:
    """The changes on the branch, newest first, as far as ``limit`` commits tell. Raises RemoteError."""
    for commit in repository.recent(tip, limit):
        yield from _carried(commit, _carriers(repository, commit))


def landed_by(steps: Iterable[Step]) -> Iterator[Landed]:
    """The same from commits that are here with what they merged."""
    for step in steps:
        yield from _carried(step.commit, (step.commit, *([step.merged] if step.merged is not None else [])))


def _carried(commit: CommitInfo, carriers: Iterable[CommitInfo]) -> Iterator[Landed]:
    """The change that the first of the carriers with one carries."""
    for made in carriers:
        change = read_trailers(made.message)
        if change is not None:
            yield Landed(commit, made, change)
            break


def evidence_of(repository: GitOpsRepository, tip: CommitId, application: str) -> frozenset[Tested]:
    """What the branch's commits say was tested: of this application, and only of images that they pinned.

    Whoever merged them let them count: a branch that anybody may push to says nothing.
    """
    found: set[Tested] = set()
    for one in landed(repository, tip):
        if one.change.scope == application:
            pinned = {(pin.repository, pin.digest) for pin in one.change.pins}
            found |= {tested for tested in one.change.tested if (tested.repository, tested.digest) in pinned}
    return frozenset(found)


def _carriers(repository: GitOpsRepository, commit: CommitInfo) -> Iterator[CommitInfo]:
    yield commit
    if len(commit.parents) == 2:
        yield repository.commit_info(commit.parents[1])
