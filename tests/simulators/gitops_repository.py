"""The GitOpsRepository port in memory: one server, any number of clients, and failures where a test wants them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.core.errors import ConfigurationError, Conflict, Refused, RemoteError
from orchestrator.core.names import BranchName, CommitId, RefName, RepoPath
from orchestrator.core.patterns import matches
from orchestrator.engine.clock import Clock
from orchestrator.gitops.base import (
    CommitInfo,
    FileChange,
    Landed,
    LostRace,
    Naming,
    PushOutcome,
    Step,
    Unreadable,
)
from orchestrator.manifests.mention import may_hold
from tests.servers.git_repositories import Content, Executable, Link, Submodule
from tests.simulators.faults import FailingCalls

_PERSON = "A Person <person@example.com>"
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class StoredCommit:
    """A commit with its whole content."""

    info: CommitInfo
    files: Mapping[RepoPath, Content]
    when: datetime


class SimulatedGitServer:
    """Commits and refs. Every client sees the same ones; a commit is only a client's own until it is pushed."""

    def __init__(self) -> None:
        self.commits: dict[CommitId, StoredCommit] = {}
        self.refs: dict[RefName, CommitId] = {}
        self.protected: set[RefName] = set()
        self.default_branch: BranchName | None = BranchName("main")
        self.pushes: list[tuple[RefName, CommitId | None, CommitId]] = []

    def commit_files(
        self,
        files: Mapping[str, Content],
        ref: str = "refs/heads/main",
        message: str = "Change files",
        committer: str = _PERSON,
        parent: str | None = "",
    ) -> CommitId:
        """Somebody else commits. ``parent`` "" is the ref's tip, None a new root; None as content deletes."""
        name = RefName(ref)
        parents = (self.refs[name],) if parent == "" and name in self.refs else ()
        if parent:
            parents = (CommitId(parent),)
        content = dict(self.commits[parents[0]].files) if parents else {}
        for path, data in files.items():
            if data is None:
                content.pop(RepoPath(path), None)
            else:
                content[RepoPath(path)] = data
        commit = self.store(content, parents, committer, message, _EPOCH)
        self.refs[name] = commit
        return commit

    def store(
        self,
        files: Mapping[RepoPath, Content],
        parents: tuple[CommitId, ...],
        committer: str,
        message: str,
        when: datetime,
        author: str | None = None,
    ) -> CommitId:
        """Make a commit; the same content gives the same id, as in git."""
        message = message.rstrip("\n") + "\n"
        tree = CommitId(_hash(sorted((path.value, repr(data)) for path, data in files.items())))
        identity = CommitId(_hash([tree, parents, committer, message, int(when.timestamp())]))
        info = CommitInfo(identity, parents, tree, author or committer, committer, message, when.replace(microsecond=0))
        self.commits[identity] = StoredCommit(info, dict(files), when)
        return identity

    def ancestors(self, commit: CommitId) -> list[CommitId]:
        """The commit and everything behind it, newest first."""
        found: dict[CommitId, None] = {}
        queue = [commit]
        while queue:
            current = queue.pop(0)
            if current not in found:
                found[current] = None
                queue += self.commits[current].info.parents
        return list(found)


