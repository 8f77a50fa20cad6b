"""How two commits of an application's repository stand to each other, told by git: content is never fetched."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.names import CommitId, RemoteURL
from orchestrator.core.order import Ancestry
from orchestrator.git.command import Git
from orchestrator.git.credentials import GitCredentials
from orchestrator.git.failures import Failure, RemoteFailure
from orchestrator.git.remote import ALL_BRANCHES, Remote
from orchestrator.git.source import open_checkout
from orchestrator.git.store import ObjectStore, object_format_of

_SECONDS = 120.0
_WITHOUT_CONTENT = ("tree:0", None)  # a server that knows no filters sends everything


def ancestry_in(checkout: Path, current: CommitId, proposed: CommitId) -> Ancestry:
    """As the checkout's own history tells; UNKNOWN when it is cut, or does not have both commits.

    Raises ConfigurationError when there is no repository.
    """
    _, git = open_checkout(checkout)
    shallow = git.run(["rev-parse", "--is-shallow-repository"], check=False)
    if shallow.stdout.strip() != b"false":
        return Ancestry.UNKNOWN
    return _compare(git, current, proposed)


@dataclass(frozen=True, slots=True)
class SourceHistory:
    """The application's repository at its remote. Commits alone are fetched, into a folder that ends with the call."""

    url: RemoteURL
    credentials: GitCredentials | None = None

    def ancestry(self, current: CommitId, proposed: CommitId) -> Ancestry:
        """UNKNOWN when the repository does not have both commits. Raises RemoteError when it can't be reached."""
        with tempfile.TemporaryDirectory(prefix="hybrid-ci-source-") as folder:
            store = ObjectStore.create(Path(folder) / "source.git", object_format_of(proposed), self.url.value)
            try:
                if not self._fetch(Remote(self.url, store, self.credentials), current, proposed):
                    return Ancestry.UNKNOWN
                return _compare(store.view, current, proposed)
            finally:
                store.close()

    def _fetch(self, remote: Remote, current: CommitId, proposed: CommitId) -> bool:
        """Both commits by their ids; from a server that gives nothing by id, every branch. False: it has them not."""
        for wants in ([current.value, proposed.value], [ALL_BRANCHES]):
            for spec in _WITHOUT_CONTENT:
                try:
                    remote.fetch(wants, _SECONDS, filter_spec=spec)
                except RemoteFailure as failure:
                    if failure.failure is Failure.NO_FILTER and spec is not None:
                        continue
                    if failure.failure is Failure.NO_SUCH_OBJECT:
                        break
                    raise
                return True
        return False


def _compare(git: Git, current: CommitId, proposed: CommitId) -> Ancestry:
    if current == proposed:
        return Ancestry.SAME
    forward, backward = _is_ancestor(git, current, proposed), _is_ancestor(git, proposed, current)
    if forward is None or backward is None:
        return Ancestry.UNKNOWN
    if forward:
        return Ancestry.DESCENDANT
    return Ancestry.ANCESTOR if backward else Ancestry.DIVERGED


def _is_ancestor(git: Git, one: CommitId, other: CommitId) -> bool | None:
    """None when git can't tell (git-merge-base(1): 0 is yes, 1 is no, anything else an error)."""
    answer = git.run(["merge-base", "--is-ancestor", one.value, other.value], check=False)
    return {0: True, 1: False}.get(answer.returncode)
