"""Objects of a private bare repository: read in batches by git, written as loose objects.

The repository is ours alone: no worktree, no index, no refs, no hooks. Reads never reach the network: an
object that is not here is left out of the answer, and the caller decides whether to fetch it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from orchestrator.core.errors import RemoteError
from orchestrator.core.names import CommitId
from orchestrator.engine.process import Conversation, ConversationEnded, Limits
from orchestrator.git.command import Git

DEFAULT_READ_LIMIT = 256 * 1024 * 1024
_FEW = 500  # from here on one batch of its own is faster than question by question
_ANSWER_SECONDS = 60.0
_HEX_LENGTH = {"sha1": 40, "sha256": 64}


class Kind(StrEnum):
    """The four kinds of git objects."""

    BLOB = "blob"
    TREE = "tree"
    COMMIT = "commit"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object: its kind and its content without git's header."""

    kind: Kind
    content: bytes


class BrokenObject(RemoteError):
    """An object of the remote repository does not parse, or is not of the kind that it should be."""


def object_format_of(any_id: CommitId) -> str:
    """``sha1`` or ``sha256``: what a repository with ids of this length uses."""
    return "sha1" if len(any_id.value) == _HEX_LENGTH["sha1"] else "sha256"


class ObjectStore:
    """The objects in one bare repository.

    ``git`` is for fetching into it. Everything else goes through a second, empty repository that borrows the
    objects (gitrepository-layout(5), ``objects/info/alternates``): a partial fetch marks its repository as one
    whose missing objects git may fetch one by one, and neither a read nor a push must ever do that.
    """

    def __init__(self, git_dir: Path, object_format: str = "sha1", where: str | None = None) -> None:
        self.git = Git(git_dir, where=where)
        self.object_format = object_format
        self._objects = git_dir / "objects"
        self._view = Git(_view_of(git_dir), where=where)
        self._reader: Conversation | None = None

    @property
    def pack_folder(self) -> Path:
        """Where fetched packs lie."""
        return self._objects / "pack"

    def borrow(self, objects: Path) -> None:
        """Read the objects of another folder too."""
        self.close()
        (self._objects / "info/alternates").write_text(f"{objects}\n")

    def cut_at(self, commit: CommitId) -> None:
        """Say that the parents of this commit are not here (gitrepository-layout(5), ``shallow``)."""
        path = self.git.git_dir / "shallow"
        known = path.read_text().split() if path.exists() else []
        if commit.value not in known:
            path.write_text("".join(f"{one}\n" for one in (*known, commit.value)))

    def hold(self, commit: CommitId) -> None:
        """Keep a ref of our own on a commit that is here: a fetch then tells the server that we have it."""
        path = self.git.git_dir / "refs/held" / commit.value
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{commit}\n")

    @property
    def is_shallow(self) -> bool:
        """Some history is cut."""
        return (self.git.git_dir / "shallow").exists()

    @property
    def view(self) -> Git:
        """For reading and pushing; it knows where the history is cut."""
        if self.is_shallow:
            shutil.copyfile(self.git.git_dir / "shallow", self._view.git_dir / "shallow")
        return self._view

    @classmethod
    def create(
        cls, git_dir: Path, object_format: str = "sha1", where: str | None = None, global_config: Path | None = None
    ) -> ObjectStore:
        """An empty one. The few files are written here: that is faster than ``git init``, and brings no template."""
        _write_repository(git_dir, object_format)
        _write_repository(_view_of(git_dir), object_format)
        (_view_of(git_dir) / "objects/info/alternates").write_text(f"{git_dir}/objects\n")
        store = cls(git_dir, object_format, where)
        store.git = replace(store.git, global_config=global_config)
        store._view = replace(store._view, global_config=global_config)
        return store

    @property
    def id_length(self) -> int:
        """Bytes of a binary object id."""
        return _HEX_LENGTH[self.object_format] // 2

    def read(self, ids: Iterable[str], limit: int = DEFAULT_READ_LIMIT) -> dict[str, StoredObject]:
        """The objects that are here. Raises GitOutputTooLarge above ``limit`` bytes, GitFailed."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        if len(wanted) <= _FEW:
            with contextlib.suppress(ConversationEnded):  # the batch below tells why, or still works
                return self._ask(wanted, limit)
            self.close()
        answer = self._view.run(
            ["cat-file", "--batch"],
            stdin="".join(f"{one}\n" for one in wanted).encode(),
            limits=Limits(output=limit),
        )
        return dict(_parse_batch(answer.stdout))

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Those of these objects that are not here. Raises GitFailed."""
        wanted = list(dict.fromkeys(ids))
        if len(wanted) <= _FEW:
            here = self.read(wanted)
            return [one for one in wanted if one not in here]
        answer = self._view.run(
            ["cat-file", "--batch-check=%(objectname)", "--buffer"],
            stdin="".join(f"{one}\n" for one in wanted).encode(),
        )
        return [line[: -len(" missing")] for line in answer.stdout.decode("ascii").splitlines() if " " in line]

    def close(self) -> None:
        """End the child that reads. The next read starts another one."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _ask(self, wanted: Sequence[str], limit: int) -> dict[str, StoredObject]:
        """One child answers all small reads: starting git anew costs more than most of its answers."""
        if self._reader is None:
            self._reader = self._view.converse(["cat-file", "--batch"], Limits(seconds=_ANSWER_SECONDS))
        found: dict[str, StoredObject] = {}
        for one in wanted:
            self._reader.say(f"{one}\n".encode())
            header = _parse_header(self._reader.line())
            if header is None:
                continue
            identity, kind, size = header
            limit -= size
            if limit < 0:
                raise ConversationEnded
            found[identity] = StoredObject(kind, self._reader.exactly(size + 1)[:-1])
        return found

    def is_sound(self, identity: str, stored: StoredObject) -> bool:
        """The content hashes to its id. Git does not check that when it reads."""
        whole = f"{stored.kind} {len(stored.content)}\0".encode() + stored.content
        return hashlib.new(self.object_format, whole, usedforsecurity=False).hexdigest() == identity

    def write(self, kind: Kind, content: bytes) -> str:
        """Store an object; gives its id. Writing one that is there changes nothing."""
        whole = f"{kind} {len(content)}\0".encode() + content
        identity = hashlib.new(self.object_format, whole, usedforsecurity=False).hexdigest()
        path = self._objects / identity[:2] / identity[2:]
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            # Per process and thread: other writers of the same object only replace it by the same bytes.
            draft = path.with_name(f"tmp_{os.getpid()}_{os.urandom(6).hex()}")
            draft.write_bytes(zlib.compress(whole, 0))  # read once, by the push, which packs it anyway
            draft.chmod(0o444)
            draft.replace(path)
        return identity


def _view_of(git_dir: Path) -> Path:
    return git_dir.with_name(f"{git_dir.name}.view")


def _write_repository(git_dir: Path, object_format: str) -> None:
    for folder in ("objects/pack", "objects/info", "refs/heads"):
        (git_dir / folder).mkdir(parents=True, exist_ok=True)
    version, extension = (0, "") if object_format == "sha1" else (1, "[extensions]\n\tobjectFormat = sha256\n")
    (git_dir / "config").write_text(f"[core]\n\trepositoryformatversion = {version}\n\tbare = true\n{extension}")
    (git_dir / "HEAD").write_text("ref: refs/heads/none\n")


def _parse_batch(answer: bytes) -> Iterable[tuple[str, StoredObject]]:
    """Read git-cat-file(1)'s BATCH OUTPUT: a header, the content, and a line end for each object."""
    position = 0
    while position < len(answer):
        end = answer.index(b"\n", position)
        header = _parse_header(answer[position:end])
        position = end + 1
        if header is not None:
            identity, kind, size = header
            yield identity, StoredObject(kind, answer[position : position + size])
            position += size + 1


def _parse_header(line: bytes) -> tuple[str, Kind, int] | None:
    """``<id> <kind> <size>``; None for ``<id> missing``."""
    words = line.decode("ascii", "replace").split(" ")
    return (words[0], Kind(words[1]), int(words[2])) if len(words) == 3 else None


def commit_headers(content: bytes) -> tuple[Mapping[str, list[str]], str]:
    """The headers and the message of a commit object. Raises BrokenObject."""
    head, separator, message = content.partition(b"\n\n")
    headers: dict[str, list[str]] = {}
    for line in head.split(b"\n"):
        if line.startswith(b" "):
            continue  # a signature's further lines
        key, _, value = line.partition(b" ")
        headers.setdefault(key.decode("ascii", "replace"), []).append(value.decode("utf-8", "replace"))
    if not separator or "tree" not in headers or "committer" not in headers:
        raise BrokenObject("a commit of the GitOps repository does not parse")
    return headers, message.decode("utf-8", "replace")
