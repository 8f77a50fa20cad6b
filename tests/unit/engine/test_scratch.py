"""The folder of a run: everything temporary is in it, and it goes with the run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.engine.owner import this_process
from orchestrator.engine.scratch import end_scratch, scratch


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before, tempfile.tempdir = tempfile.tempdir, None
    yield tmp_path
    end_scratch()
    tempfile.tempdir = before


def interrupted_once(remove: Callable[..., None]) -> Callable[..., None]:
    """The signal comes just before the first file is removed."""
    first = iter([True])

    def interrupted(*arguments: object, **options: object) -> None:
        if next(first, False):
            raise KeyboardInterrupt
        remove(*arguments, **options)

    return interrupted


def test_what_tempfile_makes_is_in_the_folder_and_goes_with_it(place: Path) -> None:
    with scratch():
        made = Path(tempfile.mkdtemp())
        (made / "file").touch()
        assert made.parent.parent == place
        assert made.parent.stat().st_mode & 0o777 == 0o700
    assert list(place.iterdir()) == []
    assert tempfile.gettempdir() == str(place)


def test_it_goes_although_somebody_removed_it_already_or_asks_twice(place: Path) -> None:
    with scratch():
        end_scratch()
        end_scratch()
    assert list(place.iterdir()) == []


def test_a_block_within_another_shares_its_folder(place: Path) -> None:
    with scratch():
        with scratch():
            inner = tempfile.gettempdir()
        assert tempfile.gettempdir() == inner
        assert Path(inner).is_dir()


def test_an_interruption_in_the_middle_of_the_removal_is_made_up_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt), scratch():
        Path(tempfile.mkdtemp(), "file").touch()
        monkeypatch.setattr(os, "unlink", interrupted_once(os.unlink))
    end_scratch()
    assert list(place.iterdir()) == []


def test_a_thread_that_was_left_behind_brings_nothing_back(place: Path) -> None:
    made = 0

    def work(folder: str) -> None:
        nonlocal made
        with contextlib.suppress(FileNotFoundError):
            while True:
                Path(tempfile.mkdtemp(dir=folder), "file").touch()
                made += 1

    with scratch():
        thread = threading.Thread(target=work, args=(tempfile.gettempdir(),), daemon=True)
        thread.start()
        while made < 10:
            time.sleep(0.001)
    thread.join(10)
    assert not thread.is_alive()
    assert list(place.iterdir()) == []


def test_what_a_killed_run_left_behind_is_removed_by_the_next(place: Path) -> None:
    code = (
        "import os, signal, tempfile\n"
        "from orchestrator.engine.scratch import scratch\n"
        "with scratch():\n"
        "    tempfile.mkdtemp()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = place.iterdir()

    with scratch():
        assert not left.exists()


@pytest.mark.parametrize("owner", ["", "somebody else", None, "alive"])
def test_what_may_belong_to_another_run_stays(place: Path, owner: str | None) -> None:
    other = place / "hybrid-ci-run-other"
    other.mkdir()
    if owner is not None:
        (other / "owner").write_text(this_process() if owner == "alive" else owner)
    with scratch():
        pass
    assert other.is_dir()


def test_without_a_place_for_it_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(OSError, match="No such file"), scratch():
        pytest.fail("it began without a folder")
    end_scratch()
