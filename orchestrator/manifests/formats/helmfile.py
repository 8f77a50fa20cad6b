"""helmfile: releases with values, and ``set`` lists of names and values (https://helmfile.readthedocs.io/)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.manifests.formats.common import Found, Scan
from orchestrator.manifests.formats.kubernetes import written_by_the_cluster
from orchestrator.manifests.formats.parameters import parameters
from orchestrator.manifests.formats.walk import references, walk_mappings
from orchestrator.manifests.tree import Node, Sequence, node_at

_FILES = re.compile(r"(?:.*[-._])?helmfile(?:[-._].*)?\.ya?ml")
_LISTS = ("set", "setString")


class Helmfile:
    """A helmfile, told by its name or its list of releases."""

    name = "helmfile"

    def claims(self, scan: Scan, root: Node) -> bool:
        """``helmfile.yaml``, or ``releases`` of which the first has a chart."""
        releases = node_at(root, "releases")
        listed = isinstance(releases, Sequence) and bool(releases.items)
        charts = listed and isinstance(releases, Sequence) and node_at(releases.items[0], "chart") is not None
        return charts or bool(_FILES.fullmatch(scan.path.name))

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """References in values, and what the lists of single values say together."""
        yield from references(scan, root, written_by_the_cluster)
        for mapping in walk_mappings(root, written_by_the_cluster):
            for key in _LISTS:
                yield from parameters(scan, node_at(mapping, key))
