"""Matching, and what is found or left alone in the formats, beyond the golden folders."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.names import RepoPath
from orchestrator.manifests.pins import ScanOptions, Target, find_pins, set_image
from orchestrator.manifests.values import set_value
from tests.unit.manifests.test_pins import API, DIGEST, edit, pins

LOOKALIKES = (
    "acme/api:1", "notacme/api:1", "acme/api-worker:1", "acme/api/v2:1", "ghcr.io:443/acme/api:1", "quay.io/acme/api:1",
    "ghcr.io/acme/api2:1", "ghcr.io/acme/a-pi:1", "ghcr.io/acme.api:1", "localhost/ghcr.io/acme/api:1",
    "ghcr.io.evil/acme/api:1",
)  # fmt: skip


def unresolved(content: bytes, path: str = "app.yaml") -> list[str]:
    found = find_pins(RepoPath(path), content)
    return [f"{one.line} {one.place} {one.reason}" for one in found.unresolved]


def test_lookalike_repositories_are_not_edited() -> None:
    content = "".join(f"- image: {text}\n" for text in LOOKALIKES).encode()
    assert edit(content, "ghcr.io/acme/api:2") == content


@pytest.mark.parametrize(
    "written",
    ["nginx:1", "library/nginx:1", "docker.io/nginx:1", "docker.io/library/nginx:1", "index.docker.io/library/nginx:1"],
)
def test_the_spellings_of_a_docker_hub_image_are_one_repository(written: str) -> None:
    content = f"image: {written} # c\n".encode()
    assert edit(content, "nginx:2") == content.replace(b":1 ", b":2 ")


def test_a_kustomize_name_is_matched_literally_when_it_is_named() -> None:
    content = b"images:\n- name: nginx\n  newTag: v1\n- name: docker.io/library/nginx\n  newTag: v1\n"
    first = content.replace(b"v1", b"v2", 1)
    assert edit(content, "nginx:v2", path="kustomization.yaml", names=("nginx",)) == first
    second = b"v1".join(content.split(b"v1")[:2]) + b"v2\n"
    assert edit(content, "nginx:v2", path="kustomization.yaml", names=("docker.io/library/nginx",)) == second


@pytest.mark.parametrize(
    "field", ["newTag: {{TAG}}", "newName: {{NAME}}", "newTag: v1\n  digest: {{DIGEST}}", "newTag: [v1]"]
)
def test_an_entry_with_a_field_that_holds_no_text_is_reported_and_gets_no_second_one(field: str) -> None:
    content = f"images:\n- name: acme/api\n  {field}\n".encode()
    assert find_pins(RepoPath("kustomization.yaml"), content).pins == ()
    assert any(
        line.endswith(("fills this in later", "instead of a value"))
        for line in unresolved(content, "kustomization.yaml")
    )
    assert edit(content, f"acme/api:v2@{DIGEST}", path="kustomization.yaml") == content


@pytest.mark.parametrize(
    "address",
    [
        "kafka:9092",
        "http://kafka:9092",
        "https://kafka:v1",
        "tcp://kafka:9092",
        "kafka:80",
        "kafka:kafka",
        "kafka:item",
    ],
)
def test_an_address_or_an_owner_in_an_argument_is_no_image(address: str) -> None:
    content = f"containers:\n- name: a\n  args: ['--to={address}', 'kafka:3', 'docker://kafka:v1', 'kafka:20240901']\n"
    after = edit(content.encode(), "kafka:4", arguments=True).decode()
    assert after == content.replace("'kafka:3'", "'kafka:4'").replace("docker://kafka:v1", "docker://kafka:4").replace(
        "kafka:20240901", "kafka:4"
    )


def test_a_chart_of_a_kustomization_is_no_image_and_its_values_are() -> None:
    content = b"""\
helmCharts:
- name: api
  repo: ghcr.io/acme
  version: v1
  valuesInline:
    image: {repository: ghcr.io/acme/api, tag: v1}
- name: web
  repo: ../charts
  version: v1
