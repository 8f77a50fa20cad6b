"""Argo CD Application and ApplicationSet.

``kustomize.images`` holds strings ``[old=]new[:tag][@digest]``, ``helm.parameters`` names and values, ``helm.values``
YAML as a text, ``helm.valuesObject`` values as they are
(https://argo-cd.readthedocs.io/en/stable/user-guide/application-specification/).
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.manifests.embedded import inside
from orchestrator.manifests.formats.common import (
    FILLED_IN_LATER,
    TEMPLATE,
    Found,
    Scan,
    strings,
)
from orchestrator.manifests.formats.kubernetes import header, written_by_the_cluster
from orchestrator.manifests.formats.parameters import parameters
from orchestrator.manifests.formats.walk import references, walk_mappings
from orchestrator.manifests.forms import Whole, parse
from orchestrator.manifests.places import key_above
from orchestrator.manifests.tree import Mapping, Node, Scalar, node_at, scalar

_KINDS = frozenset({"Application", "ApplicationSet", "AppProject"})
_OVERRIDES = ".argocd-source"


class ArgoCD:
    """An Application, an ApplicationSet or a project; a file of overrides beside an application's manifests."""

    name = "argocd"

    def claims(self, scan: Scan, root: Node) -> bool:
        """By API group and kind, or by the name of the file."""
        version, kind = header(root)
        return (version.startswith("argoproj.io/") and kind in _KINDS) or scan.path.name.startswith(_OVERRIDES)

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """What the sources say about images, with one source or several."""
        yield from references(scan, root, _skip)
        for mapping in walk_mappings(root, written_by_the_cluster):
            yield from _kustomize(scan, node_at(mapping, "kustomize", "images"))
            for found in parameters(scan, node_at(mapping, "parameters")):
                yield Found(found.form, found.label or "argocd-parameter")
            helm = node_at(mapping, "helm")
            values = scalar(helm.get("values")) if isinstance(helm, Mapping) else None
            if values is not None:
                yield from inside(scan, values)


def _skip(mapping: Mapping, key: Scalar) -> bool:
    """What the cluster writes, and the lists of images that have a spelling of their own."""
    if key.value == "images" and mapping.parent is not None and key_above(mapping) == "kustomize":
        return True
    return written_by_the_cluster(mapping, key)


def _kustomize(scan: Scan, images: Node | None) -> Iterator[Found]:
    """``old=new:tag``: the new name is the repository that runs."""
    for node, value in strings(images):
        start = value.value.find("=") + 1
        reference = value.value[start:]
        if TEMPLATE.search(value.value):
            scan.problem(value, FILLED_IN_LATER, value.value)
        elif (image := parse(reference)) is not None:
            yield Found(Whole(node, value, image, start, len(value.value)), "argocd-kustomize")
