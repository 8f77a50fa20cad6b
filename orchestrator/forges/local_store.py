"""Refs and blobs of one bare repository, as a store with transactions.

A read is one ``git for-each-ref`` that brings names, ids and contents together. A write is one
``git update-ref --stdin`` transaction in which every ref names its old value, so either nobody was in between
or nothing is written at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestrator.core.errors import Conflict, RemoteError
from orchestrator.core.names import CommitId, RefName
from orchestrator.engine.process import Completed, Limits
from orchestrator.git.command import Git, GitFailed, GitOutputTooLarge, GitTimedOut

_READ_FORMAT = "%(refname)%00%(objectname)%00%(objecttype)%00%(raw:size)%00%(raw)"
_PATTERNS_AT_ONCE = 500  # keeps argv far below the system's limit
_READ_LIMIT = 512 * 1024 * 1024
_LOCK_WAIT_MILLISECONDS = "1000"
_BROKEN_REF = re.compile(r"ignoring (?:broken|dangling).* ref (?P<ref>\S+)|missing object \S+ for (?P<dangling>\S+)")
# Trying again can't help with these. Everything else that update-ref says may be a race, and is looked at again.
_FINAL = re.compile(
    r"permission denied|read-only file system|no space left|disk quota|input/output error|too many open files"
    r"|nonexistent object|not a valid|invalid ref format",
    re.IGNORECASE,
)


class BrokenRef(Conflict):
    """A ref of the local forge points at nothing, or holds no object id."""


class StoreFailed(RemoteError):
    """The repository can't be written, and trying again does not help."""


class ObjectKind(StrEnum):
    """What a ref may point at."""

    BLOB = "blob"
    COMMIT = "commit"
    TREE = "tree"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class StoredRef:
    """A ref with the object that it points at."""

    name: RefName
    object_id: str
    kind: ObjectKind
    content: bytes

    @property
    def commit(self) -> CommitId | None:
        """The id, when it is a commit."""
        return CommitId(self.object_id) if self.kind is ObjectKind.COMMIT else None


@dataclass(frozen=True, slots=True)
class RefChange:
    """One line of a transaction. ``old`` None: must not exist; ``new`` None: delete it; equal: verify only."""

    ref: RefName
    old: str | None
    new: str | None

    def command(self) -> bytes:
        """In the words of git-update-ref(1), ``--stdin -z``."""
        if self.old is None:
            words = f"create {self.ref}\0{self.new}\0"
        elif self.new is None:
            words = f"delete {self.ref}\0{self.old}\0"
        elif self.new == self.old:
            words = f"verify {self.ref}\0{self.old}\0"
        else:
            words = f"update {self.ref}\0{self.new}\0{self.old}\0"
        return words.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class LostTransaction:
    """Nothing was written, or it is unknown whether it was: read again and decide again."""

    text: str