def _hash(value: object) -> str:
    return hashlib.sha1(repr(value).encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


class SimulatedGitOps(FailingCalls):
    """One client of a simulated server. ``calls`` lists what was called, in order."""

    def __init__(
        self,
        server: SimulatedGitServer,
        clock: Clock | None = None,
        identity: str = "hybrid-ci <hybrid-ci@localhost>",
        before_call: Callable[[str], None] | None = None,
    ) -> None:
        """``before_call`` is told each method's name first."""
        super().__init__(before_call)
        self.server, self._clock, self._identity = server, clock, identity

    @property
    def url(self) -> str:
        """See the port."""
        return "https://git.example/acme/gitops"

    def tips(self, refs: Sequence[RefName]) -> Mapping[RefName, CommitId]:
        """See the port."""
        with self._call("tips"):
            return {ref: self.server.refs[ref] for ref in refs if ref in self.server.refs}

    def default_branch(self) -> BranchName | None:
        """See the port."""
        with self._call("default_branch"):
            return self.server.default_branch

    def files(
        self, commit: CommitId, patterns: Sequence[str], naming: Naming | None = None
    ) -> Mapping[RepoPath, bytes]:
        """See the port."""
        with self._call("files"):
            found: dict[RepoPath, bytes] = {}
            for path, content in self._stored(commit).files.items():
                if isinstance(content, Link | Submodule):
                    self._check_not_spelled_out(path, patterns)
                elif any(matches(pattern, path.value) for pattern in patterns):
                    found[path] = _bytes(content)
            return found if naming is None else _that_matter(found, naming)

    def paths(self, commit: CommitId, patterns: Sequence[str]) -> Sequence[RepoPath]:
        """See the port."""
        with self._call("paths"):
            files = self._stored(commit).files
            regular = [path for path, content in files.items() if not isinstance(content, Link | Submodule)]
            for path in set(files) - set(regular):
                self._check_not_spelled_out(path, patterns)
            return sorted(path for path in regular if any(matches(pattern, path.value) for pattern in patterns))

    def commit(
        self, parent: CommitId, edits: Mapping[RepoPath, bytes | None], message: str, when: datetime | None = None
    ) -> CommitId:
        """See the port."""
        with self._call("commit"):
            files = dict(self._stored(parent).files)
            for path, content in edits.items():
                _check_writable(files, path)
                there = files.get(path)
                if content is None:
                    files.pop(path, None)
                else:
                    files[path] = Executable(content) if isinstance(there, Executable) else content
            when = when or (self._clock.now() if self._clock else _EPOCH)
            return self.server.store(files, (parent,), self._identity, message, when)

    def push(
        self,
        ref: RefName,
        new: CommitId,
        expected: CommitId | None,
        options: Sequence[str] = (),
        pause: Callable[[], object] | None = None,
    ) -> PushOutcome:
        """See the port."""
        with self._call("push"):
            actual = self.server.refs.get(ref)
            if actual == new:
                return Landed(new)
            if ref in self.server.protected:
                raise Refused(f"the GitOps repository's rules refuse the push to {ref}", where=self.url)
            if actual != expected:
                if pause is not None:
                    pause()
                return LostRace(self.server.refs.get(ref))
            self._check_no_clash(ref)
            self.server.refs[ref] = new
            self.server.pushes.append((ref, expected, new))
            return Landed(new)

    def delete(self, ref: RefName, expected: CommitId) -> None:
        """See the port."""
        with self._call("delete"):
            if self.server.refs.get(ref) != expected:
                return
            if ref in self.server.protected:
                raise Refused(f"the GitOps repository's rules refuse to delete {ref}", where=self.url)
            del self.server.refs[ref]

    def commits(self, base: CommitId, head: CommitId) -> Sequence[CommitInfo]:
        """See the port."""
        with self._call("commits"):
            self._stored(base), self._stored(head)
            known = set(self.server.ancestors(base))
            return [self.server.commits[one].info for one in self.server.ancestors(head) if one not in known]

    def commit_info(self, commit: CommitId) -> CommitInfo:
        """See the port."""
        with self._call("commit_info"):
            return self._stored(commit).info

    def recent(self, commit: CommitId, limit: int) -> Sequence[CommitInfo]:
        """See the port."""
        with self._call("recent"):
            found = [self._stored(commit).info]
            while found[-1].parents and len(found) < limit:
                found.append(self._stored(found[-1].parents[0]).info)
            return found

    def trail(self, tip: CommitId, patterns: Sequence[str], limit: int) -> Sequence[Step]:
        """See the port."""
        with self._call("trail"):
            steps: list[Step] = []
            current: CommitId | None = tip
            while current is not None and len(steps) < limit:
                info = self._stored(current).info
                merged = self._stored(info.parents[1]).info if len(info.parents) == 2 else None
                parent = info.parents[0] if info.parents else None
                before = self._stored(parent).files if parent is not None else {}
                steps.append(Step(info, merged, _changed(before, self._stored(current).files, patterns)))
                current = parent
            return steps

    def between(self, before: CommitId, after: CommitId, patterns: Sequence[str]) -> Mapping[RepoPath, FileChange]:
        """See the port."""
        with self._call("between"):
            return _changed(self._stored(before).files, self._stored(after).files, patterns)

    def check_push(self, ref: RefName) -> None:
        """See the port."""
        with self._call("check_push"):
            return

    def _stored(self, commit: CommitId) -> StoredCommit:
        if commit not in self.server.commits:
            raise RemoteError(f"the GitOps repository no longer gives the commit {commit.short}", where=self.url)
        return self.server.commits[commit]

    def _check_not_spelled_out(self, path: RepoPath, patterns: Sequence[str]) -> None:
        for pattern in patterns:
            parts = pattern.strip("/").split("/")
            for depth in range(1, len(parts) + 1):
                named = parts[depth - 1] == path.name and matches("/".join(parts[:depth]), path.value)
                if named and len(path.parts) >= depth - parts[:depth].count("**"):
                    raise Unreadable(f"{path} is not a regular file", where=path.value)

    def _check_no_clash(self, ref: RefName) -> None:
        for other in self.server.refs:
            if other.value.startswith(f"{ref}/") or ref.value.startswith(f"{other}/"):
                raise Conflict(f"{ref} can't be made: {other} is in the way", where=self.url)


def _that_matter(files: Mapping[RepoPath, bytes], naming: Naming) -> Mapping[RepoPath, bytes]:
    """All that the port allows to leave out is left out."""
    return {
        path: content
        for path, content in files.items()
        if may_hold(content, naming.images) or any(matches(one, path.value) for one in naming.paths)
    }


def _changed(
    old: Mapping[RepoPath, Content], new: Mapping[RepoPath, Content], patterns: Sequence[str]
) -> dict[RepoPath, FileChange]:
    """The regular files that a pattern names and that differ."""
    found: dict[RepoPath, FileChange] = {}
    for path in sorted({*old, *new}):
        before, after = (_regular(side.get(path)) for side in (old, new))
        if before != after and any(matches(pattern, path.value) for pattern in patterns):
            found[path] = FileChange(before, after)
    return found


def _regular(content: Content) -> bytes | None:
    return None if content is None or isinstance(content, Link | Submodule) else _bytes(content)


def _bytes(content: Content) -> bytes:
    if isinstance(content, Executable):
        return content.content
    if not isinstance(content, bytes):
        raise ConfigurationError("not a file")
    return content


def _check_writable(files: Mapping[RepoPath, Content], path: RepoPath) -> None:
    if isinstance(files.get(path), Link | Submodule):
        raise Unreadable(f"{path} is not a regular file", where=path.value)
    for other in files:
        if other.value.startswith(f"{path}/"):
            raise Unreadable(f"{path} is a folder", where=path.value)
        if path.value.startswith(f"{other}/"):
            raise Unreadable(f"{other} is a file", where=other.value)
