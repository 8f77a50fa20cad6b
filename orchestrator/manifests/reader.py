"""Reading one file: which documents it holds, which format reads each, and what of it may be used as a pin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from orchestrator.core.names import RepoPath
from orchestrator.manifests.asked import (
    POLICY,
    arguments,
    blocks,
    encrypted,
    is_lock_file,
    lines,
    marked,
    named,
    policies,
)
from orchestrator.manifests.document import Document, Template, Unreadable, decode, load, template_actions
from orchestrator.manifests.embedded import Embedded
from orchestrator.manifests.formats.common import Found, Scan, dispatch
from orchestrator.manifests.formats.registry import FORMATS
from orchestrator.manifests.formats.targets import configured
from orchestrator.manifests.forms import Configured, Form, KustomizeEntry, Whole
from orchestrator.manifests.merges import taken_from_others
from orchestrator.manifests.options import ScanOptions
from orchestrator.manifests.places import container_name, find_place, key_above, on_the_way
from orchestrator.manifests.split_forms import Split
from orchestrator.manifests.tree import Mapping, Node, Scalar


@dataclass(frozen=True, slots=True)
class Reference:
    """A form with the name of the format that found it; ``doubled`` is a key that makes its place ambiguous."""

    format: str
    form: Form
    doubled: Scalar | None = None


class Readings(NamedTuple):
    """What one file says about images: the references that the options ask for, and those that only tell of sharing.

    ``shadowed`` take over a scalar that a configured or marked place has claimed; ``outside`` are not asked for.
    """

    scan: Scan
    references: list[Reference]
    shadowed: list[Reference]
    outside: list[Reference]


def read(path: RepoPath, content: bytes, options: ScanOptions) -> Readings:
    """Every reference in a file, in the order of the file. Raises Unreadable, or Template when nothing is asked of it.

    A template gives the references of its marked and named lines; ``scan.document.template`` then says so.
    """
    try:
        scan = Scan(path, load(content, options, json=path.name.endswith(".json")), options, FORMATS)
    except Template as error:
        text, bom = decode(content)
        scan = Scan(path, Document(text, bom, [], [], error), options)
    found: dict[tuple[int, ...], Reference] = {}
    shadowed: list[Reference] = []
    taken: set[int] = set()
    for way in _ways(scan):
        read_here: set[int] = set()
        for reference in way:
            parts = {id(part) for part in (*reference.form.scalars, reference.form.main)}
            if taken.isdisjoint(parts):
                found.setdefault(_identity(reference.form), reference)
                read_here |= parts
            elif any(id(part) in taken for part in taken_from_others(reference.form)):
                shadowed.append(reference)
            if len(found) + len(shadowed) > options.references:
                raise Unreadable(f"it holds more than {options.references} image references", reference.form.index)
        taken |= read_here
    if scan.document.template is not None and not found:
        raise scan.document.template
    checked = _Doubles().checked
    references = [checked(reference) for reference in _complete(scan, list(found.values()))]
    references.sort(key=lambda reference: reference.form.index)
    if not (options.places or options.containers or options.names):
        return Readings(scan, references, shadowed, [])
    wants = _Filter(scan).wants
    chosen = [reference for reference in references if wants(reference.form)]
    asked = {id(reference) for reference in chosen}
    return Readings(scan, chosen, shadowed, [reference for reference in references if id(reference) not in asked])


def _complete(scan: Scan, references: list[Reference]) -> list[Reference]:
    """Without the names that are no references by themselves: others take them over and have the tag beside."""
    names = {
        id(part)
        for form in (reference.form for reference in references)
        if isinstance(form, Split) and form.image.tag is not None
        for part in taken_from_others(form)
    }
    kept = []
    for reference in references:
        form = reference.form
        bare = isinstance(form, Whole) and form.image.tag is None and form.image.digest is None
        if bare and id(form.main) in names:
            scan.problem(form.node, "a name without a tag; the places that take it over have one", form.text)
        else:
            kept.append(reference)
    return kept


def _ways(scan: Scan) -> Iterator[Iterable[Reference]]:
    """What is configured, what is found, what is asked for; a scalar that one way reads is not read by the next."""
    if is_lock_file(scan.path):
        return
    yield (Reference("target", form) for form in configured(scan))
    if scan.document.template is not None:
        yield (Reference(found.label or "template", found.form) for found in lines(scan))
        return
    options = scan.options
    open_roots = list(_open_roots(scan))
    yield _references(dispatch(scan, root) for root in open_roots)
    yield _references([marked(scan)])
    yield _references([policies(scan)])
    if options.arguments:
        yield _references(arguments(scan, root) for root in open_roots)
    if options.embedded:
        yield _references(blocks(scan, root) for root in open_roots)
    yield _references([named(scan)])


def _references(ways: Iterable[Iterator[Found]]) -> Iterator[Reference]:
    return (Reference(found.label or "text", found.form) for found in chain.from_iterable(ways))


def _open_roots(scan: Scan) -> Iterator[Node]:
    """The documents that may be looked into; the others, and templates that happen to parse, are reported."""
    for root in scan.document.roots:
        if encrypted(root):
            scan.problem(root, "the document is encrypted by SOPS; an edit would break its signature")
        else:
            yield root
    for action in template_actions(scan.document)[:1]:
        scan.problem(action, "a template that is not rendered: what it fills in can't be read")


def _identity(form: Form) -> tuple[int, ...]:
    """What a form reads: two ways to the same scalars (by an alias, by a target and by its keys) are one pin."""
    start = form.start if isinstance(form, Whole) else 0
    if isinstance(form, Configured) and form.span is not None:
        start = form.span[0]
    if isinstance(form, Split):  # a merge may give the same scalars another registry
        start = hash(form.shown)
    return (*(id(part) for part in form.scalars), start)


class _Doubles:
    """Looks for keys that stand twice on the way to a reference; what lies below no such key is remembered."""

    def __init__(self) -> None:
        self.clean: set[int] = set()

    def checked(self, reference: Reference) -> Reference:
        """The reference, with the doubled key that makes its place ambiguous."""
        passed: list[int] = []
        node: Node | None = reference.form.node
        while node is not None and id(node) not in self.clean:
            if isinstance(node, Mapping) and node.doubled() is not None:
                return _with_doubled(reference)
            passed.append(id(node))
            node = node.parent
        self.clean.update(passed)
        return reference


def _with_doubled(reference: Reference) -> Reference:
    for mapping in on_the_way(reference.form.node):
        if (key := mapping.doubled()) is not None and _matters(mapping, reference.form):
            return Reference(reference.format, reference.form, key)
    return reference


def _matters(mapping: Mapping, form: Form) -> bool:
    """The doubled key is one that the place of the form goes through, or one of its own."""
    if mapping is form.node:
        return not mapping.contested().isdisjoint(id(part) for part in form.scalars)
    return not mapping.contested().isdisjoint(id(node) for node in _line_of(form.node))


def _line_of(node: Node) -> Iterator[Node]:
    current: Node | None = node
    while current is not None:
        yield current
        current = current.parent


class _Filter:
    """What the options narrow everything to; the places are looked up once."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.options = scan.options
        self.lines = {place for place in self.options.places if place.startswith("line[")}
        self.nodes: set[int] = set()
        self.texts: dict[int, list[str]] = {}  # by the scalar that holds a text, the places asked for in it
        self.inside: dict[int, set[int]] = {}  # by the document in such a text, the nodes at these places
        for outer, _, inner in (place.partition("::") for place in self.options.places):
            for node in () if outer.startswith("line[") else find_place(scan.document.roots, outer):
                if inner:
                    self.texts.setdefault(id(node), []).append(inner)
                else:
                    self.nodes.add(id(node))

    def wants(self, form: Form) -> bool:
        """Inside the containers and places that the options name."""
        options = self.options
        if options.names and not isinstance(form, KustomizeEntry):
            return False
        if options.containers and container_of(form) not in options.containers:
            return False
        if not options.places or f"line[{self.scan.document.line(form.index)}]" in self.lines:
            return True
        if not self.nodes.isdisjoint(_ids(form)):
            return True
        return isinstance(form, Embedded) and not self._inside(form).isdisjoint(_ids(form.inner))

    def _inside(self, form: Embedded) -> set[int]:
        """The nodes in a text that are asked for; looked up once for each text."""
        number = id(form.document)
        if number not in self.inside:
            asked = self.texts.get(id(form.outer), ())
            self.inside[number] = {id(node) for inner in asked for node in find_place(form.document.roots, inner)}
        return self.inside[number]


