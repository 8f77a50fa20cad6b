"""Commits without content: fetched in a store of their own, only as deep as a question needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.core.errors import RemoteError
from orchestrator.core.names import CommitId
from orchestrator.git.failures import Failure, RemoteFailure
from orchestrator.git.remote import ALL_BRANCHES, ALL_HISTORY, Remote
from orchestrator.git.store import ObjectStore, commit_headers
from orchestrator.gitops.base import CommitInfo

Patiently = Callable[[Callable[[float], None]], None]
_DEPTHS = (16, 512, ALL_HISTORY)
_FILTERS = ("tree:0", "blob:none", None)
_MOST_COMMITS = 5000


def _nothing(commit: CommitId) -> CommitInfo | None:
    """Nothing is here."""


class History:
    """Answers which commits one side has and the other has not."""

    def __init__(
        self, store: ObjectStore, remote: Remote, patiently: Callable[[Callable[[float], None]], None]
    ) -> None:
        self._store, self._remote, self._patiently = store, remote, patiently
        self._filter = 0
        self._line: list[CommitInfo] = []  # the last answer of ``recent``

    def commits(self, base: CommitId, head: CommitId) -> Sequence[CommitInfo]:
        """The commits that ``head`` has and ``base`` has not, newest first. Raises RemoteError.

        A shallow history could hide that a commit belongs to both; so it is deepened until no cut can matter.
        """
        if base == head:
            return []
        for depth in _DEPTHS:
            self._fetch([base, head], depth)
            found = self._difference(base, head)
            if found is not None:
                return found
        raise RemoteError("the history of the GitOps repository could not be read as far as needed")

    def commit(self, commit: CommitId) -> CommitInfo:
        """One commit; one that came with an earlier answer is not fetched again. Raises RemoteError."""
        found = self._store.read([commit.value]).get(commit.value)
        if found is None:
            self._fetch([commit], 1)
            found = self._store.read([commit.value]).get(commit.value)
        if found is None:
            raise RemoteError(
                f"the GitOps repository does not have the commit {commit.short}", hint="it may be gone; run again"
            )
        return info_of(commit.value, found.content)

    def recent(
        self, commit: CommitId, limit: int, here: Callable[[CommitId], CommitInfo | None] = _nothing
    ) -> list[CommitInfo]:
        """The commit and those behind it by first parents, newest first, ``limit`` at most. Raises RemoteError.

        ``here`` gives a commit that need not be fetched: of a branch that has moved on since the last question, only
        what is new is asked for.
        """
        line = self._prolonged(commit, limit, here)
        if len(line) < limit and not (line and not line[-1].parents):
            self._fetch([commit], limit)
            argv = ["rev-list", "--first-parent", f"--max-count={limit}", commit.value]
            ids = self._store.git.run(argv).stdout.decode("ascii").split()
            objects = self._store.read(ids)
            line = [info_of(one, objects[one].content) for one in ids]
        self._line = line
        return line[:limit]

    def _prolonged(
        self, commit: CommitId, limit: int, here: Callable[[CommitId], CommitInfo | None]
    ) -> list[CommitInfo]:
        """The last answer and what is before it now; empty where the two do not meet."""
        places = {one.id: place for place, one in enumerate(self._line)}
        newer: list[CommitInfo] = []
        while commit not in places:
            found = here(commit) if len(newer) < limit else None
            if found is None or not found.parents:
                return []
            newer.append(found)
            commit = found.parents[0]
        return newer + self._line[places[commit] :]

    def merged(self, commits: Sequence[CommitInfo]) -> dict[CommitId, CommitInfo]:
        """What the merges among these merged, by its id: the second of two parents. Raises RemoteError.

        Those at the far end of what was fetched are asked for together.
        """
        ids = list(dict.fromkeys(one.parents[1].value for one in commits if len(one.parents) == 2))
        objects = self._store.read(ids)
        if missing := [one for one in ids if one not in objects]:
            self._fetch([CommitId(one) for one in missing], 1)
            objects |= self._store.read(missing)
        return {CommitId(one): info_of(one, objects[one].content) for one in ids if one in objects}

    def _difference(self, base: CommitId, head: CommitId) -> list[CommitInfo] | None:
        argv = ["rev-list", "--topo-order", f"--max-count={_MOST_COMMITS + 1}", head.value, f"^{base}"]
        ids = self._store.git.run(argv).stdout.decode("ascii").split()
        if len(ids) > _MOST_COMMITS:
            raise RemoteError(
                f"the branch is more than {_MOST_COMMITS} commits away from its base",
                where=f"{base.short}..{head.short}",
                hint="check that both belong to the same history",
            )
        cuts = self._cuts()
        if cuts.intersection(ids):
            return None
        objects = self._store.read([*ids, *cuts])
        if ids and cuts:
            oldest = min(_committed(objects[one].content) for one in ids)
            if any(_committed(objects[cut].content) >= oldest for cut in cuts if cut in objects):
                return None
        return [info_of(one, objects[one].content) for one in ids]

    def _cuts(self) -> set[str]:
        path = Path(self._store.git.git_dir) / "shallow"
        return set(path.read_text().split()) if path.exists() else set()

    def _fetch(self, ends: Sequence[CommitId], depth: int) -> None:
        wants: list[str] = [end.value for end in ends]
        limit: int | None = depth
        while True:
            try:
                return self._fetch_once(wants, limit)
            except RemoteFailure as failure:
                if failure.failure is Failure.NO_FILTER and _FILTERS[self._filter] is not None:
                    self._filter += 1
                elif failure.failure in (Failure.NO_SUCH_OBJECT, Failure.NO_SHALLOW) and wants != [ALL_BRANCHES]:
                    # A server that gives nothing by id, or can't cut: every branch, as far back as it goes.
                    wants = [ALL_BRANCHES]
                    limit = ALL_HISTORY if self._store.is_shallow else None
                else:
                    raise

    def _fetch_once(self, wants: Sequence[str], depth: int | None) -> None:
        spec = _FILTERS[self._filter]
        self._patiently(lambda seconds: self._remote.fetch(wants, seconds, depth=depth, filter_spec=spec))


def _committed(content: bytes) -> int:
    headers, _ = commit_headers(content)
    return int(headers["committer"][0].rsplit(" ", 2)[1])


def info_of(identity: str, content: bytes) -> CommitInfo:
    """A commit object as data."""
    headers, message = commit_headers(content)
    return CommitInfo(
        id=CommitId(identity),
        parents=tuple(CommitId(parent) for parent in headers.get("parent", [])),
        tree=CommitId(headers["tree"][0]),
        author=_person(headers.get("author", [""])[0]),
        committer=_person(headers["committer"][0]),
        message=message,
        committed=datetime.fromtimestamp(_committed(content), UTC),
    )


def _person(stamp: str) -> str:
    return stamp.rpartition(">")[0] + ">"
