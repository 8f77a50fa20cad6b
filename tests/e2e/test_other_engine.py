"""Releases on an engine of their own: one that is restarted in the middle, one that has seen nothing before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts import services
from scripts.machine import base_image, engine
from tests.e2e.shop import git
from tests.e2e.small import Small

pytestmark = pytest.mark.engine


@dataclass
class Private:
    """An engine that no other test uses."""

    layout: engine.Layout
    running: engine.Engine

    @property
    def host(self) -> str:
        return self.layout.host

    def restart(self) -> None:
        self.stop()
        self.running = engine.start(self.layout, say=_silent)

    def stop(self) -> None:
        assert self.running.process is not None
        engine.stop(self.layout, self.running.process)


def _silent(line: str) -> None:
    """Say nothing."""


@pytest.fixture
def private(running_services: services.Services) -> Iterator[Private]:
    """It knows the base image and nothing else."""
    if running_services.engine.process is None:
        pytest.skip("an engine is given here; private ones are tested where none is")
    place = Path(tempfile.mkdtemp(prefix="hci-", dir="/tmp"))
    layout = engine.Layout(place)
    made = Private(layout, engine.start(layout, say=_silent))
    try:
        base_image.ensure(made.host, install=False, say=_silent)
        yield made
    finally:
        made.stop()
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.scenario(number=86)
@pytest.mark.parametrize("builder", ["buildkit", "engine"])
def test_daemon_docker_restarts_mid_build(small: Small, private: Private, builder: str) -> None:
    small.environment["DOCKER_HOST"] = private.host
    config = small.app / "hybrid-ci.yaml"
    config.write_text(config.read_text().replace("version: 1\n", f"version: 1\nbuilder: {builder}\n", 1))
    quick = (small.app / "base/Dockerfile").read_text()
    (small.app / "base/Dockerfile").write_text(f"{quick}RUN echo it has begun; sleep 30\n")
    small.commit_app("Take longer")

    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "release"],
        cwd=small.app,
        env={**os.environ, **small.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = ""
    assert process.stderr is not None
    with process:
        for line in process.stderr:
            said += line
            if "it has begun" in line and "RUN" not in line and "[" not in line and said.count("restarting") == 0:
                said += "restarting\n"
                private.restart()
        process.wait(timeout=60)
    assert "restarting" in said, said
    assert process.returncode == 5, said
    assert "Traceback" not in said
    assert small.pull_requests() == []

    (small.app / "base/Dockerfile").write_text(quick)
    small.commit_app("Take less time")
    small.finishes()


@pytest.mark.scenario(number=77)
def test_rerun_on_fresh_runner_without_any_cache(small: Small, private: Private) -> None:
    """The first runner is gone after its push, with its engine and its checkout; the second has a new clone alone."""
    broken = small.ended_by(signal.SIGKILL, "stage-finished", "push app")
    assert broken.code == -signal.SIGKILL
    config = (small.app / "hybrid-ci.yaml").read_text()
    first = small.app.rename(small.root / "first")
    git(small.root, "clone", "-q", str(first), str(small.app))
    (small.app / "hybrid-ci.yaml").write_text(config)
    small.environment["DOCKER_HOST"] = private.host
    shutil.rmtree(small.tmp)
    small.tmp.mkdir()

    small.finishes()
