"""Argo CD Application and ApplicationSet.

``kustomize.images`` holds strings ``[old=]new[:tag][@digest]``, ``helm.parameters`` names and values, ``helm.values``
YAML as a text, ``helm.valuesObject`` values as they are
(https://argo-cd.readthedocs.io/en/stable/user-guide/application-specification/).
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.manifests.embedded import inside
from orchestrator.manifests.formats.common import (
    ELSEWHERE,
    FILLED_IN_LATER,
    TEMPLATE,
    Found,
    Scan,
    in_mapping,
    role_of,
    split,
    strings,
    walk_mappings,
    whole,
)
from orchestrator.manifests.formats.kubernetes import written_by_the_cluster
from orchestrator.manifests.forms import Whole, parse
from orchestrator.manifests.tree import Mapping, Node, Scalar, Sequence, node_at, scalar, text_at

_KINDS = frozenset({"Application", "ApplicationSet", "AppProject"})


class ArgoCD:
    """An Application, an ApplicationSet or a project."""

    name = "argocd"

    def claims(self, scan: Scan, root: Node) -> bool:
        """By API group and kind."""
        return (text_at(root, "apiVersion") or "").startswith("argoproj.io/") and text_at(root, "kind") in _KINDS

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """What the sources say about images, with one source or several."""
        for mapping in walk_mappings(root, written_by_the_cluster):
            yield from in_mapping(scan, mapping)
            yield from _kustomize(scan, node_at(mapping, "kustomize", "images"))
            yield from _parameters(scan, node_at(mapping, "parameters"))
            helm = node_at(mapping, "helm")
            values = scalar(helm.get("values")) if isinstance(helm, Mapping) else None
            if values is not None:
                yield from inside(scan, values)


def _kustomize(scan: Scan, images: Node | None) -> Iterator[Found]:
    """``old=new:tag``: the new name is the repository that runs."""
    for node, value in strings(images):
        start = value.value.find("=") + 1
        reference = value.value[start:]
        if TEMPLATE.search(value.value):
            scan.problem(value, FILLED_IN_LATER, value.value)
        elif (image := parse(reference)) is not None:
            yield Found(Whole(node, value, image, start, len(value.value)), "argocd-kustomize")


def _parameters(scan: Scan, parameters: Node | None) -> Iterator[Found]:
    """``helm.parameters``: the names are paths into the values, so they group as keys do."""
    if not isinstance(parameters, Sequence):
        return
    groups: dict[str, dict[str, Scalar]] = {}
    nodes: dict[str, Mapping] = {}
    for item in parameters.items:
        name, value = text_at(item, "name"), scalar(node_at(item, "value"))
        role = role_of(name) if name else None
        if value is None or name is None or not isinstance(item, Mapping):
            continue
        if role is None and name.rpartition(".")[2] == "image":
            role = name, "image"
        if role is not None:
            groups.setdefault(role[0], {})[role[1]] = value
            nodes[role[0]] = item
    for prefix, parts in groups.items():
        yield from _group(scan, nodes[prefix], prefix, parts)


def _group(scan: Scan, item: Mapping, prefix: str, parts: dict[str, Scalar]) -> Iterator[Found]:
    name = parts.get("repository") or parts.get("repo") or parts.get("image") or parts.get("name")
    if name is not None and (parts.keys() & {"tag", "digest", "sha"} or parts.get("image") is None):
        yield from (Found(found.form, "argocd-parameter") for found in split(scan, item, parts, name, prefix))
    elif name is not None:
        yield from whole(scan, name, name, strict=True)
    elif "tag" in parts:
        scan.problem(parts["tag"], ELSEWHERE, parts["tag"].value)
