"""The embedded local forge: pull requests that live in the bare repository itself.

It is addressed by its path. Everything it knows is refs and JSON blobs under ``refs/hybrid-ci/``, and every write is
one transaction over refs with their old values (``local_store``), so any number of processes can work on it at
once: a lost transaction is read again, decided again and tried again until the deadline. Git writes the refs of a
transaction one after the other, so each is ordered such that every prefix of it can be finished by running again.

It does not know who people are. An author or an approver is a name that somebody gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.names import BranchName, CommitId, InvalidName, RefName
from orchestrator.engine.clock import Clock, SystemClock
from orchestrator.engine.retry import Jitter
from orchestrator.forges.base import (
    AutoMerge,
    CommitStatus,
    ForgeFacts,
    MergeMethod,
    NotMergeable,
    PullRequest,
    PullRequestDraft,
    PullRequestMoved,
    PullRequestState,
    Review,
    Routing,
)
from orchestrator.forges.local_desk import PullDesk
from orchestrator.forges.local_handling import Handling
from orchestrator.forges.local_merge import Merger
from orchestrator.forges.local_records import (
    PULLS,
    Approval,
    Comment,
    PullRecord,
    check_text,
    decode_pull,
    kept_head_ref,
    open_ref,
    pull_ref,
)
from orchestrator.forges.local_setup import check_forge, create_forge, facts_of, is_protected
from orchestrator.forges.local_statuses import Statuses
from orchestrator.forges.local_store import LostTransaction, RefChange, RefStore, StoredRef
from orchestrator.git.identity import Identity

DEADLINE_SECONDS = 60.0


class LacksApprovals(NotMergeable):
    """Nothing but approvals is missing."""


class LocalForge:
    """A forge in a bare repository: the Forge port with every narrow capability that needs no server.

    Every method raises ConfigurationError when there is no repository at the path, BrokenRecord or BrokenRef
    when somebody damaged what it keeps, and RemoteError when git fails or other writers are faster for too long.
    """

    def __init__(
        self,
        path: Path,
        *,
        actor: str = "hybrid-ci",
        clock: Clock | None = None,
        seconds: float = DEADLINE_SECONDS,
        jitter: Jitter | None = None,
    ) -> None:
        """``actor`` is who we say we are; ``seconds`` how long a write fights for its turn.

        Raises ConfigurationError for an actor that can't be a commit's author.
        """
        self.path = path.absolute()
        self.actor = Identity(actor).name
        self._clock: Clock = clock or SystemClock()
        self._store = RefStore(self.path)
        self._merger = Merger(self._store)
        self._desk = PullDesk(self.path, self._store, self._clock, seconds, jitter)
        self._statuses = Statuses(self._desk, self._store, self._merger, self._clock, self.actor)
        self._handling = Handling(self._desk, self._store, self._clock, self.actor)

    @classmethod
    def init(cls, path: Path, base: BranchName | str = "main", *, required_approvals: int | None = None) -> Self:
        """Make a local forge, or make an existing bare repository one; protects ``base`` by a server hook.

        Raises ConfigurationError, Conflict and RemoteError as ``create_forge`` says.
        """
        create_forge(path.absolute(), BranchName(str(base)), required_approvals)
        return cls(path)

    # --- Forge ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """``local``."""
        return "local"

    def check_access(self) -> None:
        """Raises ConfigurationError when the path is no local forge, BrokenRef when its refs can't be read."""
        check_forge(self.path)
        self._store.last_number(PULLS)

    def pull_requests(self, head: BranchName, base: BranchName) -> Sequence[PullRequest]:
        """As the port says."""
        return self._desk.views(record for record in self._desk.all() if record.pair == (head, base))

    def open(self, draft: PullRequestDraft) -> PullRequest:
        """As the port says. Raises ConfigurationError when head or base is missing or a text does not fit,
        Refused when head has nothing that base has not."""
        check_text(draft.title, draft.body)
        return self._desk.until_written(lambda: self._open_once(draft))

    def update(self, number: int, *, title: str, body: str) -> PullRequest:
        """As the port says. Raises NotOpen; ConfigurationError when there is none, or a text does not fit."""
        check_text(title, body)
        return self._desk.until_written(lambda: self._update_once(number, title, body))

    def close(self, number: int, comment: str) -> PullRequest:
        """As the port says. Raises NotOpen for a merged one, ConfigurationError when there is none."""
        return self._desk.until_written(lambda: self._close_once(number, comment))

    # --- Guarding ------------------------------------------------------------------------------------------------

    def can_push(self, branch: BranchName) -> bool | None:
        """As the port says; None where the repository is no local forge."""
        protected = is_protected(self.path, branch)
        return None if protected is None else not protected

    def facts(self, base: BranchName) -> ForgeFacts:
        """As the port says."""
        return facts_of(self.path, base)

    # --- Browsing ------------------------------------------------------------------------------------------------

    def list(self, state: PullRequestState | None = None) -> Sequence[PullRequest]:
        """As the port says."""
        return self._desk.views(record for record in self._desk.all() if state in (None, record.state))

    def show(self, number: int) -> PullRequest:
        """As the port says."""
        return self._desk.view(self._desk.get(number).record)

    def current_head(self, number: int) -> CommitId:
        """The head that a reviewer sees now. Raises ConfigurationError when its branch is gone, and as ``show``."""
        pull_request = self.show(number)
        if pull_request.head_commit is None:
            raise ConfigurationError(
                f"the branch {pull_request.head.value!r} of pull request #{number} is gone",
                where=pull_request.url,
                hint="push it again, or close the pull request",
            )
        return pull_request.head_commit

    def find_commit(self, text: str) -> CommitId:
        """What a person means: a full commit id, ``#7`` for a pull request's merge (or head), or a branch.

        Raises ConfigurationError when there is no such branch or pull request.
        """
        if text.startswith("#") and text[1:].isascii() and text[1:].isdigit():
            return self.show(int(text[1:])).merge_commit or self.current_head(int(text[1:]))
        try:
            return CommitId(text)
        except InvalidName:
            branch = BranchName(text)
        self._desk.check_exists()
        return self._desk.commit_of(self._store.read(branch.ref).get(branch.ref), branch)

    def record(self, number: int) -> PullRecord:
        """Everything that is stored about a pull request, comments included. Raises as ``show``."""
        return self._desk.get(number).record

    def diff(self, number: int) -> str | None:
        """What the pull request changes (or changed, once merged) against its base, as a unified diff.

        None when it can't be told any more, because a branch is gone. Raises as ``show``.
        """
        record = self._desk.get(number).record
        if record.head_commit is not None and record.merge_commit is not None:
            return self._merger.diff(self._merger.first_parent(record.merge_commit), record.head_commit)
        refs = self._store.read(record.head.ref, record.base.ref)
        head, base = (refs[name.ref].commit if name.ref in refs else None for name in record.pair)
        head = record.head_commit or head
        return self._merger.diff(base, head) if base and head else None

    # --- reviewing and merging -----------------------------------------------------------------------------------

    def required_approvals(self) -> int:
        """How many approvals of its current head a pull request needs. Raises ConfigurationError."""
        self._desk.check_exists()
        return self._merger.check_settings()

    def approve(self, number: int, expected_head: CommitId | None = None) -> PullRequest:
        """Say yes to the current head in the actor's name, which nobody checks; once per head and actor.

        With the last approval that was missing, a head that ``merge_when_ready`` was asked for is merged.

        Raises PullRequestMoved when the head is not ``expected_head``, Refused for the author, NotOpen,
        ConfigurationError.
        """
        approved = self._desk.until_written(lambda: self._approve_once(number, expected_head))
        wish = self.record(number).wish
        if wish is not None and wish.head == approved.head_commit:
            with suppress(NotMergeable, PullRequestMoved):
                return self.merge(number, wish.head, wish.message or None)
        return approved

    def merge(
        self, number: int, expected_head: CommitId, message: str | None = None, *, delete_branch: bool = False
    ) -> PullRequest:
        """As the port says, always by a merge commit on the base's current tip; the head branch stays unless
        ``delete_branch``. One that is merged already with this head is given back as it is.

        Raises PullRequestMoved, NotMergeable, ConfigurationError.
        """
        return self._desk.until_written(lambda: self._merge_once(number, expected_head, message, delete_branch))

    def merge_when_ready(
        self, number: int, expected_head: CommitId, method: MergeMethod | None, message: str | None = None
    ) -> AutoMerge:
        """As the port says: at once, or with the approval that was missing. Merge commits are all that it makes."""
        if method not in (None, MergeMethod.MERGE):
            reason = f"the local forge makes merge commits, and the policy asks for {method}"
            raise self._desk.not_mergeable(self.record(number), reason, "leave `method` out of the policy")
        try:
            self.merge(number, expected_head, message)
        except LacksApprovals:
            self._handling.wish(number, expected_head, message)
            return AutoMerge.ENABLED
        return AutoMerge.MERGED

    def call_off_merge(self, number: int) -> bool:
        """As the port says. Raises ConfigurationError when there is none."""
        return self._handling.call_off(number)

    # --- Drafting, RoutesPullRequests, Reviewing, Commenting -----------------------------------------------------

    def set_draft(self, number: int, draft: bool) -> PullRequest:
        """As the port says. Raises NotOpen, ConfigurationError when there is none."""
        return self._handling.set_draft(number, draft)

    def route(self, number: int, routing: Routing) -> Sequence[str]:
        """As the port says: noted down, for nobody is told. Raises as ``set_draft``."""
        return self._handling.route(number, routing)

    def reviews(self, number: int) -> Sequence[Review]:
        """As the port says. Raises ConfigurationError when there is none."""
        return self._handling.reviews(number)

    def members(self, team: str) -> frozenset[str]:
        """As the port says: ``git config hybrid-ci-team.<team>.members`` of the repository."""
        return self._handling.members(team)

    def comment(self, number: int, text: str) -> None:
        """As the port says."""
        self._handling.comment(number, text)

    # --- CommitStatuses ------------------------------------------------------------------------------------------

    def statuses(self, commit: CommitId) -> Sequence[CommitStatus]:
        """As the port says, by context."""
        return self._statuses.of(commit)

    def set_status(self, commit: CommitId, status: CommitStatus) -> None:
        """As the port says; the creator is the actor when none is given. Raises ConfigurationError."""
        self._statuses.write(commit, status)

    # --- one try each --------------------------------------------------------------------------------------------

    def _open_once(self, draft: PullRequestDraft) -> PullRequest | LostTransaction:
        index = open_ref(draft.head, draft.base)
        refs = self._store.read(index, draft.head.ref, draft.base.ref)
        head = self._desk.commit_of(refs.get(draft.head.ref), draft.head)
        base = self._desk.commit_of(refs.get(draft.base.ref), draft.base)
        standing = refs.get(index)
        if standing is not None and (found := self._standing(standing, draft)) is not None:
            return found
        if self._merger.is_ancestor(head, base):
            raise Refused(
                f"{draft.head.value!r} has nothing that {draft.base.value!r} has not",
                where=str(self.path),
                hint="push a commit to the head branch first",
            )
        now = self._clock.now()
        number = self._store.last_number(PULLS) + 1
        record = PullRecord(
            number, draft.title, draft.body, draft.head, draft.base, self.actor, now, now, draft=draft.draft
        )
        blob = self._desk.write(record)
        # The index first: it holds the whole record, so a half-written pair can be finished from it.
        changes = [RefChange(index, standing.object_id if standing else None, blob)]
        return self._desk.apply([*changes, RefChange(pull_ref(number), None, blob)], record, head)

    def _standing(self, index: StoredRef, draft: PullRequestDraft) -> PullRequest | LostTransaction | None:
        """The open pull request that the index names; None when the index is a leftover of one that ended."""
        first = decode_pull(index.content, index.name)
        stored = self._desk.find(first.number)
        if stored is None:  # the machine stopped between the two refs
            return self._desk.apply([RefChange(pull_ref(first.number), None, index.object_id)], first)
        if stored.record.is_open and stored.record.pair == (draft.head, draft.base):
            return self._desk.view(stored.record)
        return None

    def _update_once(self, number: int, title: str, body: str) -> PullRequest | LostTransaction:
        stored = self._desk.get_open(number)
        if (stored.record.title, stored.record.body) == (title, body):
            return self._desk.view(stored.record)
        record = replace(stored.record, title=title, body=body, updated=self._clock.now())
        return self._desk.apply([self._desk.replacing(stored, record)], record)

    def _close_once(self, number: int, comment: str) -> PullRequest | LostTransaction:
        stored = self._desk.get(number)
        record = stored.record
        if record.state is PullRequestState.CLOSED:
            return self._desk.view(record)
        self._desk.require_open(record)
        index, kept = open_ref(record.head, record.base), kept_head_ref(number)
        refs = self._store.read(index, kept, record.head.ref)
        head = refs[record.head.ref].commit if record.head.ref in refs else None
        now = self._clock.now()
        ended = record.ended(PullRequestState.CLOSED, self.actor, now, head)
        if comment.strip():
            ended = replace(ended, comments=(*record.comments, Comment(self.actor, comment, now)))
        changes = [RefChange(kept, refs[kept].object_id if kept in refs else None, head.value)] if head else []
        changes += [self._desk.replacing(stored, ended), *_drop_index(refs.get(index), number)]
        return self._desk.apply(changes, ended, head)

    def _approve_once(self, number: int, expected_head: CommitId | None) -> PullRequest | LostTransaction:
        stored = self._desk.get_open(number)
        record = stored.record
        head = self._desk.commit_of(self._store.read(record.head.ref).get(record.head.ref), record.head)
        self._desk.require_head(record, head, expected_head or head)
        if record.author == self.actor:
            raise Refused(
                f"{self.actor!r} opened pull request #{number} and can't approve it",
                where=self._desk.url(number),
                hint="somebody else has to look at it",
            )
        if self.actor in record.approvers_of(head):
            return self._desk.as_pull_request(record, head)
        now = self._clock.now()
        record = replace(record, approvals=(*record.approvals, Approval(self.actor, head, now)), updated=now)
        return self._desk.apply([self._desk.replacing(stored, record)], record, head)

    def _merge_once(
        self, number: int, expected_head: CommitId, message: str | None, delete_branch: bool
    ) -> PullRequest | LostTransaction:
        stored = self._desk.get(number)
        record = stored.record
        if record.state is PullRequestState.MERGED and record.head_commit is not None:
            self._desk.require_head(record, record.head_commit, expected_head)
            return self._desk.view(record)
        if not record.is_open:
            raise self._desk.not_mergeable(record, "it was closed without a merge", "open a new one")
        needed = self._merger.check_settings()  # before the refs are read: what lies between read and write is raced
        index = open_ref(record.head, record.base)
        refs = self._store.read(index, record.head.ref, record.base.ref)
        head, base = self._tip(record, record.head, refs), self._tip(record, record.base, refs)
        self._desk.require_head(record, head, expected_head)
        merge, base_after = self._merge_commit(record, base, head, message, needed)
        ended = record.ended(PullRequestState.MERGED, self.actor, self._clock.now(), head)
        ended = replace(ended, merge_commit=merge)
        # The base first: a head that the base has already is recognised when this is run again.
        changes = [
            RefChange(record.base.ref, base.value, base_after.value),
            self._desk.replacing(stored, ended),
            RefChange(record.head.ref, head.value, None if delete_branch else head.value),
            *_drop_index(refs.get(index), number),
        ]
        return self._desk.apply(changes, ended, head)

    def _tip(self, record: PullRecord, branch: BranchName, refs: Mapping[RefName, StoredRef]) -> CommitId:
        ref = refs.get(branch.ref)
        if ref is None or ref.commit is None:
            raise self._desk.not_mergeable(record, f"the branch {branch.value!r} is gone", "push it again, or close it")
        return ref.commit

    def _merge_commit(
        self, record: PullRecord, base: CommitId, head: CommitId, message: str | None, needed: int
    ) -> tuple[CommitId, CommitId]:
        """The commit that merges the head, and where the base goes: nowhere when it has the head already."""
        if self._merger.is_ancestor(head, base):
            return self._merger.merge_of(head, base) or base, base
        if record.draft:
            raise self._desk.not_mergeable(record, "it is a draft", "it has to be made ready first")
        given = len(record.approvers_of(head))
        if given < needed:
            reason = f"approvals of its current head: {given} of {needed}"
            refusal = self._desk.not_mergeable(record, reason, f"hybrid-ci forge approve {self.path} {record.number}")
            raise LacksApprovals(refusal.message, where=refusal.where, hint=refusal.hint)
        if message is None or not message.strip():
            message = f"Merge pull request #{record.number} from {record.head}\n\n{record.title}"
        merge = self._merger.create(base, head, message, self.actor, self._clock.now())
        return merge, merge


def _drop_index(index: StoredRef | None, number: int) -> Sequence[RefChange]:
    """Free the pair for the next pull request, unless another one has it already."""
    if index is None or decode_pull(index.content, index.name).number != number:
        return []
    return [RefChange(index.name, index.object_id, None)]
