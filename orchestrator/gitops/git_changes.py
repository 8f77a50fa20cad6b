"""What commits changed: folders that differ are looked into, level by level, and only those are fetched.

All pairs of commits are walked together, so the number of requests is that of the folders' depth, however many
commits there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.names import CommitId, InvalidName, RepoPath
from orchestrator.gitops.base import CommitInfo, FileChange, Step
from orchestrator.gitops.git_reader import ObjectReader
from orchestrator.gitops.git_trees import EMPTY, Entry, Tree, matching

Trees = Callable[[Iterable[str]], Mapping[str, Tree]]
_Tails = frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two trees, or two files, by their ids; None where there is none."""

    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class _Visit:
    """A folder that differs between the two sides of a pair."""

    number: int
    path: str
    pair: Pair
    tails: _Tails


def steps_of(
    reader: ObjectReader,
    commits: Sequence[CommitInfo],
    merged: Mapping[CommitId, CommitInfo],
    patterns: Sequence[str],
    limit: int,
) -> list[Step]:
    """The first ``limit`` of these commits, which follow each other by first parents, newest first.

    One more than ``limit`` is needed, unless the last one has no parent. Raises BrokenObject, RemoteError.
    """
    shown = commits[:limit]
    parents = [*(one.tree.value for one in commits[1:]), None]
    pairs = [Pair(parent, one.tree.value) for one, parent in zip(shown, parents, strict=False)]
    changed = files_between(reader, pairs, patterns)
    return [
        Step(one, merged.get(one.parents[1]) if len(one.parents) == 2 else None, files)
        for one, files in zip(shown, changed, strict=True)
    ]


def files_between(
    reader: ObjectReader, pairs: Sequence[Pair], patterns: Iterable[str]
) -> list[dict[RepoPath, FileChange]]:
    """The regular files that differ, for each pair, with both contents; all contents come in one batch."""
    found = differences(pairs, patterns, reader.trees_alone)
    wanted = [one for files in found for pair in files.values() for one in (pair.old, pair.new) if one is not None]
    blobs = reader.blobs(wanted) if wanted else {}
    return [
        {
            path: FileChange(
                blobs[pair.old] if pair.old is not None else None, blobs[pair.new] if pair.new is not None else None
            )
            for path, pair in files.items()
        }
        for files in found
    ]


def differences(pairs: Sequence[Pair], patterns: Iterable[str], load: Trees) -> list[dict[RepoPath, Pair]]:
    """The regular files that a pattern names and that differ, for each pair of root trees. Pure but for ``load``.

    A symbolic link or a submodule counts as no file.
    """
    tails: _Tails = frozenset(tuple(pattern.strip("/").split("/")) for pattern in patterns)
    found: list[dict[RepoPath, Pair]] = [{} for _ in pairs]
    level = [_Visit(number, "", pair, tails) for number, pair in enumerate(pairs) if pair.old != pair.new]
    while level:
        trees = load({one for visit in level for one in (visit.pair.old, visit.pair.new) if one is not None})
        below: list[_Visit] = []
        for visit in level:
            for path, pair, tails_below in _entries(visit, trees):
                _take(found[visit.number], path, pair, tails_below)
                folders = Pair(*(one.id if one is not None and one.is_folder else None for one in pair))
                if folders.old != folders.new:
                    below.append(_Visit(visit.number, path, folders, tails_below))
        level = below
    return found


def _entries(
    visit: _Visit, trees: Mapping[str, Tree]
) -> Iterator[tuple[str, tuple[Entry | None, Entry | None], _Tails]]:
    """The names in a folder that a pattern accepts and whose entries are not the same on both sides."""
    old, new = (trees[one] if one is not None else EMPTY for one in (visit.pair.old, visit.pair.new))
    left = {entry.name: (entry, tails) for entry, tails in matching(old.without(new), visit.tails)}
    right = {entry.name: (entry, tails) for entry, tails in matching(new.without(old), visit.tails)}
    for name in dict.fromkeys((*left, *right)):
        before, after = left.get(name), right.get(name)
        entry, tails = after or before or (None, frozenset())
        path = f"{visit.path}/{entry.text}" if visit.path and entry is not None else (entry.text if entry else "")
        yield path, (before[0] if before else None, after[0] if after else None), tails


def _take(found: dict[RepoPath, Pair], path: str, entries: tuple[Entry | None, Entry | None], tails: _Tails) -> None:
    if () not in tails:
        return
    pair = Pair(*(one.id if one is not None and one.is_file else None for one in entries))
    if pair.old != pair.new:
        try:
            found[RepoPath(path)] = pair
        except InvalidName:
            return  # a hostile name (".git", "..") is nobody's manifest
