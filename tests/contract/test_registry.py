"""What every Registry does: the simulator, a scripted server, and Debian's docker-registry plain and with TLS."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import pytest

from orchestrator.core.errors import RemoteError
from orchestrator.core.image import Digest, Platform, Repository, TaggedImage
from orchestrator.images.base import Registry
from orchestrator.images.credentials import Anonymous
from orchestrator.images.errors import LoginRefused
from orchestrator.images.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from orchestrator.images.registry import HttpRegistry
from tests.contract.engines import OneLogin
from tests.servers.registry_put import RegistryWriter
from tests.servers.registry_scripted import Reply, ScriptedRegistry, scripted_registry
from tests.servers.registry_storing import StoringRegistry
from tests.simulators.registry import SimulatedRegistry

KINDS = [
    "simulated",
    "scripted",
    pytest.param("plain", marks=pytest.mark.engine),
    pytest.param("tls", marks=pytest.mark.engine),
]
CONFIG = json.dumps({"os": "linux", "architecture": "arm64", "variant": "v8", "config": {"Labels": {"a": "b"}}})


class Writer(Protocol):
    """Puts content where the registry under test finds it."""

    def blob(self, repository: str, content: bytes) -> Digest: ...

    def manifest(self, repository: str, media_type: str, content: bytes, reference: str) -> Digest: ...


@dataclass(frozen=True)
class Shelf:
    """A registry under contract, and a repository of this test's own in it."""

    registry: Registry
    writer: Writer
    repository: Repository

    def tagged(self, tag: str) -> TaggedImage:
        return TaggedImage(self.repository, tag)

    def put_manifest(self, media_type: str = OCI_MANIFEST, tag: str = "1") -> tuple[Digest, Digest]:
        """A manifest with its configuration; gives the digests of both."""
        config = self.writer.blob(self.repository.path, CONFIG.encode())
        document = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "size": len(CONFIG),
                "digest": str(config),
            },
            "layers": [],
        }
        content = json.dumps(document).encode()
        return self.writer.manifest(self.repository.path, media_type, content, tag), config


class _SimulatedWriter:
    def __init__(self, registry: SimulatedRegistry, host: str) -> None:
        self._registry, self._host = registry, host

    def blob(self, repository: str, content: bytes) -> Digest:
        return self._registry.store_blob(Repository(self._host, repository), content)

    def manifest(self, repository: str, media_type: str, content: bytes, reference: str) -> Digest:
        tag = None if ":" in reference else reference
        return self._registry.store_manifest(Repository(self._host, repository), media_type, content, tag)


class _ScriptedWriter:
    def __init__(self, server: ScriptedRegistry) -> None:
        self._server = server

    def blob(self, repository: str, content: bytes) -> Digest:
        return self._server.store_blob(repository, content)

    def manifest(self, repository: str, media_type: str, content: bytes, reference: str) -> Digest:
        tag = None if ":" in reference else reference
        return self._server.store(repository, media_type, content, tag)


@pytest.fixture(params=KINDS)
def shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    path = f"contract-{secrets.token_hex(6)}/api"
    with ExitStack() as stack:
        match request.param:
            case "simulated":
                simulated = SimulatedRegistry()
                repository = Repository("registry.example.com", path)
                yield Shelf(simulated, _SimulatedWriter(simulated, repository.registry), repository)
            case "scripted":
                server = stack.enter_context(scripted_registry())
                server.on("GET", "/v2/.*/tags/list", Reply(200, b'{"tags":[]}'))
                StoringRegistry(server)
                writer = _ScriptedWriter(server)
                real = stack.enter_context(HttpRegistry(Anonymous()))
                yield Shelf(real, writer, Repository(server.host, path))
            case "plain":
                plain = request.getfixturevalue("registry")
                real = stack.enter_context(HttpRegistry(Anonymous()))
                yield Shelf(real, RegistryWriter(plain), Repository(plain.host, path))
            case "tls":
                tls = request.getfixturevalue("tls_registry")
                right = OneLogin(tls.host, tls.username, tls.password)
                real = stack.enter_context(HttpRegistry(right, ca_bundle=tls.ca))
                yield Shelf(real, RegistryWriter(tls), Repository(tls.host, path))


