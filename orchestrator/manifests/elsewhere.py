"""Values that name an image where no rule looks for one: told after an edit, and never changed by it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from orchestrator.core.image import Repository
from orchestrator.core.names import RepoPath
from orchestrator.manifests.asked import encrypted, is_lock_file, untouchable
from orchestrator.manifests.document import load
from orchestrator.manifests.formats.walk import DESCRIPTIONS
from orchestrator.manifests.options import ScanOptions
from orchestrator.manifests.texts import references_in
from orchestrator.manifests.tree import Broken, Mapping, Node, Scalar, Sequence


@dataclass(frozen=True, slots=True)
class Mention:
    """A reference in a value: its line, the two spellings of the value's place, and the reference as written."""

    line: int
    place: str
    at: str
    text: str


def mentioned(
    path: RepoPath, content: bytes, repositories: Collection[Repository], options: ScanOptions
) -> Iterator[Mention]:
    """Every value with a tagged reference to one of the images, pins or not; none in what must not be edited.

    A file that can't be read gives none. Raises nothing.
    """
    try:
        document = load(content, options, json=path.name.endswith(".json"))
    except Broken:
        return
    roots = [] if is_lock_file(path) else [root for root in document.roots if not encrypted(root)]
    names = [repository.path.rpartition("/")[2] for repository in repositories]
    for node in _values(roots):
        if not any(name in node.value for name in names) or untouchable(node) is not None:
            continue
        for start, end, image in references_in(node.value):
            if image.repository in repositories:
                named, counted = document.places.both(node)
                yield Mention(document.line(node.start), named, counted, node.value[start:end])
                break


def _values(roots: list[Node]) -> Iterator[Scalar]:
    """The scalars in the order of the file, without keys and without what only describes."""
    stack = roots[::-1]
    while stack:
        node = stack.pop()
        if type(node) is Scalar:
            yield node
        elif type(node) is Mapping:
            pairs = reversed(node.pairs)
            stack += [value for key, value in pairs if type(key) is not Scalar or key.value not in DESCRIPTIONS]
        elif type(node) is Sequence:
            stack += reversed(node.items)
