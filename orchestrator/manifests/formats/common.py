"""What the formats share: a scan over one file, and the reading of mappings whose keys speak of images.

``image: repo:tag`` is the same thing wherever it stands, and so are ``repository`` with ``tag``; the formats say which
documents they claim, which parts they leave alone, and what they hold besides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from orchestrator.core.names import RepoPath
from orchestrator.manifests.document import Document
from orchestrator.manifests.forms import Form, Split, Whole, join, parse
from orchestrator.manifests.inherit import Unclear, from_one_source, is_merge, taken_over
from orchestrator.manifests.options import ScanOptions
from orchestrator.manifests.places import key_above
from orchestrator.manifests.scalars import is_null, looks_typed
from orchestrator.manifests.tree import Mapping, Node, Scalar, Sequence, scalar

# Text that something else fills in before it is a reference: Go and Jinja templates, shell and Flux variables.
TEMPLATE = re.compile(r"\{\{|\{%|<%|\$\{|\$\(|^\$[A-Za-z_]")
FILLED_IN_LATER = "a template or variable fills this in later"
ELSEWHERE = "only the tag stands here; the repository is named elsewhere"
_REFERENCE_KEYS = re.compile(r"(?:.*[a-z0-9_-])?(?:[iI]mage|IMAGE)(?:Name|_name|Ref|_ref|Url|URL)?")
_ROLES = {
    "registry": "registry",
    "imageregistry": "registry",
    "repository": "repository",
    "imagerepository": "repository",
    "repo": "repo",
    "name": "name",
    "tag": "tag",
    "digest": "digest",
    "sha": "sha",
    "imagename": "image",
    "image": "image",
}
_CAMEL = re.compile(
    r"(?P<stem>.*[iI]mage)_?(?P<role>Registry|Repository|Repo|Name|Tag|Digest|Sha|registry|repository|repo|tag|digest|sha)"
)


# OpenShift notes here what it has rolled out (DeploymentConfig, ``imageChangeParams``).
_WRITTEN_BY_THE_CLUSTER = frozenset({"lastTriggeredImage"})
_STRING_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})


class Found(NamedTuple):
    """A reference that a format found; ``label`` overrides the format's name."""

    form: Form
    label: str | None = None


@dataclass(slots=True)
class Problem:
    """Something that looks like a pin and can't be used as one."""

    node: Node
    reason: str
    text: str = ""


@dataclass(slots=True, eq=False)
class Scan:
    """One file being read."""

    path: RepoPath
    document: Document
    options: ScanOptions
    formats: tuple[Format, ...] = ()
    problems: list[Problem] = field(default_factory=list)

    def problem(self, node: Node, reason: str, text: str = "") -> None:
        """Report what can't be resolved, without guessing."""
        self.problems.append(Problem(node, reason, text))


class Format(Protocol):
    """A kind of document: does it claim this one, and what pins does it hold?"""

    @property
    def name(self) -> str:
        """Shown with each pin."""

    def claims(self, scan: Scan, root: Node) -> bool:
        """This document is of this format."""

    def find(self, scan: Scan, root: Node) -> Iterator[Found]:
        """The references in it."""


def dispatch(scan: Scan, root: Node) -> Iterator[Found]:
    """The references of one document, by the first format that claims it; every one labelled."""
    for format_ in scan.formats:
        if format_.claims(scan, root):
            for found in format_.find(scan, root):
                yield Found(found.form, found.label or format_.name)
            return


@lru_cache(maxsize=65536)
def role_of(key: str) -> tuple[str, str] | None:
    """The group of keys that a key belongs to, and its part in it: ``image.tag`` is (``image.``, ``tag``)."""
    prefix, dot, last = key.rpartition(".")
    role = _ROLES.get(last.lower())
    if dot and role is not None and is_image_key(prefix.rpartition(".")[2]) and role != "image":
        return prefix + ".", role
    if dot:
        return None
    if role is not None and key in ("image", "imageName"):
        return "image", role
    if role is not None:
        return ("", role) if not key.lower().startswith("image") else ("image", role)
    if match := _CAMEL.fullmatch(key):
        part = match["role"].lower()
        return match["stem"], "image" if part == "name" else part
    return (key, "image") if _REFERENCE_KEYS.fullmatch(key) and key not in _WRITTEN_BY_THE_CLUSTER else None


@lru_cache(maxsize=65536)
def is_image_key(key: str | None) -> bool:
    """The key says that what it holds is an image: ``image``, ``images``, ``sidecarImage``."""
    return key is not None and bool(re.fullmatch(r"(?:.*[a-z0-9_-])?[iI]mages?|IMAGE", key))


