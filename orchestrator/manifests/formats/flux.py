"""Flux: ``spec.images`` of a Kustomization, post-renderers of a HelmRelease, OCIRepository.

https://fluxcd.io/flux/components/kustomize/kustomizations/ · https://fluxcd.io/flux/components/source/ocirepositories/
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.manifests.formats.common import FILLED_IN_LATER, TEMPLATE, Found, Scan, no_text
from orchestrator.manifests.formats.kubernetes import header, written_by_the_cluster
from orchestrator.manifests.formats.kustomization import entries
from orchestrator.manifests.formats.walk import references
from orchestrator.manifests.forms import join, parse
from orchestrator.manifests.split_forms import Split
from orchestrator.manifests.tree import Mapping, Node, Scalar, Sequence, node_at, scalar

_OCI = "oci://"


class Flux:
    """A Flux Kustomization, HelmRelease or OCIRepository."""

    name = "flux"

    def claims(self, scan: Scan, root: Node) -> bool:
        """By API group."""
        group = header(root).version.partition("/")[0]
        return group in ("kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io", "source.toolkit.fluxcd.io")

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """References in values, the fields of kustomize, and the artifact of an OCIRepository."""
        kind = header(root).kind
        label = {"HelmRelease": "flux-helmrelease", "Kustomization": "flux-kustomization"}.get(kind, self.name)
        if kind == "OCIRepository":
            yield from _artifact(scan, root)
            return
        lists = list(_image_lists(root, kind))
        own = {id(images) for images in lists}

        def skip(mapping: Mapping, key: Scalar) -> bool:
            return written_by_the_cluster(mapping, key) or (key.value == "images" and id(mapping.get("images")) in own)

        yield from (Found(found.form, label) for found in references(scan, root, skip))
        for images in lists:
            yield from (Found(found.form, label) for found in entries(scan, images))


def _image_lists(root: Node, kind: str) -> Iterator[Node]:
    """The lists of kustomize entries: they are read as such, and not by the names of their keys."""
    found = [node_at(root, "spec", "images")] if kind == "Kustomization" else []
    renderers = node_at(root, "spec", "postRenderers")
    items = renderers.items if isinstance(renderers, Sequence) else ()
    found += [node_at(renderer, "kustomize", "images") for renderer in items]
    yield from (images for images in found if images is not None)


def _artifact(scan: Scan, root: Node) -> Iterator[Found]:
    """``spec.url`` names the repository, ``spec.ref`` the tag, the digest or a version range."""
    spec, ref = node_at(root, "spec"), node_at(root, "spec", "ref")
    url = scalar(spec.get("url")) if isinstance(spec, Mapping) else None
    if url is None or not url.value.startswith(_OCI):
        return
    shown = url.value.removeprefix(_OCI)
    base = parse(shown)
    if not isinstance(ref, Mapping) or base is None or base.tag is not None:
        return
    nodes = tuple(ref.get(key) for key in ("tag", "digest", "semver"))
    for node in nodes:
        if node is not None and scalar(node) is None:
            scan.problem(node, no_text(node), shown)
            return
    tag, digest, semver = map(scalar, nodes)
    if semver is not None:
        scan.problem(semver, "a version range stands here; the agent picks the tag", semver.value)
        return
    if tag is None and digest is None:
        return
    values = [part.value for part in (tag, digest) if part is not None]
    image = join(base.repository, tag.value if tag else "", digest.value if digest else "")
    if image is None or any(TEMPLATE.search(value) for value in values):
        scan.problem(tag or digest or url, FILLED_IN_LATER, ":".join(values))
        return
    yield Found(Split(ref, url, image, shown, tag, digest, mapping=ref, digest_key="digest"), "flux-ocirepository")
