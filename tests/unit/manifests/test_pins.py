"""Finding and editing pins: the formats that a release meets first."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import Digest, ImageReference, PinnedImage
from orchestrator.core.names import RepoPath
from orchestrator.manifests.pins import ScanOptions, find_pins, set_image, set_images

DIGEST = Digest("sha256:" + "ab" * 32)
OTHER = Digest("sha256:" + "cd" * 32)
API = PinnedImage.parse(f"ghcr.io/acme/api:2.0@{DIGEST}")

DEPLOYMENT = b"""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    spec:
      initContainers:
      - name: migrate
        image: 'ghcr.io/acme/api:1.0'   # same image
      containers:
      - name: api
        image: ghcr.io/acme/api:1.0
      - {name: worker, image: "ghcr.io/acme/api-worker:1.0"}
      - name: other
        image: notacme/api:1.0
status:
  containers: [{image: ghcr.io/acme/api:1.0}]
"""


def pins(content: bytes, path: str = "app.yaml", **options: object) -> list[str]:
    found = find_pins(RepoPath(path), content, ScanOptions(**options))  # type: ignore[arg-type]
    return [f"{pin.line} {pin.place} {pin.text}" for pin in found.pins]


def edit(content: bytes, *images: str, path: str = "app.yaml", **options: object) -> bytes:
    references = [ImageReference.parse(image) for image in images]
    return set_images(RepoPath(path), content, references, ScanOptions(**options)).after  # type: ignore[arg-type]


def test_every_container_of_a_workload_is_found_and_status_is_not() -> None:
    assert pins(DEPLOYMENT) == [
        "9 doc[0].spec.template.spec.initContainers[name=migrate].image ghcr.io/acme/api:1.0",
        "12 doc[0].spec.template.spec.containers[name=api].image ghcr.io/acme/api:1.0",
        "13 doc[0].spec.template.spec.containers[name=worker].image ghcr.io/acme/api-worker:1.0",
        "15 doc[0].spec.template.spec.containers[name=other].image notacme/api:1.0",
    ]


def test_only_the_repository_asked_for_is_edited_byte_for_byte() -> None:
    result = set_image(RepoPath("app.yaml"), DEPLOYMENT, API)
    expected = DEPLOYMENT.replace(b"'ghcr.io/acme/api:1.0'", f"'{API}'".encode())
    expected = expected.replace(b"image: ghcr.io/acme/api:1.0\n", f"image: {API}\n".encode())
    assert result.after == expected
    assert [change.line for change in result.changes] == [9, 12]
    assert {change.after for change in result.changes} == {str(API)}


def test_an_edit_that_is_already_made_changes_nothing_and_says_so() -> None:
    once = set_image(RepoPath("app.yaml"), DEPLOYMENT, API).after
    again = set_image(RepoPath("app.yaml"), once, API)
    assert again.after == once
    assert again.changes == ()
    assert not again.changed
    assert len(again.pins) == 2


def test_a_tag_alone_takes_an_old_digest_away() -> None:
    content = f"kind: Pod\napiVersion: v1\nspec: {{containers: [{{image: 'acme/api:1@{DIGEST}'}}]}}\n".encode()
    assert b"{image: 'acme/api:2'}" in edit(content, "acme/api:2")


@pytest.mark.parametrize(
    ("before", "image", "after"),
    [
        ("newTag: v1", "acme/api:v2", "newTag: v2"),
        ("newTag: v1  # why", "acme/api:1.10", 'newTag: "1.10"  # why'),
        ("newTag: '1.0'", "acme/api:1.10", "newTag: '1.10'"),
        ("newTag: v1", f"acme/api:v2@{DIGEST}", f"newTag: v2\n  digest: {DIGEST}"),
        ("newTag: v1 # c", f"acme/api:v2@{DIGEST}", f"newTag: v2 # c\n  digest: {DIGEST}"),
        (f"newTag: v1\n  digest: {OTHER}", f"acme/api:v2@{DIGEST}", f"newTag: v2\n  digest: {DIGEST}"),
        (f"digest: {OTHER}\n  newTag: v1", f"acme/api:v2@{DIGEST}", f"digest: {DIGEST}\n  newTag: v2"),
        (f"newTag: v1\n  digest: {OTHER}", "acme/api:v2", "newTag: v2"),
        (f"digest: {OTHER}", f"acme/api:v2@{DIGEST}", f"digest: {DIGEST}"),
        (f"digest: {OTHER}", "acme/api:v2", "newTag: v2"),
        ("newTag: v1", f"acme/api@{DIGEST}", f"digest: {DIGEST}"),
        ("newTag: 1.0", "acme/api:1.10", 'newTag: "1.10"'),
    ],
)
def test_a_kustomize_entry_is_edited_in_its_own_form(before: str, image: str, after: str) -> None:
    content = f"images:\n- name: acme/api\n  {before}\n- name: acme/other\n  newTag: v1\n"
    result = edit(content.encode(), image, path="overlays/prod/kustomization.yaml").decode()
    assert result == f"images:\n- name: acme/api\n  {after}\n- name: acme/other\n  newTag: v1\n"


def test_a_digest_is_inserted_in_flow_style_and_at_a_missing_final_newline() -> None:
    flow = b"images: [{name: acme/api, newTag: v1}]\n"
    assert edit(flow, f"acme/api:v2@{DIGEST}", path="kustomization.yaml") == (
        f"images: [{{name: acme/api, newTag: v2, digest: {DIGEST}}}]\n".encode()
    )
    bare = b"images:\r\n- name: acme/api\r\n  newTag: v1"
    assert edit(bare, f"acme/api:v2@{DIGEST}", path="kustomization.yaml") == (
        f"images:\r\n- name: acme/api\r\n  newTag: v2\r\n  digest: {DIGEST}".encode()
    )


def test_a_renamed_kustomize_image_is_matched_by_what_results() -> None:
    content = b"images:\n- name: app-placeholder\n  newName: ghcr.io/acme/api\n  newTag: v1\n"
    assert edit(content, "ghcr.io/acme/api:v2", path="kustomization.yaml") == content.replace(b"v1", b"v2")
    assert edit(content, "app-placeholder:v2", path="kustomization.yaml") == content


def test_two_images_are_edited_at_once_in_either_order() -> None:
    both = edit(DEPLOYMENT, "ghcr.io/acme/api:2", "ghcr.io/acme/api-worker:3")
    assert both == edit(edit(DEPLOYMENT, "ghcr.io/acme/api-worker:3"), "ghcr.io/acme/api:2")


def test_a_broken_target_is_an_error_with_line_and_column() -> None:
    content = b"image: acme/api:1\nspec:\n  a: [1, 2\nb: c: d\n"
    with pytest.raises(ConfigurationError) as failure:
        edit(content, "acme/api:2")
    assert failure.value.where is not None
    assert failure.value.where.startswith("app.yaml:4:")


def test_a_broken_file_without_the_image_is_left_alone() -> None:
    content = b"image: acme/other:1\nspec: [1, 2\nb: c: d\n"
    assert edit(content, "acme/api:2") == content
    findings = find_pins(RepoPath("app.yaml"), content)
    assert findings.pins == ()
    assert findings.unresolved[0].line == 3


def test_a_doubled_key_is_refused_with_its_place() -> None:
    content = b"kind: Pod\napiVersion: v1\nspec:\n  image: acme/api:1\n  image: acme/api:1\n"
    with pytest.raises(Refused) as failure:
        edit(content, "acme/api:2")
    assert failure.value.where == "app.yaml:5"
    assert [problem.line for problem in find_pins(RepoPath("a.yaml"), content).unresolved] == [5]


def test_an_anchored_value_says_which_places_follow() -> None:
    content = b"a: &base\n  image: acme/api:1\nb:\n  <<: *base\nc:\n  image: acme/api:1\n"
    result = set_image(RepoPath("x.yaml"), content, ImageReference.parse("acme/api:2"))
    assert result.after == content.replace(b"api:1", b"api:2")
    assert result.changes[0].follows == ('doc[0].b["<<"].image',)


def test_a_value_that_an_alias_shares_with_another_image_is_refused() -> None:
    content = (
        b"api: {image: {repository: acme/api, tag: &v '1'}}\nworker: {image: {repository: acme/worker, tag: *v}}\n"
    )
    with pytest.raises(Refused, match="alias"):
        edit(content, "acme/api:2", path="values.yaml")
    assert b"&v '2'" in edit(content, "acme/api:2", "acme/worker:2", path="values.yaml")


def test_two_versions_of_one_image_and_an_image_without_version_are_errors() -> None:
    with pytest.raises(ConfigurationError, match="two different"):
        edit(DEPLOYMENT, "acme/api:1", "acme/api:2")
    with pytest.raises(ConfigurationError, match="neither"):
        edit(DEPLOYMENT, "acme/api")
