"""Null, truth values and numbers are no references; lists of kustomize entries are read once."""

from __future__ import annotations

import pytest

from orchestrator.core.image import ImageReference
from orchestrator.core.names import RepoPath
from orchestrator.manifests.pins import ScanOptions, find_pins, set_image

VALUES = RepoPath("values.yaml")
DIGEST = "sha256:" + "1" * 64


@pytest.mark.parametrize("word", ["null", "~", "Null", "true", "False", "12", "1.5", "yes"])
def test_a_value_that_is_no_text_is_no_image(word: str) -> None:
    content = f"a:\n  image: {word}\n".encode()

    assert find_pins(VALUES, content).pins == ()


@pytest.mark.parametrize("null", ["null", "~", "NULL"])
def test_a_null_tag_is_reported_and_left_alone(null: str) -> None:
    content = f"image:\n  repository: nginx\n  tag: {null}\n".encode()

    found = find_pins(VALUES, content)

    assert found.pins == ()
    assert [problem.reason for problem in found.unresolved] == ["null stands here instead of a value"]
    assert set_image(VALUES, content, ImageReference.parse("nginx:2")).after == content


@pytest.mark.parametrize("key", ["digest", "registry", "sha"])
def test_a_null_beside_a_tag_is_as_good_as_absent(key: str) -> None:
    content = f'image:\n  repository: nginx\n  tag: "1.9"\n  {key}: null\n'.encode()

    edit = set_image(VALUES, content, ImageReference.parse(f"nginx:2@{DIGEST}"))

    assert edit.after == content.replace(b'"1.9"', f'"2@{DIGEST}"'.encode())
    assert [str(pin.image) for pin in find_pins(VALUES, content).pins] == ["docker.io/library/nginx:1.9"]


def test_what_openshift_has_rolled_out_is_not_touched() -> None:
    content = b"kind: DeploymentConfig\napiVersion: apps.openshift.io/v1\nspec:\n  triggers:\n  - imageChangeParams:\n"
    content += b"      lastTriggeredImage: nginx:1.9\n"

    assert find_pins(RepoPath("dc.yaml"), content).pins == ()


def test_an_entry_of_a_flux_kustomization_is_one_pin_and_can_be_edited() -> None:
    content = (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: x}\nspec:\n  images:\n"
        f'  - name: web\n    newName: ghcr.io/x/web\n    newTag: "1.9"\n    digest: {DIGEST}\n'
    ).encode()
    path = RepoPath("flux.yaml")

    (pin,) = find_pins(path, content).pins
    edit = set_image(path, content, ImageReference.parse(f"ghcr.io/x/web:2@sha256:{'2' * 64}"))

    assert str(pin.image) == f"ghcr.io/x/web:1.9@{DIGEST}"
    assert edit.after == content.replace(b'"1.9"', b'"2"').replace(b"1" * 64, b"2" * 64)


def test_an_image_in_the_text_of_a_patch_is_reported_and_edited_when_asked_for() -> None:
    path = RepoPath("kustomization.yaml")
    content = (
        b"patches:\n- patch: |-\n    - op: replace\n      path: /spec/template/spec/containers/0/image\n"
        b"      value: nginx:1.9\n"
    )
    wanted = ImageReference.parse("nginx:2")

    assert [problem.text for problem in find_pins(path, content).unresolved] == ["nginx:1.9"]
    assert set_image(path, content, wanted).after == content
    asked = ScanOptions(embedded=True)
    assert find_pins(path, content, asked).unresolved == ()
    assert set_image(path, content, wanted, asked).after == content.replace(b"1.9", b"2")


def test_a_bare_hash_beside_an_image_and_its_tag_goes_along() -> None:
    content = f'image: nginx\nimageTag: "1.9"\nimageSha: {"ab" * 32}\n'.encode()

    edit = set_image(VALUES, content, ImageReference.parse(f"nginx:2@sha256:{'cd' * 32}"))

    assert edit.after == content.replace(b'"1.9"', b'"2"').replace(b"ab" * 32, b"cd" * 32)
