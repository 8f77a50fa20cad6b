"""The real GitOpsRepository: plumbing on a private bare repository, without a worktree.

Nothing is checked out, so nothing of a repository can be followed or run: files are read as objects by id,
written as objects, and pushed by compare-and-swap. The private repository lives in a temporary folder that
only we can enter, and ends with this object.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.names import BranchName, CommitId, RefName, RemoteURL, RepoPath
from orchestrator.engine.clock import Clock, SystemClock
from orchestrator.engine.events import Reporter, SilentReporter
from orchestrator.engine.retry import Jitter
from orchestrator.git.command import GitFailed
from orchestrator.git.credentials import GitCredentials
from orchestrator.git.failures import Failure, RemoteFailure
from orchestrator.git.identity import Identity, commit_content
from orchestrator.git.remote import DEFAULT_STALL_SECONDS, Remote
from orchestrator.git.signing import Signer, check_signer, signed
from orchestrator.git.store import BrokenObject, Kind, ObjectStore, object_format_of
from orchestrator.gitops.base import (
    CommitInfo,
    FileChange,
    Landed,
    Naming,
    PushOutcome,
    Step,
)
from orchestrator.gitops.git_cache import WarmMirror
from orchestrator.gitops.git_changes import Pair, files_between, steps_of
from orchestrator.gitops.git_history import History, info_of
from orchestrator.gitops.git_index import TreeIndex
from orchestrator.gitops.git_lookout import Lookout
from orchestrator.gitops.git_patience import LONGEST_TRY, Patience
from orchestrator.gitops.git_push import Pusher
from orchestrator.gitops.git_reader import ObjectReader
from orchestrator.gitops.git_search import Cost, Files, read_files
from orchestrator.gitops.git_trees import Tree, above, replace_files, walk

DEFAULT_PATIENCE = 120.0  # seconds for which one operation is tried again while the remote is ill
_PROBE = RefName("refs/heads/hybrid-ci-write-check")
_FEW = 3  # patterns that a warning names
_Result = TypeVar("_Result")


class GitRepository:
    """Implements the GitOpsRepository port for any repository that git can reach.

    Use it as a context manager, or call ``close``. ``patience`` is for how many seconds an operation is tried
    again while the remote fails; ``workdir`` is where the private repository is made (the system's temporary
    folder when None); ``hints`` are names of folders that will probably be needed, such as the application's;
    ``cache`` is a folder that outlives the run and spares the next one what this one fetched; ``signer`` signs commits.
    """

    def __init__(
        self,
        url: RemoteURL,
        *,
        credentials: GitCredentials | None = None,
        identity: Identity | None = None,
        clock: Clock | None = None,
        patience: float = DEFAULT_PATIENCE,
        stall_seconds: int = DEFAULT_STALL_SECONDS,
        workdir: Path | None = None,
        hints: Sequence[str] = (),
        cache: Path | None = None,
        rng: Jitter | None = None,
        signer: Signer | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self._url, self._credentials = url, credentials
        self._identity, self._signer = identity or Identity(), signer
        self._clock = clock or SystemClock()
        self._patiently = Patience(self._clock, patience, rng or random.Random())  # noqa: S311  (jitter, not a secret)
        self._stall_seconds = stall_seconds
        self._home = Path(tempfile.mkdtemp(prefix="hybrid-ci-git-", dir=workdir))  # 0700
        self._lock = threading.RLock()
        self._hints = tuple(hints)
        self._stores: list[ObjectStore] = []
        self._reporter: Reporter = reporter or SilentReporter()
        self._told: set[str] = set()
        self._mirror = _mirror(cache, url)
        self._index = TreeIndex(self._mirror.index) if self._mirror is not None else None
        self._global_config = self._write_global_config()
        self._use_format("sha1")
        self._history: History | None = None
        self._landed: dict[RefName, CommitId] = {}

    def close(self) -> None:
        """Remove the private repository. Closing twice does nothing."""
        for store in self._stores:
            store.close()
        if self._index is not None:
            self._index.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it is; a RemoteURL holds no credential."""
        return self._url.value

    # --- reading ---------------------------------------------------------------------------------------------------

    def tips(self, refs: Sequence[RefName]) -> Mapping[RefName, CommitId]:
        """See the port. The same request brings what is new of them; a ref that we pushed is asked for by itself."""
        with self._lock:
            if len(refs) == 1 and self._stands(refs[0]):
                return {refs[0]: self._landed[refs[0]]}
            found = self._cold_when_broken(
                lambda: self._patiently(lambda seconds: self._lookout.look(refs, seconds)),
            )
            self._note_tips(found)
            return found

    def _note_tips(self, found: Mapping[RefName, CommitId]) -> None:
        for ref, commit in found.items():
            self._adopt_format(commit)
            self._reader.seen(ref, commit)

    def _stands(self, ref: RefName) -> bool:
        """The ref is still where our last push put it, as far as one request can tell."""
        if ref not in self._landed:
            return False
        with contextlib.suppress(RemoteFailure):
            return self._remote.is_at(ref, self._landed[ref], LONGEST_TRY)
        return False

    def default_branch(self) -> BranchName | None:
        """See the port. Only a listing tells it, so the first question costs one."""
        if self._remote.default_branch is None:
            self.tips([])
        told = self._remote.default_branch
        return RefName(told).branch if told else None

    def files(
        self, commit: CommitId, patterns: Sequence[str], naming: Naming | None = None
    ) -> Mapping[RepoPath, bytes]:
        """See the port."""
        with self._lock:
            self._adopt_format(commit)
            return self._cold_when_broken(lambda: self._files(commit, patterns, naming))

    def _files(self, commit: CommitId, patterns: Sequence[str], naming: Naming | None) -> Files:
        shown = ", ".join(patterns[:_FEW]) + (f" and {len(patterns) - _FEW} more" if len(patterns) > _FEW else "")
        tell = partial(self._tell_cost, shown) if naming is not None else _keep_quiet
        return read_files(self._reader, self._reader.root(commit), patterns, naming, self._index, tell)

    def _tell_cost(self, patterns: str, cost: Cost) -> None:
        if cost.dear and patterns not in self._told:
            self._told.add(patterns)
            self._reporter.warn(
                f"{patterns} names much of the GitOps repository: {cost}; "
                "with {application} in the environment's paths only the application's own folders are read"
            )

    def paths(self, commit: CommitId, patterns: Sequence[str]) -> Sequence[RepoPath]:
        """See the port. Folders alone are fetched."""
        with self._lock:
            self._adopt_format(commit)
            return self._cold_when_broken(lambda: self._paths(commit, patterns))

    def _paths(self, commit: CommitId, patterns: Sequence[str]) -> Sequence[RepoPath]:
        return sorted(file.path for file in walk(self._reader.root(commit), patterns, self._reader.trees))

    def commits(self, base: CommitId, head: CommitId) -> Sequence[CommitInfo]:
        """See the port. Fetches commits only, in a store of their own."""
        with self._lock:
            return self._commit_history(head).commits(base, head)

    def commit_info(self, commit: CommitId) -> CommitInfo:
        """See the port. Our own commits are here; another one is fetched alone, without its content."""
        with self._lock:
            return self._here(commit) or self._commit_history(commit).commit(commit)

    def recent(self, commit: CommitId, limit: int) -> Sequence[CommitInfo]:
        """See the port."""
        with self._lock:
            return self._commit_history(commit).recent(commit, limit, self._here)

    def _here(self, commit: CommitId) -> CommitInfo | None:
        found = self._store.read([commit.value]).get(commit.value)
        sound = found is not None and self._store.is_sound(commit.value, found)
        return info_of(commit.value, found.content) if found is not None and sound else None

    def trail(self, tip: CommitId, patterns: Sequence[str], limit: int) -> Sequence[Step]:
        """See the port. Commits come alone; then the folders and files that changed, for all commits together."""
        with self._lock:
            history = self._commit_history(tip)
            commits = history.recent(tip, limit + 1)
            merged = history.merged(commits[:limit])
            self._adopt_format(tip)
            self._reader.root(tip)
            return self._cold_when_broken(lambda: steps_of(self._reader, commits, merged, patterns, limit))

    def between(self, before: CommitId, after: CommitId, patterns: Sequence[str]) -> Mapping[RepoPath, FileChange]:
        """See the port."""
        with self._lock:
            self._adopt_format(after)
            return self._cold_when_broken(lambda: self._between(before, after, patterns))

    def _between(self, before: CommitId, after: CommitId, patterns: Sequence[str]) -> Mapping[RepoPath, FileChange]:
        pair = Pair(self._reader.root(before), self._reader.root(after))
        return files_between(self._reader, [pair], patterns)[0]

    def _commit_history(self, commit: CommitId) -> History:
        if self._history is None:
            store, remote = self._open("history", object_format_of(commit))
            self._history = History(store, remote, self._patiently)
        return self._history

    def check_push(self, ref: RefName) -> None:
        """See the port. A dry run of a push of an empty commit: servers check the login before anything is sent.

        A configured signature is tried too.
        """
        if self._signer is not None:
            check_signer(self._signer)
        if self._url.scheme == "file":
            return self._check_local_push()
        with self._lock:
            try:
                self._probe_push()
            except RemoteFailure as failure:
                if failure.failure is not Failure.OTHER_FORMAT:
                    raise
                self._use_format("sha256")
                self._probe_push()
        return None

    def _probe_push(self) -> None:
        stamp = self._identity.stamp(self._clock.now())
        tree = self._store.write(Kind.TREE, b"")
        probe = self._store.write(Kind.COMMIT, commit_content(tree, [], stamp, stamp, "Check write access"))
        self._patiently(lambda seconds: self._remote.try_push(_PROBE, CommitId(probe), seconds))

    # --- writing ---------------------------------------------------------------------------------------------------

    def commit(
        self, parent: CommitId, edits: Mapping[RepoPath, bytes | None], message: str, when: datetime | None = None
    ) -> CommitId:
        """See the port. A file that is not there yet is added with mode 100644."""
        with self._lock:
            self._adopt_format(parent)
            trees = self._cold_when_broken(lambda: above(edits, self._reader.root(parent), self._reader.trees))
            blobs = {
                path: self._store.write(Kind.BLOB, content) if content is not None else None
                for path, content in edits.items()
            }
            root = replace_files(trees, blobs, self._store_tree)
            stamp = self._identity.stamp(when or self._clock.now())
            content = commit_content(root, [parent.value], stamp, stamp, message)
            if self._signer is not None:
                content = signed(content, self._signer, self._store.object_format)
            new = CommitId(self._store.write(Kind.COMMIT, content))
            self._reader.remember_root(new, root)
            return new

    def matching(self, pattern: str) -> Mapping[str, CommitId]:
        """Every ref of the remote that git's pattern matches, by its full name. Raises RemoteError."""
        with self._lock:
            return self._patiently(lambda seconds: self._remote.list_matching(pattern, seconds))

    def push(
        self,
        ref: RefName,
        new: CommitId,
        expected: CommitId | None,
        options: Sequence[str] = (),
        pause: Callable[[], object] | None = None,
    ) -> PushOutcome:
        """See the port. Whatever git says about a failure, the ref is read back before anything is decided.

        The same request brings what is new of it.
        """
        with self._lock:
            self._adopt_format(new)
            outcome = self._pusher().push(ref, new, expected, options, pause)
            if isinstance(outcome, Landed):
                self._landed[ref] = new
            return outcome

    def delete(self, ref: RefName, expected: CommitId) -> None:
        """See the port."""
        with self._lock:
            self._landed.pop(ref, None)
            self._pusher().delete(ref, expected)

    def _pusher(self) -> Pusher:
        reader = self._reader
        return Pusher(self._remote, self.url, self._patiently, self._read_back, reader.is_behind, self._drop_mirror)

    def _read_back(self, ref: RefName, seconds: float) -> CommitId | None:
        try:
            found = self._lookout.look([ref], seconds)
        except (BrokenObject, GitFailed):  # what was to be compared with is broken; where the ref is can be told
            found = self._remote.list_refs([ref], seconds)
        self._note_tips(found)
        return found.get(ref)

    # --- objects ---------------------------------------------------------------------------------------------------

    def _store_tree(self, tree: Tree) -> str:
        identity = self._store.write(Kind.TREE, tree.serialise())
        self._reader.know_tree(identity, tree)
        return identity

    # --- the private repository ------------------------------------------------------------------------------------

    def _open(self, name: str, object_format: str) -> tuple[ObjectStore, Remote]:
        path = self._home / f"{name}-{object_format}-{len(self._stores)}.git"
        store = ObjectStore.create(path, object_format, self.url, self._global_config)
        self._stores.append(store)
        return store, Remote(self._url, store, self._credentials, self._stall_seconds)

    def _adopt_format(self, commit: CommitId) -> None:
        object_format = object_format_of(commit)
        if object_format != self._store.object_format:
            self._use_format(object_format)

    def _use_format(self, object_format: str) -> None:
        self._store, self._remote = self._open("objects", object_format)
        self._reader = ObjectReader(self._store, self._remote, self._patiently, self._hints, self._mirror)
        self._lookout = Lookout(self._store, self._remote, self._mirror)

    def _cold_when_broken(self, call: Callable[[], _Result]) -> _Result:
        """Without the warm mirror when that is what is broken; it is dropped, so that the next run makes another."""
        try:
            return call()
        except (BrokenObject, GitFailed):
            if self._mirror is None:
                raise
            self._drop_mirror()
            return call()

    def _drop_mirror(self) -> None:
        if self._mirror is not None:
            self._mirror.drop()
            self._mirror = None
            self._use_format(self._store.object_format)

    def _write_global_config(self) -> Path | None:
        """``safe.directory`` for a local repository of another user: git's far side only listens to a file."""
        if self._url.scheme != "file":
            return None
        path = self._home / "gitconfig"
        folder = self._url.path.replace("\\", "\\\\").replace('"', '\\"')
        lines = [f'\tdirectory = "{folder}{suffix}"\n' for suffix in ("", "/.git", ".git")]
        path.write_text("[safe]\n" + "".join(lines))
        return path

    def _check_local_push(self) -> None:
        self._patiently(lambda seconds: self._remote.list_refs([_PROBE], seconds))
        folder = Path(self._url.path)
        for part in (folder / "objects", folder / "refs"):
            if part.exists() and not os.access(part, os.W_OK):
                raise Refused(
                    "the GitOps repository can't be written by this user",
                    where=str(part),
                    hint="give the user write access to the repository's files",
                )


def _mirror(cache: Path | None, url: RemoteURL) -> WarmMirror | None:
    if cache is None:
        return None
    try:
        return WarmMirror(cache, url)
    except OSError as error:
        raise ConfigurationError(
            f"the Git cache can't be used: {error.strerror}", where=str(cache), hint="name a folder that we may write"
        ) from error


def _keep_quiet(cost: Cost) -> None:
    """Who reads everything has asked for it."""
