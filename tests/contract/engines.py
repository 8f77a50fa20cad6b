"""The engines under contract: the simulator, and a real one with a real registry."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from orchestrator.core.image import Repository, TaggedImage
from orchestrator.core.secret import Redactor, Secret
from orchestrator.images.base import BuildSpec, ContainerEngine, ImageBuilder, Registry
from orchestrator.images.buildkit import BuildKit
from orchestrator.images.credentials import Login
from orchestrator.images.docker_engine import DockerEngine
from orchestrator.images.engine_client import connect
from orchestrator.images.registry import HttpRegistry
from tests.servers import TlsRegistry
from tests.simulators.engine import SimulatedEngine, Store
from tests.simulators.registry import SimulatedRegistry

KINDS = [*(f"simulated-{store.value}" for store in Store), pytest.param("docker", marks=pytest.mark.engine)]
BUILDERS = [*KINDS, pytest.param("buildkit", marks=pytest.mark.engine)]
WRONG_LOGIN = "somebody-else"


@dataclass(frozen=True)
class Workbench:
    """An engine as both of its ports, the registry that it pushes to, and a place to build from."""

    builder: ImageBuilder
    engine: ContainerEngine
    registry: Registry
    host: str
    base: str
    folder: Path
    real: bool

    def spec(self, dockerfile: str, **options: object) -> BuildSpec:
        """Something to build: this Dockerfile (``BASE`` stands for the base image) in the bench's folder."""
        path = self.folder / "Dockerfile"
        path.write_text(dockerfile.replace("BASE", self.base))
        return BuildSpec("api", self.folder, path, **options)  # type: ignore[arg-type]

    def target(self, tag: str = "1") -> TaggedImage:
        """A repository that nobody else has."""
        return TaggedImage(Repository.parse(f"{self.host}/contract-{secrets.token_hex(6)}/api"), tag)


class OneLogin:
    """Credentials for one registry."""

    def __init__(self, host: str, username: str, password: str) -> None:
        self._host, self._login = host, Login(username, Secret(password, "the test"))

    def login(self, registry: str) -> Login | None:
        """The login for that host."""
        return self._login if registry == self._host else None


@contextmanager
def workbench(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Workbench]:
    """The engine of this kind."""
    if kind not in ("docker", "buildkit"):
        registry = SimulatedRegistry()
        engine = SimulatedEngine(registry, store=Store(kind.removeprefix("simulated-")))
        yield Workbench(engine, engine, registry, "registry.example.com", "scratch", folder, real=False)
        assert not engine.running, "a container was left running"
        return
    host: str = request.getfixturevalue("engine_host")
    tls: TlsRegistry = request.getfixturevalue("tls_registry")
    logins = OneLogin(tls.host, tls.username, tls.password)
    base: str = request.getfixturevalue("base_image")
    with DockerEngine(partial(connect, host), logins) as real, HttpRegistry(logins, ca_bundle=tls.ca) as http:
        builder = BuildKit(real, logins, os.environ, Redactor()) if kind == "buildkit" else real
        yield Workbench(builder, real, http, tls.host, base, folder, real=True)
