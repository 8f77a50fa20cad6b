"""YAML inside a scalar: read as a document of its own, edited through the lines of the scalar that holds it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from orchestrator.core.image import ImageReference
from orchestrator.manifests.document import Document, load
from orchestrator.manifests.formats.common import Found, Scan, dispatch
from orchestrator.manifests.forms import Form, Wanted
from orchestrator.manifests.scalars import CannotSpell, escaped, raw_at, raw_span, segments
from orchestrator.manifests.steps import Inside, Remove, Splice, Step, Write
from orchestrator.manifests.tree import Broken, Node, Scalar, Segment


@dataclass(frozen=True, slots=True)
class Embedded:
    """A reference inside the YAML that a scalar holds as a text. ``inner`` speaks of positions in it."""

    outer: Scalar
    inner: Form
    document: Document
    pieces: tuple[Segment, ...]

    @property
    def image(self) -> ImageReference:
        """What stands there."""
        return self.inner.image

    @property
    def text(self) -> str:
        """As written."""
        return self.inner.text

    @property
    def node(self) -> Node:
        """The scalar that holds the text."""
        return self.outer

    @property
    def main(self) -> Scalar:
        """The same."""
        return self.outer

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """The parts inside the text: they tell two references in one text apart."""
        return self.inner.scalars

    @property
    def index(self) -> int:
        """Where the inner reference stands in the file."""
        start = self.inner.index
        found = raw_at(self.pieces, start)
        return self.outer.start if found is None else found

    def after(self, wanted: Wanted) -> str:
        """As it reads then."""
        return self.inner.after(wanted)

    def plan(self, text: str, wanted: Wanted) -> list[Step]:
        """Plan in the inner text, and carry every splice over to the lines of the file.

        The steps of a text are proven together, once, by ``proof.prove_inside``.
        """
        steps = self.inner.plan(self.outer.value, wanted)
        return [replace(self._outward(text, step), inside=Inside(self.document.order, step)) for step in steps]

    def _outward(self, text: str, step: Step) -> Write:
        start, end, new = step.splice.start, step.splice.end, step.splice.text
        if isinstance(step, Remove) or start == end:
            if self.outer.style != "|":
                raise CannotSpell("lines can be added and removed in a literal block only")
            return self._lines(text, start, end, new)
        raw_start, raw_end = raw_span(self.pieces, start, end)
        return Write(self.outer, start, end, new, Splice(raw_start, raw_end, escaped(new, self.outer.style)))

    def _lines(self, text: str, start: int, end: int, new: str) -> Write:
        """Whole lines: an insertion goes to the end of the line before, a removal takes the line's end along."""
        value = self.outer.value
        if start and value[start - 1 : start] == "\n" and (new.endswith("\n") or not new):
            start, end, new = start - 1, end - 1, ("\n" + new)[:-1] if new else ""
        raw_start = self._line_end(start)
        raw_end = raw_start if start == end else self._line_end(end)
        first = self.pieces[0].raw
        indent = " " * (first - text.rfind("\n", 0, first) - 1)
        newline = "\r\n" if text[raw_start : raw_start + 2] == "\r\n" else "\n"
        spelled = new.replace("\n", newline + indent)
        return Write(self.outer, start, end, new, Splice(raw_start, raw_end, spelled))

    def _line_end(self, index: int) -> int:
        found = raw_at(self.pieces, index)
        if found is None:
            raise CannotSpell("the line can't be found in the file")
        return found


def inside(scan: Scan, outer: Scalar) -> Iterator[Found]:
    """The references in the YAML that a scalar holds; nothing when the text is no YAML."""
    if ":" not in outer.value:
        return
    try:
        document = load(outer.value.encode(), replace(scan.options, places=(), containers=()))
        pieces = tuple(segments(scan.document.text, outer))
    except (Broken, CannotSpell, UnicodeEncodeError):
        return
    inner = Scan(scan.path, document, scan.options, scan.formats)
    for root in document.roots:
        for found in dispatch(inner, root):
            yield Found(Embedded(outer, found.form, document, pieces), found.label)
    for problem in inner.problems:
        scan.problem(outer, problem.reason, problem.text)
