"""Test containers on a real engine: what they may do, what they leave behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from orchestrator.engine.clock import SystemClock
from orchestrator.images.base import MEBIBYTE, BuiltImage, RunResult, RunSpec
from orchestrator.images.docker_engine import DockerEngine
from orchestrator.images.tar_reader import ArchiveRefused
from orchestrator.images.testing import HttpTest, run_test
from tests.integration.images.conftest import Look
from tests.simulators.reporter import RecordingReporter

pytestmark = pytest.mark.engine
Build = Callable[..., BuiltImage]


@pytest.fixture
def reporter() -> RecordingReporter:
    return RecordingReporter()


@pytest.fixture
def run(engine: DockerEngine, image: BuiltImage, reporter: RecordingReporter) -> Callable[..., RunResult]:
    def made(line: str, **options: object) -> RunResult:
        spec = RunSpec(("/bin/sh", "-c", line), **options)  # type: ignore[arg-type]
        return engine.run(image, spec, reporter, "test")

    return made


Run = Callable[..., RunResult]


def test_the_engine_applies_the_whole_profile(engine: DockerEngine, build: Build, look: Look) -> None:
    image = build('CMD ["sleep", "60"]')
    container = engine.start(image, RunSpec(publish=8080, memory=64 * MEBIBYTE, pids=50))
    try:
        (found,) = look.containers(image)
        inspected = look.get(f"/containers/{found['Id']}/json")
    finally:
        container.stop()
    host = inspected["HostConfig"]
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (64 * MEBIBYTE, 64 * MEBIBYTE, 50)
    assert not host["Binds"]
    assert not host["Devices"]
    assert inspected["Mounts"] == []
    assert host["PidMode"] == ""
    assert host["NetworkMode"] not in ("host", "bridge", "default")
    (binding,) = inspected["NetworkSettings"]["Ports"]["8080/tcp"]
    assert binding["HostIp"] == "127.0.0.1"
    assert found["Ports"][0]["IP"] == "127.0.0.1"


def test_no_capability_and_no_new_privilege_inside(run: Run) -> None:
    status = "\n".join(run("cat /proc/self/status").log_tail)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert f"{kind}:\t{'0' * 16}" in status
    assert "NoNewPrivs:\t1" in status


def test_the_engines_socket_and_our_environment_are_not_inside(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_CI_GIT_TOKEN", "canary-77aa")
    text = "\n".join(run("ls -d /var/run/docker.sock /run/docker.sock; env", environment={"GIVEN": "1"}).log_tail)
    assert "docker.sock: No such file" in text
    assert "GIVEN=1" in text
    assert "canary" not in text


def test_without_a_network_there_is_only_loopback(run: Run, look: Look) -> None:
    assert run("ls /sys/class/net").log_tail == ("lo",)
    assert "network" not in "".join(look.networks())


def test_a_network_is_the_containers_own(engine: DockerEngine, build: Build, look: Look) -> None:
    image = build('CMD ["sleep", "60"]')
    before = look.networks()
    one, two = (engine.start(image, RunSpec(network=True)) for _ in range(2))
    try:
        used = {name for each in look.containers(image) for name in each["NetworkSettings"]["Networks"]}
        assert len(used) == 2
        assert used <= look.networks() - before
    finally:
        one.stop()
        two.stop()
    assert used.isdisjoint(look.networks())


def test_a_published_port_without_a_network_has_no_way_out(engine: DockerEngine, build: Build, look: Look) -> None:
    image = build('CMD ["sleep", "60"]')
    container = engine.start(image, RunSpec(publish=8080))
    try:
        ((name, _),) = look.containers(image)[0]["NetworkSettings"]["Networks"].items()
        options = look.get(f"/networks/{name}")["Options"]
    finally:
        container.stop()
    assert options["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert options["com.docker.network.bridge.enable_icc"] == "false"


def test_running_out_of_memory_is_told(run: Run) -> None:
    result = run("tail /dev/zero", memory=16 * MEBIBYTE)
    assert result.out_of_memory
    assert result.exit_code != 0


def test_a_fork_bomb_ends_in_its_container(run: Run) -> None:
    result = run("i=0; while [ $i -lt 200 ]; do sleep 20 & i=$((i+1)); done; echo all", pids=30, seconds=15)
    assert "all" not in result.log_tail
    assert "fork" in "\n".join(result.log_tail)


def test_a_flood_of_output_is_drained_and_cut(run: Run, reporter: RecordingReporter) -> None:
    result = run("yes 0123456789 | head -c 30000000; echo the end", seconds=60)
    assert result.exit_code == 0
    assert result.log_tail[-1].endswith("the end")
    assert len(result.log_tail) <= 200
    assert len(reporter.logs) <= 20_001


def test_a_line_without_end_is_cut(run: Run) -> None:
    result = run("head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end")
    assert result.log_tail[-1] == "the end"
    assert sum(map(len, result.log_tail)) < 65 * 1024


def test_silence_longer_than_a_moment_is_fine(run: Run) -> None:
    began = time.monotonic()
    result = run("sleep 3; echo late", seconds=30)
    assert (result.exit_code, result.log_tail) == (0, ("late",))
    assert time.monotonic() - began < 20


def test_children_that_ignore_signals_end_at_the_time_limit(run: Run) -> None:
    began = time.monotonic()
    assert run("trap '' TERM INT; sleep 60 & sleep 60", seconds=1).timed_out
    assert time.monotonic() - began < 15


# --- what is read back -------------------------------------------------------------------------------------------


def test_a_report_that_is_a_symlink_gives_nothing(run: Run) -> None:
    assert run("ln -s /etc/passwd /report.xml", read_back="/report.xml").files == {}


def test_links_and_pipes_in_a_folder_are_passed_over(run: Run) -> None:
    line = "mkdir /out && cd /out && echo a > a.xml && ln a.xml hard.xml && ln -s /etc soft && mkfifo pipe"
    files = run(line, read_back="/out").files
    assert set(files) <= {"out/a.xml", "out/hard.xml"}
    assert b"a\n" in files.values()


def test_a_report_that_is_too_large_is_refused(run: Run) -> None:
    with pytest.raises(ArchiveRefused):
        run("head -c 20000000 /dev/zero > /report.xml", read_back="/report.xml")


def test_names_from_inside_stay_names(run: Run) -> None:
    files = run(
        "mkdir /out; echo 1 > '/out/new\nline'; echo 2 > '/out/grüße'; echo 3 > /out/-rf", read_back="/out"
    ).files
    assert files == {"out/new\nline": b"1\n", "out/grüße": b"2\n", "out/-rf": b"3\n"}


# --- what is left behind -----------------------------------------------------------------------------------------


def test_a_run_leaves_nothing(run: Run, image: BuiltImage, look: Look) -> None:
    for options in ({}, {"network": True}, {"seconds": 1.0}):
        run("sleep 3; exit 1" if options.get("seconds") else "exit 1", **options)
    assert look.containers(image) == []


def test_a_volume_of_the_image_is_removed_too(
    engine: DockerEngine, build: Build, reporter: RecordingReporter, look: Look
) -> None:
    image = build("VOLUME /data")
    found: list[str] = []

    class Looking(RecordingReporter):
        def log(self, stage: str, line: str) -> None:
            (container,) = look.containers(image)
            found.extend(mount["Name"] for mount in container["Mounts"])

    engine.run(image, RunSpec(("/bin/sh", "-c", "echo here; sleep 1")), Looking(), "test")
    assert len(found) == 1
    volumes = look.get("/volumes")["Volumes"] or []
    assert found[0] not in {volume["Name"] for volume in volumes}


def test_an_interrupted_run_leaves_nothing(run: Run, image: BuiltImage, look: Look) -> None:
    timer = threading.Timer(1.0, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run("sleep 60", network=True)
    assert time.monotonic() - began < 10
    assert look.containers(image) == []


def test_a_smoke_test_of_a_server_that_crashes_shows_its_last_words(
    engine: DockerEngine, build: Build, reporter: RecordingReporter, look: Look
) -> None:
    image = build('CMD ["sh", "-c", "echo starting; echo out of luck >&2; exit 4"]')
    began = time.monotonic()
    report = run_test(engine, image, HttpTest("smoke", 8080, seconds=30), reporter, SystemClock())
    assert not report.passed
    assert set(report.log_tail) == {"starting", "out of luck"}
    assert time.monotonic() - began < 15
    assert look.containers(image) == []


def test_a_smoke_test_of_a_server_that_never_listens_ends_in_time(
    engine: DockerEngine, build: Build, reporter: RecordingReporter
) -> None:
    image = build('CMD ["sh", "-c", "echo deaf; sleep 60"]')
    report = run_test(engine, image, HttpTest("smoke", 8080, seconds=2), reporter, SystemClock())
    assert not report.passed
    assert "within 2 s" in report.summary
    assert report.log_tail == ("deaf",)


def test_what_a_killed_run_left_is_swept_by_a_later_one(
    engine: DockerEngine, image: BuiltImage, look: Look, engine_host: str
) -> None:
    """A process that is killed cannot clean up; the label says until when its container may live."""
    child = os.fork()
    if child == 0:  # a run that nobody ends properly
        from functools import partial

        from orchestrator.images.engine_client import connect
        from tests.simulators.clock import FakeClock

        past = FakeClock()  # its time limit lies long ago
        dying = DockerEngine(partial(connect, engine_host), clock=past)
        dying.start(image, RunSpec(("sleep", "600"), publish=8080, seconds=1))
        os._exit(0)
    os.waitpid(child, 0)
    assert len(look.containers(image)) == 1
    engine.run(image, RunSpec(("true",)), RecordingReporter(), "test")
    assert look.containers(image) == []
