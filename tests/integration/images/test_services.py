"""Service containers on a real engine: reached by the stage alone, ready when they say so, gone afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import ImageReference
from orchestrator.images.base import BuiltImage, RunSpec
from orchestrator.images.docker_engine import DockerEngine
from orchestrator.images.readiness import is_ready
from tests.integration.images.conftest import Look
from tests.simulators.reporter import RecordingReporter

pytestmark = pytest.mark.engine
# It serves once the test has touched a file in it.
SERVE = (
    "/bin/sh",
    "-c",
    "until test -f /tmp/go; do sleep 0.05; done; echo up > /tmp/index.html; exec httpd -f -p 5432 -h /tmp",
)


def wait(ready: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not get ready"
        time.sleep(0.05)


@pytest.mark.parametrize("way", ["tcp", "http", "command"])
def test_a_stage_reaches_its_service_once_it_is_ready(
    engine: DockerEngine, image: BuiltImage, look: Look, way: str
) -> None:
    reporter = RecordingReporter()
    command = ("test", "-f", "/tmp/index.html") if way == "command" else None
    http = ("/index.html", 200) if way == "http" else None
    with engine.private_network(60) as network:
        service = engine.start(image, RunSpec(SERVE, publish=5432, join=network, alias="db", service=True, seconds=60))
        try:
            assert not is_ready(service, command, http, 5)
            assert service.execute(("touch", "/tmp/go"), 30) == 0
            wait(lambda: is_ready(service, command, http, 5))
            asks = RunSpec(("wget", "-q", "-O", "-", f"http://{service.inside}:5432/"), join=network, seconds=30)
            result = engine.run(image, asks, reporter, "stage")
        finally:
            service.stop()
    assert (result.exit_code, result.log_tail) == (0, ("up",))
    assert look.containers(image) == []
    assert network not in look.networks()


def test_a_service_is_known_by_its_name_in_the_network_of_its_stage(engine: DockerEngine, image: BuiltImage) -> None:
    """The engine's own name server is asked, so that it does not matter how an image resolves names."""
    with engine.private_network(60) as network:
        service = engine.start(image, RunSpec(("sleep", "60"), join=network, alias="db", seconds=60))
        try:
            asks = RunSpec(("nslookup", "-type=a", "db"), join=network, seconds=30)
            result = engine.run(image, asks, RecordingReporter(), "stage")
            address = service.inside
        finally:
            service.stop()
    assert result.exit_code == 0, result.log_tail
    assert any(line.endswith(f": {address}") for line in result.log_tail), (address, result.log_tail)


def test_a_container_in_another_network_does_not_reach_a_service(engine: DockerEngine, image: BuiltImage) -> None:
    with engine.private_network(60) as network, engine.private_network(60) as other:
        service = engine.start(image, RunSpec(SERVE, publish=5432, join=network, alias="db", seconds=60))
        try:
            assert service.execute(("touch", "/tmp/go"), 30) == 0
            wait(lambda: is_ready(service, None, ("/index.html", 200), 5))
            address = f"http://{service.inside}:5432/"
            asks = RunSpec(("wget", "-q", "-T", "2", "-O", "-", address), join=other, seconds=30)
            result = engine.run(image, asks, RecordingReporter(), "stage")
        finally:
            service.stop()
    assert result.exit_code != 0


def test_abort_removes_what_other_threads_have_running_and_lets_nothing_begin(
    engine: DockerEngine, image: BuiltImage, look: Look
) -> None:
    failed: list[BaseException] = []

    def hang() -> None:
        try:
            engine.run(image, RunSpec(("sleep", "600"), seconds=600), RecordingReporter(), "test")
        except RemoteError as error:
            failed.append(error)

    threads = [threading.Thread(target=hang) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait(lambda: len([one for one in look.containers(image) if one["State"] == "running"]) == 2)

    engine.abort()

    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert look.containers(image) == []
    with pytest.raises(RemoteError, match="interrupted"):
        engine.run(image, RunSpec(("true",)), RecordingReporter(), "test")


def test_abort_comes_in_time_for_a_stage_that_is_about_to_begin(
    engine: DockerEngine, image: BuiltImage, look: Look
) -> None:
    engine.abort()
    with pytest.raises(RemoteError, match="interrupted"):
        engine.run(image, RunSpec(("sleep", "600")), RecordingReporter(), "test")
    assert look.containers(image) == []


def test_an_image_that_is_nowhere_is_one_clear_error(engine: DockerEngine, base_image: str) -> None:
    reporter = RecordingReporter()
    found = engine.obtain("db", ImageReference.parse(base_image), reporter, "stage")
    assert found.name == "db"
    with pytest.raises(RemoteError):
        engine.obtain("db", ImageReference.parse("127.0.0.1:1/nowhere/db:1"), reporter, "stage")


def test_an_image_that_the_engine_made_is_found_by_its_labels(
    engine: DockerEngine, build: Callable[..., BuiltImage]
) -> None:
    made = build("LABEL of=this-test")
    labels = {"of": "this-test"}
    assert engine.made_before("api", labels) is not None
    assert engine.made_before("api", labels | {"of": "no-test"}) is None
    assert made.name == "api"
