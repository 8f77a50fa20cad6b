"""Forms of references whose parts stand under several keys of one mapping."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.image import ImageReference
from orchestrator.manifests.forms import Wanted, name_of
from orchestrator.manifests.scalars import CannotSpell
from orchestrator.manifests.steps import Step, insert, replace, write
from orchestrator.manifests.tree import Mapping, Node, Scalar


def digest_text(digest: Scalar | None, wanted: Wanted, *, bare: bool) -> str:
    """What a digest's key has to hold: ``bare`` keys hold the hex digits alone, unless a prefix stands there now."""
    if wanted.digest is None:
        return ""
    prefixed = digest is not None and digest.value.startswith("sha256:")
    return wanted.digest.hex if bare and not prefixed else str(wanted.digest)


@dataclass(frozen=True, slots=True)
class Split:
    """Separate scalars for name, tag and digest; ``bare`` is True for a digest key that holds hex digits alone.

    ``shown`` is the name as people would write it in one piece, ``before`` are the scalars of its registry and
    namespace where they stand under keys of their own. ``tag_key`` and ``digest_key`` are the spellings for keys that
    have to be inserted, the digest's only where the format has such a key; the tag's is empty where no tag can stand.
    """

    node: Node
    name: Scalar
    image: ImageReference
    shown: str
    tag: Scalar | None = None
    digest: Scalar | None = None
    bare: bool = False
    mapping: Mapping | None = None
    tag_key: str = "tag"
    digest_key: str | None = None
    before: tuple[Scalar, ...] = ()

    @property
    def main(self) -> Scalar:
        """The tag where there is one."""
        return self.tag or self.digest or self.name

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """All parts."""
        return tuple(part for part in (self.name, *self.before, self.tag, self.digest) if part is not None)

    @property
    def text(self) -> str:
        """``repository:tag@digest`` from the parts."""
        tag = f":{self.tag.value}" if self.tag is not None and self.tag.value else ""
        digest = f"@{self.digest.value}" if self.digest is not None and self.digest.value else ""
        return self.shown + tag + digest

    @property
    def index(self) -> int:
        """Where the scalar begins whose line is shown."""
        return self.main.start

    def after(self, wanted: Wanted) -> str:
        """The parts joined, as they read then."""
        if self.digest is None and self.digest_key is None:
            return f"{self.shown}:{wanted.tag_text()}"
        tag = "" if self.tag is None and self.digest is not None and wanted.digest else f":{wanted.tag}"
        return self.shown + (tag if wanted.tag else "") + self._digest_suffix(wanted)

    def _digest_suffix(self, wanted: Wanted) -> str:
        return f"@{self._digest_text(wanted)}" if wanted.digest else ""

    def _digest_text(self, wanted: Wanted) -> str:
        return digest_text(self.digest, wanted, bare=self.bare)

    def plan(self, text: str, wanted: Wanted) -> list[Step]:
        """Write the keys that are there; insert what is missing where the format has a key for it."""
        if self.digest is None and self.digest_key is None:
            return self._write_tag(text, wanted.tag_text())
        if self.tag is None and self.digest is not None and wanted.digest:
            return write(text, self.digest, self._digest_text(wanted))
        if not self.tag_key:
            raise CannotSpell("the place holds a digest, and the wanted image has none")
        if not wanted.tag:
            raise CannotSpell("the place holds a tag beside the digest, and the wanted image has no tag")
        steps = self._write_tag(text, wanted.tag)
        if self.digest is not None:
            return steps + write(text, self.digest, self._digest_text(wanted))
        if wanted.digest is not None and self.digest_key is not None:
            if self.tag is None or self.mapping is None or (key := self.mapping.key_of(self.tag)) is None:
                raise CannotSpell("there is no tag beside which the digest could be inserted")
            steps.append(insert(text, self.mapping, key, self.digest_key, str(wanted.digest)))
        return steps

    def _write_tag(self, text: str, tag: str) -> list[Step]:
        if self.tag is not None:
            return write(text, self.tag, tag)
        key = self.mapping.key_of(self.name) if self.mapping is not None else None
        if self.mapping is None or key is None:
            raise CannotSpell("there is no key that holds the tag")
        return [insert(text, self.mapping, key, self.tag_key, tag)]


@dataclass(frozen=True, slots=True)
class Tagged:
    """A reference with its tag in one scalar, and its registry or its digest under other keys.

    ``shown`` is what stands before the scalar's text when the parts are joined.
    """

    node: Node
    main: Scalar
    image: ImageReference
    shown: str
    digest: Scalar | None
    bare: bool
    before: tuple[Scalar, ...] = ()

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """All parts."""
        return tuple(part for part in (self.main, *self.before, self.digest) if part is not None)

    @property
    def text(self) -> str:
        """``registry/repository:tag@digest`` from the parts."""
        digest = f"@{self.digest.value}" if self.digest is not None and self.digest.value else ""
        return self.shown + self.main.value + digest

    @property
    def index(self) -> int:
        """Where the scalar begins."""
        return self.main.start

    def after(self, wanted: Wanted) -> str:
        """The parts joined, as they read then."""
        if self.digest is None:
            return self.shown + name_of(self.main.value) + wanted.suffix()
        digest = digest_text(self.digest, wanted, bare=self.bare)
        return f"{self.shown}{name_of(self.main.value)}:{wanted.tag}" + (f"@{digest}" if digest else "")

    def plan(self, text: str, wanted: Wanted) -> list[Step]:
        """Replace what follows the name; a digest goes under its key, where an old one never stays."""
        start, end = len(name_of(self.main.value)), len(self.main.value)
        if self.digest is None:
            return replace(text, self.main, start, end, wanted.suffix())
        if not wanted.tag:
            raise CannotSpell("the place holds a tag beside the digest, and the wanted image has no tag")
        steps = replace(text, self.main, start, end, f":{wanted.tag}")
        return steps + write(text, self.digest, digest_text(self.digest, wanted, bare=self.bare))