def walk_mappings(root: Node, skip: Callable[[Mapping, Scalar], bool]) -> Iterator[Mapping]:
    """Every mapping, in the order of the file, but nothing below a pair that ``skip`` names."""
    stack: list[Node] = [root]
    while stack:
        node = stack.pop()
        if type(node) is Mapping:
            yield node
            for key, value in reversed(node.pairs):
                kind = type(value)
                if (kind is Mapping or kind is Sequence) and not (
                    type(key) is Scalar and (key.value in _DESCRIPTIONS or skip(node, key))
                ):
                    stack.append(value)
        elif type(node) is Sequence:
            stack.extend(item for item in reversed(node.items) if type(item) is Mapping or type(item) is Sequence)


# What describes or selects, and never runs an image, whatever its keys are called.
_DESCRIPTIONS = frozenset({"labels", "annotations", "matchLabels", "nodeSelector", "commonLabels", "commonAnnotations"})


def skip_nothing(_mapping: Mapping, _key: Scalar) -> bool:
    """Everything is read."""
    return False


def references(  # noqa: C901
    scan: Scan, root: Node, skip: Callable[[Mapping, Scalar], bool] = skip_nothing
) -> Iterator[Found]:
    """The references in every mapping below a node, by the names of their keys.

    The same walk as ``walk_mappings``, with the look at the keys in the same pass: most mappings hold none.
    """
    stack: list[Node] = [root]
    while stack:
        node = stack.pop()
        if type(node) is Sequence:
            stack.extend(item for item in reversed(node.items) if type(item) is Mapping or type(item) is Sequence)
        if type(node) is not Mapping:
            continue
        groups: dict[str, dict[str, Node]] = {}
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
            if nested and key.value not in _DESCRIPTIONS and not skip(node, key):
                children.append(value)
        if merges:
            yield from _in_merged(scan, node, groups)
        elif groups:
            yield from _in_groups(scan, node, groups)
        stack.extend(reversed(children))


def in_mapping(scan: Scan, mapping: Mapping) -> Iterator[Found]:
    """The references that the keys of one mapping hold."""
    groups: dict[str, dict[str, Node]] = {}
    for key, value in mapping.pairs:
        if type(key) is Scalar and (role := role_of(key.value)) is not None:
            groups.setdefault(role[0], {})[role[1]] = value
    if any(is_merge(key) for key, _ in mapping.pairs):
        return _in_merged(scan, mapping, groups)
    return _in_groups(scan, mapping, groups)


def _in_merged(scan: Scan, mapping: Mapping, own: dict[str, dict[str, Node]]) -> Iterator[Found]:
    """The same with what the mapping takes over; what comes as a whole from one other mapping is read there."""
    groups = {prefix: dict(group) for prefix, group in own.items()}
    owners: dict[str, set[int]] = {}
    try:
        if not own and from_one_source(mapping):
            return  # nothing is put together here
        taken = taken_over(mapping)
    except Unclear as error:
        if own:
            scan.problem(mapping, str(error))
        return
    for key, (value, owner) in taken.items():
        if (role := role_of(key)) is not None:
            groups.setdefault(role[0], {}).setdefault(role[1], value)
            owners.setdefault(role[0], set()).add(id(owner))
    for prefix, group in groups.items():
        here = prefix in own or len(owners[prefix]) > 1
        if here and (len(group) > 1 or "name" not in group):
            yield from _in_group(scan, mapping, prefix, group, groups)


def _in_groups(scan: Scan, mapping: Mapping, groups: dict[str, dict[str, Node]]) -> Iterator[Found]:
    for prefix, group in groups.items():
        if len(group) > 1 or "name" not in group:  # a name alone says nothing
            yield from _in_group(scan, mapping, prefix, group, groups)