@pytest.fixture(params=["simulated", "scripted", pytest.param("tls", marks=pytest.mark.engine)])
def locked(request: pytest.FixtureRequest) -> Iterator[tuple[Registry, Repository]]:
    """A repository that wants a login, and a registry client with a wrong one."""
    path = f"contract-{secrets.token_hex(6)}/api"
    with ExitStack() as stack:
        match request.param:
            case "simulated":
                simulated = SimulatedRegistry()
                repository = Repository("registry.example.com", path)
                simulated.refused.add(repository)
                yield simulated, repository
            case "scripted":
                server = stack.enter_context(scripted_registry())
                server.require_basic("right", "the-password")
                logins = OneLogin(server.host, "right", "not-the-password")
                yield stack.enter_context(HttpRegistry(logins)), Repository(server.host, path)
            case "tls":
                tls = request.getfixturevalue("tls_registry")
                logins = OneLogin(tls.host, tls.username, "not-the-password")
                client = stack.enter_context(HttpRegistry(logins, ca_bundle=tls.ca))
                yield client, Repository(tls.host, path)


def test_a_missing_tag_resolves_to_nothing(shelf: Shelf) -> None:
    assert shelf.registry.resolve(shelf.tagged("none")) is None


def test_a_missing_manifest_is_nothing(shelf: Shelf) -> None:
    shelf.put_manifest()
    assert shelf.registry.manifest(shelf.repository, Digest("sha256:" + "0" * 64)) is None


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_a_tag_resolves_to_the_digest_of_its_manifest(shelf: Shelf, media_type: str) -> None:
    digest, config = shelf.put_manifest(media_type)
    assert shelf.registry.resolve(shelf.tagged("1")) == digest
    manifest = shelf.registry.manifest(shelf.repository, digest)
    assert manifest is not None
    assert (manifest.digest, manifest.media_type, manifest.config, manifest.is_index) == (
        digest,
        media_type,
        config,
        False,
    )
    assert Digest.of(manifest.content) == digest


def test_a_tag_that_moved_resolves_to_the_new_digest(shelf: Shelf) -> None:
    first, _ = shelf.put_manifest(OCI_MANIFEST)
    second, _ = shelf.put_manifest(DOCKER_MANIFEST)
    assert first != second
    assert shelf.registry.resolve(shelf.tagged("1")) == second


@pytest.mark.parametrize(("media_type", "inner"), [(OCI_INDEX, OCI_MANIFEST), (DOCKER_LIST, DOCKER_MANIFEST)])
def test_an_index_names_its_platforms(shelf: Shelf, media_type: str, inner: str) -> None:
    digest, _ = shelf.put_manifest(inner)
    manifest = shelf.registry.manifest(shelf.repository, digest)
    assert manifest is not None
    entry = {
        "mediaType": inner,
        "digest": str(digest),
        "size": len(manifest.content),
        "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"},
    }
    content = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": [entry]}).encode()
    index = shelf.writer.manifest(shelf.repository.path, media_type, content, "index")
    found = shelf.registry.manifest(shelf.repository, index)
    assert found is not None
    assert found.is_index
    assert [(each.digest, each.platform) for each in found.manifests] == [(digest, Platform("linux", "arm64", "v8"))]


def test_a_configuration_is_read(shelf: Shelf) -> None:
    _, config = shelf.put_manifest()
    assert shelf.registry.config(shelf.repository, config)["architecture"] == "arm64"


def test_a_missing_configuration_is_an_error(shelf: Shelf) -> None:
    with pytest.raises(RemoteError):
        shelf.registry.config(shelf.repository, Digest("sha256:" + "0" * 64))


@pytest.mark.parametrize("push", [False, True])
def test_a_login_that_is_right_passes(shelf: Shelf, push: bool) -> None:
    shelf.registry.check_login(shelf.repository, push=push)


@pytest.mark.parametrize("push", [False, True])
def test_a_login_that_is_wrong_is_refused_and_named(locked: tuple[Registry, Repository], push: bool) -> None:
    registry, repository = locked
    with pytest.raises(LoginRefused) as caught:
        registry.check_login(repository, push=push)
    assert caught.value.where == str(repository)
    assert "HYBRID_CI_REGISTRY_USERNAME" in (caught.value.hint or "")
    assert "password" not in caught.value.message


