"""Git trees as values: parse, look up, walk by patterns, edit. Pure: the objects come from a loader.

The format is that of git's object database: ``<octal mode> <name>\\0<binary id>``, sorted by name as if every
folder's name ended in ``/``. Entries that an edit does not touch keep their bytes and their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from typing import NamedTuple

from orchestrator.core.names import InvalidName, RepoPath
from orchestrator.git.store import BrokenObject
from orchestrator.gitops.base import Unreadable

FOLDER = b"40000"
FILE = b"100644"
_REGULAR = frozenset({b"100644", b"100755", b"100664"})
_KINDS = {b"120000": "a symbolic link", b"160000": "a submodule", FOLDER: "a folder"}


class Entry(NamedTuple):
    """One name in a folder. A tuple, because a folder may have tens of thousands of them."""

    mode: bytes
    name: bytes
    id: str

    @property
    def is_folder(self) -> bool:
        """A tree."""
        return self.mode == FOLDER

    @property
    def is_file(self) -> bool:
        """A regular file, executable or not."""
        return self.mode in _REGULAR

    @property
    def kind(self) -> str:
        """For messages."""
        return "a file" if self.is_file else _KINDS.get(self.mode, "not a file")

    @property
    def text(self) -> str:
        """The name; bytes that are not UTF-8 as surrogate escapes."""
        return self.name.decode("utf-8", "surrogateescape")


_Row = tuple[bytes, bytes, bytes]  # mode, name, binary id


class Tree:
    """A folder: its entries in git's order.

    A folder of tens of thousands of names is mostly asked for one of them, so entries are made when they are wanted.
    """

    def __init__(self, rows: Sequence[_Row] = ()) -> None:
        self._rows = rows

    @classmethod
    def parse(cls, content: bytes, id_length: int) -> Tree:
        """Read a tree object. Raises BrokenObject."""
        rows: list[_Row] = _row_pattern(id_length).findall(content)
        if sum([len(mode) + len(name) for mode, name, _ in rows]) + len(rows) * (id_length + 2) != len(content):
            raise BrokenObject("a folder of the GitOps repository does not parse")
        return cls(rows)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """All of them."""
        return tuple([_entry(row) for row in self._rows])

    def get(self, name: bytes) -> Entry | None:
        """The entry of this name."""
        row = self._by_name.get(name)
        return _entry(row) if row is not None else None

    @cached_property
    def _by_name(self) -> Mapping[bytes, _Row]:
        return {row[1]: row for row in self._rows}

    def without(self, other: Tree) -> Tree:
        """The entries that the other one does not have just so."""
        known = set(other._rows)
        return Tree([row for row in self._rows if row not in known])

    def serialise(self) -> bytes:
        """The tree object's content."""
        return b"".join([b"%b %b\0%b" % row for row in self._rows])

    def with_entries(self, changed: Mapping[bytes, Entry | None]) -> Tree:
        """The same with these entries replaced, added in their place, or (None) taken away."""
        new = {name: entry and _row(entry) for name, entry in changed.items()}
        rows = [row for row in (new.get(row[1], row) for row in self._rows) if row is not None]
        added = [row for name, row in new.items() if row is not None and name not in self._by_name]
        return Tree(sorted([*rows, *added], key=_order) if added else rows)

    def __bool__(self) -> bool:
        return bool(self._rows)


def _entry(row: _Row) -> Entry:
    return Entry(row[0].lstrip(b"0"), row[1], row[2].hex())


def _row(entry: Entry) -> _Row:
    return entry.mode, entry.name, bytes.fromhex(entry.id)


@cache
def _row_pattern(id_length: int) -> re.Pattern[bytes]:
    return re.compile(rb"([0-7]+) ([^\0]+)\0(.{%d})" % id_length, re.DOTALL)


def _order(row: _Row) -> bytes:
    return row[1] + b"/" if row[0] == FOLDER else row[1]


