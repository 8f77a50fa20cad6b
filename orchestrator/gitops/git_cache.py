"""A warm mirror in a folder that outlives the run: the next run fetches only what changed.

The mirror is a set of packs that are only ever added, and a note which commit they hold whole. A run never works in
it: it borrows the objects (git's alternates) for its own private repository, and gives the packs that it fetched
back at the end of the fetch, by link and rename. So any number of runs share it without a lock. What is broken or has
grown too long is dropped and made again; a run that loses it goes on without it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.names import CommitId, InvalidName, RemoteURL
from orchestrator.git.store import ObjectStore

_MOST_PACKS = 64  # from here on git spends more on looking through packs than a new snapshot costs
_KEPT_SECONDS = 3600.0  # another run may still borrow what was replaced
_BASE_REF = "refs/heads/base"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One generation of the mirror: a folder of packs, and the commit that they hold with all its content."""

    folder: Path
    tip: CommitId | None

    @property
    def packs(self) -> Path:
        """Where the packs are."""
        return self.folder / "objects" / "pack"


class WarmMirror:
    """The mirror of one repository below a cache folder."""

    def __init__(self, cache: Path, url: RemoteURL) -> None:
        """Raises OSError when the folder can't be made."""
        self._home = cache / hashlib.sha256(url.value.encode()).hexdigest()[:20]
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._borrowed: Snapshot | None = None

    def lend_to(self, store: ObjectStore) -> CommitId | None:
        """Let a fresh store borrow the newest generation; the commit that it then has, None when there is none."""
        snapshot = self._current(store.object_format)
        if snapshot is None or snapshot.tip is None:
            return None
        store.borrow(snapshot.folder / "objects")
        store.declare(_BASE_REF, snapshot.tip, cut=True)
        self._borrowed = snapshot
        return snapshot.tip

    def take_from(self, store: ObjectStore, tip: CommitId) -> None:
        """Add what the store fetched, and note that ``tip`` is whole now. Only packs without promises are taken."""
        with contextlib.suppress(OSError):
            if self._borrowed is None:
                self._begin(store, tip)
            elif self._borrowed.tip != tip:
                _copy_packs(store.pack_folder, self._borrowed.packs)
                _note(self._borrowed.folder / "tip", tip.value)

    def drop(self) -> None:
        """Forget the generation in use: it is broken. The next run makes another one."""
        if self._borrowed is not None:
            shutil.rmtree(self._borrowed.folder, ignore_errors=True)
            self._borrowed = None

    def _current(self, object_format: str) -> Snapshot | None:
        generations = sorted(self._home.glob(f"{object_format}-*"))
        if not generations:
            return None
        newest = generations[-1]
        for old in generations[:-1]:
            with contextlib.suppress(OSError):
                if time.time() - old.stat().st_mtime > _KEPT_SECONDS:
                    shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(OSError, InvalidName):
            if len(list((newest / "objects/pack").glob("*.idx"))) <= _MOST_PACKS:
                return Snapshot(newest, CommitId((newest / "tip").read_text().strip()))
        return None

    def _begin(self, store: ObjectStore, tip: CommitId) -> None:
        """A new generation from a store that fetched everything; one run at a time makes it, the others go on."""
        with self._alone() as mine:
            if not mine:
                return
            draft = self._home / f"draft-{os.getpid()}-{os.urandom(4).hex()}"
            (draft / "objects" / "pack").mkdir(parents=True)
            (draft / "objects" / "info").mkdir()
            _copy_packs(store.pack_folder, draft / "objects" / "pack")
            _note(draft / "tip", tip.value)
            draft.rename(self._home / f"{store.object_format}-{time.time_ns():020}")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        with (self._home / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def _copy_packs(source: Path, target: Path) -> None:
    """The index comes last: git sees a pack only by its index, so nobody sees half of one."""
    for index in sorted(source.glob("*.idx")):
        if (target / index.name).exists() or index.with_suffix(".promisor").exists():
            continue
        for suffix in (".pack", ".rev", ".idx"):
            if index.with_suffix(suffix).exists():
                _link(index.with_suffix(suffix), target)


def _link(file: Path, folder: Path) -> None:
    draft = folder / f"tmp-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        draft.hardlink_to(file)
    except OSError:  # another file system
        shutil.copyfile(file, draft)
    draft.replace(folder / file.name)


def _note(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
    draft.write_text(text + "\n")
    draft.replace(path)
