"""Manifests from a registry: what is no manifest, or could be read in two ways, is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.image import Digest, Platform
from orchestrator.images.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    RegistryLied,
    platform_of,
    read_manifest,
    verified,
)

CONFIG = "sha256:" + "c" * 64
ENTRY = {"digest": "sha256:" + "a" * 64, "platform": {"os": "linux", "architecture": "amd64"}}


def document(**changes: object) -> bytes:
    base: dict[str, object] = {"schemaVersion": 2, "config": {"digest": CONFIG}, "layers": []}
    return json.dumps({**base, **changes}).encode()


def index(*entries: object, **changes: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": list(entries), **changes}).encode()


def test_the_digest_is_that_of_the_bytes() -> None:
    content = document()
    assert read_manifest(content, OCI_MANIFEST, "x").digest == Digest.of(content)
    assert read_manifest(content + b"\n", OCI_MANIFEST, "x").digest != Digest.of(content)


def test_a_media_type_may_carry_parameters() -> None:
    assert read_manifest(document(), f"{OCI_MANIFEST}; charset=utf-8", "x").media_type == OCI_MANIFEST


def test_an_index_keeps_order_and_platforms() -> None:
    arm = {"digest": "sha256:" + "b" * 64, "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}
    bare = {"digest": "sha256:" + "d" * 64}
    found = read_manifest(index(ENTRY, arm, bare), OCI_INDEX, "x").manifests
    assert [entry.platform for entry in found] == [Platform("linux", "amd64"), Platform("linux", "arm", "v7"), None]


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (document(), "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (document(), "application/json"),
        (document(), "text/html"),
        (document(), ""),
        (document(mediaType=OCI_INDEX), OCI_MANIFEST),
        (document(mediaType=DOCKER_MANIFEST), OCI_MANIFEST),
        (document(manifests=[]), OCI_MANIFEST),
        (document(config=None), OCI_MANIFEST),
        (document(config={"digest": "sha256:short"}), OCI_MANIFEST),
        (document(config={"digest": "md5:" + "a" * 64}), OCI_MANIFEST),
        (document(config={}), DOCKER_MANIFEST),
        (index(ENTRY, config={"digest": CONFIG}), OCI_INDEX),
        (index(ENTRY, layers=[]), DOCKER_LIST),
        (index("text"), OCI_INDEX),
        (index({"digest": "nothing"}), OCI_INDEX),
        (index({"digest": CONFIG, "platform": {"os": "linux"}}), OCI_INDEX),
        (index(*([ENTRY] * 2001)), OCI_INDEX),
        (b'{"manifests": {}}', OCI_INDEX),
        (b"[]", OCI_MANIFEST),
        (b"null", OCI_MANIFEST),
        (b"", OCI_MANIFEST),
        (b"<html>", OCI_MANIFEST),
        (b'{"config": {"digest": "' + CONFIG.encode() + b'"}, "config": {}}', OCI_MANIFEST),
        (b"\xff\xfe", OCI_MANIFEST),
        (b'{"a":' * 100_000, OCI_MANIFEST),
        (b"[" * 1_000_000, OCI_MANIFEST),
    ],
)
def test_what_is_no_unambiguous_manifest_is_refused(content: bytes, media_type: str) -> None:
    with pytest.raises(RegistryLied):
        read_manifest(content, media_type, "registry.example.com/acme/api")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(content: bytes) -> None:
    with pytest.raises(RegistryLied):
        read_manifest(content, OCI_MANIFEST, "x")


def test_other_bytes_than_asked_for_are_refused() -> None:
    assert verified(b"a", Digest.of(b"a"), "x") == b"a"
    with pytest.raises(RegistryLied) as caught:
        verified(b"a", Digest.of(b"b"), "x")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "config", [{}, {"os": "linux"}, {"os": 1, "architecture": "amd64"}, {"os": "", "architecture": ""}]
)
def test_a_configuration_without_a_platform_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(RegistryLied):
        platform_of(config, "x")
