"""What is read only when it is asked for: named places, marked lines, arguments, YAML inside texts.

Nothing here looks at what the cluster or a controller writes, however it is asked.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from operator import attrgetter

from orchestrator.core.image import ImageReference, InvalidReference, Repository
from orchestrator.core.names import RepoPath
from orchestrator.manifests.document import Document
from orchestrator.manifests.embedded import inside
from orchestrator.manifests.formats.common import Found, Scan
from orchestrator.manifests.formats.keys import is_image_key
from orchestrator.manifests.formats.kubernetes import header, is_object, written_by_the_cluster
from orchestrator.manifests.formats.shapes import ELSEWHERE
from orchestrator.manifests.formats.targets import at_node
from orchestrator.manifests.forms import Configured, Form, Whole, parse
from orchestrator.manifests.places import find_place, key_above, steps_to
from orchestrator.manifests.scalars import CannotSpell, segments
from orchestrator.manifests.texts import references_in
from orchestrator.manifests.tree import Mapping, Node, Scalar, Sequence, node_at, scalar, walk

MARKER = re.compile(
    r"#[ \t]*hybrid-ci:[ \t]*(?P<image>[^\s#]+?)(?::(?P<part>tag|digest|name))?[ \t]*\r?$", re.MULTILINE
)
POLICY = re.compile(r'#[ \t]*\{[ \t]*"\$imagepolicy"[ \t]*:[ \t]*"(?P<policy>[^"\s]+)"[ \t]*\}')
_LINE = re.compile(r"line\[(\d+)\]")
_LAST_WORD = re.compile(r"(?P<word>[A-Za-z0-9_][A-Za-z0-9_.:@-]*)[\"']?[ \t]*$")
_RAW = attrgetter("raw")
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_DESCRIBING = frozenset({"ImageRepository", "ImagePolicy", "ImageUpdateAutomation", "CustomResourceDefinition"})


def untouchable(node: Node) -> str | None:
    """Why a node must not be edited even when it is named: the reason, or None."""
    for parent, child in steps_to(node):
        key = parent.key_of(child) if isinstance(parent, Mapping) else None
        if not isinstance(parent, Mapping):
            continue
        if key is not None and key.value == "status" and written_by_the_cluster(parent, key):
            return "the cluster writes the status of an object"
        if is_object(parent) and (kind := header(parent).kind) in _DESCRIBING:
            return f"a {kind} describes images, it does not run them"
        if key is not None and key.value == _APPLIED:
            return "kubectl writes the last applied configuration"
        if isinstance(parent, Mapping) and encrypted(parent):
            return "the document is encrypted by SOPS; an edit would break its signature"
    return None


def is_lock_file(path: RepoPath) -> bool:
    """``Chart.lock`` and its like: a tool writes them from something else."""
    return path.name.endswith(".lock")


def encrypted(root: Node) -> bool:
    """A document that SOPS has encrypted carries a ``sops`` block with a message authentication code."""
    if not isinstance(root, Mapping) or (block := node_at(root, "sops")) is None:
        return False
    return node_at(block, "mac") is not None or node_at(block, "lastmodified") is not None


def named(scan: Scan) -> Iterator[Found]:
    """The places that the options name."""
    outer = dict.fromkeys(place.partition("::")[0] for place in scan.options.places if not _LINE.fullmatch(place))
    for place in outer:
        for node in find_place(scan.document.roots, place):
            value = scalar(node)
            reason = untouchable(node) or (untouchable(value) if value is not None else None)
            if reason is not None:
                scan.problem(node, reason)
            elif value is not None:
                yield from in_text(scan, node, value)


def in_text(scan: Scan, node: Node, value: Scalar) -> Iterator[Found]:
    """A scalar that was asked for: YAML inside it, or references anywhere in its text."""
    inner = list(inside(scan, value)) if value.style in ("|", ">") or "\n" in value.value else []
    yield from inner
    if inner:
        return
    whole = parse(value.value)
    if whole is not None:
        yield Found(Whole(node, value, whole, 0, len(value.value)), "text")
        return
    for start, end, image in references_in(value.value):
        yield Found(Whole(node, value, image, start, end), "text")


def arguments(scan: Scan, root: Node) -> Iterator[Found]:
    """``args``, ``command`` and ``env`` of containers."""
    for mapping in walk(root):
        if not isinstance(mapping, Mapping):
            continue
        for key, value in mapping.pairs:
            if isinstance(key, Scalar) and key.value in ("args", "command", "env") and isinstance(value, Sequence):
                yield from _arguments_in(value)


def _arguments_in(listed: Sequence) -> Iterator[Found]:
    for item in listed.items:
        node = item.get("value") if isinstance(item, Mapping) else item
        if isinstance(node, Scalar) and untouchable(node) is None:
            for start, end, image in references_in(node.value):
                yield Found(Whole(node, node, image, start, end), "argument")


def blocks(scan: Scan, root: Node) -> Iterator[Found]:
    """YAML inside block scalars."""
    for node in walk(root):
        if isinstance(node, Scalar) and node.style in ("|", ">") and untouchable(node) is None:
            yield from inside(scan, node)


def marked(scan: Scan) -> Iterator[Found]:
    """Scalars with a ``# hybrid-ci: image[:tag|:digest|:name]`` comment behind them, on their line."""
    text = scan.document.text
    if "hybrid-ci:" not in text or not scan.options.markers:
        return
    scalars = Scalars(scan.document)
    for match in MARKER.finditer(text):
        node = scalars.beside(text, match.start())
        repository = marked_repository(match["image"])
        if node is None or repository is None:
            continue
        reason = untouchable(node)
        if reason is not None:
            scan.problem(node, reason)
            continue
        yield from (Found(form, "marker") for form in _marked(text, node, match, repository))


