"""Private services of their own: shared, killed and started again, side by side. Each test has its own state folder."""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import services
from scripts.machine import daemon, engine, engine_api, registry

pytestmark = pytest.mark.engine


@pytest.fixture
def folder(running_services: services.Services) -> Iterator[Path]:
    """A state folder with a short path (sockets live in it), where a private engine can be started at all."""
    if running_services.engine.process is None:
        pytest.skip("an engine is given here; private ones are tested where none is")
    place = Path(tempfile.mkdtemp(prefix="hci-"))
    yield place
    services.down(place, say=ignore)
    shutil.rmtree(place)


def ignore(line: str) -> None:
    """Say nothing."""


def test_the_last_one_out_stops_the_services(folder: Path) -> None:
    with services.lease(folder, install=False, say=ignore) as first:
        with services.lease(folder, install=False, say=ignore) as second:
            assert second == first
        assert registry.answers(first.plain)
        assert engine_api.version(first.engine.host)
    assert not registry.alive(first.plain)
    assert engine_api.version(first.engine.host) is None


def test_two_folders_have_engines_that_do_not_meet(folder: Path) -> None:
    with (
        services.lease(folder / "a", install=False, say=ignore) as a,
        services.lease(folder / "b", install=False, say=ignore) as b,
    ):
        specification = {"Image": a.base_image, "Cmd": ["true"], "Labels": {"test": "only in a"}}
        container = engine_api.create_container(a.engine.host, specification)
        assert container.encode() in engine_api.request(a.engine.host, "GET", "/containers/json?all=1")
        assert engine_api.request(b.engine.host, "GET", "/containers/json?all=1").strip() == b"[]"


def left_in_the_end(folder: Path, count: int, seconds: float = 60.0) -> bool:
    """So many processes are left: those of a killed engine's containers end a moment after it."""
    end = time.monotonic() + seconds
    while processes_below(folder) != count:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_killed_engine_takes_its_containers_along_and_is_started_again(folder: Path) -> None:
    before = services.up(folder, install=False, say=ignore)
    container = engine_api.create_container(before.engine.host, {"Image": before.base_image, "Cmd": ["sleep", "600"]})
    engine_api.request(before.engine.host, "POST", f"/containers/{container}/start")
    assert processes_below(folder) > 2
    assert before.engine.process is not None
    os.kill(before.engine.process.pid, signal.SIGKILL)
    daemon.stop(before.engine.process)  # waits for its end
    assert left_in_the_end(folder, 1), "the registry alone may be left"
    after = services.up(folder, install=False, say=ignore)
    assert engine_api.version(after.engine.host)
    assert after.engine.process != before.engine.process
    assert after.plain == before.plain


def test_nothing_is_left_on_the_machine(folder: Path) -> None:
    layout = engine.Layout(folder)
    with services.lease(folder, install=False, say=ignore) as running:
        engine_api.request(
            running.engine.host,
            "POST",
            "/networks/create",
            body=b'{"Name": "own"}',
            headers={"Content-Type": "application/json"},
        )
        interfaces = {path.name for path in Path("/sys/class/net").iterdir()}
        assert layout.bridge in interfaces
    assert processes_below(folder) == 0
    left = interfaces & {path.name for path in Path("/sys/class/net").iterdir()}
    assert layout.bridge not in left
    assert [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line] == []
    assert not list(Path("/sys/fs/cgroup").glob(f"**{layout.cgroup}"))


def test_a_restarted_registry_takes_its_port_again(folder: Path) -> None:
    """Pins in a GitOps repository hold the port: they stay true from one start to the next."""
    first = services.up(folder, install=False, say=ignore)
    services.down(folder, say=ignore)
    assert not registry.answers(first.plain)
    assert services.up(folder, install=False, say=ignore).plain.host == first.plain.host


def test_starting_at_the_same_time_starts_once(folder: Path) -> None:
    found: list[services.Services] = []
    threads = [
        threading.Thread(target=lambda: found.append(services.up(folder, install=False, say=ignore))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def processes_below(folder: Path) -> int:
    """How many processes of this machine name the folder in their command line, or run below the engine that does."""
    parents, named = {}, set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                parents[entry.name] = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if str(folder).encode() in command:
                named.add(entry.name)
    while grown := {pid for pid, parent in parents.items() if parent in named} - named:
        named |= grown
    return len(named)