"""
    assert [pin.line for pin in find_pins(RepoPath("kustomization.yaml"), content).pins] == [6]
    assert unresolved(content, "kustomization.yaml") == []
    after = edit(content, "ghcr.io/acme/api:v2", path="kustomization.yaml")
    assert after == content.replace(b"tag: v1", b"tag: v2")


def test_the_ref_of_an_artifact_that_a_template_fills_in_gets_no_second_tag() -> None:
    content = b"apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nspec:\n  url: oci://ghcr.io/acme/api\n"
    content += f"  ref:\n    tag: {{{{TAG}}}}\n    digest: {DIGEST}\n".encode()
    assert edit(content, "ghcr.io/acme/api:v2") == content


def test_a_named_kustomize_entry_can_be_renamed() -> None:
    content = b"images:\n- name: app\n  newTag: v1\n- name: other\n  newName: acme/old\n  newTag: v1\n"
    once = edit(content, "acme/api:v2", path="kustomization.yaml", names=("app",))
    assert once == content.replace(
        b"name: app\n  newTag: v1", b"name: app\n  newName: docker.io/acme/api\n  newTag: v2"
    )
    both = edit(once, "acme/new:v3", path="kustomization.yaml", names=("other",))
    assert both == once.replace(b"newName: acme/old\n  newTag: v1", b"newName: docker.io/acme/new\n  newTag: v3")


def test_kustomize_new_name_already_set_is_updated_in_place() -> None:
    content = b"images:\n- name: app\n  newName: acme/api\n  newTag: v1\n"
    assert edit(content, f"acme/api:v2@{DIGEST}", path="kustomization.yaml").count(b"name: app") == 1


def test_the_same_image_in_two_documents_is_edited_in_both_or_in_the_named_one() -> None:
    content = b"kind: A\nimage: acme/api:1\n---\nkind: B\nimage: acme/api:1\n"
    assert edit(content, "acme/api:2") == content.replace(b":1", b":2")
    assert (
        edit(content, "acme/api:2", places=("doc[1].image",)) == b"api:1".join(content.split(b"api:1")[:2]) + b"api:2\n"
    )


def test_the_image_in_a_comment_a_string_or_another_field_is_untouched() -> None:
    content = (
        b"# image: acme/api:1\nimage: acme/api:1 # acme/api:1\ntext: 'image: acme/api:1'\nacme/api: acme/api:1\n"
        b"note: |\n  image: acme/api:1\nlabels: {image: 'acme/api:1'}\nargs: [--image=acme/api:1]\n"
    )
    assert edit(content, "acme/api:2") == content.replace(b"\nimage: acme/api:1", b"\nimage: acme/api:2")


def test_invalid_yaml_elsewhere_does_not_matter_and_an_invalid_target_is_an_error() -> None:
    elsewhere = b"apiVersion: v1\nkind: [Thing\nnote: speaks of api and of acme, not of the image\n"
    assert edit(elsewhere, "acme/api:2") == elsewhere
    with pytest.raises(ConfigurationError):
        edit(elsewhere + b"image: acme/api:1\n", "acme/api:2")


def test_a_plaintext_secret_beside_the_pin_is_untouched() -> None:
    content = (
        b"kind: Secret\napiVersion: v1\nstringData: {image: acme/other:1, password: hunter2}\n---\nimage: acme/api:1\n"
    )
    assert edit(content, "acme/api:2") == content.replace(b"acme/api:1", b"acme/api:2")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"image: acme/api:${TAG}\n", "1 doc[0].image a template or variable fills this in later"),
        (b"image: '{{ .Values.image }}'\n", "1 doc[0].image a template or variable fills this in later"),
        (b"image:\n  tag: v1\n", "2 doc[0].image.tag only the tag stands here; the repository is named elsewhere"),
        (b"fooImageTag: v1\n", "1 doc[0].fooImageTag only the tag stands here; the repository is named elsewhere"),
        (b"sops: {mac: x}\nimage: a/b:1\n", "1 doc[0] the document is encrypted by SOPS;"),
        (b"image: {repository: a/b:1, tag: '2'}\n", "1 doc[0].image.tag the repository holds a tag, "),
        (b"image: !vault a/b:1\n", "1 doc[0].image the tag !vault gives the value a meaning of its own"),
        (b"{{- if x }}\nimage: a/b:1\n{{- end }}\n", "1  it is a template that is not rendered"),
        (b"a: {{ .Values.b }}\nimage: a/b:1\n", "1 doc[0].a a template that is not rendered: "),
    ],
)  # fmt: skip
def test_what_cannot_be_resolved_is_reported_and_not_guessed(content: bytes, problem: str) -> None:
    assert any(found.startswith(problem) for found in unresolved(content)), unresolved(content)


def test_a_broken_file_is_reported_with_line_and_column() -> None:
    findings = find_pins(RepoPath("a.yaml"), b"a: 1\nb: 'open\n")
    assert (findings.unresolved[0].line, findings.unresolved[0].where) == (3, "a.yaml:3:1")


def test_a_version_range_of_an_oci_repository_is_reported() -> None:
    content = (
        b"apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\n"
        b"spec: {url: 'oci://a.b/c', ref: {semver: '1.x'}}\n"
    )
    assert unresolved(content) == ["3 doc[0].spec.ref.semver a version range stands here; the agent picks the tag"]


def test_a_flux_policy_beside_a_pin_is_recognised_and_kept() -> None:
    content = b'image: {repository: acme/api, tag: v1} # {"$imagepolicy": "flux-system:api:tag"}\n'
    assert find_pins(RepoPath("a.yaml"), content).pins[0].marker == "flux-system:api:tag"
    assert edit(content, "acme/api:v2") == content.replace(b"v1}", b"v2}")


def test_references_without_a_tag_can_be_left_as_they_are() -> None:
    content = b"a: {image: acme/api}\nb: {image: acme/api:1}\n"
    assert edit(content, "acme/api:2") == b"a: {image: acme/api:2}\nb: {image: acme/api:2}\n"
    assert edit(content, "acme/api:2", add_tag=False) == b"a: {image: acme/api}\nb: {image: acme/api:2}\n"


@pytest.mark.parametrize("place", ["status.image", "metadata.annotations", "doc[1].spec.image"])
def test_what_the_cluster_writes_is_untouched_even_when_it_is_named(place: str) -> None:
    content = (
        b"apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n"
        b'    kubectl.kubernetes.io/last-applied-configuration: \'{"image":"acme/api:1"}\'\n'
        b"status: {image: acme/api:1}\n"
        b"---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nspec: {image: 'acme/api:1'}\n"
    )
    place = place.replace("annotations", 'annotations["kubectl.kubernetes.io/last-applied-configuration"]')
    assert edit(content, "acme/api:2", places=(place,)) == content
    assert find_pins(RepoPath("a.yaml"), content, ScanOptions(places=(place,))).unresolved != ()


def test_a_place_is_found_by_name_by_number_and_by_dotted_keys() -> None:
    content = (
        b"spec:\n  list:\n  - {name: a, image: 'acme/api:1'}\n"
        b"  - {name: b, image.tag: v1, image.repository: acme/api}\n"
    )
    for place in (
        "spec.list[name=a].image",
        "doc[0].spec.list[0].image",
        "$.spec.list[0]['image']",
        "spec.list[0].image",
    ):
        assert edit(content, "acme/api:2", places=(place,)) == content.replace(b"api:1", b"api:2")
    assert edit(content, "acme/api:2", places=("spec.list[1].image.tag",)) == content.replace(b"v1", b'"2"')
    with pytest.raises(ConfigurationError, match="not a place"):
        edit(content, "acme/api:2", places=("spec.[",))


def test_a_target_names_the_repository_of_a_tag() -> None:
    content = b"image:\n  tag: v1\n"
    target = Target("apps/**/values-*.yaml", "image.tag", API.repository)
    options = ScanOptions(targets=(target,))
    assert set_image(RepoPath("apps/x/values-dev.yaml"), content, API, options).after.endswith(
        f"tag: 2.0@{DIGEST}\n".encode()
    )
    assert set_image(RepoPath("other/values-dev.yaml"), content, API, options).after == content
    assert str(find_pins(RepoPath("apps/x/values-dev.yaml"), content, options).pins[0].image) == "ghcr.io/acme/api:v1"


@pytest.mark.parametrize(
    ("content", "at", "value", "after"),
    [
        (b"version: 1.2.3 # c\n", "version", "1.2.4", b"version: 1.2.4 # c\n"),
        (b"version: '1.x'\n", "version", "2", b"version: '2'\n"),
        (b"version: 1.2.3\n", "version", "1.10", b'version: "1.10"\n'),
        (b"python: 3.13\n", "python", "3.14", b"python: 3.14\n"),
        (b"python: 3.13\n", "python", "pypy", b"python: pypy\n"),
        (b"a: [x, y]\n", "a[1]", "z w", b"a: [x, z w]\n"),
        (b"a: [x, y]\n", "a[1]", "z, w", b'a: [x, "z, w"]\n'),
        (b"a: {b: }\n", "a.b", "yes", b'a: {b: "yes" }\n'),
        (b"a: b\n", "a", "x: y", b'a: "x: y"\n'),
        (b"a: b\n", "a", "x #y", b'a: "x #y"\n'),
        (b"a: 'b'\n", "a", "it's", b"a: 'it''s'\n"),
        (b'a: "b"\n', "a", 'say "x"\\', b'a: "say \\"x\\"\\\\"\n'),
        (b"a: |\n  b\n", "a", "c", b"a: |\n  c\n"),
    ],
)
def test_any_value_can_be_set_at_its_place(content: bytes, at: str, value: str, after: bytes) -> None:
    result = set_value(RepoPath("a.yaml"), content, at, value)
    assert result.after == after
    assert not set_value(RepoPath("a.yaml"), after, at, value).changed


def test_a_value_is_not_set_where_there_is_none_or_where_the_cluster_writes() -> None:
    with pytest.raises(ConfigurationError, match="no value"):
        set_value(RepoPath("a.yaml"), b"a: b\n", "c", "x")
    with pytest.raises(ConfigurationError, match="2 values"):
        set_value(RepoPath("a.yaml"), b"a: b\n---\na: b\n", "a", "x")
    with pytest.raises(Refused, match="status"):
        set_value(RepoPath("a.yaml"), b"apiVersion: v1\nkind: A\nstatus: {a: b}\n", "status.a", "x")
    with pytest.raises(Refused, match="stands twice"):
        set_value(RepoPath("a.yaml"), b"a: b\na: b\n", "a", "x")


def test_an_edit_that_cannot_be_spelled_is_refused_with_its_reason() -> None:
    content = b'image: "acme/api:\\x31"\n'
    with pytest.raises(Refused, match="escape sequence") as failure:
        edit(content, "acme/api:2")
    assert failure.value.where == "app.yaml:1"
    assert failure.value.details[0] == "place: doc[0].image"


def test_a_pin_without_a_wanted_digest_keeps_no_stale_one() -> None:
    assert pins(edit(f"image: acme/api:1@{DIGEST}\n".encode(), "acme/api:2")) == ["1 doc[0].image acme/api:2"]


def test_a_reference_that_flux_edits_is_a_pin_wherever_it_stands() -> None:
    content = (
        b'env:\n- name: WORKER\n  value: acme/worker:v1 # {"$imagepolicy": "flux-system:worker"}\n'
        b'- name: TAG\n  value: v1 # {"$imagepolicy": "flux-system:api:tag"}\n'
    )
    found = find_pins(RepoPath("a.yaml"), content)
    assert [(pin.format, pin.text, pin.marker) for pin in found.pins] == [
        ("flux-marker", "acme/worker:v1", "flux-system:worker")
    ]
    assert [one.line for one in found.unresolved] == [5]
    assert edit(content, "acme/worker:v2") == content.replace(b"worker:v1", b"worker:v2")


def test_a_target_elsewhere_does_not_make_a_broken_file_an_error() -> None:
    options = ScanOptions(targets=(Target("values.yaml", "image.tag", API.repository),))
    broken = b"apiVersion: [v1\n"
    assert set_image(RepoPath("other.yaml"), broken, API, options).after == broken
    with pytest.raises(ConfigurationError):
        set_image(RepoPath("values.yaml"), broken, API, options)
