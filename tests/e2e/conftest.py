"""The world of the end-to-end tests: real engine, TLS registry with a password, Git over HTTP with a token."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.shop import Shop
from tests.e2e.small import Small
from tests.servers import TlsRegistry
from tests.servers.git_http import serving


@pytest.fixture
def git_token() -> str:
    """A token that nobody else has: a canary in every output."""
    return "canary-" + secrets.token_hex(16)


@pytest.fixture
def shop(
    tmp_path: Path, engine_host: str, tls_registry: TlsRegistry, base_image: str, git_token: str
) -> Iterator[Shop]:
    """An application with two images, ready to release over the real things."""
    with serving(tmp_path, login=("x-access-token", git_token)) as server:
        made = Shop(
            tmp_path,
            f"{tls_registry.host}/{secrets.token_hex(4)}",
            base_image,
            server.url("gitops.git"),
            {
                "DOCKER_HOST": engine_host,
                "HYBRID_CI_CA_BUNDLE": str(tls_registry.ca),
                "HYBRID_CI_REGISTRY_USERNAME": tls_registry.username,
                "HYBRID_CI_REGISTRY_PASSWORD": tls_registry.password,
                "HYBRID_CI_GIT_TOKEN": git_token,
            },
        )
        made.build()
        yield made


@pytest.fixture
def small(
    tmp_path: Path,
    engine_host: str,
    tls_registry: TlsRegistry,
    base_image: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Small:
    """A small application of whose builds the engine remembers every layer; Git by path, without a server."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-01-01T12:00:00Z")
    made = Small(
        tmp_path,
        f"{tls_registry.host}/{secrets.token_hex(4)}",
        base_image,
        "",
        {
            "DOCKER_HOST": engine_host,
            "TMPDIR": str(tmp_path / "tmp"),
            "HYBRID_CI_CA_BUNDLE": str(tls_registry.ca),
            "HYBRID_CI_REGISTRY_USERNAME": tls_registry.username,
            "HYBRID_CI_REGISTRY_PASSWORD": tls_registry.password,
            "HYBRID_CI_PATIENCE": "1",  # the base comes from no registry, and none is waited for
        },
    )
    made.tmp.mkdir()
    made.build()
    return made
