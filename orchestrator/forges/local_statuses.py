"""The local forge's commit statuses: one ref for each commit and context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import CommitId
from orchestrator.engine.clock import Clock
from orchestrator.forges.base import CommitStatus
from orchestrator.forges.local_desk import PullDesk
from orchestrator.forges.local_merge import Merger
from orchestrator.forges.local_records import decode_status, encode_status, status_ref, statuses_ref
from orchestrator.forges.local_store import LostTransaction, RefChange, RefStore


class Statuses:
    """Reads and writes them. Methods raise as ``LocalForge`` says."""

    def __init__(self, desk: PullDesk, store: RefStore, merger: Merger, clock: Clock, actor: str) -> None:
        self._desk, self._store, self._merger, self._clock, self._actor = desk, store, merger, clock, actor

    def of(self, commit: CommitId) -> Sequence[CommitStatus]:
        """The newest of each context, by context."""
        self._desk.check_exists()
        found = self._store.read(statuses_ref(commit))
        return sorted((decode_status(ref.content, ref.name) for ref in found.values()), key=lambda one: one.context)

    def write(self, commit: CommitId, status: CommitStatus) -> None:
        """Write one; the creator is the actor when none is given. Raises ConfigurationError."""
        self._desk.check_exists()
        if not status.context.strip():
            raise ConfigurationError("a commit status needs a context", hint="for example kustomization/apps")
        if not self._merger.has_commit(commit):
            raise ConfigurationError(f"the repository has no commit {commit}", where=str(self._store.git_dir))
        written = replace(status, creator=status.creator or self._actor, created=status.created or self._clock.now())
        self._desk.until_written(lambda: self._write_once(commit, written))

    def _write_once(self, commit: CommitId, status: CommitStatus) -> bool | LostTransaction:
        ref = status_ref(commit, status.context)
        there = self._store.read(ref).get(ref)
        if there is not None and decode_status(there.content, ref) == status:
            return True
        blob = self._store.write_blob(encode_status(commit, status))
        return self._store.commit([RefChange(ref, there.object_id if there else None, blob)]) or True
