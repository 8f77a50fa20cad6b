"""Merge keys: what a mapping takes over by ``<<`` belongs to several images at once."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import Refused
from orchestrator.core.image import ImageReference
from orchestrator.core.names import RepoPath
from orchestrator.manifests.model import Edit
from orchestrator.manifests.pins import find_pins, set_image, set_images

DIGEST = "sha256:" + "ab" * 32
SHARED = b'd: &d {repository: nginx, tag: "1.9"}\nb: {image: {<<: *d, repository: redis}}\n'
LOCAL_TAG = b'd: &d {repository: nginx, tag: "1.9"}\nb: {image: {<<: *d, tag: "1.8"}}\n'
REGISTRY = b'x: &d {registry: ghcr.io, tag: "1"}\nimage: {<<: *d, repository: acme/a}\n'
ENTRIES = b'images:\n- &a {name: nginx, newTag: "1.9"}\n- {<<: *a, name: redis, newTag: "7"}\n'
ENTRIES_WITH_DIGEST = (
    f'images:\n- &a {{name: nginx, newTag: "1.9", digest: "{DIGEST}"}}\n- {{<<: *a, name: redis, newTag: "7"}}\n'
).encode()


def edit(content: bytes, *images: str, path: str = "values.yaml") -> Edit:
    return set_images(RepoPath(path), content, [ImageReference.parse(image) for image in images])


def found(content: bytes, path: str = "values.yaml") -> tuple[list[str], list[str]]:
    findings = find_pins(RepoPath(path), content)
    return [str(pin.image) for pin in findings.pins], [problem.text for problem in findings.unresolved]


def test_a_tag_that_another_image_inherits_is_not_changed() -> None:
    with pytest.raises(Refused, match="merge key the same value is that of docker"):
        edit(SHARED, "nginx:1.10")


def test_a_tag_that_two_images_share_is_changed_for_both_together() -> None:
    assert edit(SHARED, "nginx:2", "redis:2").after == SHARED.replace(b'"1.9"', b'"2"')


def test_an_inherited_tag_is_not_written_for_the_image_that_inherits_it() -> None:
    with pytest.raises(Refused, match="merge key"):
        edit(SHARED, "redis:7")


@pytest.mark.parametrize("content", [ENTRIES, ENTRIES_WITH_DIGEST], ids=["inserted", "removed"])
def test_a_key_that_another_entry_inherits_is_neither_inserted_nor_removed(content: bytes) -> None:
    image = f"nginx:1.10@{DIGEST}" if content is ENTRIES else "nginx:1.10"
    with pytest.raises(Refused, match="merge key"):
        edit(content, image, path="kustomization.yaml")


def test_an_entry_that_overrides_every_edited_key_does_not_follow() -> None:
    result = edit(ENTRIES, "nginx:1.10", path="kustomization.yaml")
    assert result.after == ENTRIES.replace(b'"1.9"', b'"1.10"')
    assert result.changes[0].follows == ()


def test_a_mapping_that_inherits_the_same_image_follows() -> None:
    content = b'd: &d {repository: nginx, tag: "1.9"}\nb: {image: {<<: *d, repository: nginx, pullPolicy: Always}}\n'
    result = edit(content, "nginx:1.10")
    assert result.after == content.replace(b"1.9", b"1.10")
    assert result.changes[0].follows == ('doc[0].b.image["<<"].tag',)


def test_an_inherited_registry_and_tag_are_read_and_reported() -> None:
    assert found(REGISTRY) == ([], ["ghcr.io/acme/a:1"])
    with pytest.raises(Refused, match="merge key"):
        edit(REGISTRY, "ghcr.io/acme/a:2")
    assert edit(REGISTRY, "docker.io/acme/a:2").after == REGISTRY


def test_parts_of_two_sources_are_one_reference() -> None:
    content = b'a: &a {registry: ghcr.io}\nb: &b {repository: acme/a, tag: "1"}\nimage: {<<: [*a, *b]}\n'
    assert found(content)[1] == ["ghcr.io/acme/a:1"]


def test_a_local_tag_beside_an_inherited_repository_is_written() -> None:
    assert found(LOCAL_TAG)[0] == ["docker.io/library/nginx:1.9", "docker.io/library/nginx:1.8"]
    image = ImageReference.parse("nginx:2")
    expected = LOCAL_TAG.replace(b'"1.9"', b'"2"').replace(b'"1.8"', b'"2"')
    assert set_image(RepoPath("values.yaml"), LOCAL_TAG, image).after == expected


def test_two_merge_keys_in_one_mapping_are_reported() -> None:
    content = b"a: &a {registry: ghcr.io}\nb: &b {registry: quay.io}\nimage: {<<: *a, <<: *b, repository: x, tag: v1}\n"
    findings = find_pins(RepoPath("values.yaml"), content)
    assert findings.pins == ()
    assert "twice" in findings.unresolved[0].reason


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    content = b'x: &d {registry: ghcr.io}\nimage: {"<<": *d, repository: acme/a, tag: v1}\n'
    assert found(content)[0] == ["docker.io/acme/a:v1"]
