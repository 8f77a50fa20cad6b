"""Everything else that is YAML or JSON: Helm values, Compose, patches, configuration of other tools."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.manifests.formats.common import Found, Scan, whole
from orchestrator.manifests.formats.kubernetes import written_by_the_cluster
from orchestrator.manifests.formats.walk import references
from orchestrator.manifests.tree import Mapping, Node, Sequence, node_at, scalar, text_at

_VALUES = re.compile(r"(?:.*[-._])?values(?:[-._].*)?\.(?:ya?ml|json)")
_COMPOSE = re.compile(r"(?:docker-)?compose(?:[-._].*)?\.ya?ml")


class HelmValues:
    """A values file of a Helm chart, told by its name."""

    name = "helm-values"

    def claims(self, scan: Scan, root: Node) -> bool:
        """``values.yaml``, ``values-prod.yaml``, ``prod.values.yaml``."""
        return bool(_VALUES.fullmatch(scan.path.name))

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """Every reference in it."""
        yield from references(scan, root, written_by_the_cluster)


class Compose:
    """A Compose file: ``services.<name>.image``."""

    name = "compose"

    def claims(self, scan: Scan, root: Node) -> bool:
        """By its name, or by services that have images."""
        return bool(_COMPOSE.fullmatch(scan.path.name)) and isinstance(node_at(root, "services"), Mapping)

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """Every reference in it."""
        yield from references(scan, root)


class JsonPatch:
    """A list of JSON patch operations (RFC 6902): a value whose path ends in ``/image``."""

    name = "json-patch"

    def claims(self, scan: Scan, root: Node) -> bool:
        """A list of mappings with ``op`` and ``path``."""
        return isinstance(root, Sequence) and bool(root.items) and is_operation(root.items[0])

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """The values of image paths, and references inside other values."""
        if isinstance(root, Sequence):
            for item in root.items:
                value = scalar(item.get("value")) if isinstance(item, Mapping) else None
                if value is not None and (text_at(item, "path") or "").endswith("/image"):
                    yield from whole(scan, value, value)
            yield from references(scan, root)


def is_operation(node: Node) -> bool:
    """It has ``op`` and ``path``."""
    return isinstance(node, Mapping) and text_at(node, "op") is not None and text_at(node, "path") is not None


class Plain:
    """Any other document."""

    name = "yaml"

    def claims(self, scan: Scan, root: Node) -> bool:
        """Whatever nobody else claims."""
        return True

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """Every reference in it."""
        yield from references(scan, root, written_by_the_cluster)
