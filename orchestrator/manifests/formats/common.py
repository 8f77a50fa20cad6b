"""What the formats share: a scan over one file, what a format is, and the reading of a reference in one piece."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from orchestrator.core.names import RepoPath
from orchestrator.manifests.document import Document, is_action
from orchestrator.manifests.forms import Form, Whole, parse
from orchestrator.manifests.options import ScanOptions
from orchestrator.manifests.scalars import is_null, looks_typed
from orchestrator.manifests.tree import Node, Scalar, Sequence, scalar

# Text that something else fills in before it is a reference: Go and Jinja templates, shell and Flux variables.
TEMPLATE = re.compile(r"\{\{|\{%|<%|\$\{|\$\(|^\$[A-Za-z_]")
FILLED_IN_LATER = "a template or variable fills this in later"
STRING_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})


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


def no_text(node: Node) -> str:
    """Why a node that is there can't be a part of a reference."""
    if is_action(node):
        return FILLED_IN_LATER
    return (
        "null stands here instead of a value"
        if is_null(scalar(node))
        else "a mapping or a list stands here instead of a value"
    )


def whole(scan: Scan, node: Node, value: Scalar, *, strict: bool = False) -> Iterator[Found]:
    """A scalar that is a reference as a whole; ``strict`` takes only what has a tag or a digest for one."""
    if value.tag is not None and value.tag not in STRING_TAGS:
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


def strings(node: Node | None) -> Iterator[tuple[Node, Scalar]]:
    """The scalars of a list, with the node that stands there (it may be an alias)."""
    if isinstance(node, Sequence):
        for item in node.items:
            found = scalar(item)
            if found is not None:
                yield item, found
