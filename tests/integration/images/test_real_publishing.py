"""A real engine pushes to a real registry with TLS and a password; skopeo is the witness."""

from __future__ import annotations

import hashlib
import json
import secrets
import ssl
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import Digest, ImageReference, Repository, TaggedImage
from orchestrator.engine.clock import SystemClock
from orchestrator.images.base import BuildSpec, BuiltImage
from orchestrator.images.bases import local_reference
from orchestrator.images.credentials import RegistryCredentials
from orchestrator.images.docker_engine import DockerEngine
from orchestrator.images.engine_client import connect
from orchestrator.images.errors import LoginRefused
from orchestrator.images.proof import ProofBroken
from orchestrator.images.publish import publish
from orchestrator.images.registry import HttpRegistry
from tests.contract.engines import OneLogin
from tests.servers import TlsRegistry
from tests.servers.skopeo import inspect
from tests.simulators.clock import FakeClock
from tests.simulators.reporter import RecordingReporter

pytestmark = pytest.mark.engine


@pytest.fixture
def target(tls_registry: TlsRegistry) -> TaggedImage:
    return TaggedImage(Repository.parse(f"{tls_registry.host}/real-{secrets.token_hex(6)}/api"), "1")


def credentials(tls: TlsRegistry, tmp_path: Path) -> RegistryCredentials:
    environment = {"HYBRID_CI_REGISTRY_USERNAME": tls.username, "HYBRID_CI_REGISTRY_PASSWORD": tls.password}
    return RegistryCredentials(environment, tmp_path, own=[tls.host])


def test_an_independent_witness_sees_the_tested_image(
    engine: DockerEngine, image: BuiltImage, tls_registry: TlsRegistry, target: TaggedImage, tmp_path: Path
) -> None:
    reporter = RecordingReporter()
    with HttpRegistry(credentials(tls_registry, tmp_path), ca_bundle=tls_registry.ca) as registry:
        registry.check_login(target.repository, push=True)
        published = publish(engine, registry, image, target, reporter, SystemClock())
    raw = inspect(tls_registry, f"{target.repository}@{published.pinned.digest}", "--raw")
    assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == published.pinned.digest.value
    assert json.loads(raw)["config"]["digest"] == image.engine_id.value
    assert raw == inspect(tls_registry, str(target), "--raw")
    assert reporter.progressed


def test_a_push_without_a_login_is_refused_with_its_reason(
    engine_host: str, image: BuiltImage, tls_registry: TlsRegistry, target: TaggedImage
) -> None:
    with DockerEngine(partial(connect, engine_host)) as engine, pytest.raises(LoginRefused) as caught:
        engine.push(image, target, RecordingReporter(), "push")
    assert caught.value.exit_code == 5
    assert "no login was found" in str(caught.value.hint)


def test_a_push_with_a_wrong_password_is_refused_without_showing_it(
    engine_host: str, image: BuiltImage, tls_registry: TlsRegistry, target: TaggedImage
) -> None:
    wrong = OneLogin(tls_registry.host, tls_registry.username, "canary-not-the-password")
    with DockerEngine(partial(connect, engine_host), wrong) as engine, pytest.raises(LoginRefused) as caught:
        engine.push(image, target, RecordingReporter(), "push")
    assert "canary" not in f"{caught.value}{caught.value.hint}{caught.value.details}"


def test_nothing_is_written_into_the_users_docker_configuration(
    engine: DockerEngine, image: BuiltImage, tls_registry: TlsRegistry, target: TaggedImage, tmp_path: Path
) -> None:
    with HttpRegistry(credentials(tls_registry, tmp_path), ca_bundle=tls_registry.ca) as registry:
        publish(engine, registry, image, target, RecordingReporter(), SystemClock())
    assert not (tmp_path / ".docker").exists()
    assert list(Path.home().iterdir()) == []


def test_a_registry_with_an_unknown_authority_is_refused(tls_registry: TlsRegistry, target: TaggedImage) -> None:
    with HttpRegistry() as registry, pytest.raises(ConfigurationError, match="not trusted") as caught:
        registry.resolve(target)
    assert "HYBRID_CI_CA_BUNDLE" in str(caught.value.hint)


