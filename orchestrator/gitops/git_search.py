"""Reads the files that patterns name, or of many files only those that may name an image.

A pattern without ``{application}`` can name every file of a monorepo. Then the contents are looked through part by
part, so that memory stays bounded, and what was found out about a folder is kept in an index where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.names import RepoPath
from orchestrator.gitops.base import Naming
from orchestrator.gitops.git_index import TreeIndex, Words, words_of, words_of_name
from orchestrator.gitops.git_reader import ObjectReader
from orchestrator.gitops.git_trees import FoundFile, Visit, walk
from orchestrator.manifests.mention import holder

_WIDE = 64  # folders at one level: from here on it is worth keeping what was found out
_PART = 2000  # files that are held at a time
_DEAR_FILES = 500  # from here on it is worth telling
Files = Mapping[RepoPath, bytes]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a search has read."""

    folders: int
    files: int
    skipped: int

    @property
    def dear(self) -> bool:
        """So much that the patterns should be narrower."""
        return self.folders + self.files >= _DEAR_FILES

    def __str__(self) -> str:
        skipped = f", {self.skipped} unchanged folders skipped" if self.skipped else ""
        return f"{self.folders} folders and {self.files} files read{skipped}"


def read_files(
    reader: ObjectReader,
    root: str,
    patterns: Sequence[str],
    naming: Naming | None,
    index: TreeIndex | None,
    tell: Callable[[Cost], None],
) -> Files:
    """The files below the tree ``root``; ``tell`` hears what it cost. Raises Unreadable, BrokenObject, RemoteError."""
    search = _Search(reader, naming, index if naming is not None else None)
    files = search.run(root, patterns)
    tell(search.cost)
    if naming is not None and naming.paths:
        found = [file for file in walk(root, naming.paths, reader.trees) if file.path not in files]
        files |= _contents(reader, found)
    return files


def _contents(reader: ObjectReader, found: Sequence[FoundFile]) -> dict[RepoPath, bytes]:
    blobs = reader.blobs(file.entry.id for file in found)
    return {file.path: blobs[file.entry.id] for file in found}


class _Search:
    """One walk with its patterns."""

    def __init__(self, reader: ObjectReader, naming: Naming | None, index: TreeIndex | None) -> None:
        self._reader, self._naming, self._index = reader, naming, index
        names = [words_of_name(image) for image in naming.images] if naming is not None else []
        self._names: list[Words] = [words for words in names if words is not None]
        if len(self._names) < len(names):  # one that no index can tell about
            self._index = None
        self._ask_index = self._index is not None and self._index.exists
        self._wide = False
        self._keys: dict[str, bytes] = {}
        self._known: dict[str, Words] = {}
        self._folders = self._files = self._skipped = 0

    @property
    def cost(self) -> Cost:
        """What it has read."""
        return Cost(self._folders, self._files, self._skipped)

    def run(self, root: str, patterns: Sequence[str]) -> dict[RepoPath, bytes]:
        """The files that matter."""
        found = walk(root, patterns, self._reader.trees, self._prune)
        self._files = len(found)
        if self._naming is None:
            return _contents(self._reader, found)
        may_matter = holder(self._naming.images)
        below: dict[str, set[bytes]] = {path: set() for path in self._keys if path not in self._known}
        kept: dict[RepoPath, bytes] = {}
        self._reader.bring(file.entry.id for file in found)
        for start in range(0, len(found), _PART):
            for path, content in _contents(self._reader, found[start : start + _PART]).items():
                if may_matter(content):
                    kept[path] = content
                if self._wide:
                    _add(below, path.value, words_of(content))
        if self._wide:
            self._keep(below)
        return kept

    def _prune(self, level: Sequence[Visit]) -> Sequence[Visit]:
        """The folders of a level that have to be looked into."""
        self._wide |= self._index is not None and len(level) >= _WIDE
        if self._index is None:
            self._folders += len(level)
            return level
        keys = {visit.path: TreeIndex.key(visit.id, visit.tails) for visit in level}
        self._keys |= keys
        if self._ask_index:
            known = self._index.words(list(keys.values()))
            self._known |= {path: known[key] for path, key in keys.items() if key in known}
        open_ones = [visit for visit in level if self._may_name(self._known.get(visit.path))]
        self._skipped += len(level) - len(open_ones)
        self._folders += len(open_ones)
        return open_ones

    def _may_name(self, words: Words | None) -> bool:
        return words is None or any(name <= words for name in self._names)

    def _keep(self, below: dict[str, set[bytes]]) -> None:
        """What was found out about each folder that was new, those below it that were not included."""
        for path, words in self._known.items():
            if path.rpartition("/")[0] in below or "" in below:
                _add(below, path, words)
        if self._index is not None:
            self._index.add({self._keys[path]: frozenset(words) for path, words in below.items()})


def _add(below: dict[str, set[bytes]], path: str, words: Words) -> None:
    """To every folder above."""
    while path:
        path = path.rpartition("/")[0]
        if path in below:
            below[path] |= words
