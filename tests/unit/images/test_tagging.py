"""Tags for people: put on a proven image without an upload, and never moved in silence."""

from __future__ import annotations

import json

import pytest

from orchestrator.core.errors import Refused, RemoteError
from orchestrator.core.image import Digest, Repository, TaggedImage
from orchestrator.images.manifest import OCI_INDEX, OCI_MANIFEST
from orchestrator.images.publish import NotServed
from orchestrator.images.tagging import REVISION, labels_of, put_tag, revision_of
from tests.simulators.clock import FakeClock
from tests.simulators.registry import SimulatedRegistry
from tests.simulators.reporter import RecordingReporter

REPOSITORY = Repository("registry.example.com", "acme/api")
TAG = TaggedImage(REPOSITORY, "1.4.2")
OURS, THEIRS = "0c" * 20, "7e" * 20


@pytest.fixture
def registry() -> SimulatedRegistry:
    return SimulatedRegistry()


def image(registry: SimulatedRegistry, revision: str | None, tag: str | None = None, content: str = "x") -> Digest:
    labels = {REVISION: revision} if revision else None
    config = registry.store_blob(REPOSITORY, json.dumps({"config": {"Labels": labels}, "content": content}).encode())
    manifest = json.dumps({"config": {"digest": str(config)}, "layers": []}).encode()
    return registry.store_manifest(REPOSITORY, OCI_MANIFEST, manifest, tag)


def put(
    registry: SimulatedRegistry, digest: Digest, reporter: RecordingReporter | None = None, *, immutable: bool = False
) -> None:
    put_tag(registry, TAG, digest, OURS, FakeClock(), reporter or RecordingReporter(), immutable=immutable)


def test_a_free_tag_is_put(registry: SimulatedRegistry) -> None:
    digest = image(registry, OURS)
    put(registry, digest)
    assert registry.resolve(TAG) == digest


def test_a_tag_that_is_right_is_left_alone(registry: SimulatedRegistry) -> None:
    digest = image(registry, OURS, "1.4.2")
    put(registry, digest, immutable=True)
    assert registry.faults.calls["put_manifest"] == 0


def test_a_tag_of_the_same_commit_moves_without_a_word(registry: SimulatedRegistry) -> None:
    """Builds are not reproducible: a rerun on a fresh runner may make another image of the same commit."""
    image(registry, OURS, "1.4.2", content="first run")
    digest, reporter = image(registry, OURS, content="second run"), RecordingReporter()
    put(registry, digest, reporter, immutable=True)
    assert registry.resolve(TAG) == digest
    assert reporter.warnings == []


@pytest.mark.parametrize("revision", [THEIRS, None])
def test_a_tag_of_another_commit_moves_with_a_warning(registry: SimulatedRegistry, revision: str | None) -> None:
    image(registry, revision, "1.4.2")
    digest, reporter = image(registry, OURS), RecordingReporter()
    put(registry, digest, reporter)
    assert registry.resolve(TAG) == digest
    (warning,) = reporter.warnings
    assert "1.4.2" in warning
    assert (revision or "unknown origin")[:12] in warning


@pytest.mark.parametrize("revision", [THEIRS, None])
@pytest.mark.scenario(number=66)
def test_tag_already_exists_with_other_digest(registry: SimulatedRegistry, revision: str | None) -> None:
    theirs = image(registry, revision, "1.4.2")
    with pytest.raises(Refused) as caught:
        put(registry, image(registry, OURS), immutable=True)
    assert registry.resolve(TAG) == theirs
    assert caught.value.exit_code == 3
    assert str(theirs) in caught.value.details[0]


def test_an_image_that_is_gone_gets_no_tag(registry: SimulatedRegistry) -> None:
    with pytest.raises(RemoteError, match="no longer serves"):
        put(registry, Digest("sha256:" + "0" * 64))


def test_a_registry_that_lags_is_asked_again(registry: SimulatedRegistry) -> None:
    registry.lag = 0
    digest = image(registry, OURS)
    answers = iter([None, None, None])
    resolve = registry.resolve
    registry.resolve = lambda tag: next(answers, resolve(tag))  # type: ignore[method-assign, assignment]
    put(registry, digest)
    assert resolve(TAG) == digest


def test_a_tag_that_never_appears_is_said(registry: SimulatedRegistry) -> None:
    registry.resolve = lambda tag: None  # type: ignore[method-assign, assignment]
    with pytest.raises(NotServed):
        put(registry, image(registry, OURS))


def test_the_labels_of_an_index_are_those_of_its_first_platform(registry: SimulatedRegistry) -> None:
    inner = image(registry, THEIRS)
    index = json.dumps({"manifests": [{"digest": str(inner)}]}).encode()
    digest = registry.store_manifest(REPOSITORY, OCI_INDEX, index)
    assert revision_of(registry, TAG.repository, digest) == THEIRS


def test_an_image_without_labels_has_none(registry: SimulatedRegistry) -> None:
    assert labels_of(registry, TAG.repository, image(registry, None)) == {}
    assert labels_of(registry, TAG.repository, Digest("sha256:" + "0" * 64)) == {}