def test_the_given_authority_wins_over_the_environments(
    tls_registry: TlsRegistry, target: TaggedImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ssl.get_default_verify_paths().cafile or str(tls_registry.ca)
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, other)
    with HttpRegistry(credentials(tls_registry, tmp_path), ca_bundle=tls_registry.ca) as registry:
        assert registry.resolve(target) is None


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environments_authority_is_trusted_when_none_is_given(
    tls_registry: TlsRegistry, target: TaggedImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tls_registry.ca))
    with HttpRegistry(credentials(tls_registry, tmp_path)) as registry:
        assert registry.resolve(target) is None


def test_an_image_swapped_in_the_engine_between_test_and_push_is_refused(
    engine: DockerEngine,
    build: Callable[..., BuiltImage],
    tls_registry: TlsRegistry,
    target: TaggedImage,
    tmp_path: Path,
) -> None:
    """Somebody else with access to the engine moves the tag that we are about to push."""
    image, other = build("LABEL which=tested"), build("LABEL which=other")

    class Swapping(DockerEngine):
        def push(self, image: BuiltImage, *rest: object) -> Digest | None:
            return super().push(other, *rest)  # type: ignore[arg-type]

    swapping = Swapping(engine._connect, engine._credentials)
    registry = HttpRegistry(credentials(tls_registry, tmp_path), ca_bundle=tls_registry.ca)
    with swapping, registry, pytest.raises(ProofBroken) as caught:
        publish(swapping, registry, image, target, RecordingReporter(), FakeClock())
    assert caught.value.exit_code == 3


def test_a_tag_moved_between_push_and_pin(
    engine: DockerEngine,
    build: Callable[..., BuiltImage],
    tls_registry: TlsRegistry,
    target: TaggedImage,
    tmp_path: Path,
) -> None:
    """Ours is pinned by what our push reported, and a warning tells of the other one."""
    image, other = build("LABEL which=ours"), build("LABEL which=theirs")
    reporter = RecordingReporter()

    class Racing(DockerEngine):
        def push(self, image: BuiltImage, *rest: object) -> Digest | None:
            digest = super().push(image, *rest)  # type: ignore[arg-type]
            super().push(other, *rest)  # type: ignore[arg-type]
            return digest

    racing = Racing(engine._connect, engine._credentials)
    with racing, HttpRegistry(credentials(tls_registry, tmp_path), ca_bundle=tls_registry.ca) as registry:
        published = publish(racing, registry, image, target, reporter, SystemClock())
        assert registry.resolve(target) != published.pinned.digest
    assert published.proof.config == image.engine_id
    assert any(str(target) in warning for warning in reporter.warnings)


def test_the_registrys_own_answer_is_what_is_pinned(
    engine: DockerEngine, image: BuiltImage, tls_registry: TlsRegistry, target: TaggedImage, tmp_path: Path
) -> None:
    with HttpRegistry(credentials(tls_registry, tmp_path), ca_bundle=tls_registry.ca) as registry:
        published = publish(engine, registry, image, target, RecordingReporter(), SystemClock())
    url = f"https://{tls_registry.host}/v2/{target.repository.path}/manifests/{published.pinned.digest}"
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, url, tls_registry.username, tls_registry.password)
    opener = urllib.request.build_opener(
        urllib.request.HTTPBasicAuthHandler(passwords),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(tls_registry.ca))),
        urllib.request.ProxyHandler({}),
    )
    accept = "application/vnd.docker.distribution.manifest.v2+json"
    with opener.open(urllib.request.Request(url, headers={"Accept": accept}), timeout=20) as answer:
        assert f"sha256:{hashlib.sha256(answer.read()).hexdigest()}" == published.pinned.digest.value


def test_an_image_in_the_engine_is_known_by_its_id_until_a_registry_gives_it_a_digest(
    engine: DockerEngine, image: BuiltImage, tls_registry: TlsRegistry, target: TaggedImage, tmp_path: Path
) -> None:
    reference = ImageReference(target.repository, target.tag)
    assert engine.holds(reference) is None
    with HttpRegistry(credentials(tls_registry, tmp_path), ca_bundle=tls_registry.ca) as registry:
        published = publish(engine, registry, image, target, RecordingReporter(), SystemClock())
    assert engine.holds(reference) == published.pinned.digest
    local = local_reference(image)
    engine.name_bases(BuildSpec("upon", tmp_path, tmp_path / "Dockerfile", bases={"base": image}))
    assert engine.holds(ImageReference(local.repository, local.tag)) == image.engine_id
