"""Reading one file: which documents it holds, which format reads each, and what of it may be used as a pin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.names import RepoPath
from orchestrator.manifests.document import load
from orchestrator.manifests.formats import FORMATS
from orchestrator.manifests.formats.common import Scan
from orchestrator.manifests.formats.targets import configured
from orchestrator.manifests.forms import Form, Whole
from orchestrator.manifests.options import ScanOptions
from orchestrator.manifests.places import container_name, find_place, key_above, on_the_way
from orchestrator.manifests.tree import Mapping, Node, Scalar, duplicate_key, node_at


@dataclass(frozen=True, slots=True)
class Reference:
    """A form with the name of the format that found it; ``doubled`` is a key that makes its place ambiguous."""

    format: str
    form: Form
    doubled: Scalar | None = None


def read(path: RepoPath, content: bytes, options: ScanOptions) -> tuple[Scan, list[Reference]]:
    """Every reference in a file, in the order of the file. Raises Unreadable or Template."""
    scan = Scan(path, load(content, options, json=path.name.endswith(".json")), options)
    found: dict[tuple[int, ...], Reference] = {}
    for reference in _all(scan):
        found.setdefault(_identity(reference.form), reference)
    references = [_checked(reference) for reference in found.values()]
    references.sort(key=lambda reference: reference.form.main.start)
    return scan, [reference for reference in references if _wanted(scan, reference.form)]


def _all(scan: Scan) -> Iterator[Reference]:
    for form in configured(scan):
        yield Reference("target", form)
    for root in scan.document.roots:
        if encrypted(root):
            scan.problem(root, "the document is encrypted by SOPS; an edit would break its signature")
            continue
        for format_ in FORMATS:
            if format_.claims(scan, root):
                for found in format_.find(scan, root):
                    yield Reference(found.label or format_.name, found.form)
                break


def encrypted(root: Node) -> bool:
    """A document that SOPS has encrypted carries a ``sops`` block with a message authentication code."""
    return (
        isinstance(root, Mapping)
        and (node_at(root, "sops", "mac") or node_at(root, "sops", "lastmodified")) is not None
    )


def _identity(form: Form) -> tuple[int, ...]:
    """What a form reads: two ways to the same scalars (by an alias, by a target and by its keys) are one pin."""
    start = form.start if isinstance(form, Whole) else 0
    return (*(id(part) for part in form.scalars), start)


def _checked(reference: Reference) -> Reference:
    for mapping in on_the_way(reference.form.node):
        if (key := duplicate_key(mapping)) is not None and _matters(mapping, key, reference.form):
            return Reference(reference.format, reference.form, key)
    return reference


def _matters(mapping: Mapping, key: Scalar, form: Form) -> bool:
    """The doubled key is one that the place of the form goes through, or one of its own."""
    if mapping is form.node:
        own = {id(part) for part in form.scalars}
        return any(isinstance(k, Scalar) and k.value == key.value and id(v) in own for k, v in mapping.pairs)
    on_way = {id(node) for node in _line_of(form.node)}
    return any(isinstance(k, Scalar) and k.value == key.value and id(v) in on_way for k, v in mapping.pairs)


def _line_of(node: Node) -> Iterator[Node]:
    current: Node | None = node
    while current is not None:
        yield current
        current = current.parent


def _wanted(scan: Scan, form: Form) -> bool:
    """Inside the containers and places that the options name."""
    options = scan.options
    if options.containers and container_of(form) not in options.containers:
        return False
    if not options.places:
        return True
    parts = {id(form.node), *(id(part) for part in form.scalars)}
    return any(id(node) in parts for place in options.places for node in find_place(scan.document.roots, place))


def container_of(form: Form) -> str | None:
    """The name of the container, or the key above the image: what a pin is told by among several in one file."""
    name = container_name(form.node)
    if name is not None:
        return name
    key = key_above(form.node)
    if key in ("image", "images") and form.node.parent is not None:
        return key_above(form.node.parent) or key
    return key