EMPTY = Tree()

# --- walking -------------------------------------------------------------------------------------------------------

_Tail = tuple[str, ...]  # what is left of a pattern; () means: everything from here on
_EVERYTHING: _Tail = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A folder to load. ``whole`` says that everything below it will be needed, files included."""

    id: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file that a pattern names."""

    path: RepoPath
    entry: Entry


Loader = Callable[[Sequence[Wanted]], Mapping[str, Tree]]


@dataclass(frozen=True, slots=True)
class Visit:
    """A folder to look into. ``tails`` are what is left of the patterns there."""

    path: str
    id: str
    tails: frozenset[_Tail] = field(default_factory=frozenset)

    @property
    def whole(self) -> bool:
        """Everything below is named."""
        return _EVERYTHING in self.tails


def walk(
    root: str, patterns: Iterable[str], load: Loader, prune: Callable[[Sequence[Visit]], Sequence[Visit]] | None = None
) -> list[FoundFile]:
    """The files below the tree ``root`` that a pattern names (core/patterns.py has the rules), level by level.

    Only folders that can hold a match are loaded, and of those only what ``prune`` leaves of each level. Raises
    Unreadable when a name that a pattern spells out is a symbolic link or a submodule; those that only a wildcard
    meets are left out.
    """
    tails = frozenset(tuple(pattern.strip("/").split("/")) for pattern in patterns)
    level = [Visit("", root, tails)]
    found: list[FoundFile] = []
    while level and (level := list(prune(level) if prune is not None else level)):
        trees = load([Wanted(visit.id, visit.whole) for visit in level])
        below: list[Visit] = []
        for visit in level:
            for entry, entry_tails in matching(trees[visit.id], visit.tails):
                _take(visit, entry, entry_tails, found, below)
        level = below
    return found


def _take(visit: Visit, entry: Entry, tails: frozenset[_Tail], found: list[FoundFile], below: list[Visit]) -> None:
    path = f"{visit.path}/{entry.text}" if visit.path else entry.text
    if entry.is_folder:
        below.append(Visit(path, entry.id, tails))
    elif entry.is_file:
        if _EVERYTHING in tails:
            _append(found, path, entry)
    elif any(_spells_out(tail, entry.text) for tail in visit.tails):
        raise unreadable(path, entry.kind)


def _append(found: list[FoundFile], path: str, entry: Entry) -> None:
    try:
        found.append(FoundFile(RepoPath(path), entry))
    except InvalidName:
        return  # a hostile name (".git", "..") is nobody's manifest


def _spells_out(tail: _Tail, name: str) -> bool:
    while tail and tail[0] == "**":
        tail = tail[1:]
    return bool(tail) and tail[0] == name


def unreadable(path: str, kind: str) -> Unreadable:
    """What to raise for a path that is not the regular file (or the folder) that is needed there."""
    return Unreadable(
        f"{path} is {kind}",
        where=path,
        hint="hybrid-ci reads and writes regular files only; name the real file in the environment's paths",
    )


def matching(tree: Tree, tails: frozenset[_Tail]) -> Iterator[tuple[Entry, frozenset[_Tail]]]:
    """The entries that some tail accepts, with what is left of the tails below each."""
    named, others = _by_name(tails)
    entries: Iterable[Entry] = tree.entries
    if not others:  # a folder of 100,000 names is not looked through for three of them
        names = sorted(name.encode("utf-8", "surrogateescape") for name in named)
        entries = [entry for name in names if (entry := tree.get(name)) is not None]
    for entry in entries:
        below = named.get(entry.text, frozenset())
        if others:
            below |= {rest for tail in others for rest in _after(tail, entry.text)}
        if below:
            yield entry, below