def _ids(form: Form) -> set[int]:
    return {id(form.node), *(id(part) for part in form.scalars)}


def places_of(scan: Scan, form: Form) -> tuple[str, str]:
    """Where a form stands, as people write it: with list items by their names, and by their numbers."""
    if scan.document.template is not None:
        line = f"line[{scan.document.line(form.index)}]"
        return line, line
    named, counted = scan.document.places.both(form.node)
    if not isinstance(form, Embedded):
        return named, counted
    inner_named, inner_counted = form.document.places.both(form.inner.node)
    return f"{named}::{inner_named}", f"{counted}::{inner_counted}"


def container_of(form: Form) -> str | None:
    """The name of the container, or the key above the image: what a pin is told by among several in one file."""
    while isinstance(form, Embedded):
        form = form.inner
    name = container_name(form.node)
    if name is not None:
        return name
    key = key_above(form.node)
    if key in ("image", "images") and form.node.parent is not None:
        return key_above(form.node.parent) or key
    return key


def policy_of(scan: Scan, form: Form) -> str | None:
    """The Flux image policy in the comment behind a pin."""
    text = scan.document.text
    if not scan.document.has_policies:
        return None
    for part in form.scalars:
        end = text.find("\n", part.end)
        match = POLICY.search(text, part.end, len(text) if end < 0 else end)
        if match is not None:
            return match["policy"]
    return None
