"""A release on a machine that has too little of something, or lost it in the middle: one clear end, and a way on."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.shop import Done
from tests.e2e.small import Small

pytestmark = pytest.mark.engine

RELEASE = [sys.executable, "-m", "orchestrator", "release", "--jobs", "2"]


def release(
    small: Small,
    *arguments: str,
    before: Callable[[], None] | None = None,
    within: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Done:
    """A release by a process that is set up by ``before``, or started by the command ``within``."""
    return subprocess.run(
        [*within, *RELEASE, *arguments],
        cwd=small.app,
        env={**os.environ, **small.environment, **(environment or {})},
        preexec_fn=before,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def is_one_clear_error(done: Done, *codes: int) -> bool:
    """It ended with one of these codes, and its last words are an error of ours with a fix."""
    said = done.stderr
    clear = done.returncode in codes and "Traceback" not in said and "bug in hybrid-ci" not in said
    return clear and (done.returncode == 0 or said.count("error: ") >= 1)


def can_mount() -> bool:
    """This user may give a child a mount namespace of its own."""
    argv = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /"]
    return (
        shutil.which("unshare") is not None and subprocess.run(argv, capture_output=True, check=False).returncode == 0
    )


# --- too little room ---------------------------------------------------------------------------------------------


@pytest.mark.scenario(number=79)
def test_disk_full_at_every_write(small: Small) -> None:
    """The folder for everything temporary, and for the record, has n KiB, for growing n until a release fits in."""
    room = small.root / "room"
    room.mkdir()
    codes = {}
    for kib in (4, 16, 40, 80, 120, 160, 200, 240, 280, 320, 400, 600, 1000, 2000, 4000):
        done = in_little_room(small, room, kib)
        codes[kib] = done.returncode
        assert is_one_clear_error(done, 0, 5), (kib, done.returncode, done.stderr[-2000:])
        assert small.at_most_one_pull_request(), kib
        if done.returncode == 0:
            break
    assert set(codes.values()) == {0, 5}, codes
    small.finishes()


def in_little_room(small: Small, room: Path, kib: int) -> Done:
    there = {"TMPDIR": str(room)}
    record = ("--record", str(room / "record.json"))
    if can_mount():
        script = f'mount -t tmpfs -o size={kib}k tmpfs "{room}" && exec "$@"'
        return release(small, *record, within=("unshare", "--mount", "sh", "-c", script, "room"), environment=there)

    def limit() -> None:  # no file may grow beyond it: the nearest that an unprivileged user can do
        resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024, kib * 1024))

    return release(small, *record, before=limit, environment=there)


@pytest.mark.scenario(number=81)
def test_file_descriptors_exhausted(small: Small) -> None:
    codes = {}
    for descriptors in (8, 12, 16, 20, 24, 32, 64):

        def limit(number: int = descriptors) -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))

        done = release(small, before=limit)
        codes[descriptors] = done.returncode
        assert is_one_clear_error(done, 0, 5), (descriptors, done.returncode, done.stderr[-2000:])
        if done.returncode == 0:
            break
    assert set(codes.values()) == {0, 5}, codes
    small.finishes()


# --- no place to write -------------------------------------------------------------------------------------------


@pytest.mark.scenario(number=80)
def test_home_missing(small: Small) -> None:
    done = small.release(environment={"HOME": str(small.root / "nowhere")})
    assert done.returncode == 0, done.stderr
    small.finishes()


@pytest.mark.scenario(number=80)
def test_tmp_not_writable(small: Small) -> None:
    """Where TMPDIR can't be written, the system's own place is taken."""
    done = small.release(environment=dict.fromkeys(("TMPDIR", "TEMP", "TMP"), "/proc/nowhere"))
    assert done.returncode == 0, done.stderr
    small.finishes()


@pytest.mark.scenario(number=80)
def test_read_only_rootfs(small: Small) -> None:
    """Nothing can be written anywhere: a person has to change that. With a place for temporary files, it works."""
    if not can_mount():
        pytest.fail("a read-only root needs a user who may mount: run the suite as root, or in a user namespace")
    sealed = (
        "for place in $(cut -d' ' -f2 /proc/mounts | sort -u); do mount -o remount,bind,ro $place 2>/dev/null; done; "
    )
    done = release(small, within=("unshare", "--mount", "sh", "-c", f'{sealed} exec "$@"', "sealed"))
    assert is_one_clear_error(done, 2), (done.returncode, done.stderr)
    assert "TMPDIR" in done.stderr
    assert small.pull_requests() == []

    # The local forge and its repository are files, and a release writes them.
    open_places = f'mount --bind "{small.gitops}" "{small.gitops}"; mount -t tmpfs tmpfs "{small.tmp}"; '
    keep = f'for place in "{small.gitops}" "{small.tmp}"; do mount -o remount,bind,rw "$place"; done; '
    script = f'{open_places} {sealed} {keep} exec "$@"'
    done = release(small, within=("unshare", "--mount", "sh", "-c", script, "sealed"))
    assert done.returncode == 0, done.stderr
    small.finishes()


# --- programs that are missing, old, or killed ---------------------------------------------------------------------


def with_program(small: Small, name: str, text: str | None) -> dict[str, str]:
    """A PATH on which this program is another one, or none; all others are as they were."""
    folder = small.root / "programs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(place).glob("*") if Path(place).is_dir() else ():
            (folder / program.name).unlink(missing_ok=True)
            (folder / program.name).symlink_to(program)
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {"PATH": str(folder)}


@pytest.mark.scenario(number=83)
@pytest.mark.parametrize(
    ("git", "said"),
    [
        (None, "git is not installed"),
        ("#!/bin/sh\necho git version 2.17.1\n", "git 2.17.1 is too old"),
        ("#!/bin/sh\necho hello\n", "does not tell its version"),
    ],
    ids=["git_binary_missing", "git_too_old", "no git at all"],
)
def test_git_that_can_not_be_used(small: Small, git: str | None, said: str) -> None:
    done = release(small, environment=with_program(small, "git", git))
    assert is_one_clear_error(done, 2), (done.returncode, done.stderr)
    assert said in done.stderr
    small.finishes()


@pytest.mark.scenario(number=87)
@pytest.mark.parametrize("victim", ["fetch", "cat-file", "push"])
def test_oom_kill_of_child(small: Small, victim: str) -> None:
    """The system ends a child as it does when memory runs out; once, and the next release goes on."""
    real, mark = shutil.which("git"), small.root / "killed"
    script = f"""#!/bin/sh
