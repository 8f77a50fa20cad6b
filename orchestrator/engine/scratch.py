"""One folder for all that a run writes meanwhile. It goes with the run, however that ends.

An interruption can come in the middle of any removal. So nobody's own tidying is trusted with it: whatever is made by
``tempfile`` is below the run's folder, and that is removed last of all, when no signal is listened to any more. After a
SIGKILL nobody is left to do it; the next run does.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orchestrator.engine.owner import is_gone, this_process

_PREFIX = "hybrid-ci-run-"
_OWNER = "owner"
_GONE = ".gone"
_TRIES = 5  # a child that was left behind may still write where it stands
_folder: Path | None = None


@contextlib.contextmanager
def scratch() -> Iterator[None]:
    """While the block runs, temporary files are below a folder of this run. Raises OSError where there is no place.

    Within another such block it does nothing.
    """
    if _folder is not None:
        yield
        return
    try:
        _begin()
        yield
    finally:
        end_scratch()


def end_scratch() -> None:
    """Remove the folder and all in it, where there is one. Safe to call again, as after an interrupted removal."""
    global _folder  # one for each process, as tempfile's own
    if _folder is None:
        return
    _remove(_folder)
    tempfile.tempdir = None
    _folder = None


def _begin() -> None:
    global _folder
    place = Path(tempfile.gettempdir())
    _sweep(place)
    _folder = place / f"{_PREFIX}{secrets.token_hex(8)}"  # known before it exists: an interruption may come in between
    _folder.mkdir(mode=0o700)
    (_folder / _OWNER).write_text(this_process())
    tempfile.tempdir = str(_folder)


def _sweep(place: Path) -> None:
    """Remove what killed runs of this user left behind on this machine."""
    for found in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = found.lstat()
            if status.st_uid == os.geteuid() and is_gone((found / _OWNER).read_text("ascii", "replace")):
                _remove(found)


def _remove(folder: Path) -> None:
    """Out of its place first: whoever was left behind, and still makes files there, finds no folder to make them in."""
    gone = folder.with_name(f"{folder.name}{_GONE}")
    with contextlib.suppress(OSError):
        folder.rename(gone)
    for place in (folder, gone):
        for _ in range(_TRIES):
            shutil.rmtree(place, ignore_errors=True)
            if not place.exists():
                break
