"""Trees: parsed, walked and edited without a byte more than asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.names import RepoPath
from orchestrator.core.patterns import matches
from orchestrator.git.store import BrokenObject
from orchestrator.gitops.base import Unreadable
from orchestrator.gitops.git_trees import Entry, Tree, Wanted, folders_of, replace_files, walk

_NAMES = st.sampled_from(["a", "b", "a-b", "a.b", "ab", "x.yaml", "prod"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_PARTS = st.sampled_from(["a", "b", "*", "**", "a*", "?", "*.yaml", "prod", "x.yaml"])
_PATTERNS = st.lists(st.lists(_PARTS, min_size=1, max_size=4).map("/".join), min_size=1, max_size=3)


class Objects:
    """Trees by id, as the reader would give them; counts the folders that were loaded."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.stored: dict[str, bytes] = {}
        self.loaded: list[str] = []
        self.root = self._build({tuple(path.split("/")): blob for path, blob in files.items()})

    def _build(self, files: Mapping[tuple[str, ...], bytes]) -> str:
        entries: dict[bytes, Entry | None] = {}
        for name in {path[0] for path in files}:
            below = {path[1:]: blob for path, blob in files.items() if path[0] == name and len(path) > 1}
            raw = name.encode()
            if below:
                entries[raw] = Entry(b"40000", raw, self._build(below))
            else:
                entries[raw] = Entry(b"100644", raw, hashlib.sha1(files[(name,)]).hexdigest())
        return self.put(Tree().with_entries(entries))

    def put(self, tree: Tree) -> str:
        content = tree.serialise()
        identity = hashlib.sha1(b"tree %d\0" % len(content) + content).hexdigest()
        self.stored[identity] = content
        return identity

    def load(self, wanted: Sequence[Wanted]) -> Mapping[str, Tree]:
        self.loaded += [one.id for one in wanted]
        return {one.id: Tree.parse(self.stored[one.id], 20) for one in wanted}


def _without_clashes(paths: set[str]) -> list[str]:
    return sorted(path for path in paths if not any(other.startswith(f"{path}/") for other in paths))


@given(st.sets(_PATHS, min_size=1, max_size=12), _PATTERNS)
def test_a_walk_finds_exactly_what_the_patterns_name(paths: set[str], patterns: list[str]) -> None:
    files = _without_clashes(paths)
    objects = Objects({path: path.encode() for path in files})
    found = [file.path.value for file in walk(objects.root, patterns, objects.load)]
    assert sorted(found) == [path for path in files if any(matches(pattern, path) for pattern in patterns)]


@given(st.sets(_PATHS, min_size=1, max_size=12), st.sets(_PATHS, min_size=1, max_size=4))
def test_an_edit_changes_exactly_the_edited_files(paths: set[str], edited: set[str]) -> None:
    files, edits = _without_clashes(paths), _without_clashes(edited)
    objects = Objects(dict.fromkeys(files, b"old"))
    blob = hashlib.sha1(b"new").hexdigest()
    blobs: dict[RepoPath, str | None] = {RepoPath(path): blob for path in edits}
    clash = any(a.startswith(f"{b}/") or b.startswith(f"{a}/") for a in files for b in edits)
    if clash:
        return
    trees = _folders(objects, blobs)
    root = replace_files(trees, blobs, objects.put)
    expected = Objects({**dict.fromkeys(files, b"old"), **dict.fromkeys(edits, b"new")})
    assert root == expected.root


def _folders(objects: Objects, blobs: Mapping[RepoPath, str | None]) -> dict[str, Tree]:
    trees = {"": Tree.parse(objects.stored[objects.root], 20)}
    for folder in folders_of(blobs):
        parent, _, name = folder.rpartition("/")
        entry = trees[parent].get(name.encode()) if folder and parent in trees else None
        if entry is not None and entry.is_folder:
            trees[folder] = Tree.parse(objects.stored[entry.id], 20)
    return trees


def test_only_folders_that_can_hold_a_match_are_loaded() -> None:
    objects = Objects({f"apps/svc-{number}/prod/k.yaml": b"" for number in range(100)})
    list(walk(objects.root, ["apps/svc-7/prod/*.yaml"], objects.load))
    assert len(objects.loaded) == 4  # the root, apps, svc-7, prod


def test_a_folder_of_which_all_is_wanted_says_so() -> None:
    objects = Objects({"apps/api/prod/k.yaml": b"", "apps/web/k.yaml": b""})
    wholes: list[bool] = []

    def load(wanted: Sequence[Wanted]) -> Mapping[str, Tree]:
        wholes.extend(one.whole for one in wanted)
        return objects.load(wanted)

    walk(objects.root, ["apps/api/**"], load)
    assert wholes == [False, False, False, True]


def test_taking_the_last_file_away_takes_its_folder_too() -> None:
    objects = Objects({"holds/prod/api.yaml": b"x", "README": b"y"})
    blobs: dict[RepoPath, str | None] = {RepoPath("holds/prod/api.yaml"): None}
    assert replace_files(_folders(objects, blobs), blobs, objects.put) == Objects({"README": b"y"}).root


@pytest.mark.parametrize("broken", [b"100644 a", b"100644 a\0short", b"\0", b"nonsense"])
def test_a_broken_tree_is_reported(broken: bytes) -> None:
    with pytest.raises(BrokenObject):
        Tree.parse(broken, 20)


def test_unknown_entries_keep_their_bytes() -> None:
    identity = bytes(20)
    content = b"100664 group\0" + identity + b"120000 link\0" + identity + b"160000 module\0" + identity
    tree = Tree.parse(content, 20)
    assert tree.serialise() == content
    with pytest.raises(Unreadable):
        replace_files({"": tree}, {RepoPath("link"): "1" * 40}, lambda new: "")
