"""The forms in which a place holds a reference, and how each is given a new tag and digest.

A form says what stands there (``image``, ``text``) and plans the steps that bring it to a wanted tag and digest in
the same form. Every plan is idempotent: what is already so needs no step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from orchestrator.core.image import Digest, ImageReference, InvalidReference, Repository, parse_tag
from orchestrator.manifests.scalars import CannotSpell
from orchestrator.manifests.steps import Step, insert, remove, replace, write
from orchestrator.manifests.tree import Mapping, Node, Scalar


@dataclass(frozen=True, slots=True)
class Wanted:
    """The tag, the digest, or both that a pin shall have.

    ``repository``, as it is to be written, is taken only where an entry was chosen by its own name and may be renamed.
    """

    tag: str | None
    digest: Digest | None
    repository: str = field(default="", compare=False)

    def suffix(self) -> str:
        """``:tag@digest`` as it follows a repository."""
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def tag_text(self) -> str:
        """``tag@digest`` for a place that holds the tag alone. Raises CannotSpell without a tag."""
        if not self.tag:
            raise CannotSpell("the place needs a tag, and the wanted image has only a digest")
        return self.tag + (f"@{self.digest}" if self.digest else "")


class Form(Protocol):
    """A reference in the form that one place has."""

    @property
    def image(self) -> ImageReference:
        """What stands there."""

    @property
    def text(self) -> str:
        """As written; the parts of split forms joined."""

    @property
    def node(self) -> Node:
        """The node that gives the place its name."""

    @property
    def main(self) -> Scalar:
        """The scalar whose line is shown."""

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """Every scalar that the form reads."""

    @property
    def index(self) -> int:
        """The character whose line is shown."""

    def plan(self, text: str, wanted: Wanted) -> list[Step]:
        """The steps in the file's text. Raises CannotSpell with the reason when the place can't take it."""

    def after(self, wanted: Wanted) -> str:
        """How ``text`` reads afterwards."""


@lru_cache(maxsize=8192)
def parse(text: str) -> ImageReference | None:
    """The reference, or None when the text is none."""
    try:
        return ImageReference.parse(text)
    except InvalidReference:
        return None


@lru_cache(maxsize=8192)
def join(repository: Repository, tag: str, digest: str) -> ImageReference | None:
    """The parts as one reference; a tag may carry the digest (``1.0@sha256:…``). None when they are not valid."""
    tag, at, in_tag = tag.partition("@")
    digest = digest or (in_tag if at else "")
    try:
        return ImageReference(repository, parse_tag(tag) if tag else None, to_digest(digest) if digest else None)
    except InvalidReference:
        return None


def to_digest(text: str) -> Digest:
    """A digest with or without ``sha256:``. Raises InvalidReference."""
    return Digest(text if ":" in text else f"sha256:{text}")


def name_of(reference: str) -> str:
    """The part of a written reference before its tag and digest, spelled as it is."""
    rest = reference.partition("@")[0]
    colon = rest.find(":", rest.rfind("/") + 1)
    return rest if colon < 0 else rest[:colon]


@dataclass(frozen=True, slots=True)
class Whole:
    """A reference in one piece of a scalar: ``value[start:end]``; often the whole of it."""

    node: Node
    main: Scalar
    image: ImageReference
    start: int
    end: int

    @property
    def text(self) -> str:
        """As written."""
        return self.main.value[self.start : self.end]

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """The one scalar."""
        return (self.main,)

    @property
    def index(self) -> int:
        """Where the scalar begins."""
        return self.main.start

    def after(self, wanted: Wanted) -> str:
        """The name as it is spelled, with the wanted tag and digest."""
        return name_of(self.text) + wanted.suffix()

    def plan(self, text: str, wanted: Wanted) -> list[Step]:
        """Replace what follows the name, which keeps its spelling, escapes included."""
        return replace(text, self.main, self.start + len(name_of(self.text)), self.end, wanted.suffix())


@dataclass(frozen=True, slots=True)
class KustomizeEntry:
    """An entry of ``images:``: ``name``, ``newName``, ``newTag``, ``digest``.

    kustomize's transformer (api/filters/imagetag/updater.go) puts both in when both are there, and drops the base's
    digest for a lone ``newTag``: so a tag and a digest are always written together.
    """

    node: Mapping
    image: ImageReference
    shown: str
    name: Scalar
    new_tag: Scalar | None
    digest: Scalar | None
    new_name: Scalar | None = None

    @property
    def main(self) -> Scalar:
        """The tag where there is one."""
        return self.new_tag or self.digest or self.new_name or self.name

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """All parts."""
        parts = (self.name, self.new_name, self.new_tag, self.digest)
        return tuple(part for part in parts if part is not None)

    @property
    def text(self) -> str:
        """``repository:tag@digest`` from the parts."""
        tag = f":{self.new_tag.value}" if self.new_tag is not None and self.new_tag.value else ""
        digest = f"@{self.digest.value}" if self.digest is not None and self.digest.value else ""
        return self.shown + tag + digest

    @property
    def _digest_only(self) -> bool:
        return self.digest is not None and self.new_tag is None

    @property
    def _digest_in_tag(self) -> bool:
        return self.new_tag is not None and self.digest is None and "@" in self.new_tag.value

    @property
    def index(self) -> int:
        """Where the scalar begins whose line is shown."""
        return self.main.start

    def after(self, wanted: Wanted) -> str:
        """The entry as it reads then."""
        name = wanted.repository if self._renamed(wanted) else self.shown
        return f"{name}@{wanted.digest}" if self._digest_only and wanted.digest else name + wanted.suffix()

    def plan(self, text: str, wanted: Wanted) -> list[Step]:
        """Write, insert or take out ``newTag`` and ``digest`` so that the entry means exactly what is wanted."""
        return self._rename(text, wanted) + self._plan_version(text, wanted)

    def _renamed(self, wanted: Wanted) -> bool:
        renamed = parse(wanted.repository)
        return renamed is not None and renamed.repository != self.image.repository

    def _rename(self, text: str, wanted: Wanted) -> list[Step]:
        if not self._renamed(wanted):
            return []
        if self.new_name is not None:
            return write(text, self.new_name, wanted.repository)
        return [insert(text, self.node, self._key(self.name), "newName", wanted.repository)]

    def _plan_version(self, text: str, wanted: Wanted) -> list[Step]:
        if self._digest_in_tag and self.new_tag is not None:
            return write(text, self.new_tag, wanted.tag_text())
        if self._digest_only and self.digest is not None:
            return self._from_digest_only(text, self.digest, wanted)
        if wanted.tag is None:
            return self._digest_alone(text, wanted)
        if self.new_tag is None:
            added: list[Step] = [insert(text, self.node, self._key(self.new_name or self.name), "newTag", wanted.tag)]
            return added + self._insert_digest(text, self.new_name or self.name, wanted)
        steps = write(text, self.new_tag, wanted.tag)
        if self.digest is None:
            return steps + self._insert_digest(text, self.new_tag, wanted)
        if wanted.digest is None:
            return [*steps, remove(text, self.node, self._key(self.digest))]
        return steps + write(text, self.digest, str(wanted.digest))

    def _from_digest_only(self, text: str, digest: Scalar, wanted: Wanted) -> list[Step]:
        if wanted.digest is not None:
            return write(text, digest, str(wanted.digest))
        return write(text, self._key(digest), "newTag") + write(text, digest, wanted.tag_text())

    def _digest_alone(self, text: str, wanted: Wanted) -> list[Step]:
        if self.new_tag is None:
            return self._insert_digest(text, self.new_name or self.name, wanted)
        if self.digest is None:
            return write(text, self._key(self.new_tag), "digest") + write(text, self.new_tag, str(wanted.digest))
        return [remove(text, self.node, self._key(self.new_tag)), *write(text, self.digest, str(wanted.digest))]

    def _insert_digest(self, text: str, after: Scalar, wanted: Wanted) -> list[Step]:
        if wanted.digest is None:
            return []
        return [insert(text, self.node, self._key(after), "digest", str(wanted.digest))]

    def _key(self, value: Scalar) -> Scalar:
        key = self.node.key_of(value)
        if key is None:
            raise CannotSpell("the value comes from an alias")
        return key


@dataclass(frozen=True, slots=True)
class Configured:
    """A scalar that holds a tag (or a digest) of an image which is named elsewhere: in configuration or a marker.

    ``part`` is ``tag``, ``digest`` or ``sha``; ``plain_tag`` is True where no digest may follow the tag; ``raw`` for
    a file that holds the tag and nothing else, where quotes would become part of it; ``span`` tells which part of a
    longer text it is.
    """

    node: Node
    main: Scalar
    repository: Repository
    part: str = "tag"
    plain_tag: bool = False
    raw: bool = False
    span: tuple[int, int] | None = None

    @property
    def image(self) -> ImageReference:
        """The configured repository with what stands there."""
        tag, digest = (self.text, "") if self.part == "tag" else ("", self.text)
        return join(self.repository, tag, digest) or ImageReference(self.repository)

    @property
    def text(self) -> str:
        """As written: the tag or the digest alone."""
        return self.main.value if self.span is None else self.main.value[slice(*self.span)]

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """The one scalar."""
        return (self.main,)

    @property
    def index(self) -> int:
        """Where the scalar begins whose line is shown."""
        return self.main.start

    def after(self, wanted: Wanted) -> str:
        """The tag or digest as it reads then."""
        if self.part == "tag":
            return (wanted.tag or "") if self.plain_tag else wanted.tag_text()
        if wanted.digest is None:
            raise CannotSpell("the place holds a digest, and the wanted image has none")
        return wanted.digest.hex if self.part == "sha" else str(wanted.digest)

    def plan(self, text: str, wanted: Wanted) -> list[Step]:
        """Write the scalar."""
        if self.plain_tag and wanted.digest is not None:
            raise CannotSpell("the place can hold a version only, and no digest")
        if self.span is not None:
            return replace(text, self.main, *self.span, self.after(wanted))
        return write(text, self.main, self.after(wanted), typed=self.raw)
