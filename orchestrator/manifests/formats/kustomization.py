"""kustomization.yaml: ``images:`` entries; also Flux's ``spec.images``, which has the same fields.

https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/images/
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.manifests.embedded import inside
from orchestrator.manifests.formats.common import FILLED_IN_LATER, TEMPLATE, Found, Scan, no_text
from orchestrator.manifests.formats.walk import references
from orchestrator.manifests.forms import KustomizeEntry, join, parse
from orchestrator.manifests.inherit import Unclear, taken_over
from orchestrator.manifests.scalars import is_null
from orchestrator.manifests.tree import Mapping, Node, Scalar, Sequence, node_at, resolved, scalar, text_at

_VERSION = ("newTag", "digest")
_FIELDS = ("name", "newName", *_VERSION)
FILE_NAMES = frozenset({"kustomization.yaml", "kustomization.yml", "Kustomization"})


class Kustomization:
    """A kustomization or a component."""

    name = "kustomization"

    def claims(self, scan: Scan, root: Node) -> bool:
        """By file name, or by kind and API group."""
        if not isinstance(root, Mapping):
            return False
        version = text_at(root, "apiVersion") or ""
        if version.startswith("kustomize.config.k8s.io/"):
            return text_at(root, "kind") in ("Kustomization", "Component")
        return scan.path.name in FILE_NAMES and "apiVersion" not in {
            key.value for key, _ in root.pairs if isinstance(key, Scalar)
        }

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """The entries of ``images``; inline values of charts hold references as any values file does."""
        yield from entries(scan, node_at(root, "images"))
        for below in (*_inline_values(root), node_at(root, "patches"), node_at(root, "patchesJson6902")):
            if below is not None:
                yield from references(scan, below)
        if not scan.options.embedded:
            _report_inline_patches(scan, root)


def _inline_values(root: Node) -> Iterator[Node | None]:
    """The values of each chart; its own ``name``, ``repo`` and ``version`` are those of the chart."""
    charts = node_at(root, "helmCharts")
    for chart in charts.items if isinstance(charts, Sequence) else ():
        yield node_at(chart, "valuesInline")


def _report_inline_patches(scan: Scan, root: Node) -> None:
    """A patch can be a text of YAML. It is edited when that is asked for; what it holds is never passed over."""
    for text in _inline_patches(root):
        aside = Scan(scan.path, scan.document, scan.options, scan.formats)
        for found in inside(aside, text):
            scan.problem(text, "it stands in the text of a patch; ask for embedded YAML to edit it", found.form.text)


def _inline_patches(root: Node) -> Iterator[Scalar]:
    for key in ("patches", "patchesJson6902", "patchesStrategicMerge"):
        items = node_at(root, key)
        for item in items.items if isinstance(items, Sequence) else ():
            entry = resolved(item)
            text = scalar(entry.get("patch") if isinstance(entry, Mapping) else entry)
            if text is not None and "\n" in text.value:
                yield text


def entries(scan: Scan, images: Node | None) -> Iterator[Found]:
    """The entries of a list of kustomize images."""
    if not isinstance(images, Sequence):
        return
    for item in images.items:
        entry = resolved(item)
        if isinstance(entry, Mapping):
            yield from _entry(scan, entry)


def _entry(scan: Scan, entry: Mapping) -> Iterator[Found]:
    try:
        taken = taken_over(entry)
    except Unclear as error:
        scan.problem(entry, str(error))
        return
    nodes = {key: taken[key].value if key in taken else entry.get(key) for key in _FIELDS}
    parts = {key: scalar(node) for key, node in nodes.items()}
    name = parts["name"]
    if name is None:
        scan.problem(entry, "the images entry has no name")
        return
    if scan.options.names and name.value not in scan.options.names:
        return
    for key, node in nodes.items():
        if node is not None and (parts[key] is None or (key in _VERSION and is_null(parts[key]))):
            scan.problem(node, no_text(node), name.value)
            return
    values = [part.value for part in parts.values() if part is not None]
    if any(TEMPLATE.search(value) for value in values):
        scan.problem(parts["newTag"] or name, FILLED_IN_LATER, ":".join(values))
        return
    new_name = parts["newName"] if parts["newName"] is not None and parts["newName"].value else None
    shown = (new_name or name).value
    base = parse(shown)
    if base is None or base.tag is not None or base.digest is not None:
        scan.problem(new_name or name, f"{shown!r} is not an image name", shown)
        return
    tag = parts["newTag"].value if parts["newTag"] is not None else ""
    digest = parts["digest"].value if parts["digest"] is not None else ""
    image = join(base.repository, tag, digest)
    if image is None:
        scan.problem(parts["newTag"] or parts["digest"] or name, "tag or digest is not valid", ":".join(values))
        return
    yield Found(KustomizeEntry(entry, image, shown, name, parts["newTag"], parts["digest"], new_name))
