"""The local forge's pull requests, read, shown and put in each other's place; what they may become is decided in
``local``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.names import BranchName, CommitId, RefName
from orchestrator.engine.clock import Clock, Deadline
from orchestrator.engine.retry import Backoff, Jitter
from orchestrator.forges.base import NotMergeable, NotOpen, PullRequest, PullRequestMoved
from orchestrator.forges.local_records import (
    PULLS,
    BrokenRecord,
    PullRecord,
    decode_pull,
    encode_pull,
    pull_ref,
)
from orchestrator.forges.local_setup import check_forge
from orchestrator.forges.local_store import LostTransaction, RefChange, RefStore, StoredRef

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class StoredPull:
    """A pull request's record, and the blob that it was read from."""

    record: PullRecord
    blob: str


class PullDesk:
    """Pull requests of one repository."""

    def __init__(self, path: Path, store: RefStore, clock: Clock, seconds: float, jitter: Jitter | None) -> None:
        self.path, self.store = path, store
        self._clock, self._seconds, self._jitter = clock, seconds, jitter

    # --- reading -------------------------------------------------------------------------------------------------

    def check_exists(self) -> None:
        """Raises ConfigurationError when there is no repository at all."""
        if not (self.path / "HEAD").is_file():
            check_forge(self.path)

    def all(self) -> Sequence[PullRecord]:
        """Every pull request, newest first. Raises BrokenRecord, BrokenRef."""
        self.check_exists()
        numbered = {number: ref for name, ref in self.store.read(PULLS).items() if (number := _number(name))}
        return [_decode(number, numbered[number]).record for number in sorted(numbered, reverse=True)]

    def find(self, number: int) -> StoredPull | None:
        """This one, if it is there. Raises BrokenRecord, BrokenRef."""
        ref = self.store.read(pull_ref(number)).get(pull_ref(number))
        return _decode(number, ref) if ref else None

    def get(self, number: int) -> StoredPull:
        """This one. Raises ConfigurationError when there is none, BrokenRecord, BrokenRef."""
        self.check_exists()
        stored = self.find(number) if number > 0 else None
        if stored is None:
            raise ConfigurationError(
                f"there is no pull request #{number}",
                where=str(self.path),
                hint=f"`hybrid-ci forge list {self.path}` shows which there are",
            )
        return stored

    def get_open(self, number: int) -> StoredPull:
        """This one. Raises NotOpen when it has ended, and as ``get``."""
        stored = self.get(number)
        self.require_open(stored.record)
        return stored

    def commit_of(self, ref: StoredRef | None, branch: BranchName) -> CommitId:
        """The tip of a branch that was read. Raises ConfigurationError when it is not there."""
        if ref is None or ref.commit is None:
            raise ConfigurationError(
                f"the repository has no branch {branch.value!r}",
                where=str(self.path),
                hint="push it first, or correct the name",
            )
        return ref.commit

    # --- refusing ------------------------------------------------------------------------------------------------

    def require_open(self, record: PullRecord) -> None:
        """Raises NotOpen for a pull request that was merged or closed."""
        if not record.is_open:
            raise NotOpen(
                f"pull request #{record.number} is {record.state} already",
                where=self.url(record.number),
                hint="run the command again: it looks at the current state first",
            )

    def require_head(self, record: PullRecord, head: CommitId, expected: CommitId) -> None:
        """Raises PullRequestMoved when the head is another one."""
        if head != expected:
            raise PullRequestMoved(
                f"the head of pull request #{record.number} is {head.short}, not {expected.short}",
                where=self.url(record.number),
                hint="somebody pushed in between: look at it again",
            )

    def not_mergeable(self, record: PullRecord, reason: str, hint: str) -> NotMergeable:
        """What to raise when the rules say no."""
        return NotMergeable(
            f"pull request #{record.number} can't be merged: {reason}", where=self.url(record.number), hint=hint
        )

    # --- writing -------------------------------------------------------------------------------------------------

    def write(self, record: PullRecord) -> str:
        """Store a record; the blob that no ref names yet."""
        return self.store.write_blob(encode_pull(record))

    def replacing(self, stored: StoredPull, record: PullRecord) -> RefChange:
        """Store the new record; the change that puts it in the old one's place."""
        return RefChange(pull_ref(record.number), stored.blob, self.write(record))

    def apply(
        self, changes: Sequence[RefChange], record: PullRecord, head: CommitId | None = None
    ) -> PullRequest | LostTransaction:
        """Commit a transaction; the pull request as it is then. ``head`` spares a read where it is known."""
        lost = self.store.commit(changes)
        if lost is not None:
            return lost
        return self.as_pull_request(record, head) if head else self.view(record)

    def until_written(self, attempt: Callable[[], _T | LostTransaction]) -> _T:
        """Try until the transaction is not lost any more. Raises RemoteError at the deadline."""
        self.check_exists()
        backoff = Backoff(self._clock, Deadline(self._clock, self._seconds), self._jitter)
        while True:
            result = attempt()
            if not isinstance(result, LostTransaction):
                return result
            if not backoff.wait():
                raise RemoteError(
                    f"the local forge could not be written for {self._seconds:.0f} seconds",
                    where=str(self.path),
                    details=result.text.splitlines()[:3],
                    hint="run it again; if a .lock file is named above and no git works there, remove that file",
                )

    # --- showing -------------------------------------------------------------------------------------------------

    def url(self, number: int) -> str:
        """Where to look: the repository and the number."""
        return f"{self.path.as_uri()}#{number}"

    def views(self, records: Iterable[PullRecord]) -> Sequence[PullRequest]:
        """Pull requests as the port tells them, the heads of the open ones read in one go."""
        chosen = tuple(records)
        tips = self.store.read(*{record.head.ref for record in chosen if record.is_open})
        return [
            self.as_pull_request(one, tips[one.head.ref].commit if one.head.ref in tips else None) for one in chosen
        ]

    def view(self, record: PullRecord) -> PullRequest:
        """The same for one."""
        return self.views([record])[0]

    def as_pull_request(self, record: PullRecord, head: CommitId | None) -> PullRequest:
        """``head`` is the branch's tip; once the pull request has ended, its own record says what the head was."""
        commit = head if record.is_open else record.head_commit
        return PullRequest(
            number=record.number,
            url=self.url(record.number),
            title=record.title,
            body=record.body,
            head=record.head,
            head_commit=commit,
            base=record.base,
            state=record.state,
            author=record.author,
            draft=record.draft,
            merge_commit=record.merge_commit,
            created=record.created,
            updated=record.updated,
            labels=record.routing.labels,
            approvals=record.approvers_of(commit),
        )


def _number(ref: RefName) -> int | None:
    text = ref.value.removeprefix(f"{PULLS}/")
    return int(text) if text.isascii() and text.isdigit() and not text.startswith("0") else None


def _decode(number: int, ref: StoredRef) -> StoredPull:
    record = decode_pull(ref.content, ref.name)
    if record.number != number:
        raise BrokenRecord(
            f"{ref.name} holds pull request #{record.number}",
            where=str(ref.name),
            hint="somebody moved the ref; set it back with `git update-ref`",
        )
    return StoredPull(record, ref.object_id)
