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


@dataclass(frozen=True)
class Tree:
    """A folder: its entries in git's order."""

    entries: tuple[Entry, ...]

    @cached_property
    def by_name(self) -> Mapping[bytes, Entry]:
        """Look up by name."""
        return {entry.name: entry for entry in self.entries}

    @classmethod
    def parse(cls, content: bytes, id_length: int) -> Tree:
        """Read a tree object. Raises BrokenObject."""
        rows = _entry_pattern(id_length).findall(content)
        if sum([len(mode) + len(name) for mode, name, _ in rows]) + len(rows) * (id_length + 2) != len(content):
            raise BrokenObject("a folder of the GitOps repository does not parse")
        return cls(tuple([Entry(mode.lstrip(b"0"), name, identity.hex()) for mode, name, identity in rows]))

    def serialise(self) -> bytes:
        """The tree object's content."""
        return b"".join([b"%b %b\0%b" % (mode, name, bytes.fromhex(identity)) for mode, name, identity in self.entries])

    def with_entries(self, changed: Mapping[bytes, Entry | None]) -> Tree:
        """The same with these entries replaced, added in their place, or (None) taken away."""
        kept = [changed.get(entry.name, entry) for entry in self.entries]
        added = [entry for name, entry in changed.items() if entry is not None and name not in self.by_name]
        entries = [entry for entry in kept if entry is not None]
        if added:
            entries = sorted([*entries, *added], key=_order)
        return Tree(tuple(entries))


@cache
def _entry_pattern(id_length: int) -> re.Pattern[bytes]:
    return re.compile(rb"([0-7]+) ([^\0]+)\0(.{%d})" % id_length, re.DOTALL)


def _order(entry: Entry) -> bytes:
    return entry.name + b"/" if entry.is_folder else entry.name


EMPTY = Tree(())

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
class _Visit:
    path: str
    id: str
    tails: frozenset[_Tail] = field(default_factory=frozenset)

    @property
    def whole(self) -> bool:
        return _EVERYTHING in self.tails


def walk(root: str, patterns: Iterable[str], load: Loader) -> list[FoundFile]:
    """The files below the tree ``root`` that a pattern names (core/patterns.py has the rules), level by level.

    Only folders that can hold a match are loaded. Raises Unreadable when a name that a pattern spells out is
    a symbolic link or a submodule; those that only a wildcard meets are left out.
    """
    tails = frozenset(tuple(pattern.strip("/").split("/")) for pattern in patterns)
    level = [_Visit("", root, tails)]
    found: list[FoundFile] = []
    while level:
        trees = load([Wanted(visit.id, visit.whole) for visit in level])
        below: list[_Visit] = []
        for visit in level:
            for entry, entry_tails in _matching(trees[visit.id], visit.tails):
                _take(visit, entry, entry_tails, found, below)
        level = below
    return found


def _take(visit: _Visit, entry: Entry, tails: frozenset[_Tail], found: list[FoundFile], below: list[_Visit]) -> None:
    path = f"{visit.path}/{entry.text}" if visit.path else entry.text
    if entry.is_folder:
        below.append(_Visit(path, entry.id, tails))
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


def _matching(tree: Tree, tails: frozenset[_Tail]) -> Iterator[tuple[Entry, frozenset[_Tail]]]:
    """The entries that some tail accepts, with what is left of the tails below each."""
    literal = all(tail and _is_literal(tail[0]) for tail in tails)
    entries: Iterable[Entry] = tree.entries
    if literal:  # a folder of 100,000 names is not looked through for three of them
        names = {tail[0].encode("utf-8", "surrogateescape") for tail in tails}
        entries = [tree.by_name[name] for name in sorted(names) if name in tree.by_name]
    for entry in entries:
        below = frozenset(rest for tail in tails for rest in _after(tail, entry.text))
        if below:
            yield entry, below


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
        present = trees.get(folder, EMPTY).by_name.get(raw)
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
        changes.setdefault(parent, {})[raw] = Entry(FOLDER, raw, store(new)) if new.entries else None
    raise AssertionError("the root is always among the folders")
