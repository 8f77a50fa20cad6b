"""Places that the environment's configuration names: ``targets: [{file, path, image}]``."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.environment import Target
from orchestrator.core.image import Repository
from orchestrator.core.patterns import matches
from orchestrator.manifests.formats.common import Scan
from orchestrator.manifests.forms import Configured, Form, Whole, parse
from orchestrator.manifests.places import find_place, key_above
from orchestrator.manifests.split_forms import Split
from orchestrator.manifests.tree import Mapping, Node, Scalar, scalar

# A chart's version is a label value in every template of that chart: a digest can't stand there.
_VERSIONS = frozenset({"appVersion", "version", "targetRevision"})


def for_file(scan: Scan) -> Iterator[Target]:
    """The targets that speak of this file."""
    return (target for target in scan.options.targets if matches(target.file, scan.path.value))


def configured(scan: Scan) -> Iterator[Form]:
    """The forms that the targets of this file describe."""
    for target in for_file(scan):
        place = "" if target.path in ("", ".", "$") else target.path
        for node in find_place(scan.document.roots, place):
            yield from at_node(node, target.image)


def at_node(node: Node, image: Repository, part: str | None = None) -> Iterator[Form]:
    """The form of one named place: a mapping with its keys, a whole reference, a tag, or a digest."""
    if isinstance(node, Mapping):
        yield from _mapping(node, image)
        return
    value = scalar(node)
    if value is None:
        return
    reference = parse(value.value)
    if part is None and reference is not None and reference.repository == image:
        yield Whole(node, value, reference, 0, len(value.value))
        return
    key = key_above(node)
    part = part or (key if key in ("digest", "sha") else "tag")
    alone = node.parent is None and isinstance(node, Scalar) and node.style is None
    yield Configured(node, value, image, part, plain_tag=key in _VERSIONS, raw=alone)


def _mapping(node: Mapping, image: Repository) -> Iterator[Form]:
    parts = {key: scalar(node.get(key)) for key in ("tag", "newTag", "digest", "sha")}
    tag = parts["tag"] or parts["newTag"]
    digest = parts["digest"] or parts["sha"]
    first: Scalar | None = tag or digest
    if first is None:
        return
    reference = Configured(first, first, image, "tag" if tag is not None else "digest").image
    yield Split(node, first, reference, str(image), tag, digest, parts["sha"] is digest and digest is not None, node)
