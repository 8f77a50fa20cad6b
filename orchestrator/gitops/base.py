"""The GitOpsRepository port: a tip, some files, a commit, a push by compare-and-swap. No worktree, ever."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from orchestrator.core.errors import Conflict, RemoteError
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName, CommitId, RefName, RepoPath


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit without its content. ``committer`` is ``Name <address>``; ``committed`` is that stamp's time."""

    id: CommitId
    parents: tuple[CommitId, ...]
    tree: CommitId
    author: str
    committer: str
    message: str
    committed: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class FileChange:
    """A regular file before and after; None where it was not there, or was none."""

    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True)
class Step:
    """A commit of a branch with the files that it changed since its first parent.

    ``merged`` is the commit that it merged: the second of its two parents.
    """

    commit: CommitInfo
    merged: CommitInfo | None
    files: Mapping[RepoPath, FileChange]


@dataclass(frozen=True, slots=True)
class Landed:
    """The ref is ours. ``first_try`` is False when an error had hidden that, and reading it back told.

    Then others may have built on it already.
    """

    commit: CommitId
    first_try: bool = True


@dataclass(frozen=True, slots=True)
class LostRace:
    """Somebody moved the ref: it is at ``actual`` now (None: gone). Recompute the change and push again."""

    actual: CommitId | None


PushOutcome = Landed | LostRace


@dataclass(frozen=True, slots=True)
class Naming:
    """Of many files, those that may name one of these images, and those at these paths whatever they hold."""

    images: frozenset[Repository]
    paths: tuple[str, ...] = ()


class Unreadable(Conflict):
    """A path that the change needs is a symlink, a submodule, or not a file."""


class UnknownOutcome(RemoteError):
    """The push may or may not have landed and the ref can't be read; safe to run again."""


class GitOpsRepository(Protocol):
    """Reads and writes one remote repository. Every method raises RemoteError when the remote fails."""

    @property
    def url(self) -> str:
        """Where it is, without credentials; for messages."""

    def tips(self, refs: Sequence[RefName]) -> Mapping[RefName, CommitId]:
        """The current commit of each of these refs that exists, in one request."""

    def default_branch(self) -> BranchName | None:
        """The branch that the repository's HEAD points to; None when the server does not tell."""

    def files(
        self, commit: CommitId, patterns: Sequence[str], naming: Naming | None = None
    ) -> Mapping[RepoPath, bytes]:
        """Every regular file of the commit that a pattern names, with its bytes, in one batch.

        Patterns are ``/``-separated; ``*`` stays within a name, ``**`` is any number of folders; a pattern
        that names a folder means all files below it. With ``naming``, others may be left out. Raises Unreadable
        for a symlink or submodule in the way.
        """

    def paths(self, commit: CommitId, patterns: Sequence[str]) -> Sequence[RepoPath]:
        """The regular files that ``files`` would give, in order, without their bytes."""

    def commit(
        self, parent: CommitId, edits: Mapping[RepoPath, bytes | None], message: str, when: datetime | None = None
    ) -> CommitId:
        """A new commit (not pushed yet) on ``parent`` with these files replaced or (None) removed; modes are kept.

        ``when`` is author and committer date; now when None. Raises Unreadable.
        """

    def push(
        self,
        ref: RefName,
        new: CommitId,
        expected: CommitId | None,
        options: Sequence[str] = (),
        pause: Callable[[], object] | None = None,
    ) -> PushOutcome:
        """Move ``ref`` from ``expected`` (None: it must not exist) to ``new``, or say that it moved.

        ``options`` are what the server is told with the push (``OpensByPush`` of the forges). ``pause`` is called once
        for a lost race, before the ref is read back where that can be: so a writer who waits in it learns where the
        ref is afterwards.

        The ref is read back after any failure, a rejection included. Raises Refused when the server's rules
        say no, UnknownOutcome when nothing can be told.
        """

    def delete(self, ref: RefName, expected: CommitId) -> None:
        """Delete ``ref`` if it is at ``expected``; one that is gone or moved on stays as it is.

        Raises Refused when the server's rules say no.
        """

    def commits(self, base: CommitId, head: CommitId) -> Sequence[CommitInfo]:
        """The commits that ``head`` has and ``base`` has not, newest first."""

    def commit_info(self, commit: CommitId) -> CommitInfo:
        """One commit, of the remote or one that ``commit`` made and nobody pushed yet."""

    def recent(self, commit: CommitId, limit: int) -> Sequence[CommitInfo]:
        """The commit and those behind it by first parents, newest first, at most ``limit``."""

    def trail(self, tip: CommitId, patterns: Sequence[str], limit: int) -> Sequence[Step]:
        """The commits of ``recent``, each with the regular files that a pattern names and that it changed.

        Only what changed is read, and in a number of requests that grows with neither commits nor files.
        """

    def between(self, before: CommitId, after: CommitId, patterns: Sequence[str]) -> Mapping[RepoPath, FileChange]:
        """The regular files that a pattern names and that are not the same in two commits."""

    def check_push(self, ref: RefName) -> None:
        """Prove that we may write, as far as the server tells without a write. Raises RemoteError, Refused."""
