"""The same images under other names: an environment may get them from a mirror, or from a registry of its own.

A name stands for itself and all below it: ``ghcr.io/acme`` for ``ghcr.io/acme/shop/api``. Of several that fit, the
longest counts. What an image is called at first is its original name; by that one environments are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.core.image import Repository


@dataclass(frozen=True, slots=True)
class Mirror:
    """What is ``original`` elsewhere is ``local`` here: a registry, or one with the beginning of a path."""

    original: str
    local: str


def registry_name(text: str) -> str:
    """The name of a registry or of a part of one, as repositories below it spell it. Raises InvalidReference."""
    return str(Repository.parse(f"{text}/x")).removesuffix("/x")


def local_name(repository: Repository, mirrors: Sequence[Mirror]) -> Repository:
    """What the original image is called where these mirrors are used."""
    pairs = sorted(((one.original, one.local) for one in mirrors), key=_longest_first)
    return _renamed(repository, pairs)


class Originals:
    """Tells the original name of every image, whichever environment names it. Calling it twice costs nothing."""

    def __init__(self, mirrors: Iterable[Mirror] = ()) -> None:
        self._pairs = sorted({(one.local, one.original) for one in mirrors}, key=_longest_first)
        self._known: dict[Repository, Repository] = {}

    def __call__(self, repository: Repository) -> Repository:
        """The original name; the image's own where it is no mirror's."""
        if not self._pairs:
            return repository
        if repository not in self._known:
            self._known[repository] = _renamed(repository, self._pairs)
        return self._known[repository]


def conflicts(mirrors: Sequence[Mirror]) -> Iterator[str]:
    """Why these can't stand in one policy: a name has to lead back to one original."""
    originals = {one.original for one in mirrors}
    known: dict[str, str] = {}
    for one in mirrors:
        other = known.setdefault(one.local, one.original)
        if other != one.original:
            yield f"{one.local} is a mirror of {other} and of {one.original}"
        if one.local in originals:
            yield f"{one.local} is a mirror, and has mirrors itself; name the first one as the original"


def _longest_first(pair: tuple[str, str]) -> tuple[int, str]:
    return -len(pair[0]), pair[0]


def _renamed(repository: Repository, pairs: Sequence[tuple[str, str]]) -> Repository:
    name = str(repository)
    for before, after in pairs:
        if name == before or name.startswith(f"{before}/"):
            return Repository.parse(after + name.removeprefix(before))
    return repository
