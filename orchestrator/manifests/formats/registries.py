"""A registry that is set once for many images: ``registry`` or ``hub`` further up, or below ``global``."""

from __future__ import annotations

from orchestrator.manifests.document import Document
from orchestrator.manifests.formats.shapes import is_host
from orchestrator.manifests.tree import Mapping, Sequence, node_at, scalar

_KEYS = ("imageRegistry", "registry", "hub")


def registry_above(document: Document, mapping: Mapping) -> str | None:
    """The registry that a chart may put before a name that has none; None when the file sets none."""
    if not document.has_registries:
        return None
    node: Mapping | Sequence | None = mapping
    while node is not None:
        if isinstance(node, Mapping):
            places = (node_at(node, "global"), node_at(node, "global", "image"), node)
            for place in places[: 2 if node is mapping else 3]:
                if isinstance(place, Mapping) and (found := _set_in(place)) is not None:
                    return found
        node = node.parent
    return None


def _set_in(mapping: Mapping) -> str | None:
    for key in _KEYS:
        text = scalar(mapping.get(key))
        if text is not None and is_host(text.value.partition("/")[0]):
            return text.value
    return None