class RefStore:
    """The refs of a bare repository."""

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir
        self.git = Git(git_dir, where=str(git_dir)).with_configuration(
            ("core.filesRefLockTimeout", _LOCK_WAIT_MILLISECONDS),
            ("core.packedRefsTimeout", _LOCK_WAIT_MILLISECONDS),
        )

    def read(self, *patterns: RefName) -> Mapping[RefName, StoredRef]:
        """Every ref that is one of these or lies below one of them. Raises BrokenRef, GitFailed."""
        found: dict[RefName, StoredRef] = {}
        for start in range(0, len(patterns), _PATTERNS_AT_ONCE):
            some = [pattern.value for pattern in patterns[start : start + _PATTERNS_AT_ONCE]]
            answer = self._for_each_ref([f"--format={_READ_FORMAT}", "--", *some])
            found.update((ref.name, ref) for ref in _parse(answer))
        return found

    def last_number(self, folder: RefName) -> int:
        """The greatest number among refs named ``<folder>/<number>``; 0 when there is none. Raises BrokenRef."""
        answer = self._for_each_ref(["--sort=-version:refname", "--count=1", "--format=%(refname)", "--", folder.value])
        last = answer.decode("utf-8", "replace").strip().rpartition("/")[2]
        return int(last) if last.isascii() and last.isdigit() else 0

    def write_blob(self, content: bytes) -> str:
        """Store a blob; nothing refers to it yet. Raises GitFailed."""
        return self._line(["hash-object", "-w", "--stdin"], content)

    def write_commit(self, content: bytes) -> str:
        """Store a commit object, checked by git; nothing refers to it yet. Raises GitFailed."""
        return self._line(["hash-object", "-w", "-t", "commit", "--stdin"], content)

    def settings(self, pattern: str) -> Mapping[str, str]:
        """What the repository's configuration says for keys (in lower case) that match this regular expression.

        The last value counts where there are several. Raises GitFailed.
        """
        answer = self.git.run(["config", "--null", "--get-regexp", pattern], check=False)
        if answer.returncode != 1 or answer.error_text:  # 1: no such key
            _check("config", answer, self.git_dir)
        entries = answer.stdout.decode("utf-8", "replace").split("\0")[:-1]
        return {key: value for key, _, value in (entry.partition("\n") for entry in entries)}

    def commit(self, changes: Sequence[RefChange]) -> LostTransaction | None:
        """Apply all of these changes or none. None when they are written. Raises StoreFailed.

        They are given to git in this order, and git writes new values in it, deletions last: should the
        machine stop half-way, only a prefix is there.
        """
        lines = [b"start\0", *(change.command() for change in changes), b"prepare\0", b"commit\0"]
        answer = self.git.run(["update-ref", "--stdin", "-z"], stdin=b"".join(lines), check=False)
        if answer.ok and b"commit: ok" in answer.stdout:
            return None
        if not answer.timed_out and _FINAL.search(answer.error_text):
            raise StoreFailed(
                "the local forge can't be written",
                where=str(self.git_dir),
                hint="check the folder's owner, permissions and free space",
                details=answer.error_text.splitlines()[:5],
            )
        return LostTransaction(answer.error_text)

    def _line(self, argv: Sequence[str], stdin: bytes) -> str:
        return self.git.run(argv, stdin=stdin).stdout.decode("ascii").strip()

    def _for_each_ref(self, arguments: Sequence[str]) -> bytes:
        answer = self.git.run(["for-each-ref", *arguments], check=False, limits=Limits(seconds=120, output=_READ_LIMIT))
        if match := _BROKEN_REF.search(answer.error_text):
            ref = match["ref"] or match["dangling"]
            raise BrokenRef(
                f"the ref {ref} is broken",
                where=str(self.git_dir),
                hint=f"look at it in the repository and repair or delete it: git update-ref -d {ref}",
                details=answer.error_text.splitlines()[:5],
            )
        _check("for-each-ref", answer, self.git_dir)
        return answer.stdout


def _check(command: str, answer: Completed, git_dir: Path) -> None:
    if answer.timed_out:
        raise GitTimedOut(command, answer, where=str(git_dir))
    if answer.returncode != 0:
        raise GitFailed(command, answer, where=str(git_dir))
    if answer.truncated:
        raise GitOutputTooLarge(command, answer, where=str(git_dir))


def _parse(answer: bytes) -> list[StoredRef]:
    """Read what ``_READ_FORMAT`` prints; contents are taken by their length, so they may hold anything."""
    found = []
    position = 0
    while position < len(answer):
        fields = []
        for _ in range(4):
            end = answer.index(b"\0", position)
            fields.append(answer[position:end].decode("utf-8", "surrogateescape"))
            position = end + 1
        name, identity, kind, size = fields
        content = answer[position : position + int(size)]
        position += int(size) + 1  # the line's end
        found.append(StoredRef(RefName(name), identity, ObjectKind(kind), content))
    return found
