"""A real engine for these tests, and a look at it that does not go through our code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestrator.images.base import BuildSpec, BuiltImage
from orchestrator.images.docker_engine import DockerEngine
from orchestrator.images.engine_client import connect
from scripts.machine import engine_api
from tests.contract.engines import OneLogin
from tests.servers import TlsRegistry
from tests.simulators.reporter import RecordingReporter

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Look:
    """Asks the engine directly."""

    host: str

    def get(self, path: str) -> Any:
        """The JSON at a path of the Engine API."""
        return json.loads(engine_api.request(self.host, "GET", path))

    def containers(self, image: BuiltImage) -> list[dict[str, Any]]:
        """All containers of this image, running or not."""
        every: list[dict[str, Any]] = self.get("/containers/json?all=1")
        return [each for each in every if each["ImageID"] == image.engine_id.value]

    def networks(self) -> set[str]:
        """The names of our networks."""
        return {each["Name"] for each in self.get("/networks") if each["Name"].startswith("hybrid-ci-")}


@pytest.fixture
def look(engine_host: str) -> Look:
    return Look(engine_host)


@pytest.fixture
def engine(engine_host: str, tls_registry: TlsRegistry) -> Iterator[DockerEngine]:
    logins = OneLogin(tls_registry.host, tls_registry.username, tls_registry.password)
    with DockerEngine(partial(connect, engine_host), logins) as made:
        yield made


@pytest.fixture
def build(engine: DockerEngine, base_image: str, tmp_path: Path) -> Callable[..., BuiltImage]:
    """Build an image from lines of a Dockerfile (after FROM); its content is this test's own."""

    def made(*lines: str) -> BuiltImage:
        folder = tmp_path / "image"
        folder.mkdir(exist_ok=True)
        text = "\n".join([f"FROM {base_image}", f"LABEL test={tmp_path.name}", *lines])
        (folder / "Dockerfile").write_text(text + "\n")
        return engine.build(BuildSpec("api", folder, folder / "Dockerfile"), RecordingReporter())

    return made


@pytest.fixture
def image(build: Callable[..., BuiltImage]) -> BuiltImage:
    return build()
