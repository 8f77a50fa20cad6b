"""Any scalar at a named place: chart versions, revisions, API versions. The place is asked for, never found."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import RepoPath
from orchestrator.manifests.asked import is_lock_file, untouchable
from orchestrator.manifests.options import DEFAULT, ScanOptions
from orchestrator.manifests.pins import load_or_explain, proven, refused_at
from orchestrator.manifests.places import find_place, on_the_way
from orchestrator.manifests.scalars import CannotSpell, looks_typed
from orchestrator.manifests.steps import write
from orchestrator.manifests.tree import Scalar, scalar


@dataclass(frozen=True, slots=True)
class ValueEdit:
    """A file before and after one scalar was set; ``was`` is what stood there."""

    path: RepoPath
    before: bytes
    after: bytes
    line: int
    place: str
    was: str
    value: str

    @property
    def changed(self) -> bool:
        """The bytes differ."""
        return self.before != self.after


def set_value(path: RepoPath, content: bytes, at: str, value: str, options: ScanOptions = DEFAULT) -> ValueEdit:
    """Give the scalar at one place a new value, in the quotes that it has.

    A number stays a number when the new value is one too; anything else is a string for every reader afterwards.
    Raises ConfigurationError when the file can't be read or the place is not there once, Refused when it must not
    be edited.
    """
    if is_lock_file(path):
        raise refused_at(str(path), at, "a tool writes lock files")
    document = load_or_explain(path, content, options)
    nodes = list(find_place(document.roots, at))
    if len(nodes) != 1:
        found = "no value" if not nodes else f"{len(nodes)} values"
        raise ConfigurationError(f"there is {found} at {at!r}", where=str(path), hint="list the places with 'pins'")
    node = scalar(nodes[0])
    if node is None:
        raise ConfigurationError(f"{at!r} is not a single value", where=f"{path}:{document.line(nodes[0].start)}")
    where = f"{path}:{document.line(node.start)}"
    reason = untouchable(nodes[0]) or untouchable(node) or _doubled(node)
    if reason is not None:
        raise refused_at(where, at, reason)
    typed = node.style is None and looks_typed(node.value) and node.value != "" and looks_typed(value)
    try:
        steps = write(document.text, node, value, typed=typed)
    except CannotSpell as error:
        raise refused_at(where, at, str(error)) from None
    after = proven(path, document, options, steps) if steps else content
    return ValueEdit(path, content, after, document.line(node.start), document.places.of(nodes[0]), node.value, value)


def _doubled(node: Scalar) -> str | None:
    for mapping in on_the_way(node):
        if (key := mapping.doubled()) is not None:
            return f"the key {key.value!r} stands twice on the way"
    return None