def test_a_login_that_is_wrong_reads_nothing(locked: tuple[Registry, Repository]) -> None:
    registry, repository = locked
    with pytest.raises(LoginRefused):
        registry.resolve(TaggedImage(repository, "1"))


# --- writing ---------------------------------------------------------------------------------------------------------

RECORD = "application/vnd.hybrid-ci.release.v1+json"


def artifact(subject: Digest, note: str, kind: str = RECORD) -> bytes:
    """The manifest of an artifact that refers to ``subject``; its one blob is the empty object."""
    empty = {
        "mediaType": "application/vnd.oci.empty.v1+json",
        "digest": str(Digest.of(b"{}")),
        "size": 2,
    }
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": empty,
        "layers": [empty],
        "subject": {"mediaType": OCI_MANIFEST, "digest": str(subject), "size": 1},
        "annotations": {"note": note},
    }
    return json.dumps(document).encode()


def test_a_blob_that_was_put_is_read_back(shelf: Shelf) -> None:
    digest = shelf.registry.put_blob(shelf.repository, b"some bytes")
    assert digest == Digest.of(b"some bytes")
    assert shelf.registry.blob(shelf.repository, digest) == b"some bytes"


def test_putting_a_blob_twice_changes_nothing(shelf: Shelf) -> None:
    assert shelf.registry.put_blob(shelf.repository, b"x") == shelf.registry.put_blob(shelf.repository, b"x")


def test_a_tag_is_put_on_a_manifest_without_uploading_a_layer(shelf: Shelf) -> None:
    digest, _ = shelf.put_manifest(tag="key")
    manifest = shelf.registry.manifest(shelf.repository, digest)
    assert manifest is not None
    put = shelf.registry.put_manifest(shelf.repository, manifest.content, manifest.media_type, "1.0")
    assert put == digest
    assert shelf.registry.resolve(shelf.tagged("1.0")) == digest
    assert shelf.registry.resolve(shelf.tagged("key")) == digest


def test_an_image_that_nothing_refers_to_has_no_referrers(shelf: Shelf) -> None:
    digest, _ = shelf.put_manifest()
    assert list(shelf.registry.referrers(shelf.repository, digest, RECORD)) == []


def test_an_artifact_is_listed_with_the_image_that_it_refers_to(shelf: Shelf) -> None:
    digest, _ = shelf.put_manifest()
    shelf.registry.put_blob(shelf.repository, b"{}")
    attached = shelf.registry.attach(shelf.repository, digest, artifact(digest, "first"), OCI_MANIFEST)
    (found,) = shelf.registry.referrers(shelf.repository, digest, RECORD)
    assert (found.digest, found.artifact_type, found.annotations) == (attached, RECORD, {"note": "first"})


def test_an_artifact_that_is_attached_twice_is_listed_once(shelf: Shelf) -> None:
    digest, _ = shelf.put_manifest()
    shelf.registry.put_blob(shelf.repository, b"{}")
    for _ in range(2):
        shelf.registry.attach(shelf.repository, digest, artifact(digest, "once"), OCI_MANIFEST)
    assert len(shelf.registry.referrers(shelf.repository, digest, RECORD)) == 1


def test_artifacts_of_another_type_are_not_listed(shelf: Shelf) -> None:
    digest, _ = shelf.put_manifest()
    shelf.registry.put_blob(shelf.repository, b"{}")
    shelf.registry.attach(shelf.repository, digest, artifact(digest, "ours"), OCI_MANIFEST)
    other = "application/vnd.example.sbom.v1+json"
    shelf.registry.attach(shelf.repository, digest, artifact(digest, "theirs", other), OCI_MANIFEST)
    assert [one.annotations["note"] for one in shelf.registry.referrers(shelf.repository, digest, RECORD)] == ["ours"]


def test_a_login_that_is_wrong_writes_nothing(locked: tuple[Registry, Repository]) -> None:
    registry, repository = locked
    with pytest.raises(LoginRefused):
        registry.put_blob(repository, b"{}")
