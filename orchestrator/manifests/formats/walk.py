"""The walk over a document for the keys that speak of images.

``image: repo:tag`` is the same thing wherever it stands, and so are ``repository`` with ``tag``; the formats say which
documents they claim, which parts they leave alone, and what they hold besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator.manifests.formats.common import Found, Scan, strings, whole
from orchestrator.manifests.formats.groups import Groups, in_groups, in_merged
from orchestrator.manifests.formats.keys import is_image_key, is_telling, role_of
from orchestrator.manifests.inherit import is_merge
from orchestrator.manifests.tree import Mapping, Node, Scalar, Sequence, resolved, scalar

Skip = Callable[[Mapping, Scalar], bool]
# What describes or selects, and never runs an image, whatever its keys are called.
DESCRIPTIONS = frozenset({"labels", "annotations", "matchLabels", "nodeSelector", "commonLabels", "commonAnnotations"})


def skip_nothing(_mapping: Mapping, _key: Scalar) -> bool:
    """Everything is read."""
    return False


def references(scan: Scan, root: Node, skip: Skip = skip_nothing) -> Iterator[Found]:  # noqa: C901
    """The references in every mapping below a node, by the names of their keys; nothing below what ``skip`` names.

    One loop with the look at the keys in the same pass: most mappings hold none.
    """
    stack: list[Node] = [root]
    inside: set[int] = set()  # mappings below a key that says image
    while stack:
        node = stack.pop()
        if type(node) is Sequence:
            stack.extend(item for item in reversed(node.items) if type(item) is Mapping or type(item) is Sequence)
        if type(node) is not Mapping:
            continue
        groups: Groups = {}
        children: list[Node] = []
        merges = False
        for key, value in node.pairs:
            nested = type(value) is Mapping or type(value) is Sequence
            if type(key) is not Scalar:
                if nested:
                    children.append(value)
                continue
            if (role := role_of(key.value)) is not None:
                groups.setdefault(role[0], {})[role[1]] = value
            elif key.value == "<<":
                merges = is_merge(key)
            if nested and key.value not in DESCRIPTIONS and not skip(node, key):
                children.append(value)
                if is_image_key(key.value):
                    inside.add(id(value))
                    yield from _collected(scan, key.value, value)
        if merges:
            yield from in_merged(scan, node, groups)
        elif groups and (len(groups) > 1 or id(node) in inside or is_telling(next(iter(groups.values())).keys())):
            yield from in_groups(scan, node, groups)
        stack.extend(reversed(children))


def walk_mappings(root: Node, skip: Skip) -> Iterator[Mapping]:
    """Every mapping, in the order of the file, but nothing below a pair that ``skip`` names."""
    stack: list[Node] = [root]
    while stack:
        node = stack.pop()
        if type(node) is Mapping:
            yield node
            for key, value in reversed(node.pairs):
                kind = type(value)
                if (kind is Mapping or kind is Sequence) and not (
                    type(key) is Scalar and (key.value in DESCRIPTIONS or skip(node, key))
                ):
                    stack.append(value)
        elif type(node) is Sequence:
            stack.extend(item for item in reversed(node.items) if type(item) is Mapping or type(item) is Sequence)


def _collected(scan: Scan, key: str, value: Node) -> Iterator[Found]:
    """``images: [ref]``, ``images: {api: ref}``, and OpenStack-Helm's ``images: {tags: {api: ref}}``."""
    for node, text in strings(value):
        yield from whole(scan, node, text, strict=True)
    if not isinstance(value, Mapping) or not key.endswith(("s", "S")):
        return
    yield from _named(scan, value)
    tags = resolved(value.get("tags"))
    if isinstance(tags, Mapping):
        yield from _named(scan, tags, roles=False)


def _named(scan: Scan, mapping: Mapping, *, roles: bool = True) -> Iterator[Found]:
    """The references under keys that people chose; with ``roles`` not those that name a part of a reference."""
    for key, value in mapping.pairs:
        text = scalar(value)
        if text is None or not isinstance(key, Scalar) or (roles and role_of(key.value) is not None):
            continue
        yield from whole(scan, value, text, strict=True)
