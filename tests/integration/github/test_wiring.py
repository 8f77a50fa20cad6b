"""From a configuration file and the job's variables to a GitHub and its login."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from orchestrator import wiring
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import RefName
from tests.integration.github.worlds import MAIN, World
from tests.servers.github.server import TOKEN

CONFIG = """\
version: 1
application: shop
gitops: {{repository: "{repository}", environment: dev, forge: {forge}}}
images:
  api: {{repository: ghcr.io/acme/shop/api}}
"""


@dataclass(frozen=True)
class Options:
    """The global options of the command line."""

    config: Path
    log_format: str = "text"
    quiet: bool = True
    verbose: bool = False
    git_cache: Path | None = None


@pytest.fixture
def options(world: World, tmp_path: Path) -> Options:
    config = tmp_path / "hybrid-ci.yaml"
    config.write_text(CONFIG.format(repository=world.server.repository_url(), forge="github"))
    return Options(config)


def test_git_s_token_serves_the_forge_too(world: World, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_CI_GIT_TOKEN", TOKEN)
    with wiring.open_ports(options) as (ports, _):
        assert ports.forge is not None
        ports.forge.check_access()
        assert ports.forge.name == "github"
    assert world.server.calls[0].authorization == f"Bearer {TOKEN}"


def test_the_forge_s_own_token_wins(world: World, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_CI_GIT_TOKEN", "ghp_for_git_alone")
    monkeypatch.setenv("HYBRID_CI_FORGE_TOKEN", TOKEN)
    with wiring.open_ports(options) as (ports, _):
        assert ports.forge is not None
        ports.forge.check_access()
    assert world.server.calls[0].authorization == f"Bearer {TOKEN}"


def test_an_app_serves_forge_and_git(world: World, options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file = options.config.with_name("app.pem")
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    world.server.app = ("4711", public.decode())
    world.server.git_login = True
    monkeypatch.setenv("HYBRID_CI_GITHUB_APP_ID", "4711")
    monkeypatch.setenv("HYBRID_CI_GITHUB_APP_KEY_FILE", str(file))
    with wiring.open_ports(options) as (ports, _):
        assert ports.forge is not None
        ports.forge.check_access()
        assert ports.repository.tips([MAIN.ref]) == {RefName("refs/heads/main"): world.tip(MAIN)}
    assert {call.authorization for call in world.server.git_requests if call.authorization} != set()


def test_the_api_may_be_elsewhere(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "hybrid-ci.yaml"
    config.write_text(CONFIG.format(repository="https://git.example.com/acme/gitops", forge="github"))
    monkeypatch.setenv("HYBRID_CI_FORGE_TOKEN", TOKEN)
    monkeypatch.setenv("HYBRID_CI_FORGE_URL", world.server.api)
    with wiring.open_ports(Options(config)) as (ports, _):
        assert ports.forge is not None
        ports.forge.check_access()


def test_without_a_login_the_first_request_is_not_made(world: World, options: Options) -> None:
    with wiring.open_ports(options) as (ports, _):
        assert ports.forge is not None
        with pytest.raises(ConfigurationError, match="no token"):
            ports.forge.check_access()
    assert world.server.calls == []