def policies(scan: Scan) -> Iterator[Found]:
    """Scalars that Flux's image automation edits, by the policy in the comment behind them.

    A scalar that is a whole reference is one; a tag alone is reported, since the policy does not name the repository.
    """
    document = scan.document
    if not document.has_policies:
        return
    scalars = Scalars(document)
    for match in POLICY.finditer(document.text):
        node = scalars.beside(document.text, match.start())
        if node is None or node.style in ("|", ">") or untouchable(node) is not None:
            continue
        part = match["policy"].count(":") > 1 and match["policy"].rpartition(":")[2]
        if part == "tag" and not _beside_a_repository(node):
            scan.problem(node, ELSEWHERE, node.value)
        elif not part and (image := parse(node.value)) is not None:
            yield Found(Whole(node, node, image, 0, len(node.value)), "flux-marker")


def _beside_a_repository(node: Scalar) -> bool:
    """Some key of the same mapping names the repository, so the tag is part of a pin already."""
    if not isinstance(node.parent, Mapping):
        return False
    keys = ("repository", "repo", "newTag", "image", "imageName")
    named_image = node.parent.get("name") is not None and is_image_key(key_above(node.parent))
    return named_image or any(node.parent.get(key) is not None for key in keys)


def marked_repository(text: str) -> Repository | None:
    """The image of a marker; None when it is none."""
    try:
        return Repository.parse(text)
    except InvalidReference:
        return None


class Scalars:
    """The scalars of a file by where they end, to find the one that a comment stands behind."""

    def __init__(self, document: Document) -> None:
        self.nodes = [node for node in document.order if type(node) is Scalar]  # none begins before another ends
        self.ends = [node.end for node in self.nodes]

    def beside(self, text: str, comment: int) -> Scalar | None:
        """The last scalar on the comment's line, or the block scalar that the line is part of."""
        number = bisect_right(self.ends, comment)
        if number < len(self.nodes):
            following = self.nodes[number]
            if following.start <= comment and following.style in ("|", ">"):
                return following
        line = text.rfind("\n", 0, comment) + 1
        before = self.nodes[number - 1] if number else None
        return before if before is not None and line <= before.start else None


def _marked(text: str, node: Scalar, match: re.Match[str], repository: Repository) -> Iterator[Form]:
    part = match["part"]
    if part == "name":
        return
    if node.style in ("|", ">"):
        start, end = _line_in(text, node, match.start())
        yield from in_line(node, start, end, repository, part)
    elif part is not None:
        yield from at_node(node, repository, part)
    else:
        for start, end, image in _of(node.value, repository):
            yield Whole(node, node, image, start, end)


def _line_in(text: str, node: Scalar, comment: int) -> tuple[int, int]:
    """The part of a block scalar's value that stands before a comment, on the comment's line."""
    try:
        pieces = segments(text, node)
    except CannotSpell:
        return 0, 0
    after = bisect_right(pieces, comment, key=_RAW)
    if after and comment < (piece := pieces[after - 1]).raw + piece.length:
        return piece.value, piece.value + comment - piece.raw
    return 0, 0


def in_line(node: Scalar, start: int, end: int, repository: Repository, part: str | None) -> Iterator[Form]:
    """The reference, or with ``part`` the last word, in ``value[start:end]`` of a text."""
    line = node.value[start:end]
    if part is None:
        for first, last, image in _of(line, repository):
            yield Whole(node, node, image, start + first, start + last)
    elif part != "name" and (word := _LAST_WORD.search(line)) is not None:
        yield Configured(node, node, repository, part, span=(start + word.start("word"), start + word.end("word")))


def _of(text: str, repository: Repository) -> Iterator[tuple[int, int, ImageReference]]:
    whole = parse(text)
    if whole is not None and whole.repository == repository:
        yield 0, len(text), whole
        return
    for start, end, image in references_in(text):
        if image.repository == repository:
            yield start, end, image


def lines(scan: Scan) -> Iterator[Found]:
    """In a template: the marked lines, and the lines that the options name. The file is a text, not a tree."""
    text = scan.document.text
    asked = {int(match[1]) for place in scan.options.places if (match := _LINE.fullmatch(place))}
    offset = 0
    for number, line in enumerate(text.split("\n"), start=1):
        marker = MARKER.search(line) if scan.options.markers else None
        node = Scalar(offset, offset + len(line), line, None)
        repository = marked_repository(marker["image"]) if marker else None
        if marker is not None and repository is not None:
            for form in in_line(node, 0, marker.start(), repository, marker["part"]):
                yield Found(form, "template")
        elif number in asked:
            for start, end, image in references_in(line):
                yield Found(Whole(node, node, image, start, end), "template")
        offset += len(line) + 1
