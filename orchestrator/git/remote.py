"""Talks to one remote: lists refs, fetches by id, pushes by compare-and-swap.

Every method is one try with one answer; whoever calls decides whether to try again. The URL and the login
travel in the environment of git, never in argv, and nothing is written into a configuration file.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.names import CommitId, RefName, RemoteURL
from orchestrator.core.text import printable
from orchestrator.engine.process import Completed, Limits
from orchestrator.git.command import Git
from orchestrator.git.credentials import GitCredentials, transport_to
from orchestrator.git.failures import Failure, RemoteFailure, classify, explain
from orchestrator.git.refspecs import if_there
from orchestrator.git.store import ObjectStore

ALL_HISTORY = 2_147_483_647  # the depth that git takes as "no limit"
ALL_BRANCHES = "+refs/heads/*:refs/hybrid-ci/*"

_LOOKS = "refs/looks"
_REMOTE = "origin"
_DETAIL_LINES = 20
_STALL_BYTES_PER_SECOND = "64"
DEFAULT_STALL_SECONDS = 45  # a server may be silent for a while when its own hooks are slow
_NOISE = re.compile(r"^(?:hint:|To |Done$|\s*$)")
_FETCH = (
    "fetch", "--quiet", "--stdin", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
    "--no-auto-gc", "--no-show-forced-updates",
)  # fmt: skip
# Nothing here outlives the run, and what a mirror keeps is hashed again when it is read: no need to wait for the disk.
# A pack of differences is completed with what they refer to: big folders, whose ids do not compress.
_FETCH_SETTINGS = (("fetch.unpackLimit", "1"), ("core.fsync", "none"), ("core.looseCompression", "0"))
_PUSH = ("push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no")


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """What git said about a push. ``ok`` is believed; a failure is only evidence (read the ref back)."""

    ok: bool
    failure: Failure
    text: tuple[str, ...]


class Remote:
    """One remote repository, seen through a private repository."""

    def __init__(
        self,
        url: RemoteURL,
        store: ObjectStore,
        credentials: GitCredentials | None = None,
        stall_seconds: int = DEFAULT_STALL_SECONDS,
    ) -> None:
        """``stall_seconds``: a connection that is almost silent for so long is given up."""
        self.url = url
        self._store = store
        self._credentials = credentials
        self._stall_seconds = stall_seconds
        self.calls: list[str] = []
        self.default_branch: str | None = None  # what HEAD points to, as the last list told
        self._looks = 0

    def list_refs(self, refs: Sequence[RefName], seconds: float) -> dict[RefName, CommitId]:
        """Those of these refs that exist. The same answer tells ``default_branch``. Raises RemoteFailure."""
        names = ["HEAD", *(ref.value for ref in refs)]
        argv = ["ls-remote", "--quiet", "--symref", "--end-of-options", _REMOTE, *names]
        completed = self._judge(self._try(argv, seconds), "listing branches", seconds)
        wanted = {ref.value: ref for ref in refs}
        found: dict[RefName, CommitId] = {}
        for line in completed.stdout.decode("utf-8", "replace").splitlines():
            identity, _, name = line.partition("\t")
            if name == "HEAD" and identity.startswith("ref: "):
                self.default_branch = identity.removeprefix("ref: ")
            if name in wanted:  # git matches patterns from the end, so others may come along
                found[wanted[name]] = CommitId(identity)
        return found

    def look(
        self,
        refs: Sequence[RefName],
        seconds: float,
        *,
        depth: int | None = None,
        filter_spec: str | None = None,
        most_bytes: int | None = None,
    ) -> dict[RefName, CommitId]:
        """Those of these refs that exist, with what is not here yet of them: one process, one connection.

        Only these refs are listed, however many the server has. What earlier looks found is offered as known; a pack
        above ``most_bytes`` is given up. Raises RemoteFailure.
        """
        self._looks += 1
        folder = f"{_LOOKS}/{self._looks}"
        wants = [line for number, ref in enumerate(refs) for line in if_there(ref, f"{folder}/{number}/at")]
        self.fetch(wants, seconds, depth=depth, filter_spec=filter_spec, incremental=True, most_bytes=most_bytes)
        home = self._store.git.git_dir
        shutil.rmtree(home / _LOOKS / str(self._looks - 1), ignore_errors=True)
        files = {ref: home / folder / str(number) / "at" for number, ref in enumerate(refs)}
        return {ref: CommitId(file.read_text().strip()) for ref, file in files.items() if file.exists()}

    def is_at(self, ref: RefName, commit: CommitId, seconds: float) -> bool:
        """The remote says that ``ref`` is at this commit of ours; one request, that a push would begin with.

        Raises RemoteFailure.
        """
        argv = [*_PUSH, "--dry-run", _REMOTE, f"{commit}:{ref}"]
        completed = self._judge(self._try(argv, seconds, git=self._store.view), "reading a branch back", seconds)
        return f"=\t{commit}:{ref}\t" in completed.stdout.decode("utf-8", "replace")

    def fetch(
        self,
        wants: Sequence[str],
        seconds: float,
        *,
        depth: int | None = None,
        filter_spec: str | None = None,
        incremental: bool = False,
        most_bytes: int | None = None,
    ) -> None:
        """Bring these objects (ids, or refspecs) here, with what the filter leaves. Raises RemoteFailure.

        ``incremental``: the server is told what our refs have, and sends only what is new since.
        """
        argv = list(_FETCH)
        if depth is not None:
            argv.append(f"--depth={depth}")
        # An earlier filter would apply again without --no-filter: git notes it in the repository.
        argv.append("--no-filter" if filter_spec is None else f"--filter={filter_spec}")
        stdin = "".join(f"{want}\n" for want in wants).encode()
        settings = [("fetch.negotiationAlgorithm", "consecutive" if incremental else "noop"), *_FETCH_SETTINGS]
        if filter_spec is not None:
            settings.append((f"remote.{_REMOTE}.promisor", "true"))
        # What a pack is a difference to may be missing here: then git gets all of that in one request.
        environment = {"GIT_NO_LAZY_FETCH": "0"} if incremental else None
        limits = Limits(seconds=seconds, file_size=most_bytes)
        completed = self._try(
            [*argv, _REMOTE], seconds, stdin=stdin, settings=settings, limits=limits, environment=environment
        )
        self._judge(completed, "reading", seconds)

    def list_matching(self, pattern: str, seconds: float) -> dict[str, CommitId]:
        """Every ref that git's pattern matches, by its full name. Raises RemoteFailure."""
        argv = ["ls-remote", "--quiet", "--refs", "--end-of-options", _REMOTE, pattern]
        completed = self._judge(self._try(argv, seconds), "listing refs", seconds)
        lines = (line.partition("\t") for line in completed.stdout.decode("utf-8", "replace").splitlines())
        return {name: CommitId(identity) for identity, _, name in lines}

    def push(
        self,
        ref: RefName,
        new: CommitId | None,
        expected: CommitId | None,
        seconds: float,
        options: Sequence[str] = (),
        *,
        negotiate: bool = False,
    ) -> PushAnswer:
        """Move ``ref`` from ``expected`` (None: it must not exist) to ``new`` (None: away); what git said about it.

        ``options`` are handed to the server (git-push(1), ``--push-option``), which has to take such. Git takes it that
        the server has what its refs are at; with ``negotiate`` it asks first which of our commits the server has.
        """
        lease = f"--force-with-lease={ref}:{expected or ''}"
        argv = [*_PUSH, lease, *(f"--push-option={option}" for option in options), _REMOTE, f"{new or ''}:{ref}"]
        settings = [("push.negotiate", "true")] if negotiate else []
        completed = self._try(argv, seconds, git=self._store.view, settings=settings)
        text = completed.stdout.decode("utf-8", "replace") + completed.stderr.decode("utf-8", "replace")
        failure = Failure.TRANSIENT if completed.timed_out else classify(text)
        return PushAnswer(completed.ok, failure, _details(text))

    def try_push(self, ref: RefName, new: CommitId, seconds: float) -> None:
        """Ask whether we may push at all, without pushing. Raises RemoteFailure."""
        argv = [*_PUSH, "--dry-run", _REMOTE, f"{new}:{ref}"]
        self._judge(self._try(argv, seconds, git=self._store.view), "asking whether we may write", seconds)

    def _judge(self, completed: Completed, what: str, seconds: float) -> Completed:
        if completed.ok and not completed.truncated:
            return completed
        text = completed.stderr.decode("utf-8", "replace") + completed.stdout.decode("utf-8", "replace")
        failure = Failure.TRANSIENT if completed.timed_out else classify(text)
        message, hint = explain(failure, what)
        details = list(_details(text))
        if completed.timed_out:
            details.append(f"git was stopped after {seconds:.0f} seconds")
        raise RemoteFailure(message, failure, where=self.url.value, hint=hint, details=details)

    def _try(
        self,
        argv: Sequence[str],
        seconds: float,
        *,
        stdin: bytes | None = None,
        settings: Sequence[tuple[str, str]] = (),
        git: Git | None = None,
        limits: Limits | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        self.calls.append(argv[0])
        common = [
            (f"remote.{_REMOTE}.url", self.url.value),
            ("http.lowSpeedLimit", _STALL_BYTES_PER_SECOND),
            ("http.lowSpeedTime", str(self._stall_seconds)),
        ]
        with transport_to(self.url, self._credentials) as transport:
            chosen = (git or self._store.git).with_configuration(*common, *settings)
            limits = limits or Limits(seconds=seconds)
            return chosen.run(
                argv, stdin=stdin, check=False, limits=limits, transport=transport, environment=environment
            )


def _details(text: str) -> tuple[str, ...]:
    lines = [printable(line.removeprefix("remote: ").rstrip()) for line in text.splitlines() if not _NOISE.match(line)]
    return tuple(lines[-_DETAIL_LINES:])
