"""What the tests of the git room share: a served repository, impatient clients, and a clock that does not wait long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core.names import CommitId, RefName, RemoteURL, RepoPath
from orchestrator.engine.clock import SystemClock
from orchestrator.gitops.repository import GitRepository
from tests.servers.git_http import GitHTTPServer, serving
from tests.servers.git_repositories import Content, commit_files, git, make_bare

MAIN = RefName("refs/heads/main")
BOT = RefName("refs/heads/hybrid-ci/prod/api")
API = RepoPath("apps/api/prod/kustomization.yaml")
FILES: dict[str, Content] = {
    "README.md": b"read me\n",
    API.value: b"images: []\n",
    "apps/web/prod/kustomization.yaml": b"web\n",
}


class HurriedClock(SystemClock):
    """Real time, but a wait takes a fiftieth of what was asked for; ``slept`` has what was asked for."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Wait a little."""
        self.slept.append(seconds)
        super().sleep(seconds / 50)


@dataclass
class Served:
    """One bare repository behind one server."""

    bare: Path
    server: GitHTTPServer
    tip: CommitId
    clock: HurriedClock

    @property
    def url(self) -> RemoteURL:
        """Where it is."""
        return RemoteURL(self.server.url(self.bare.name))

    def client(self, **options: Any) -> GitRepository:
        """A client; the test closes it."""
        return GitRepository(
            self.url, **({"clock": self.clock, "patience": 20.0, "workdir": self.bare.parent} | options)
        )

    def ref(self, name: RefName = BOT) -> str:
        """Where a ref is; empty when it is not there."""
        return git(self.bare, "for-each-ref", "--format=%(objectname)", name.value)

    def commits_on(self, name: RefName) -> int:
        """How many commits a ref has."""
        return int(git(self.bare, "rev-list", "--count", name.value))


@contextmanager
def served(folder: Path, files: dict[str, Content] | None = None, **options: Any) -> Iterator[Served]:
    """A repository with some files, served over smart HTTP."""
    bare = make_bare(folder / "gitops.git")
    tip = CommitId(commit_files(bare, {**(FILES if files is None else files)}))
    with serving(folder, **options) as server:
        yield Served(bare, server, tip, HurriedClock())
