"""What every test gets: a clean environment, no way out of this machine, and (where asked for) real services.

``make test`` starts the services and names them in HYBRID_CI_TEST_SERVICES. A plain ``pytest`` starts private ones
itself where it can, shared by all its workers, and stops them at its end.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from scripts import services
from scripts.machine import engine_api
from scripts.machine.errors import MachineError
from tests.servers import PlainRegistry, TlsRegistry

ROOT = Path(__file__).resolve().parent.parent
_STATE = ROOT / ".cache" / "test-services"
# Read before any test runs: the tests themselves see neither.
_GIVEN_SERVICES = os.environ.get(services.SERVICES_VARIABLE, "")
_ENGINE_REQUIRED = os.environ.get("HYBRID_CI_REQUIRE_ENGINE", "") not in {"", "0"}
# Real forges, for the tests that can run there; whoever names one lets the tests leave this machine, by https only.
LIVE = {name: value for name, value in os.environ.items() if name.startswith("HYBRID_CI_LIVE_") and value}

# The same examples on every machine and in every run; looking for new ones is the business of `make proof`.
hypothesis.settings.register_profile("deterministic", derandomize=True, deadline=None)
hypothesis.settings.load_profile("deterministic")

# ---------------------------------------------------------------------------------------------- clean environment

# All else is removed: a developer's or a CI job's own variables must not decide what a test sees.
_KEPT = frozenset({"PATH", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH"})
_KEPT_PREFIXES = ("PYTHON", "PYTEST", "COVERAGE", "COV_CORE", "HYPOTHESIS", "PYENV")
_GIVEN = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "GIT_AUTHOR_NAME": "Test Author",
    "GIT_AUTHOR_EMAIL": "author@example.com",
    "GIT_COMMITTER_NAME": "Test Committer",
    "GIT_COMMITTER_EMAIL": "committer@example.com",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
}
_numbers = count()


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, _homes: Path) -> None:
    """An environment built from nothing, with a HOME of this test's own."""
    for name in list(os.environ):
        if name not in _KEPT and not name.startswith(_KEPT_PREFIXES):
            monkeypatch.delenv(name)
    for name, value in _GIVEN.items():
        monkeypatch.setenv(name, value)
    home = _homes / str(next(_numbers))
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))


# ---------------------------------------------------------------------------------------------- no way out


class OutsideConnection(BaseException):
    """A test tried to leave this machine. Not an Exception, so that no code under test can swallow it."""


def _is_loopback(host: object) -> bool:
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    return text in {None, "", "localhost", "::1", "::"} or (
        isinstance(text, str) and text.startswith(("127.", "0.0.0.0"))
    )


def _stay_inside(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook (PEP 578): it sees every connection and look-up of this process, whoever makes it."""
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        inside = not isinstance(address, tuple) or _is_loopback(address[0])  # no tuple: a Unix socket's path
        inside = inside or (bool(LIVE) and address[1] in (443, 53))
    elif event == "socket.getaddrinfo":
        address = arguments[0]
        inside = _is_loopback(address) or bool(LIVE)
    else:
        return
    if not inside:
        raise OutsideConnection(f"{event} to {address!r}: tests stay on 127.0.0.1")


sys.addaudithook(_stay_inside)

# ---------------------------------------------------------------------------------------------- real services


@pytest.fixture(scope="session")
def running_services() -> Iterator[services.Services]:
    """The engine and both registries: those of ``make test``, else private ones of this run."""
    with ExitStack() as stack:
        try:
            yield _find_services(stack)
        except MachineError as error:
            if _ENGINE_REQUIRED:
                pytest.fail(f"HYBRID_CI_REQUIRE_ENGINE is set, and: {error}", pytrace=False)
            pytest.skip(f"no Docker Engine and registry: {error} (make test installs and starts them)")


def _find_services(stack: ExitStack) -> services.Services:
    if not _GIVEN_SERVICES:
        return stack.enter_context(services.lease(_STATE, tls=True, install=False))
    state = services.read(Path(_GIVEN_SERVICES).parent)
    if state.engine is None or state.plain is None or state.tls is None:
        raise MachineError(f"{services.SERVICES_VARIABLE}={_GIVEN_SERVICES} does not name running services")
    return services.Services(state.engine, state.base_image, state.plain, state.tls)


@pytest.fixture(scope="session")
def engine_host(running_services: services.Services) -> str:
    """The address of a real Docker Engine, as DOCKER_HOST would have it."""
    return running_services.engine.host


@pytest.fixture(scope="session")
def registry(running_services: services.Services) -> PlainRegistry:
    """A real registry without TLS; the engine pushes to it."""
    return PlainRegistry(running_services.plain.host)


@pytest.fixture(scope="session")
def tls_registry(running_services: services.Services) -> TlsRegistry:
    """A real registry with TLS and a password; the engine pushes to it."""
    secure = running_services.tls
    assert secure is not None
    return TlsRegistry(secure.host, Path(secure.ca_file), Path(secure.certificates), secure.username, secure.password)


@pytest.fixture(scope="session")
def base_image(running_services: services.Services) -> str:
    """A busybox image that is in the engine; ``FROM`` it, since nothing can be pulled."""
    return running_services.base_image


@pytest.fixture(scope="session")
def busybox(engine_host: str, base_image: str) -> bytes:
    """The static program that the base image consists of, for images that are made from scratch."""
    headers, spec = {"Content-Type": "application/json"}, json.dumps({"Image": base_image}).encode()
    made = engine_api.request(engine_host, "POST", "/containers/create", body=spec, headers=headers)
    container = f"/containers/{json.loads(made)['Id']}"
    try:
        archive = engine_api.request(engine_host, "GET", f"{container}/archive?path=/bin/busybox")
    finally:
        engine_api.request(engine_host, "DELETE", f"{container}?force=1")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.extractfile("busybox")
        assert member is not None
        return member.read()