@lru_cache(maxsize=1024)
def _by_name(tails: frozenset[_Tail]) -> tuple[Mapping[str, frozenset[_Tail]], tuple[_Tail, ...]]:
    """What is left of the tails that begin with a plain name, by that name; and all other tails.

    Of a thousand patterns each names one of a thousand folders, so they are not tried one by one in every folder.
    """
    named: dict[str, set[_Tail]] = {}
    for tail in tails:
        if tail and _is_literal(tail[0]):
            named.setdefault(tail[0], set()).add(tail[1:])
    others = tuple(tail for tail in tails if not tail or not _is_literal(tail[0]))
    return {name: frozenset(rests) for name, rests in named.items()}, others


def _is_literal(part: str) -> bool:
    return not any(c in part for c in "*?")


def _after(tail: _Tail, name: str) -> Iterator[_Tail]:
    """What is left of a pattern after this name; nothing when it does not fit."""
    if not tail:
        yield _EVERYTHING
    elif tail[0] == "**":
        if len(tail) == 1:
            yield _EVERYTHING
        else:
            yield tail
            yield from _after(tail[1:], name)
    elif _name_pattern(tail[0]).fullmatch(name):
        yield tail[1:]


@lru_cache(maxsize=1024)
def _name_pattern(part: str) -> re.Pattern[str]:
    text = "".join("[^/]*" if c == "*" else "[^/]" if c == "?" else re.escape(c) for c in part)
    return re.compile(text, re.DOTALL)


# --- editing -------------------------------------------------------------------------------------------------------


def folders_of(paths: Iterable[RepoPath]) -> list[str]:
    """Every folder above these files, the root (``""``) included."""
    folders = {""}
    for path in paths:
        for depth in range(1, len(path.parts)):
            folders.add("/".join(path.parts[:depth]))
    return sorted(folders)


def above(paths: Iterable[RepoPath], root: str, load: Loader) -> dict[str, Tree]:
    """Each folder above these files that exists, by its path. Raises Unreadable for what is no folder."""
    trees: dict[str, Tree] = {}
    level, folders = {"": root}, folders_of(paths)
    while level:
        loaded = load([Wanted(identity) for identity in level.values()])
        trees |= {path: loaded[identity] for path, identity in level.items()}
        level = {}
        for path in folders:
            parent, _, name = path.rpartition("/")
            if not path or path in trees or parent not in trees:
                continue
            entry = trees[parent].get(name.encode("utf-8", "surrogateescape"))
            if entry is not None and not entry.is_folder:
                raise unreadable(path, entry.kind)
            if entry is not None:
                level[path] = entry.id
    return trees


def replace_files(trees: Mapping[str, Tree], blobs: Mapping[RepoPath, str | None], store: Callable[[Tree], str]) -> str:
    """Put blobs (None: take the file away) into their folders and store every folder on the way up.

    ``trees`` has each folder above the files by its path; one that is missing is made. Modes are kept; a new
    file is 100644. Gives the id of the new root. Raises Unreadable where a symbolic link, a submodule, or the
    wrong kind of thing stands.
    """
    changes: dict[str, dict[bytes, Entry | None]] = {}
    for path, blob in blobs.items():
        folder, _, name = path.value.rpartition("/")
        raw = name.encode("utf-8", "surrogateescape")
        present = trees.get(folder, EMPTY).get(raw)
        if present is not None and not present.is_file:
            raise unreadable(path.value, present.kind)
        entry = None if blob is None else Entry(present.mode if present else FILE, raw, blob)
        changes.setdefault(folder, {})[raw] = entry
    for folder in sorted({*folders_of(blobs)}, key=lambda one: (-one.count("/") if one else 1, one)):
        new = trees.get(folder, EMPTY).with_entries(changes.get(folder, {}))
        if not folder:
            return store(new)
        parent, _, name = folder.rpartition("/")
        raw = name.encode("utf-8", "surrogateescape")
        changes.setdefault(parent, {})[raw] = Entry(FOLDER, raw, store(new)) if new else None
    raise AssertionError("the root is always among the folders")
