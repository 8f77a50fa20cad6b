"""The proof: every engine's way to name an image leads to the same chain, and every broken link is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrator.core.image import Digest, Platform
from orchestrator.images.base import BuiltImage, RegistryManifest
from orchestrator.images.manifest import OCI_INDEX, OCI_MANIFEST, read_manifest
from orchestrator.images.proof import Evidence, ProofBroken, prove

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64", "v8")


def config_of(platform: Platform, text: str = "", labels: dict[str, str] | None = None) -> bytes:
    return json.dumps(
        {"os": platform.os, "architecture": platform.architecture, "t": text, "config": {"Labels": labels}}
    ).encode()


def manifest_of(config: bytes) -> RegistryManifest:
    content = json.dumps({"config": {"digest": str(Digest.of(config))}, "layers": []}).encode()
    return read_manifest(content, OCI_MANIFEST, "x")


def index_of(*entries: tuple[RegistryManifest, Platform | None]) -> RegistryManifest:
    listed = [
        {"digest": str(manifest.digest)}
        | ({"platform": {"os": platform.os, "architecture": platform.architecture}} if platform else {})
        for manifest, platform in entries
    ]
    return read_manifest(json.dumps({"manifests": listed}).encode(), OCI_INDEX, "x")


CONFIG = config_of(AMD64)
MANIFEST = manifest_of(CONFIG)
OTHER_CONFIG = config_of(ARM64)
OTHER = manifest_of(OTHER_CONFIG)
INDEX = index_of((MANIFEST, AMD64), (OTHER, ARM64))
CONFIGS = {Digest.of(raw): json.loads(raw) for raw in (CONFIG, OTHER_CONFIG)}
SINGLE = Evidence(MANIFEST, {}, CONFIGS)
MANY = Evidence(INDEX, {MANIFEST.digest: MANIFEST, OTHER.digest: OTHER}, CONFIGS)


def an_image(digest: Digest, platform: Platform = AMD64) -> BuiltImage:
    return BuiltImage("api", digest, platform)


@pytest.mark.parametrize(
    ("engine_id", "evidence", "kind"),
    [
        pytest.param(Digest.of(CONFIG), SINGLE, "manifest", id="classic store: the configuration's digest"),
        pytest.param(MANIFEST.digest, SINGLE, "manifest", id="containerd store: the manifest's digest"),
        pytest.param(Digest.of(CONFIG), MANY, "index", id="an index around a classic image"),
        pytest.param(MANIFEST.digest, MANY, "index", id="an index around a containerd manifest"),
        pytest.param(INDEX.digest, MANY, "index", id="containerd store: the index's digest"),
    ],
)
def test_every_way_to_name_an_image_leads_to_its_configuration(
    engine_id: Digest, evidence: Evidence, kind: str
) -> None:
    proof = prove(an_image(engine_id), evidence)
    assert (proof.digest, proof.kind) == (evidence.pushed.digest, kind)
    assert (proof.manifest, proof.config) == (MANIFEST.digest, Digest.of(CONFIG))


@pytest.mark.parametrize("evidence", [SINGLE, MANY])
def test_an_image_that_was_not_tested_is_refused(evidence: Evidence) -> None:
    with pytest.raises(ProofBroken) as caught:
        prove(an_image(Digest.of(b"another image")), evidence)
    assert caught.value.exit_code == 3
    assert str(evidence.pushed.digest) in "\n".join(caught.value.details)


def test_the_manifest_of_another_platform_is_no_proof() -> None:
    with pytest.raises(ProofBroken):
        prove(an_image(Digest.of(OTHER_CONFIG), AMD64), MANY)


def test_an_index_without_the_tested_platform_is_refused() -> None:
    only_arm = index_of((OTHER, ARM64))
    with pytest.raises(ProofBroken, match="no entry"):
        prove(an_image(Digest.of(CONFIG)), Evidence(only_arm, {OTHER.digest: OTHER}, CONFIGS))


def test_an_index_with_two_entries_for_the_platform_is_refused() -> None:
    twin = manifest_of(config_of(AMD64, "twin"))
    both = index_of((MANIFEST, AMD64), (twin, AMD64))
    children = {MANIFEST.digest: MANIFEST, twin.digest: twin}
    with pytest.raises(ProofBroken, match="2 entries"):
        prove(an_image(Digest.of(CONFIG)), Evidence(both, children, CONFIGS))


def test_an_index_entry_that_was_not_served_is_refused() -> None:
    with pytest.raises(ProofBroken):
        prove(an_image(INDEX.digest), Evidence(INDEX, {}, CONFIGS))


def test_an_index_entry_that_is_an_index_is_refused() -> None:
    nested = index_of((INDEX, AMD64))
    with pytest.raises(ProofBroken):
        prove(an_image(nested.digest), Evidence(nested, {INDEX.digest: INDEX}, CONFIGS))


def test_an_attestation_beside_the_image_does_not_disturb() -> None:
    attestation = manifest_of(b'{"os":"unknown"}')
    pushed = index_of((MANIFEST, AMD64), (attestation, Platform("unknown", "unknown")))
    proof = prove(an_image(Digest.of(CONFIG)), Evidence(pushed, {MANIFEST.digest: MANIFEST}, CONFIGS))
    assert proof.manifest == MANIFEST.digest


def test_a_configuration_that_was_not_served_is_refused() -> None:
    with pytest.raises(ProofBroken):
        prove(an_image(Digest.of(CONFIG)), replace(SINGLE, configs={}))


def test_a_configuration_for_another_platform_is_refused() -> None:
    with pytest.raises(ProofBroken, match="linux/arm64"):
        prove(an_image(Digest.of(OTHER_CONFIG), AMD64), Evidence(OTHER, {}, CONFIGS))


def test_a_variant_counts_only_where_both_name_one() -> None:
    manifest = manifest_of(OTHER_CONFIG)
    evidence = Evidence(manifest, {}, CONFIGS)
    assert prove(an_image(Digest.of(OTHER_CONFIG), ARM64), evidence)
    seventh = json.dumps({"os": "linux", "architecture": "arm", "variant": "v7"}).encode()
    manifest = manifest_of(seventh)
    evidence = Evidence(manifest, {}, {Digest.of(seventh): json.loads(seventh)})
    with pytest.raises(ProofBroken):
        prove(an_image(Digest.of(seventh), Platform("linux", "arm", "v6")), evidence)


@pytest.mark.parametrize("served", [None, {}, {"revision": "b"}])
def test_a_label_that_is_not_the_expected_one_is_refused(served: dict[str, str] | None) -> None:
    config = config_of(AMD64, labels=served)
    evidence = Evidence(manifest_of(config), {}, {Digest.of(config): json.loads(config)})
    with pytest.raises(ProofBroken, match="revision"):
        prove(an_image(Digest.of(config)), evidence, {"revision": "a"})


def test_an_expected_label_passes() -> None:
    config = config_of(AMD64, labels={"revision": "a", "more": "b"})
    evidence = Evidence(manifest_of(config), {}, {Digest.of(config): json.loads(config)})
    assert prove(an_image(Digest.of(config)), evidence, {"revision": "a"})
