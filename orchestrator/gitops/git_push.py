"""Pushes by compare-and-swap: whatever git says of a failure, the ref is read back before anything is decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.core.names import CommitId, RefName
from orchestrator.git.failures import Failure, RemoteFailure, is_transient
from orchestrator.git.remote import PushAnswer, Remote
from orchestrator.gitops.base import Landed, LostRace, PushOutcome, UnknownOutcome
from orchestrator.gitops.git_patience import Attempts, Patience
from orchestrator.gitops.git_refusals import gave_up, raise_if_final


@dataclass(frozen=True, slots=True)
class Pusher:
    """Moves and deletes refs of one remote.

    ``look`` tells where a ref is, in one try of so many seconds; ``is_behind`` whether a commit of ours is part of what
    stands on another one, as far as that is here; ``on_defeat`` is told when every try has failed.
    """

    remote: Remote
    url: str
    patience: Patience
    look: Callable[[RefName, float], CommitId | None]
    is_behind: Callable[[CommitId, CommitId], bool]
    on_defeat: Callable[[], None]

    def push(
        self,
        ref: RefName,
        new: CommitId,
        expected: CommitId | None,
        options: Sequence[str] = (),
        pause: Callable[[], object] | None = None,
    ) -> PushOutcome:
        """Move ``ref`` from ``expected`` to ``new``, or say that it moved. Raises as the port's ``push`` does.

        What the commit stands on is not here, but for a few files. Git knows that the server has it as long as a ref is
        there. When its branch has moved on meanwhile, the server is asked.
        """
        attempts, negotiate = self.patience.begin(), False
        while True:
            answer = self.remote.push(ref, new, expected, attempts.seconds, options, negotiate=negotiate)
            if answer.ok:
                return Landed(new)
            beaten = answer.failure is Failure.RACE
            if beaten and pause is not None:
                pause()
            actual = self._read_back(ref, answer, attempts)
            if actual == new or (actual not in (None, expected) and self.is_behind(new, actual)):
                return Landed(new, first_try=False)
            raise_if_final(answer, ref, self.url)
            if actual != expected:
                if not beaten and pause is not None:
                    pause()
                return LostRace(actual)
            if answer.failure is Failure.INCOMPLETE and not negotiate:
                negotiate = True
            elif not attempts.wait():
                self.on_defeat()
                raise gave_up(answer, ref, self.url)

    def delete(self, ref: RefName, expected: CommitId) -> None:
        """Delete ``ref`` if it is at ``expected``. Raises as the port's ``delete`` does."""
        attempts = self.patience.begin()
        while True:
            answer = self.remote.push(ref, None, expected, attempts.seconds)
            if answer.ok or self._read_back(ref, answer, attempts) != expected:
                return
            raise_if_final(answer, ref, self.url)
            if not attempts.wait():
                raise gave_up(answer, ref, self.url)

    def _read_back(self, ref: RefName, answer: PushAnswer, attempts: Attempts) -> CommitId | None:
        while True:
            try:
                return self.look(ref, attempts.seconds)
            except RemoteFailure as failure:
                if not is_transient(failure.failure) or not attempts.wait():
                    raise UnknownOutcome(
                        f"it is not known whether the push to {ref} landed",
                        where=self.url,
                        hint="run again: what has landed is found, what has not is done",
                        details=[*answer.text, *failure.details],
                    ) from failure