def _in_group(
    scan: Scan, mapping: Mapping, prefix: str, group: dict[str, Node], groups: dict[str, dict[str, Node]]
) -> Iterator[Found]:
    """One group of keys: a reference in one key, or split over several."""
    parts = {role: found for role, node in group.items() if (found := scalar(node)) is not None and not is_null(found)}
    if "tag" in group and "tag" not in parts and is_null(scalar(group["tag"])):
        if parts.keys() & {"repository", "repo", "image"}:
            scan.problem(group["tag"], "null stands here instead of a tag")
        return
    name = parts.get("repository") or parts.get("repo")
    if name is not None:
        yield from split(scan, mapping, parts, name, prefix)
        return
    image = parts.get("image")
    if image is None and "name" in parts and _name_is_repository(mapping, prefix, parts):
        yield from split(scan, mapping, parts, parts["name"], prefix)
    elif image is not None:
        beside = (
            groups.get("", {}) if prefix == "image" and not groups.get("", {}).keys() & {"repository", "repo"} else {}
        )
        if "tag" in parts or "digest" in parts:
            yield from split(scan, mapping, parts, image, prefix)
        elif "tag" in beside and (tag := scalar(beside["tag"])) is not None and not _has_suffix(image.value):
            yield from split(scan, mapping, {"tag": tag, "image": image}, image, prefix)
        else:
            yield from whole(scan, group["image"], image, strict=_strict(mapping, group["image"]))
    elif "tag" in parts and (prefix or is_image_key(key_above(mapping))):
        scan.problem(parts["tag"], ELSEWHERE, parts["tag"].value)


def _strict(mapping: Mapping, value: Node) -> bool:
    """Under a key other than ``image`` only what has a tag or a digest is taken for a reference."""
    key = mapping.key_of(value)
    return key is None or key.value != "image"


def _has_suffix(reference: str) -> bool:
    found = parse(reference)
    return found is not None and (found.tag is not None or found.digest is not None)


def _name_is_repository(mapping: Mapping, prefix: str, parts: dict[str, Scalar]) -> bool:
    if not parts.keys() & {"tag", "digest"}:
        return False
    return bool(prefix) or is_image_key(key_above(mapping)) or "/" in parts["name"].value


def whole(scan: Scan, node: Node, value: Scalar, *, strict: bool = False) -> Iterator[Found]:
    """A scalar that is a reference as a whole."""
    if value.tag is not None and value.tag not in _STRING_TAGS:
        scan.problem(value, f"the tag {value.tag} gives the value a meaning of its own", value.value)
        return
    if value.style is None and looks_typed(value.value):
        return  # null, a truth value or a number, which no reader takes for text
    text = value.value.strip() if value.style in ("|", ">") else value.value
    if TEMPLATE.search(text):
        scan.problem(value, FILLED_IN_LATER, text)
        return
    image = parse(text)
    if image is None or (strict and image.tag is None and image.digest is None):
        return
    start = value.value.find(text)
    yield Found(Whole(node, value, image, start, start + len(text)))


def split(scan: Scan, mapping: Mapping, parts: dict[str, Scalar], name: Scalar, prefix: str) -> Iterator[Found]:
    """A reference whose parts stand under separate keys."""
    tag, digest = parts.get("tag"), parts.get("digest") or parts.get("sha")
    values = [part.value for part in (parts.get("registry"), name, tag, digest) if part is not None]
    for part in (name, tag, digest):
        if part is not None and part.tag is not None and part.tag not in _STRING_TAGS:
            scan.problem(part, f"the tag {part.tag} gives the value a meaning of its own", ":".join(values))
            return
    if any(TEMPLATE.search(value) for value in values):
        scan.problem(tag or name, FILLED_IN_LATER, ":".join(values))
        return
    shown = repository_text(parts.get("registry"), name)
    base = parse(shown)
    if base is None or (tag is None and digest is None and not (prefix or is_image_key(key_above(mapping)))):
        return
    if base.tag is not None or base.digest is not None:
        if tag is not None and tag.value:
            scan.problem(tag, "the repository holds a tag, and so does the key beside it", ":".join(values))
        else:
            yield from whole(scan, name, name)
        return
    image = join(base.repository, tag.value if tag else "", digest.value if digest else "")
    if image is None:
        scan.problem(tag or name, "tag and digest are not valid together", ":".join(values))
        return
    node: Node = tag if prefix.endswith(".") and tag is not None else mapping
    bare = "sha" in parts and "digest" not in parts
    yield Found(Split(node, name, image, shown, tag, digest, bare, mapping, _tag_key(prefix)))


def _tag_key(prefix: str) -> str:
    return f"{prefix}tag" if prefix.endswith(".") or not prefix else f"{prefix}Tag"


def repository_text(registry: Scalar | None, name: Scalar) -> str:
    """The repository as people would write it in one piece."""
    host = registry.value.strip("/") if registry is not None else ""
    return f"{host}/{name.value}" if host and host != "~" and host != "null" else name.value


def strings(node: Node | None) -> Iterator[tuple[Node, Scalar]]:
    """The scalars of a list, with the node that stands there (it may be an alias)."""
    if isinstance(node, Sequence):
        for item in node.items:
            found = scalar(item)
            if found is not None:
                yield item, found
