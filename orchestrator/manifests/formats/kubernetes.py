"""Kubernetes objects, built in or custom: ``image`` and its split forms anywhere but where the cluster writes.

Covers workloads, ``List``, Argo Rollouts, Knative Services, DeploymentConfigs, Tekton tasks and every other custom
resource by the same rule, because the name of the key is what they have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from orchestrator.manifests.formats.common import Found, Scan, dispatch
from orchestrator.manifests.formats.walk import references
from orchestrator.manifests.tree import Mapping, Node, Scalar, Sequence, node_at, text_at

# Objects that describe images instead of running them: what they name must not follow a deployment.
OBSERVERS = frozenset(
    {"ImageRepository", "ImagePolicy", "ImageUpdateAutomation", "ImageUpdater", "CustomResourceDefinition"}
)


class Header(NamedTuple):
    """What an object says that it is; empty where it says nothing."""

    version: str
    kind: str


def header(node: Node) -> Header:
    """API version and kind; an item of a typed list (``DeploymentList``) may leave both to the list."""
    version, kind = text_at(node, "apiVersion"), text_at(node, "kind")
    if kind is None and isinstance(node.parent, Sequence) and (above := node.parent.parent) is not None:
        listed = text_at(above, "kind") or ""
        if above.parent is None and listed.endswith("List") and node_at(above, "items") is node.parent:
            return Header(version or text_at(above, "apiVersion") or "", listed.removesuffix("List"))
    return Header(version or "", kind or "")


def is_object(node: Node) -> bool:
    """It has an API version and a kind, of its own or of the list that it is in."""
    return isinstance(node, Mapping) and all(header(node))


def written_by_the_cluster(mapping: Mapping, key: Scalar) -> bool:
    """``status`` of an object or of a part of one, wherever it stands, and the ``spec`` of an observer."""
    if key.value == "status":
        return is_object(mapping) or any(mapping.get(beside) is not None for beside in ("spec", "metadata"))
    return key.value == "spec" and header(mapping).kind in OBSERVERS


class Kubernetes:
    """Any object with an API version and a kind."""

    name = "kubernetes"

    def claims(self, scan: Scan, root: Node) -> bool:
        """It has an API version and a kind."""
        return is_object(root)

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """Every reference in it but in ``status``; the objects of a list by the format of each."""
        kind = header(root).kind
        if kind in OBSERVERS:
            return
        items = node_at(root, "items")
        if isinstance(items, Sequence) and kind.endswith("List"):
            for item in items.items:
                if isinstance(item, Mapping):
                    yield from dispatch(scan, item)
            return
        yield from references(scan, root, written_by_the_cluster)
