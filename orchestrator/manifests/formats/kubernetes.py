"""Kubernetes objects, built in or custom: ``image`` and its split forms anywhere but where the cluster writes.

Covers workloads, ``List``, Argo Rollouts, Knative Services, DeploymentConfigs, Tekton tasks and every other custom
resource by the same rule, because the name of the key is what they have in common.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.manifests.formats.common import Found, Scan, dispatch, references
from orchestrator.manifests.tree import Mapping, Node, Scalar, Sequence, node_at, text_at

# Objects that describe images instead of running them: what they name must not follow a deployment.
OBSERVERS = frozenset(
    {"ImageRepository", "ImagePolicy", "ImageUpdateAutomation", "ImageUpdater", "CustomResourceDefinition"}
)


def is_object(node: Node) -> bool:
    """It has an API version and a kind."""
    return isinstance(node, Mapping) and text_at(node, "kind") is not None and text_at(node, "apiVersion") is not None


def written_by_the_cluster(mapping: Mapping, key: Scalar) -> bool:
    """``status`` of an object, wherever the object stands, and everything in an observer but its metadata."""
    if key.value == "status":
        return is_object(mapping)
    return key.value == "spec" and text_at(mapping, "kind") in OBSERVERS and is_object(mapping)


class Kubernetes:
    """Any object with an API version and a kind."""

    name = "kubernetes"

    def claims(self, scan: Scan, root: Node) -> bool:
        """It has an API version and a kind."""
        return is_object(root)

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """Every reference in it but in ``status``; the objects of a list by the format of each."""
        if text_at(root, "kind") in OBSERVERS:
            return
        items = node_at(root, "items")
        if isinstance(items, Sequence) and (text_at(root, "kind") or "").endswith("List"):
            for item in items.items:
                if isinstance(item, Mapping) and is_object(item):
                    yield from dispatch(scan, item)
            return
        yield from references(scan, root, written_by_the_cluster)
