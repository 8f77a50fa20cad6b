"""Chart.yaml: ``appVersion`` is the tag that a chart's templates fall back to, for images named elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.manifests.formats.common import Found, Scan
from orchestrator.manifests.tree import Mapping, Node, scalar

_FILES = frozenset({"Chart.yaml", "Chart.yml", "Chart.lock", "requirements.yaml", "requirements.lock"})


class Chart:
    """A chart's description or its lock file: no references, and never edited unless configured."""

    name = "chart"

    def claims(self, scan: Scan, root: Node) -> bool:
        """By file name."""
        return scan.path.name in _FILES

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """Nothing; ``appVersion`` is reported as a tag whose repository is named elsewhere."""
        version = scalar(root.get("appVersion")) if isinstance(root, Mapping) else None
        if version is not None and scan.path.name.startswith("Chart.y"):
            scan.problem(version, "the chart's default tag; the repository is named elsewhere", version.value)
        yield from ()
