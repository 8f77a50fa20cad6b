"""Properties of edits over manifests made at random: exact, idempotent, commuting, and blind to everything else."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.image import ImageReference
from orchestrator.core.names import RepoPath
from orchestrator.manifests.pins import ScanOptions, find_pins, set_image, set_images
from tests.property.manifest_texts import Manifest, Version, draw_kustomization, draw_manifest, draw_version, suffix

EXAMPLES = 2000 if os.environ.get("DEEP") else 150
FUZZED = 100_000 if os.environ.get("DEEP") else 10_000
quiet = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
randoms = st.randoms(use_true_random=False)


def draw(random: Random) -> Manifest:
    return draw_kustomization(random) if random.random() < 0.3 else draw_manifest(random)


def reference(image: str, version: Version) -> ImageReference:
    return ImageReference.parse(image + suffix(version))


def edit(manifest: Manifest, content: bytes, *images: ImageReference) -> bytes:
    return set_images(RepoPath(manifest.name), content, images).after


@quiet
@given(randoms)
def test_setting_what_is_found_gives_the_same_bytes(random: Random) -> None:
    manifest = draw(random)
    content = manifest.read()
    for pin in find_pins(RepoPath(manifest.name), content).pins:
        if pin.image.tag is not None or pin.image.digest is not None:
            options = ScanOptions(places=(pin.at,))
            assert set_image(pin.path, content, pin.image, options).after == content


@quiet
@given(randoms)
def test_editing_twice_equals_editing_once(random: Random) -> None:
    manifest = draw(random)
    image = reference(random.choice(manifest.images), draw_version(random))
    once = edit(manifest, manifest.read(), image)
    assert edit(manifest, once, image) == once


@quiet
@given(randoms)
def test_edits_of_different_images_commute(random: Random) -> None:
    manifest = draw(random)
    content = manifest.read()
    images = [reference(name, draw_version(random)) for name in manifest.images[:2]]
    one_by_one = content
    for image in images:
        one_by_one = edit(manifest, one_by_one, image)
    other_order = content
    for image in reversed(images):
        other_order = edit(manifest, other_order, image)
    assert one_by_one == other_order == edit(manifest, content, *images)


@quiet
@given(randoms)
def test_every_pin_is_found_and_nothing_else(random: Random) -> None:
    manifest = draw(random)
    found = sorted(str(pin.image.repository) for pin in find_pins(RepoPath(manifest.name), manifest.read()).pins)
    planted = [piece.image for piece in manifest.pieces if not isinstance(piece, str)]
    assert found == sorted(str(ImageReference.parse(image).repository) for image in planted)


@pytest.mark.scenario(number=88)
@pytest.mark.parametrize("seed", range(4))
def test_ten_thousand_fuzzed_manifests_have_no_collateral_edit(seed: int) -> None:
    random = Random(seed)
    for number in range(FUZZED // 4):
        manifest = draw(random)
        image = random.choice(manifest.images)
        same = {
            other
            for other in manifest.images
            if ImageReference.parse(other).repository == ImageReference.parse(image).repository
        }
        version = draw_version(random)
        after = edit(manifest, manifest.read(), reference(image, version))
        assert after == manifest.read(dict.fromkeys(same, version)), f"seed {seed}, manifest {number}"
