"""Brings objects here in the cheapest way that the server allows, and keeps what was read.

The commit comes with its upper folders only. Folders below are fetched by id, level by level; one that is a small
share of the repository comes whole, files included, because one request is dearer than a few kilobytes. Blobs come
in one batch. A server that gives nothing by id, knows no filters, or can't cut history gets a plainer request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.errors import RemoteError
from orchestrator.core.names import CommitId, RefName
from orchestrator.engine.parallel import side_by_side
from orchestrator.git.failures import Failure, RemoteFailure
from orchestrator.git.remote import ALL_BRANCHES, ALL_HISTORY, Remote
from orchestrator.git.store import BrokenObject, Kind, ObjectStore, StoredObject, commit_headers
from orchestrator.gitops.git_cache import WarmMirror
from orchestrator.gitops.git_lookout import UPPER_FOLDERS
from orchestrator.gitops.git_trees import FOLDER, Tree, Wanted

Patiently = Callable[[Callable[[float], None]], None]


@dataclass(frozen=True, slots=True)
class _Way:
    """How a commit is asked for. ``partial``: what is missing afterwards can be asked for by id."""

    depth: int | None
    filter_spec: str | None
    partial: bool = False


_WAYS = (_Way(1, UPPER_FOLDERS, partial=True), _Way(1, "blob:none", partial=True), _Way(1, None), _Way(None, None))
_PLAIN, _EVERYTHING = 2, 3

_ALONE = "combine:blob:none+tree:1"
_WHOLE_SHARE = 1 / 256  # of the repository: fetch a folder with everything in it
_FOLDERS_SHARE = 1 / 16  # fetch all folders below it, without files
_MANY = 200  # wants at a level from which on all folders below come along
_MOST_HINTED = 32
_MOST_BEHIND = 2000  # commits that are looked through for one of ours


class ObjectReader:
    """Reads commits, trees and blobs of one remote repository."""

    def __init__(
        self,
        store: ObjectStore,
        remote: Remote,
        patiently: Patiently,
        hints: Iterable[str] = (),
        mirror: WarmMirror | None = None,
    ) -> None:
        """``hints`` are folder names that will probably be needed (applications); they are fetched along.

        With a ``mirror``, what an earlier run fetched is not fetched again.
        """
        self._store, self._remote, self._patiently = store, remote, patiently
        self._hints = frozenset(hint.encode() for hint in hints)
        self._trees: dict[str, Tree] = {}
        self._shares: dict[str, float] = {}
        self._unshared: list[tuple[str, Tree]] = []
        self._roots: dict[CommitId, str] = {}
        self._seen_at: dict[CommitId, RefName] = {}
        self._current: CommitId | None = None
        self._mirror = mirror
        if mirror is not None:
            mirror.lend_to(store)
        self._way = 0

    def seen(self, ref: RefName, commit: CommitId) -> None:
        """A listing said that ``ref`` is at ``commit``."""
        self._seen_at[commit] = ref

    def root(self, commit: CommitId) -> str:
        """The id of the commit's tree. Raises RemoteError when the commit can't be had."""
        self._current = commit
        if commit not in self._roots:
            found = self._store.read([commit.value])
            if commit.value not in found:
                self._fetch_commit(commit)
                self._note(commit)
                found = self._store.read([commit.value])
            elif self._mirror is not None:
                self._store.cut_at(commit)  # its history is not here, and a push has to know that
            if commit.value not in found:
                raise self._vanished(commit)
            headers, _ = commit_headers(content_of(found[commit.value], Kind.COMMIT))
            self.remember_root(commit, headers["tree"][0])
        return self._roots[commit]

    def _note(self, commit: CommitId) -> None:
        """So that the next run can ask for the difference to it."""
        ref = self._seen_at.get(commit)
        if self._mirror is not None and ref is not None:
            self._mirror.note({ref: commit})

    def remember_root(self, commit: CommitId, tree: str) -> None:
        """Know the tree of a commit without reading it."""
        self._roots[commit] = tree
        self._shares.setdefault(tree, 1.0)

    def know_tree(self, identity: str, tree: Tree) -> None:
        """Have a tree that was made here."""
        self._trees[identity] = tree

    def _remember_tree(self, identity: str, tree: Tree) -> None:
        self._trees[identity] = tree
        self._unshared.append((identity, tree))

    def _share(self, identity: str) -> float:
        """How much of the repository lies below a folder, at most: each folder has an equal share of the one above."""
        for above, tree in self._unshared:
            folders = [entry.id for entry in tree.entries if entry.mode == FOLDER]
            share = self._shares.get(above, 1.0) / max(1, len(folders))
            self._shares.update([(one, share) for one in folders if self._shares.get(one, 1.0) >= share])
        self._unshared.clear()
        return self._shares.get(identity, 1.0)

    def is_behind(self, commit: CommitId, tip: CommitId) -> bool:
        """``tip`` was built on this commit, as far as what is here of its history tells."""
        level, seen = [tip.value], {tip.value}
        while level and len(seen) < _MOST_BEHIND:
            objects = self._store.read(level)
            sound = [one.content for identity, one in objects.items() if self._store.is_sound(identity, one)]
            parents = {parent for content in sound for parent in commit_headers(content)[0].get("parent", [])}
            if commit.value in parents:
                return True
            level = sorted(parents - seen)
            seen |= parents
        return False

    def trees(self, wanted: Sequence[Wanted]) -> Mapping[str, Tree]:
        """These trees by id (and others that are known already). Raises BrokenObject, RemoteError."""
        missing = {one.id: one for one in wanted if one.id not in self._trees}
        objects = self._store.read(missing)
        absent = [one for identity, one in missing.items() if identity not in objects]
        if absent:
            self._fetch_objects(self._filters_for(absent))
            objects |= self._store.read([one.id for one in absent])
        for identity in missing:
            self._remember_tree(
                identity, Tree.parse(self._required(objects, identity, Kind.TREE), self._store.id_length)
            )
        return self._trees

    def trees_alone(self, ids: Iterable[str]) -> Mapping[str, Tree]:
        """These trees and nothing below them, which may be here already. Raises BrokenObject, RemoteError.

        ``root`` must have been asked for a commit before. A server that gives nothing by id gives all its history.
        """
        wanted = list(dict.fromkeys(ids))
        unread = [one for one in wanted if one not in self._trees]
        objects = self._store.read(unread)
        if missing := [one for one in unread if one not in objects]:
            self._fetch_objects({_ALONE: missing})
            objects |= self._store.read(missing)
        if any(one not in objects for one in missing):
            self._fetch([ALL_BRANCHES], None, None)
            objects |= self._store.read(missing)
        for identity in unread:
            content = self._required(objects, identity, Kind.TREE)
            self._trees[identity] = Tree.parse(content, self._store.id_length)
        return {identity: self._trees[identity] for identity in wanted}

    def blobs(self, ids: Iterable[str]) -> Mapping[str, bytes]:
        """The content of these blobs, in one batch. Raises BrokenObject, RemoteError."""
        wanted = list(dict.fromkeys(ids))
        objects = self._store.read(wanted)
        missing = [one for one in wanted if one not in objects]
        if missing:
            self._fetch_objects({None: [*missing, *self._hinted()]})
            objects |= self._store.read(missing)
        return {identity: self._required(objects, identity, Kind.BLOB) for identity in wanted}

    def bring(self, ids: Iterable[str]) -> None:
        """Have these blobs here, in one batch. Raises RemoteError."""
        missing = self._store.missing(ids)
        if missing:
            self._fetch_objects({None: [*missing, *self._hinted()]})

    # --- what to ask for -------------------------------------------------------------------------------------------

    def _filters_for(self, wanted: Sequence[Wanted]) -> dict[str | None, list[str]]:
        """The folders to fetch, by the filter that fits: how much of the repository lies below decides."""
        together = sum(self._share(one.id) for one in wanted)
        groups: dict[str | None, list[str]] = {}
        for one in wanted:
            filter_spec: str | None = UPPER_FOLDERS
            if one.whole or together <= _WHOLE_SHARE:
                filter_spec = None
            elif together <= _FOLDERS_SHARE or len(wanted) > _MANY:
                filter_spec = "blob:none"
            groups.setdefault(filter_spec, []).append(one.id)
        if None in groups:
            groups[None] += self._hinted()
        return groups

    def _hinted(self) -> list[str]:
        """Small folders with a hinted name that are known by id and not here yet; each is given once."""
        if not self._hints:
            return []
        self._remember_upper_folders()
        found = {
            entry.id
            for tree in self._trees.values()
            for name in self._hints
            if (entry := tree.get(name)) and entry.is_folder and entry.id not in self._trees
        }
        self._hints = frozenset()
        small = [one for one in sorted(found) if self._share(one) <= _WHOLE_SHARE]
        return small[:_MOST_HINTED]

    def _remember_upper_folders(self) -> None:
        """Those that came along with the commit."""
        root = self._trees.get(self._roots[self._current]) if self._current in self._roots else None
        ids = [entry.id for entry in root.entries if entry.is_folder and entry.id not in self._trees] if root else []
        for identity, stored in self._store.read(ids).items():
            self._remember_tree(identity, Tree.parse(content_of(stored, Kind.TREE), self._store.id_length))

    # --- asking ----------------------------------------------------------------------------------------------------

    def _fetch_commit(self, commit: CommitId) -> None:
        """By id; by the branch that points to it where the server gives nothing by id; else everything."""
        wants = [commit.value]
        while True:
            way = _WAYS[self._way]
            try:
                return self._fetch(wants, way.depth, way.filter_spec)
            except RemoteFailure as failure:
                ref = self._seen_at.get(commit)
                if failure.failure is Failure.NO_FILTER and way.partial:
                    self._way += 1
                elif failure.failure is Failure.NO_SHALLOW and self._way < _EVERYTHING:
                    self._way, wants = _EVERYTHING, [ALL_BRANCHES]
                elif failure.failure is not Failure.NO_SUCH_OBJECT or wants == [ALL_BRANCHES]:
                    raise
                elif ref is not None and wants == [commit.value]:
                    wants = [ref.value]
                else:
                    self._way, wants = _EVERYTHING, [ALL_BRANCHES]

    def _fetch_objects(self, groups: Mapping[str | None, Sequence[str]]) -> None:
        try:
            side_by_side([self._one_fetch(ids, spec) for spec, ids in groups.items() if ids])
        except RemoteFailure as failure:
            gives_nothing_by_id = failure.failure in (Failure.NO_SUCH_OBJECT, Failure.NO_FILTER)
            if not gives_nothing_by_id or self._current is None or not _WAYS[self._way].partial:
                raise
            self._way = _PLAIN
            self._fetch_commit(self._current)

    def _one_fetch(self, ids: Sequence[str], filter_spec: str | None) -> Callable[[], None]:
        return lambda: self._fetch(ids, None, filter_spec)

    def _fetch(self, wants: Sequence[str], depth: int | None, filter_spec: str | None) -> None:
        if wants == [ALL_BRANCHES] and self._store.is_shallow:
            depth = ALL_HISTORY
        self._patiently(lambda seconds: self._remote.fetch(wants, seconds, depth=depth, filter_spec=filter_spec))
        if self._mirror is not None:
            self._mirror.take_from(self._store)

    # --- judging ---------------------------------------------------------------------------------------------------

    def _required(self, objects: Mapping[str, StoredObject], identity: str, kind: Kind) -> bytes:
        if identity not in objects:
            raise BrokenObject(
                f"the GitOps repository does not give the {kind} {identity[:12]} that it names itself",
                where=self._remote.url.value,
                hint="let its owner run `git fsck`",
            )
        if not self._store.is_sound(identity, objects[identity]):
            raise BrokenObject(f"the {kind} {identity[:12]} is damaged on this machine", where=self._remote.url.value)
        return content_of(objects[identity], kind)

    def _vanished(self, commit: CommitId) -> RemoteError:
        return RemoteError(
            f"the GitOps repository no longer gives the commit {commit.short}",
            where=self._remote.url.value,
            hint="its branch was probably rewritten meanwhile; run again",
        )


def content_of(stored: StoredObject, kind: Kind) -> bytes:
    """The content, when the object is of this kind. Raises BrokenObject."""
    if stored.kind is not kind:
        raise BrokenObject(f"the GitOps repository has a {stored.kind} where a {kind} should be")
    return stored.content
