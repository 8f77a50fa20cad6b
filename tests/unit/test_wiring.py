"""What the environment of a job chooses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import RefName
from orchestrator.git.signing import SigningFailed
from orchestrator.wiring import open_ports
from tests.integration.git.keys import ssh_key
from tests.servers.git_repositories import make_bare

CONFIG = """\
version: 1
application: shop
gitops: {repository: ./gitops.git, environment: dev}
images: {api: {repository: ghcr.io/acme/shop/api}}
"""
BRANCH = RefName("refs/heads/hybrid-ci/dev/shop")


@dataclass(frozen=True)
class _Options:
    """The global options of a command line."""

    config: Path
    log_format: str = "text"
    quiet: bool = True
    verbose: bool = False
    git_cache: Path | None = None


@pytest.fixture
def options(tmp_path: Path) -> _Options:
    make_bare(tmp_path / "gitops.git")
    path = tmp_path / "hybrid-ci.yaml"
    path.write_text(CONFIG)
    return _Options(path)


def _preflight(options: _Options) -> None:
    with open_ports(options) as (ports, _):
        ports.repository.check_push(BRANCH)


def test_the_signing_key_of_the_environment_is_tried_before_any_work(
    options: _Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _preflight(options)
    monkeypatch.setenv("HYBRID_CI_SIGNING_KEY_FILE", str(ssh_key(tmp_path).private))
    _preflight(options)
    monkeypatch.setenv("HYBRID_CI_SIGNING_KEY", "no key")
    with pytest.raises(SigningFailed) as error:
        _preflight(options)
    assert (error.value.where, error.value.exit_code) == ("$HYBRID_CI_SIGNING_KEY", 2)


def test_a_signing_key_file_that_is_missing_is_named(
    options: _Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYBRID_CI_SIGNING_KEY_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError) as error:
        _preflight(options)
    assert error.value.exit_code == 2
    assert error.value.where == f"$HYBRID_CI_SIGNING_KEY_FILE={tmp_path / 'nowhere'}"


def test_the_gpg_key_is_looked_for_in_the_keyring_of_the_environment(
    options: _Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(tmp_path / "no-keyring"))
    monkeypatch.setenv("HYBRID_CI_SIGNING_GPG_KEY", "0123456789ABCDEF")
    with pytest.raises(SigningFailed) as error:
        _preflight(options)
    assert error.value.where == "$HYBRID_CI_SIGNING_GPG_KEY"
    assert any("no-keyring" in line for line in error.value.details)


def test_two_signing_keys_are_one_too_many(options: _Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_CI_SIGNING_KEY_FILE", str(ssh_key(tmp_path).private))
    monkeypatch.setenv("HYBRID_CI_SIGNING_GPG_KEY", "0123456789ABCDEF")
    with pytest.raises(ConfigurationError, match="not by both"):
        _preflight(options)
