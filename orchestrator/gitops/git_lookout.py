"""Where refs are now, together with what is new of them.

Almost every run that asks where a branch is reads it next. So one fetch answers both: the first one cuts history at the
tips and leaves out all but the upper folders; from then on, and at once with a warm mirror, the server is told what is
here and sends the difference. Where a server does not play along, refs are listed and nothing is brought.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.names import CommitId, RefName
from orchestrator.git.failures import Failure, RemoteFailure
from orchestrator.git.remote import Remote
from orchestrator.git.store import ObjectStore
from orchestrator.gitops.git_cache import WarmMirror

UPPER_FOLDERS = "combine:blob:none+tree:2"  # tree:2 alone would bring the files between them too
_MOST_REFS = 8
_MOST_BYTES = 32 * 1024 * 1024  # of a difference: what is so far behind is better cut anew
# Listing refs would fail in the same way.
_FINAL = (Failure.LOGIN, Failure.MISSING, Failure.REDIRECTED, Failure.UNTRUSTED_HOST, Failure.TRANSIENT)


class Lookout:
    """Asks one remote for its refs."""

    def __init__(self, store: ObjectStore, remote: Remote, mirror: WarmMirror | None) -> None:
        """The mirror must have lent its objects to the store already."""
        self._store, self._remote, self._mirror = store, remote, mirror
        self._known: dict[RefName, CommitId] = {}
        self._together = True

    def look(self, refs: Sequence[RefName], seconds: float) -> dict[RefName, CommitId]:
        """Those of these refs that exist; one try. Raises RemoteFailure, BrokenObject and GitFailed (a broken mirror).

        After a failure the next try only lists.
        """
        if not self._together or not 0 < len(refs) <= _MOST_REFS:
            return self._remote.list_refs(refs, seconds)
        try:
            found = self._bring(refs, seconds)
        except RemoteFailure as failure:
            self._together = False
            if failure.failure in _FINAL:
                raise
            return self._remote.list_refs(refs, seconds)
        self._known |= found
        if self._mirror is not None:
            self._mirror.take_from(self._store)
            self._mirror.note(found)
        return found

    def _bring(self, refs: Sequence[RefName], seconds: float) -> dict[RefName, CommitId]:
        """The difference, where a branch of these is known: the others are then made from it, as a rule."""
        self._remember(refs)
        if any(ref in self._known for ref in refs):
            return self._remote.look(refs, seconds, filter_spec="blob:none", most_bytes=_MOST_BYTES)
        return self._remote.look(refs, seconds, depth=1, filter_spec=UPPER_FOLDERS)

    def _remember(self, refs: Sequence[RefName]) -> None:
        """What the mirror has of these refs; a note whose commit is gone is not believed."""
        if self._mirror is None:
            return
        noted = {ref: tip for ref in refs if ref not in self._known and (tip := self._mirror.tip(ref)) is not None}
        here = self._store.read(tip.value for tip in noted.values())
        for ref, tip in noted.items():
            if tip.value in here:
                self._known[ref] = tip
                self._store.cut_at(tip)
                self._store.hold(tip)
