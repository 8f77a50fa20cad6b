"""What several places of a file share: by alias, by merge key, or because a text holds it."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import Refused
from orchestrator.core.image import ImageReference
from orchestrator.core.names import RepoPath
from orchestrator.manifests import proof
from orchestrator.manifests.model import Edit
from orchestrator.manifests.pins import ScanOptions, Target, find_pins, set_image

DEFAULTS = b"defaults: &d\n  tag: v1\napi:\n  image: {<<: *d, repository: ghcr.io/acme/api}\n"
TARGET = (Target("values.yaml", "defaults.tag", ImageReference.parse("ghcr.io/acme/api").repository),)
NAME_ONLY = b"base: &b {image: ghcr.io/acme/api}\none: {<<: *b, tag: v1}\ntwo: {<<: *b, tag: v1, name: two}\n"


def edit(content: bytes, image: str, **options: object) -> Edit:
    return set_image(RepoPath("values.yaml"), content, ImageReference.parse(image), ScanOptions(**options))  # type: ignore[arg-type]


def test_the_places_that_follow_a_configured_one_are_told() -> None:
    result = edit(DEFAULTS, "ghcr.io/acme/api:v2", targets=TARGET)
    assert result.after == DEFAULTS.replace(b"v1", b"v2")
    assert [change.follows for change in result.changes] == [('doc[0].api.image["<<"].tag',)]


def test_a_place_that_merges_what_is_configured_is_still_reported() -> None:
    findings = find_pins(RepoPath("values.yaml"), DEFAULTS, ScanOptions(targets=TARGET))
    assert [(pin.place, str(pin.image)) for pin in findings.pins] == [("doc[0].defaults.tag", "ghcr.io/acme/api:v1")]
    assert [problem.place for problem in findings.unresolved] == ["doc[0].api.image"]


def test_a_configured_place_does_not_change_another_image_that_merges_it() -> None:
    content = DEFAULTS + b"web:\n  image: {<<: *d, repository: ghcr.io/acme/web}\n"
    with pytest.raises(Refused, match="by a merge key the same value is that of ghcr"):
        edit(content, "ghcr.io/acme/api:v2", targets=TARGET)


def test_a_named_place_does_not_change_another_image_by_an_alias() -> None:
    content = b"a: {image: {repository: acme/a, tag: &t v1}}\nb: {image: {repository: acme/b, tag: *t}}\n"
    with pytest.raises(Refused, match="by an alias the same value is that of docker"):
        edit(content, "acme/a:v2", places=("a.image",))


def test_a_name_that_others_complete_stays_without_a_tag() -> None:
    result = edit(NAME_ONLY, "ghcr.io/acme/api:v2")
    assert result.after == NAME_ONLY.replace(b"v1", b"v2")
    assert [pin.place for pin in result.pins] == ["doc[0].one", "doc[0].two"]


def test_a_tag_beside_a_merged_image_is_read_with_it() -> None:
    findings = find_pins(RepoPath("values.yaml"), NAME_ONLY)
    assert {str(pin.image) for pin in findings.pins} == {"ghcr.io/acme/api:v1"}
    assert [problem.text for problem in findings.unresolved] == ["ghcr.io/acme/api"]


def test_a_registry_that_overrides_a_merged_one_makes_another_image() -> None:
    content = b"d: &d {registry: ghcr.io, image: acme/api, tag: v1}\nb: {<<: *d, registry: quay.io, tag: v0}\n"
    assert edit(content, "ghcr.io/acme/api:v2").after == content.replace(b"v1", b"v2")
    assert edit(content, "quay.io/acme/api:v2").after == content.replace(b"v0", b"v2")


def test_the_followers_of_a_deep_anchor_are_told_and_counted() -> None:
    content = b"a: &a {b: &b {image: 'acme/api:v1'}}\n" + b"".join(b"x%d: *a\ny%d: *b\n" % (n, n) for n in range(15))
    follows = edit(content, "acme/api:v2").changes[0].follows
    assert follows[0] == "doc[0].y0.image"
    assert follows[15] == "doc[0].x0.b.image"
    assert follows[-1] == "and 10 more"


def test_a_text_with_many_references_is_proven_once(monkeypatch: pytest.MonkeyPatch) -> None:
    proofs: list[int] = []
    really = proof.prove
    monkeypatch.setattr(proof, "prove", lambda *given, **how: proofs.append(1) or really(*given, **how))
    content = b"a: |\n" + b"".join(b"  k%d: {image: 'acme/api:v1'}\n" % number for number in range(50))
    assert edit(content, "acme/api:v2", embedded=True).after == content.replace(b"v1", b"v2")
    assert len(proofs) == 1


def test_places_named_one_by_one_in_a_text_are_all_edited_and_no_other() -> None:
    content = b"a: |\n  x: {image: 'acme/api:v1'}\n  y: {image: 'acme/api:v1'}\n  z: {image: 'acme/api:v1'}\n"
    result = edit(content, "acme/api:v2", places=("a::x.image", "a::z.image"))
    assert result.after == content.replace(b"v1", b"v2").replace(
        b"y: {image: 'acme/api:v2'", b"y: {image: 'acme/api:v1'"
    )
    assert len(result.pins) == 2


@pytest.mark.parametrize("name", ["values.json", "values.yaml"])
@pytest.mark.parametrize("tag", ["v2", "2.0"])
def test_a_number_of_a_json_text_becomes_a_quoted_string(name: str, tag: str) -> None:
    content = b'{"image": {"repository": "acme/api", "tag": 1.9}}'
    after = set_image(RepoPath(name), content, ImageReference.parse(f"acme/api:{tag}")).after
    assert after == content.replace(b"1.9", f'"{tag}"'.encode())


def test_a_json_text_inside_a_block_stays_json() -> None:
    content = b'data:\n  config.json: |\n    {"image": {"repository": "acme/api", "tag": 7}}\n'
    assert edit(content, "acme/api:v2", embedded=True).after == content.replace(b"7", b'"v2"')
