"""Promotion by image between environments whose files look different."""

from __future__ import annotations

from orchestrator.core.image import Digest, Repository
from orchestrator.core.names import RepoPath
from orchestrator.manifests.promote import Promotion, promote
from orchestrator.manifests.running import Side

A = Digest("sha256:" + "aa" * 32)
B = Digest("sha256:" + "bb" * 32)
OLD = Digest("sha256:" + "00" * 32)
API = Repository.parse("ghcr.io/acme/api")


def files(**contents: str) -> dict[RepoPath, bytes]:
    return {RepoPath(name.replace("__", "/") + ".yaml"): text.encode() for name, text in contents.items()}


def after(promotion: Promotion) -> dict[str, str]:
    return {str(edit.path): edit.after.decode() for edit in promotion.edits}


def test_promote_copies_digest_not_tag_into_the_forms_of_the_target() -> None:
    source = files(staging__kustomization=f"images:\n- name: ghcr.io/acme/api\n  newTag: '1.10'\n  digest: {A}\n")
    target = files(
        prod__values='image:\n  registry: ghcr.io\n  repository: acme/api   # prod\'s own\n  tag: v1\n  digest: ""\n',
        prod__job="kind: Job\nimage: ghcr.io/acme/api:1.0 # here too\nreplicas: 9\n",
        prod__other="image: ghcr.io/acme/other:1\n",
    )
    promotion = promote(source, target)
    assert after(promotion) == {
        "prod/job.yaml": f"kind: Job\nimage: ghcr.io/acme/api:1.10@{A} # here too\nreplicas: 9\n",
        "prod/values.yaml": "image:\n  registry: ghcr.io\n  repository: acme/api   # prod's own\n"
        f'  tag: "1.10"\n  digest: "{A}"\n',
    }
    assert promotion.refused == ()
    assert {str(copied.image.digest) for copied in promotion.copied} == {str(A)}


def test_a_finished_promotion_changes_nothing() -> None:
    source = files(dev__a=f"image: ghcr.io/acme/api:2@{A}\n")
    assert promote(source, files(prod__a=f"image: 'ghcr.io/acme/api:2@{A}'\n")).changes == ()


def test_several_versions_go_to_the_containers_of_the_same_name() -> None:
    pod = "kind: Pod\napiVersion: v1\nspec:\n  containers:\n"
    source = files(
        dev__pod=f"{pod}  - {{name: blue, image: 'ghcr.io/acme/api:1@{A}'}}\n"
        f"  - {{name: green, image: 'ghcr.io/acme/api:2@{B}'}}\n"
    )
    target = files(
        prod__pod=f"{pod}  - {{name: green, image: 'ghcr.io/acme/api:0@{OLD}'}}\n"
        f"  - {{name: blue, image: 'ghcr.io/acme/api:0@{OLD}'}}\n"
    )
    assert after(promote(source, target))["prod/pod.yaml"] == (
        f"{pod}  - {{name: green, image: 'ghcr.io/acme/api:2@{B}'}}\n"
        f"  - {{name: blue, image: 'ghcr.io/acme/api:1@{A}'}}\n"
    )


def test_several_versions_that_cannot_be_told_apart_are_refused() -> None:
    source = files(dev__a=f"- image: ghcr.io/acme/api:1@{A}\n- image: ghcr.io/acme/api:2@{B}\n")
    promotion = promote(source, files(prod__x=f"image: ghcr.io/acme/api:0@{OLD}\n"))
    assert promotion.edits == ()
    assert "several versions" in promotion.refused[0].reason
    assert promotion.refused[0].where == "prod/x.yaml:1"


def test_a_variable_and_a_version_range_are_refused_with_their_reason() -> None:
    source = files(dev__a=f"image: ghcr.io/acme/api:1@{A}\n")
    promotion = promote(source, files(prod__a="image: ghcr.io/acme/api:${TAG}\n"))
    assert promotion.refused[0].reason == ("the target does not pin it: a template or variable fills this in later")
    oci = (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\n"
        "spec: {url: 'oci://ghcr.io/acme/api', ref: {semver: 1.x}}\n"
    )
    promotion = promote(files(dev__a=oci), files(prod__a="image: ghcr.io/acme/api:1\n"), [API])
    assert promotion.refused[0].reason == (
        "the source does not pin it: a version range stands here; the agent picks the tag"
    )
    assert promotion.refused[0].where == "dev/a.yaml:3"


def test_a_source_without_a_digest_is_refused_unless_tags_are_enough() -> None:
    source, target = files(dev__a="image: ghcr.io/acme/api:2\n"), files(prod__a="image: ghcr.io/acme/api:1\n")
    assert "no digest" in promote(source, target).refused[0].reason
    assert after(promote(source, target, need_digest=False)) == {"prod/a.yaml": "image: ghcr.io/acme/api:2\n"}


def test_a_tag_that_both_name_already_is_nothing_to_promote() -> None:
    pinned, both = f"image: {API}:2@{A}\n", "image: redis:7\n"
    source = files(dev__api=pinned, dev__redis=both)
    found = promote(source, files(prod__api=f"image: {API}:1@{OLD}\n", prod__redis=both))
    assert (after(found), found.refused) == ({"prod/api.yaml": pinned}, ())
    assert [one.reason for one in found.left] == ["the source pins no digest: redis:7"]
    named = promote(source, files(prod__redis=both), [Repository.parse("redis")])
    assert [one.repository.name for one in named.refused] == ["redis"], "who names it asks for a digest"


def test_images_that_the_target_does_not_have_are_told_and_only_refused_when_asked_for() -> None:
    source = files(dev__a=f"image: ghcr.io/acme/api:1@{A}\n")
    target = files(prod__a="image: ghcr.io/acme/other:1\n")
    assert promote(source, target).refused == ()
    assert promote(source, target).left[0].repository == API
    assert promote(source, target, [API]).refused[0].reason == "the target environment does not have it"


def test_an_image_without_a_key_in_the_target_inherits_and_is_not_invented() -> None:
    source = files(dev__api=f"image: ghcr.io/acme/api:1@{A}\n")
    promotion = promote(source, files(prod__api="replicas: 3\n"))
    assert promotion.edits == ()
    assert not promotion.left[0].refused


def test_the_name_that_a_kustomization_gives_to_an_image_is_no_image_itself() -> None:
    """The manifests below say ``image: api``, and what runs is what the kustomization puts there."""
    manifest = (
        "kind: Pod\napiVersion: v1\nspec: {containers: [{name: api, image: api}, {name: job, image: busybox:1}]}\n"
    )
    kustomization = f"images:\n- {{name: api, newName: {API}, newTag: '2', digest: '{A}'}}\n"
    own = files(dev__kustomization=kustomization, dev__base__pod=manifest)
    assert Side(own).repositories == {API, Repository.parse("busybox")}
    assert [pin.image.digest for pin in Side(own).running(API)] == [A]
    other = files(other__pod=manifest)
    assert Repository.parse("api") in Side({**own, **other}).repositories, "nothing renames it in the other folder"
