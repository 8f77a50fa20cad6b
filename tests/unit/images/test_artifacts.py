"""Documents beside an image: attached once, read back only when they are about this image."""

from __future__ import annotations

import json

import pytest

from orchestrator.core.image import Digest, Repository
from orchestrator.images.artifacts import attach_document, documents_of, read_document
from orchestrator.images.base import RegistryManifest
from orchestrator.images.manifest import OCI_MANIFEST, RegistryLied
from tests.simulators.registry import SimulatedRegistry

KIND = "application/vnd.hybrid-ci.image.v1+json"
REPOSITORY = Repository("registry.example.com", "acme/api")
NOTES = {"dev.hybrid-ci.content": "c1"}


@pytest.fixture
def registry() -> SimulatedRegistry:
    return SimulatedRegistry()


def image(registry: SimulatedRegistry, name: str = "api") -> RegistryManifest:
    config = registry.store_blob(REPOSITORY, f'{{"name": "{name}"}}'.encode())
    content = json.dumps({"config": {"digest": str(config)}, "layers": []}).encode()
    digest = registry.store_manifest(REPOSITORY, OCI_MANIFEST, content, name)
    found = registry.manifest(REPOSITORY, digest)
    assert found is not None
    return found


def attach(registry: SimulatedRegistry, subject: RegistryManifest, content: bytes = b"one", **notes: str) -> Digest:
    return attach_document(registry, REPOSITORY, subject, KIND, content, notes or NOTES)


def contents(registry: SimulatedRegistry, subject: RegistryManifest) -> list[bytes]:
    return [one.content for one in documents_of(registry, REPOSITORY, subject.digest, KIND)]


def test_a_document_is_read_back_by_the_digest_of_its_artifact(registry: SimulatedRegistry) -> None:
    subject = image(registry)
    digest = attach(registry, subject)
    found = read_document(registry, REPOSITORY, digest, subject.digest, KIND)
    assert found is not None
    assert (found.digest, found.content) == (digest, b"one")


def test_the_documents_of_an_image_are_found_without_knowing_them(registry: SimulatedRegistry) -> None:
    subject = image(registry)
    attach(registry, subject, b"first", run="1")
    attach(registry, subject, b"second", run="2")
    assert contents(registry, subject) == [b"second", b"first"]


def test_a_rerun_with_nothing_new_to_say_attaches_nothing(registry: SimulatedRegistry) -> None:
    subject = image(registry)
    assert attach(registry, subject, b"took 1.1 s") == attach(registry, subject, b"took 1.2 s")
    assert contents(registry, subject) == [b"took 1.1 s"]


def test_a_document_of_another_image_is_not_taken(registry: SimulatedRegistry) -> None:
    subject, other = image(registry), image(registry, "worker")
    theirs = attach(registry, other)
    with pytest.raises(RegistryLied, match="not a record of this image"):
        read_document(registry, REPOSITORY, theirs, subject.digest, KIND)


def test_a_document_of_another_kind_is_not_taken(registry: SimulatedRegistry) -> None:
    subject = image(registry)
    sbom = attach_document(registry, REPOSITORY, subject, "application/vnd.example.sbom", b"x", {})
    with pytest.raises(RegistryLied):
        read_document(registry, REPOSITORY, sbom, subject.digest, KIND)
    assert contents(registry, subject) == []


def test_a_document_whose_bytes_were_exchanged_is_refused(registry: SimulatedRegistry) -> None:
    subject = image(registry)
    digest = attach(registry, subject)
    registry.served_instead[Digest.of(b"one")] = b"two"
    with pytest.raises(RegistryLied):
        read_document(registry, REPOSITORY, digest, subject.digest, KIND)
    assert contents(registry, subject) == []


def test_a_planted_list_entry_does_not_keep_ours_away(registry: SimulatedRegistry) -> None:
    """An entry with the right annotations that is about something else is no record of this image."""
    subject, other = image(registry), image(registry, "worker")
    theirs = attach(registry, other)
    listing = registry.stored(REPOSITORY).referrers
    listing[subject.digest] = listing[other.digest]
    ours = attach(registry, subject)
    assert ours != theirs
    assert contents(registry, subject) == [b"one"]


def test_an_artifact_that_the_registry_lost_is_nothing(registry: SimulatedRegistry) -> None:
    subject = image(registry)
    gone = Digest("sha256:" + "0" * 64)
    assert read_document(registry, REPOSITORY, gone, subject.digest, KIND) is None


@pytest.mark.parametrize("layers", [None, [], [{"digest": "x"}], [1, 2]])
def test_an_artifact_without_exactly_one_document_is_refused(registry: SimulatedRegistry, layers: object) -> None:
    subject = image(registry)
    document = {
        "artifactType": KIND,
        "config": {"digest": str(Digest.of(b"{}"))},
        "subject": {"digest": str(subject.digest)},
        "layers": layers,
    }
    digest = registry.store_manifest(REPOSITORY, OCI_MANIFEST, json.dumps(document).encode())
    with pytest.raises(RegistryLied):
        read_document(registry, REPOSITORY, digest, subject.digest, KIND)