for word in "$@"; do
    if [ "$word" = {victim} ] && [ ! -e {mark} ]; then : > {mark}; kill -s KILL $$; fi
done
exec {real} "$@"
"""
    done = release(small, environment=with_program(small, "git", script))
    assert mark.exists(), f"git {victim} was never called"
    assert is_one_clear_error(done, 0, 5), (done.returncode, done.stderr)
    small.finishes()


@pytest.mark.scenario(number=87)
def test_oom_kill_of_a_stage(small: Small) -> None:
    file = small.app / "hybrid-ci.yaml"
    whole = file.read_text()
    file.write_text(whole.replace('run: "sleep 0.1; sleep 0.1"', 'run: "kill -s KILL $$"'))
    done = release(small)
    assert is_one_clear_error(done, 5), (done.returncode, done.stderr)
    assert "the stage lint was killed" in done.stderr
    file.write_text(whole)
    small.finishes()


# --- what lies around, and who else is there -----------------------------------------------------------------------


@pytest.mark.scenario(number=82)
def test_git_index_lock_left_behind(small: Small) -> None:
    """Somebody's git died in the checkout. We only look there, so it hinders nothing; and it is not ours to remove."""
    lock = small.app / ".git/index.lock"
    lock.touch()
    done = release(small)
    assert done.returncode == 0, done.stderr
    assert lock.exists()
    lock.unlink()
    small.finishes()


@pytest.mark.scenario(number=84)
def test_stdout_closed(small: Small) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            RELEASE,
            cwd=small.app,
            env={**os.environ, **small.environment},
            stdout=write,
            stderr=write,
            timeout=110,
            check=False,
        )
    finally:
        os.close(write)
    assert done.returncode == 0
    small.finishes()


@pytest.mark.scenario(number=85)
def test_locale_c_and_non_utf8_paths(small: Small) -> None:
    """A file whose name is no UTF-8, in the context and beside the manifests: its bytes are what they were."""
    name = b"caf\xe9"
    (small.app / "app/Dockerfile").write_text("ARG PARENT\nFROM ${PARENT}\nCOPY . /names\n")
    Path(os.fsdecode(bytes(small.app) + b"/app/" + name)).write_bytes(b"\xff\n")
    config = small.app / "hybrid-ci.yaml"
    config.write_text(config.read_text().replace("run: sleep 0.1, t", "run: \"cat /names/caf$(printf '\\\\351')\", t"))
    small.commit_app("Add a name")
    small.commit_gitops(b"apps/shop/overlays/dev/" + name, b"\xfe\n")

    done = small.release(environment={"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})

    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        ["git", "-C", str(small.gitops), "ls-tree", "-r", "-z", "--name-only", "hybrid-ci/dev/shop"],
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    assert b"apps/shop/overlays/dev/" + name in listed
    small.finishes()


@pytest.mark.scenario(number=76)
def test_two_runs_of_same_commit_in_parallel(small: Small) -> None:
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda _: release(small), range(2)))
    assert [done.returncode for done in ended] == [0, 0], [done.stderr for done in ended]
    small.finishes()
