"""The engine goes away in the middle, or a command that we started is killed: an error that a rerun puts right."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from orchestrator.core.errors import ExitCode, HybridCIError, RemoteError
from orchestrator.core.secret import Redactor
from orchestrator.images.base import BuildSpec, ImageBuilder
from orchestrator.images.buildkit import BuildKit
from orchestrator.images.buildkit_cli import DockerCli, find_docker_cli
from orchestrator.images.credentials import Anonymous
from orchestrator.images.docker_engine import DockerEngine
from orchestrator.images.engine_client import connect
from scripts import services
from scripts.machine import base_image, engine
from tests.simulators.reporter import RecordingReporter

pytestmark = pytest.mark.engine


def ignore(line: str) -> None:
    """Say nothing."""


class Restartable:
    """A private engine with the tests' base image."""

    def __init__(self, folder: Path) -> None:
        self._layout = engine.Layout(folder)
        self._running = engine.start(self._layout, say=ignore)
        self.host = self._running.host
        try:
            self.base = base_image.ensure(self.host, install=False, say=ignore)
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        self.stop()
        self._running = engine.start(self._layout, say=ignore)

    def stop(self) -> None:
        assert self._running.process is not None
        engine.stop(self._layout, self._running.process)


@pytest.fixture
def restartable(running_services: services.Services) -> Iterator[Restartable]:
    if running_services.engine.process is None:
        pytest.skip("an engine is given here; only a private one may be restarted")
    folder = Path(tempfile.mkdtemp(prefix="hci-"))
    made = Restartable(folder)
    yield made
    made.stop()
    shutil.rmtree(folder)


class Restarting(RecordingReporter):
    """Restarts the engine as soon as the build says that its slow step has begun."""

    def __init__(self, target: Restartable) -> None:
        super().__init__()
        self._target, self._thread = target, threading.Thread(target=target.restart)

    def log(self, stage: str, line: str) -> None:
        super().log(stage, line)
        if "slow step" in line and "RUN" not in line and self._thread.ident is None:
            self._thread.start()

    def join(self) -> None:
        self._thread.join()


@pytest.mark.scenario(number=86)
@pytest.mark.parametrize("kind", ["classic", "buildkit"])
def test_daemon_docker_restarts_mid_build(restartable: Restartable, tmp_path: Path, kind: str) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {restartable.base}\nARG WAIT=30\nRUN echo the slow step begins; sleep $WAIT\n"
    )
    reporter = Restarting(restartable)
    with DockerEngine(partial(connect, restartable.host)) as first:
        with pytest.raises(RemoteError) as caught:
            builder(first, kind).build(spec(tmp_path), reporter)
        reporter.join()
    assert caught.value.exit_code is ExitCode.REMOTE
    with DockerEngine(partial(connect, restartable.host)) as second:
        assert builder(second, kind).build(spec(tmp_path, WAIT="0"), RecordingReporter()).engine_id


def builder(store: DockerEngine, kind: str) -> ImageBuilder:
    if kind == "classic":
        return store
    assert find_docker_cli(os.environ), "a docker command with BuildKit is among the packages of the tests"
    return BuildKit(store, Anonymous(), os.environ, Redactor())


def spec(folder: Path, **arguments: str) -> BuildSpec:
    return BuildSpec("api", folder, folder / "Dockerfile", arguments=arguments)


@pytest.mark.scenario(number=87)
def test_oom_kill_of_child(engine_host: str, tmp_path: Path) -> None:
    """The kernel's choice fell on the docker command: no word of its own, and SIGKILL."""
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\ncat > /dev/null\nkill -9 $$\n")
    program.chmod(0o755)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with DockerEngine(partial(connect, engine_host)) as store:
        killed = BuildKit(
            store, Anonymous(), os.environ, Redactor(), find=lambda environment, why: DockerCli(program, buildx=True)
        )
        with pytest.raises(HybridCIError, match="killed") as caught:
            killed.build(spec(tmp_path), RecordingReporter())
    assert caught.value.exit_code is ExitCode.REMOTE
