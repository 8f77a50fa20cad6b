"""A warm mirror in a folder that outlives the run: what one run fetched, the next one has.

The mirror is a set of packs that are only ever added: objects by their ids, so nothing in it can be out of date. A run
never works in it: it borrows the objects (git's alternates) for its own private repository, and gives the packs that
it fetched back at once, by link and rename. So any number of runs share it without a lock. Beside the packs it notes
where a few refs were, so that the next run can ask for what is new since. What is broken or has grown too long is
dropped, and the next run begins another one; a run that loses it goes on without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from orchestrator.core.names import CommitId, InvalidName, RefName, RemoteURL
from orchestrator.git.store import ObjectStore

_MOST_PACKS = 64  # from here on git spends more on looking through packs than a cold run costs
_MOST_TIPS = 64
_KEPT_SECONDS = 3600.0  # another run may still borrow what was replaced


class WarmMirror:
    """The mirror of one repository below a cache folder: one generation of packs is in use at a time."""

    def __init__(self, cache: Path, url: RemoteURL) -> None:
        """Raises OSError when the folder can't be made."""
        self._home = cache / hashlib.sha256(url.value.encode()).hexdigest()[:20]
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lent: Path | None = None

    @property
    def index(self) -> Path:
        """Where what was found out about folders is kept; it outlives every generation."""
        return self._home / "index.sqlite"

    def lend_to(self, store: ObjectStore) -> None:
        """Let a fresh store borrow the newest generation; one that has grown too long is followed by an empty one."""
        self._lent = self._newest(store.object_format) or self._begin(store.object_format)
        store.borrow(self._lent / "objects")

    def take_from(self, store: ObjectStore) -> None:
        """Add what the store has fetched."""
        if self._lent is not None:
            with contextlib.suppress(OSError):  # dropped by another run, or the disk is full: then it stays as it is
                _copy_packs(store.pack_folder, self._lent / "objects/pack")

    def tip(self, ref: RefName) -> CommitId | None:
        """Where the ref was when an earlier run fetched it; None when that is not known."""
        if self._lent is None:
            return None
        try:
            return CommitId(_note(self._lent, ref).read_text("ascii").strip())
        except (OSError, ValueError, InvalidName):
            return None

    def note(self, tips: Mapping[RefName, CommitId]) -> None:
        """Remember where these refs are; their packs must have been taken before."""
        if self._lent is None:
            return
        with contextlib.suppress(OSError):
            for ref, commit in tips.items():
                note = _note(self._lent, ref)
                note.parent.mkdir(exist_ok=True)
                draft = note.with_name(f"tmp-{os.getpid()}-{os.urandom(4).hex()}")
                draft.write_text(f"{commit}\n")
                draft.replace(note)
            for old in _newest_first(self._lent / "tips")[_MOST_TIPS:]:
                old.unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove the generation in use: it is broken."""
        if self._lent is not None:
            shutil.rmtree(self._lent, ignore_errors=True)
            self._lent = None

    def _newest(self, object_format: str) -> Path | None:
        generations = sorted(self._home.glob(f"{object_format}-*"))
        for old in generations[:-1]:
            with contextlib.suppress(OSError):
                if time.time() - old.stat().st_mtime > _KEPT_SECONDS:
                    shutil.rmtree(old, ignore_errors=True)
        if not generations or len(list((generations[-1] / "objects/pack").glob("*.idx"))) > _MOST_PACKS:
            return None
        return generations[-1]

    def _begin(self, object_format: str) -> Path:
        """An empty generation. Two runs that begin one at once do no harm: the newer one is used from then on."""
        generation = self._home / f"{object_format}-{time.time_ns():020}-{os.urandom(3).hex()}"
        (generation / "objects/pack").mkdir(parents=True)
        (generation / "objects/info").mkdir()
        return generation


def _copy_packs(source: Path, target: Path) -> None:
    """The index comes last: git sees a pack only by its index, so nobody sees half of one."""
    for index in sorted(source.glob("*.idx")):
        if (target / index.name).exists():
            continue
        for suffix in (".promisor", ".pack", ".rev", ".idx"):
            if index.with_suffix(suffix).exists():
                _link(index.with_suffix(suffix), target)


def _note(generation: Path, ref: RefName) -> Path:
    return generation / "tips" / hashlib.sha256(ref.value.encode()).hexdigest()[:20]


def _newest_first(folder: Path) -> list[Path]:
    """The notes in a folder; one that goes meanwhile is left out."""
    found: list[tuple[float, Path]] = []
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            with contextlib.suppress(OSError):
                found.append((file.stat().st_mtime, file))
    return [file for _, file in sorted(found, reverse=True)]


def _link(file: Path, folder: Path) -> None:
    draft = folder / f"tmp-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        draft.hardlink_to(file)
    except OSError:  # another file system
        shutil.copyfile(file, draft)
    draft.replace(folder / file.name)
