"""A new entry in ``images:`` of a kustomization, as ``kustomize edit set image`` adds it, and no other byte changed.

kustomize writes the whole file anew for that; here the entry is put in, in the layout that the file has. Where the
list is missing or empty it is begun. https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/images/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import ImageReference, InvalidReference, Repository
from orchestrator.core.names import RepoPath
from orchestrator.manifests.asked import encrypted
from orchestrator.manifests.document import Document, load
from orchestrator.manifests.formats.common import Scan
from orchestrator.manifests.formats.kustomization import FILE_NAMES, Kustomization
from orchestrator.manifests.model import Edit, Pin, PinChange
from orchestrator.manifests.options import DEFAULT, ScanOptions
from orchestrator.manifests.pins import find_pins, load_or_explain
from orchestrator.manifests.proof import NotProven, prove_bytes
from orchestrator.manifests.scalars import CannotSpell, double_quoted, is_null, looks_typed, plain_is_safe
from orchestrator.manifests.steps import Splice, apply
from orchestrator.manifests.tree import END, Alias, Broken, Mapping, Node, Scalar, Sequence, Start, Token, resolved

_SEPARATOR = re.compile(r"\s*,\s*")
_COMMENT = re.compile(r"[ \t]*(?:#[^\n]*)?(?=\r?\n|\Z)")
_BOUNDARY = re.compile(r"^(?:---|\.\.\.)(?=\s|\Z)", re.MULTILINE)


def is_kustomization(path: RepoPath, content: bytes, options: ScanOptions = DEFAULT) -> bool:
    """The file is a kustomization or a component, by its name or by what it says of itself."""
    if path.name in FILE_NAMES:
        return True
    if b"kustomize.config.k8s.io/" not in content:
        return False
    try:
        document = load(content, options, json=path.name.endswith(".json"))
    except Broken:
        return False
    return bool(_kustomizations(path, document, options))


def add_image(
    path: RepoPath, content: bytes, name: str, image: ImageReference, spelled: str, options: ScanOptions = DEFAULT
) -> Edit:
    """Put an entry for ``name`` behind those that are there, and prove that nothing else changed.

    ``spelled`` is the repository as it was written; it becomes ``newName`` where it differs from ``name``. The caller
    has looked that no entry of this name is there. Raises ConfigurationError for what is no kustomization, and Refused
    where an entry can't be put in without guessing.
    """
    document = load_or_explain(path, content, options)
    root = _root(path, document, options)
    fields = _fields(name, image, spelled)
    try:
        change = _plan(document, root, fields)
        text = apply(document.text, list(change.splices))
        prove_bytes(document.text, text, change.splices)
        after = document.encode(text)
        _prove_nodes(document, load(after, options, json=document.json), change, fields)
        pin = _prove_pins(path, content, after, name, options)
    except CannotSpell as error:
        raise _refused(path, name, str(error)) from None
    except (NotProven, Broken) as error:
        raise _refused(path, name, f"the result could not be proven: {error}") from None
    return Edit(path, content, after, (PinChange(replace(pin, text=""), pin.text),), (pin,))


def _refused(path: RepoPath, name: str, reason: str) -> Refused:
    return Refused(
        f"an entry for {name!r} can't be added: {reason}", where=str(path), hint="nothing was changed; add it by hand"
    )


def _fields(name: str, image: ImageReference, spelled: str) -> list[tuple[str, str]]:
    fields = [("name", name)]
    if not _is_same(name, spelled):
        fields.append(("newName", spelled))
    if image.tag is not None:
        fields.append(("newTag", image.tag))
    if image.digest is not None:
        fields.append(("digest", str(image.digest)))
    return fields


def _is_same(name: str, spelled: str) -> bool:
    """The entry does not rename: both are one repository."""
    try:
        return name == spelled or Repository.parse(name) == Repository.parse(spelled)
    except InvalidReference:
        return False


def _kustomizations(path: RepoPath, document: Document, options: ScanOptions) -> list[Mapping]:
    scan = Scan(path, document, options)
    return [root for root in document.roots if isinstance(root, Mapping) and Kustomization().claims(scan, root)]


def _root(path: RepoPath, document: Document, options: ScanOptions) -> Mapping:
    """The mapping of the kustomization. Raises ConfigurationError and Refused."""
    found = _kustomizations(path, document, options)
    if len(found) != 1:
        what = "holds several kustomizations" if found else "is no kustomization"
        raise ConfigurationError(
            f"the file {what}, so no entry can be added",
            where=str(path),
            hint="name a kustomization.yaml with 'resources' or 'images' in it",
        )
    if encrypted(found[0]):
        raise Refused("the document is encrypted by SOPS; an edit would break its signature", where=str(path))
    return found[0]


@dataclass(frozen=True, slots=True)
class _Change:
    """The splices, and what must come of them: ``order[first:last]`` becomes what ``kinds`` says around the entry."""

    splices: tuple[Splice, ...]
    first: int
    last: int
    begins_list: bool
    begins_key: bool


def _plan(document: Document, root: Mapping, fields: list[tuple[str, str]]) -> _Change:
    """Where the entry goes. Raises CannotSpell."""
    keys = [(key, value) for key, value in root.pairs if isinstance(key, Scalar) and key.value == "images"]
    if len(keys) > 1:
        raise CannotSpell("the key 'images' stands twice")
    if not keys:
        if any(isinstance(key, Scalar) and key.value == "<<" for key, _ in root.pairs):
            raise CannotSpell("a merge key (<<) may give it its images")
        return _new_key(document, root, fields)
    key, value = keys[0]
    if isinstance(value, Alias) or document.aliases_of(value):
        raise CannotSpell("by an alias its images are those of another list too")
    if isinstance(value, Sequence) and value.items:
        end = _end_of(document, value)
        return _Change((_behind(document, root, value, fields),), end, end, begins_list=False, begins_key=False)
    return _first_entry(document, root, key, value, fields)


def _first_entry(document: Document, root: Mapping, key: Scalar, value: Node, fields: list[tuple[str, str]]) -> _Change:
    """``images:`` is there without any entry: empty, null, or ``[]``."""
    place = document.order.index(value)
    if isinstance(value, Mapping | Alias) or (isinstance(value, Scalar) and not _is_empty(value)):
        raise CannotSpell("'images' is not a list")
    last = _end_of(document, value) + 1 if isinstance(value, Sequence) else place + 1
    if root.flow or value.anchor is not None or value.tag is not None or "\n" in document.text[value.start : value.end]:
        return _Change((_inside(document, root, value, fields),), place, last, begins_list=True, begins_key=False)
    entry = _block_entry(document, root, fields)
    colon = document.text.find(":", key.end)
    written = value.end if value.end > value.start else colon + 1
    line_end = _COMMENT.match(document.text, written)
    if line_end is None:
        raise CannotSpell("something else stands on the line of 'images'")
    cleared = () if written == colon + 1 else (Splice(colon + 1, written, ""),)
    return _Change(
        (*cleared, _line_after(document.text, line_end.end(), entry)), place, last, begins_list=True, begins_key=False
    )


def _is_empty(node: Scalar) -> bool:
    return is_null(node) or (node.value == "" and node.style is None)


def _inside(document: Document, root: Mapping, value: Scalar | Sequence, fields: list[tuple[str, str]]) -> Splice:
    """Between the brackets of an empty flow list, or in the place of null. Raises CannotSpell."""
    entry = _flow_entry(fields, quoted=_is_quoted(root))
    if isinstance(value, Sequence):
        if document.text[value.start : value.end].partition("[")[2][:-1].strip():
            raise CannotSpell("a comment stands in the empty list")
        return Splice(value.end - 1, value.end - 1, entry)
    if value.start == value.end or value.anchor is not None or value.tag is not None:
        raise CannotSpell("'images' is not a list")
    return Splice(value.start, value.end, f"[{entry}]")


def _new_key(document: Document, root: Mapping, fields: list[tuple[str, str]]) -> _Change:
    """``images:`` is not there: it is begun at the end of the document."""
    place = _end_of(document, root)
    text = document.text
    if not root.flow:
        entry = _block_entry(document, root, fields)
        column = " " * _column(text, root.pairs[0][0].start)
        lines = [f"{column}images:", *entry]
        return _Change((_at_end(text, root, lines),), place, place, begins_list=True, begins_key=True)
    quoted = _is_quoted(root)
    images = '"images"' if quoted else "images"
    added = f"{images}: [{_flow_entry(fields, quoted=quoted)}]"
    if not root.pairs:
        if text[root.start : root.end].strip("{} \t\r\n"):
            raise CannotSpell("a comment stands in the empty mapping")
        return _Change((Splice(root.end - 1, root.end - 1, added),), place, place, begins_list=True, begins_key=True)
    end = root.pairs[-1][1].end
    separator = _separator(text, [(key.start, value.end) for key, value in root.pairs], root.start)
    return _Change((Splice(end, end, separator + added),), place, place, begins_list=True, begins_key=True)


def _at_end(text: str, root: Mapping, lines: list[str]) -> Splice:
    """Behind the last line of a document: before the mark of the next one, or at the end of the file."""
    boundary = _BOUNDARY.search(text, _last(root).end)
    end = boundary.start() if boundary else len(text)
    newline = _newline(text)
    block = newline.join(lines)
    if end == 0 or text[end - 1] == "\n":
        return Splice(end, end, block + newline)
    return Splice(end, end, newline + block)


def _behind(document: Document, root: Mapping, images: Sequence, fields: list[tuple[str, str]]) -> Splice:
    """Behind the last entry, in its layout."""
    text, last = document.text, images.items[-1]
    quoted = _is_quoted(resolved(last) if isinstance(resolved(last), Mapping) else root)
    if images.flow:
        spans = [(item.start, item.end) for item in images.items]
        entry = _flow_entry(fields, quoted=quoted, pad=_pad(text, last))
        return Splice(last.end, last.end, _separator(text, spans, images.start) + entry)
    dash = text.rfind("-", 0, last.start)
    prefix = text[text.rfind("\n", 0, dash) + 1 : last.start]
    if dash < 0 or prefix.replace("-", " ", 1).strip(" "):
        raise CannotSpell("the entries are written in an unusual way")
    if isinstance(last, Mapping) and last.flow:
        lines = [prefix + _flow_entry(fields, quoted=quoted, pad=_pad(text, last))]
    else:
        lines = _lines(fields, prefix, quoted=quoted)
    node = _last(last)
    if isinstance(node, Scalar) and (node.style in ("|", ">") or node.start == node.end):
        raise CannotSpell("the last entry ends in a value over several lines, or in none")
    line_end = _COMMENT.match(text, node.end)
    if line_end is None:
        raise CannotSpell("something else stands on the last line of the entries")
    return _line_after(text, line_end.end(), lines)


def _line_after(text: str, position: int, lines: list[str]) -> Splice:
    """New lines behind the line that ends at ``position``."""
    newline = _newline(text)
    block = newline.join(lines)
    if position == len(text):
        return Splice(position, position, newline + block)
    at = text.index("\n", position) + 1
    return Splice(at, at, block + newline)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _block_entry(document: Document, root: Mapping, fields: list[tuple[str, str]]) -> list[str]:
    """An entry indented as the other lists of this kustomization are; without one as kustomize does."""
    text = document.text
    column = _column(text, root.pairs[0][0].start)
    prefix = " " * column + "- "
    for key, value in root.pairs:
        if isinstance(value, Sequence) and not value.flow and value.items and isinstance(key, Scalar):
            start = value.items[0].start
            line = text[text.rfind("\n", 0, start) + 1 : start]
            if line.replace("-", " ", 1).strip(" ") == "":
                prefix = line
                break
    return _lines(fields, prefix, quoted=_is_quoted(root))


def _lines(fields: list[tuple[str, str]], prefix: str, *, quoted: bool) -> list[str]:
    indent = " " * len(prefix)
    pairs = [_pair(key, value, quoted=quoted) for key, value in fields]
    return [prefix + pairs[0], *(indent + pair for pair in pairs[1:])]


def _flow_entry(fields: list[tuple[str, str]], *, quoted: bool, pad: str = "") -> str:
    return "{" + pad + ", ".join(_pair(key, value, quoted=quoted) for key, value in fields) + pad + "}"


def _pair(key: str, value: str, *, quoted: bool) -> str:
    name = f'"{key}"' if quoted else key
    return f"{name}: {value if plain_is_safe(value) and not quoted else double_quoted(value)}"


def _is_quoted(node: Node | None) -> bool:
    """The keys of the file are in double quotes, as in JSON."""
    first = node.pairs[0][0] if isinstance(node, Mapping) and node.pairs else None
    return isinstance(first, Scalar) and first.style == '"'


def _pad(text: str, entry: Node) -> str:
    """The blanks behind the brace of a flow entry."""
    if not isinstance(entry, Mapping) or not entry.pairs or text[entry.start] != "{":
        return ""
    between = text[entry.start + 1 : entry.pairs[0][0].start]
    return between if between.strip(" ") == "" else ""


def _separator(text: str, spans: list[tuple[int, int]], start: int) -> str:
    """What stands between two items, or would: each on its own line where the first one is."""
    for (_, end), (following, _) in pairwise(spans):
        if _SEPARATOR.fullmatch(text[end:following]):
            return text[end:following]
    opening = text[start + 1 : spans[0][0]]
    return f",{opening}" if opening.strip() == "" and "\n" in opening else ", "


def _column(text: str, position: int) -> int:
    return position - text.rfind("\n", 0, position) - 1


def _last(node: Node) -> Node:
    """What ends a node in the file: the mark of a block collection lies behind comments and blank lines."""
    while isinstance(node, Mapping | Sequence) and not node.flow:
        below = node.pairs[-1][1] if isinstance(node, Mapping) and node.pairs else None
        below = node.items[-1] if isinstance(node, Sequence) and node.items else below
        if below is None:
            return node
        node = below
    return node


def _end_of(document: Document, node: Node) -> int:
    """The number of the token with which a collection ends."""
    depth = 0
    first = document.order.index(node)
    for number in range(first, len(document.order)):
        token = document.order[number]
        depth += 1 if isinstance(token, Mapping | Sequence) else -1 if token is END else 0
        if depth == 0:
            return number
    raise CannotSpell("the list does not end")


def _prove_nodes(before: Document, after: Document, change: _Change, fields: list[tuple[str, str]]) -> None:
    """The nodes are those of before, with the new entry among them and nothing else. Raises NotProven."""
    old, new = before.order, after.order
    fresh = len(new) - (len(old) - (change.last - change.first))
    head, tail = change.first, change.last
    if fresh < 0 or _shapes(old[:head]) != _shapes(new[:head]) or _shapes(old[tail:]) != _shapes(new[head + fresh :]):
        raise NotProven("something else changed")
    wanted = ["images"] if change.begins_key else []
    wanted += ["["] if change.begins_list else []
    wanted += ["{", *(text for pair in fields for text in pair), "end"]
    wanted += ["end"] if change.begins_list else []
    added = new[head : head + fresh]
    if [_word(token) for token in added] != wanted:
        raise NotProven("the entry was to be there, and is not")
    if any(isinstance(t, Scalar) and (t.tag or (not t.style and looks_typed(t.value))) for t in added):
        raise NotProven("a value of the entry would not be read as a string")


def _word(token: Token) -> str:
    if isinstance(token, Scalar):
        return token.value
    return "{" if isinstance(token, Mapping) else "[" if isinstance(token, Sequence) else "end"


def _shapes(tokens: Iterable[Token]) -> list[tuple[object, ...]]:
    """What makes a node what it is, without its place."""
    return [_shape(token) for token in tokens]


def _shape(token: Token) -> tuple[object, ...]:
    if isinstance(token, Scalar):
        return "scalar", token.value, token.style, token.tag, token.anchor
    if isinstance(token, Mapping | Sequence):
        return type(token), token.flow, token.tag, token.anchor
    if isinstance(token, Alias):
        return "alias", token.name
    return ("start",) if isinstance(token, Start) else ("end",)


def _prove_pins(path: RepoPath, before: bytes, after: bytes, name: str, options: ScanOptions) -> Pin:
    """Exactly one pin more, and it is the wanted one. Raises NotProven."""
    plain = replace(options, places=(), containers=(), names=())
    old = [(pin.image, pin.text) for pin in find_pins(path, before, plain).pins]
    new = list(find_pins(path, after, plain).pins)
    added = [pin for pin in new if pin.container == name and pin.format == "kustomization"]
    if not added or len(new) != len(old) + 1:
        raise NotProven("the entry is not read as one")
    rest = [(pin.image, pin.text) for pin in new if pin is not added[-1]]
    if rest != old:
        raise NotProven("another image changed")
    return added[-1]
