"""References whose registry, namespace and name stand under keys of their own: joined, or told to be unclear."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import Refused
from orchestrator.core.image import ImageReference
from orchestrator.core.names import RepoPath
from orchestrator.manifests.pins import find_pins, set_image

JOINED = [
    ("{repository: nvcr.io/acme, image: driver, tag: v1}", "nvcr.io/acme/driver:v1"),
    ("{repository: nvcr.io/acme/cloud, image: driver, version: v1}", "nvcr.io/acme/cloud/driver:v1"),
    ("{repository: acme, image: api, tag: v1}", "docker.io/acme/api:v1"),
    ("{repository: ghcr.io/acme, name: api, tag: v1}", "ghcr.io/acme/api:v1"),
    ("{repository: ghcr.io, name: acme/api, tag: v1}", "ghcr.io/acme/api:v1"),
    ("{repository: 'localhost:5000', name: api, tag: v1}", "localhost:5000/api:v1"),
    ("{image: {repository: reg.example/acme, name: api, tag: v1}}", "reg.example/acme/api:v1"),
    ("{image: {repository: reg.example/acme/api, name: api, tag: v1}}", "reg.example/acme/api:v1"),
    ("{registry: ghcr.io, image: acme/api, tag: v1}", "ghcr.io/acme/api:v1"),
    ("{registry: ghcr.io, image: 'acme/api:v1'}", "ghcr.io/acme/api:v1"),
    ("{registry: ghcr.io/, repository: acme/api, tag: v1}", "ghcr.io/acme/api:v1"),
    ("{registry: ghcr.io, repository: acme, image: api, tag: v1}", "ghcr.io/acme/api:v1"),
    ("{registry: '', repository: ghcr.io/acme/api, tag: v1}", "ghcr.io/acme/api:v1"),
    ("{registry: hub.example/p, repository: docker.io/acme/api, tag: v1}", "hub.example/p/docker.io/acme/api:v1"),
    ("{image: {registry: ghcr.io, name: acme/api, tag: v1}}", "ghcr.io/acme/api:v1"),
    ("{imageRegistry: ghcr.io, imageName: acme/api, tag: v1}", "ghcr.io/acme/api:v1"),
    ("{imageRegistry: ghcr.io, imageName: acme/api, imageTag: v1}", "ghcr.io/acme/api:v1"),
    ("{hub: docker.io/acme, image: api, tag: v1}", "docker.io/acme/api:v1"),
    ("{repository: acme/api, name: label, tag: v1}", "docker.io/acme/api:v1"),
    ("{repository: ghcr.io/acme/api, name: label, tag: v1}", "ghcr.io/acme/api:v1"),
    ("{repository: ghcr.io/acme/api, name: A Label, tag: v1}", "ghcr.io/acme/api:v1"),
    ("{registry: gcr.io/acme, agent: {image: {name: ghcr.io/acme/agent, tag: v1}}}", "ghcr.io/acme/agent:v1"),
    ("{global: {imageRegistry: ''}, image: {repository: acme/api, tag: v1}}", "docker.io/acme/api:v1"),
    ("{registry: {image: {repository: acme/api, tag: v1}}}", "docker.io/acme/api:v1"),
    ("{imageRepository: acme/api, imageVersion: v1}", "docker.io/acme/api:v1"),
    ("{image: {image: acme/api, tag: v1}}", "docker.io/acme/api:v1"),
    ("{source: {repository: ghcr.io/acme/api, tag: v1}}", "ghcr.io/acme/api:v1"),
    ("{git: {registry: docker.io, repository: acme/git, tag: v1}}", "docker.io/acme/git:v1"),
]  # fmt: skip
UNCLEAR = [
    ("{repository: acme/api, image: web, tag: v1}", "goes before the name"),
    ("{repository: ghcr.io/acme/api, image: api, tag: v1}", "goes before the name"),
    ("{repository: ghcr.io/acme, image: quay.io/acme/api, tag: v1}", "goes before the name"),
    ("{repository: reg.example/acme, name: api, tag: v1}", "goes before the name"),
    ("{image: {repository: reg.example/acme/api, name: web, tag: v1}}", "goes before the name"),
    ("{registry: ghcr.io, repository: ghcr.io/acme/api, tag: v1}", "has it already"),
    ("{registry: ghcr.io, image: 'ghcr.io/acme/api:v1'}", "has it already"),
    ("{registry: dockerhub, image: acme/api, tag: v1}", "'dockerhub' is no registry"),
    ("{registry: 'https://ghcr.io', image: acme/api, tag: v1}", "is not an image name"),
    ("{hub: '', image: api, tag: ''}", "filled in elsewhere"),
    ("{repository: '', image: driver, version: ''}", "filled in elsewhere"),
    ("{global: {hub: docker.io/acme, tag: v1}}", "the repository is named elsewhere"),
    ("{image: {registry: quay.io, organization: acme, name: api, tag: v1}}", "may be a part of the name"),
    ("{registry: gcr.io/acme, agent: {image: {name: agent, tag: v1}}}", "its registry may be gcr.io/acme"),
    ("{global: {imageRegistry: reg.example}, image: {repository: a/b, tag: v1}}", "its registry may be reg.example"),
    ("{global: {hub: docker.io/acme}, proxy: {image: proxyv2}}", "its registry may be docker.io/acme"),
    ("{name: worker, imageTag: v1}", "the repository is named elsewhere"),
    ("{server: {image_tag: v1, image: ''}}", "the repository is named elsewhere"),
    ("{image: {repository: '', tag: v1}}", "the repository is named elsewhere"),
    ("{image: {repository: acme/api, tag: [v1]}}", "a list stands here instead of a value"),
    ("{image: {repository: acme/api, tag: {from: v1}}}", "a list stands here instead of a value"),
    ("{image: {repository: acme/api@sha256, tag: v1}}", "no digest stands here"),
    ("{source: {repo: acme/api, tag: v1}}", "may be a Git source"),
    ("{apiVersion: v1, kind: Broker, spec: {image: acme/broker, version: 3.6.0}}", "version beside the image"),
    (f"{{repository: a/b, tag: v1, digest: 'sha256:{'a' * 64}', sha: {'b' * 64}}}", "two keys hold a digest"),
]
FILLED_IN = [
    "{image: {repository: acme/api, tag: {{ .Tag }}}}",
    "{image: {registry: {{ .Registry }}, repository: acme/api, tag: v1}}",
    "{image: {repository: acme/api, tag: v1, digest: {{ .Digest }}}}",
    "{image: 'acme/api:v1', digest: {{ .Digest }}}",
]
NONE = [
    "{git: {repository: acme/api, tag: v1}}",
    "{repository: 'https://git.example/acme/api', tag: v1}",
    "{repo: 'git@git.example:acme/api', tag: v1}",
    "{repo: github.com/acme/api, tag: v1}",
    "{repo: acme/api.git, tag: v1}",
    "{repo: acme/api, tag: v1, branch: main}",
    "{name: api, version: 1.9.0, repository: acme}",
    "{image: {name: nginx}}",
    "{images: {registry: 'localhost:5000', pullPolicy: Always}}",
    "{images: [name-only]}",
]


def found(text: str) -> tuple[list[str], list[str]]:
    findings = find_pins(RepoPath("values.yaml"), text.encode())
    return [str(pin.image) for pin in findings.pins], [problem.reason for problem in findings.unresolved]


@pytest.mark.parametrize(("text", "image"), JOINED)
def test_parts_that_stand_apart_are_one_reference(text: str, image: str) -> None:
    assert found(text) == ([image], [])


@pytest.mark.parametrize(("text", "image"), JOINED)
def test_an_image_of_another_registry_never_matches(text: str, image: str) -> None:
    content = text.encode()
    path = image.partition("/")[2].rpartition(":")[0]
    for name in (f"other.example/{path}", path, path.rpartition("/")[2], path.partition("/")[0]):
        other = ImageReference.parse(f"{name}:v2")
        if other.repository != ImageReference.parse(image).repository:
            assert set_image(RepoPath("values.yaml"), content, other).after == content


@pytest.mark.parametrize(("text", "image"), JOINED)
def test_the_version_of_a_joined_reference_is_set_where_it_stands(text: str, image: str) -> None:
    wanted = ImageReference.parse(image.replace(":v1", ":v2"))
    after = set_image(RepoPath("values.yaml"), text.encode(), wanted).after.decode()
    assert after == text.replace("v1", "v2")


@pytest.mark.parametrize(("text", "reason"), UNCLEAR)
def test_what_can_be_read_in_two_ways_is_reported_and_not_guessed(text: str, reason: str) -> None:
    pins, reasons = found(text)
    assert pins == []
    assert len(reasons) == 1
    assert reason in reasons[0]


@pytest.mark.parametrize("text", FILLED_IN)
def test_what_stands_beside_a_template_is_left_alone(text: str) -> None:
    pins, reasons = found(text)
    assert pins == []
    assert "a template or variable fills this in later" in reasons
    assert set_image(RepoPath("values.yaml"), text.encode(), ImageReference.parse("acme/api:v2")).after == text.encode()


@pytest.mark.parametrize("text", NONE)
def test_what_speaks_of_no_image_is_passed_over(text: str) -> None:
    assert found(text) == ([], [])


def test_a_tag_is_added_beside_no_version() -> None:
    content = b"repository: ghcr.io/acme\nimage: api\nversion: v1\n"
    after = set_image(RepoPath("values.yaml"), content, ImageReference.parse("ghcr.io/acme/api:v2")).after
    assert after == content.replace(b"v1", b"v2")


def test_a_key_that_stands_twice_for_the_registry_is_reported() -> None:
    findings = find_pins(RepoPath("values.yaml"), b"{registry: ghcr.io, registry: quay.io, image: acme/api, tag: v1}")
    assert findings.pins == ()
    assert [problem.reason for problem in findings.unresolved] == ["the key 'registry' stands twice"]


def test_a_parameter_gets_no_key_that_its_list_does_not_know() -> None:
    content = b"releases:\n- chart: a/b\n  set:\n  - {name: image.repository, value: ghcr.io/acme/api}\n"
    assert found(content.decode()) == ([], ["the tag of this repository is set elsewhere"])


DIGITS = "repository: acme/api@sha256\ntag: {}\n"


def test_a_digest_without_its_prefix_can_stand_in_the_place_of_the_tag() -> None:
    before, after = DIGITS.format("a" * 64).encode(), DIGITS.format("b" * 64).encode()
    wanted = ImageReference.parse(f"acme/api:v2@sha256:{'b' * 64}")
    edit = set_image(RepoPath("values.yaml"), before, wanted)
    assert edit.after == after
    assert set_image(RepoPath("values.yaml"), after, wanted).after == after
    assert [str(pin.image) for pin in edit.pins] == [f"docker.io/acme/api@sha256:{'a' * 64}"]


def test_no_tag_is_written_where_a_digest_without_its_prefix_stands() -> None:
    with pytest.raises(Refused, match="the place holds a digest"):
        set_image(RepoPath("values.yaml"), DIGITS.format("a" * 64).encode(), ImageReference.parse("acme/api:v2"))
