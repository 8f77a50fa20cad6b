"""Does a file speak of an image at all? Cheap tests on the bytes, so that most files of a folder are never parsed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from orchestrator.core.image import DEFAULT_REGISTRY, Repository

# Whatever holds a pin holds one of these: a key that speaks of images, a marker, an artifact's URL.
_HINTS = re.compile(rb"mage|newTag|repo|digest|hybrid-ci:|oci://|[\"']?tag[\"']?:")
# A character that names are made of, spelled as an escape of a quoted text: then the bytes tell nothing.
_ESCAPED = b"\\"
_ESCAPE = re.compile(rb"\\(?:x[2-7]|u00[2-7]|U000000[2-7])[0-9A-Fa-f]")


def may_hold(content: bytes, repositories: Iterable[Repository]) -> bool:
    """Every part of one of the names occurs, so it may stand there in one piece or split over several keys.

    False means that no pin of these repositories is there.
    """
    return holder(repositories)(content)


def holder(repositories: Iterable[Repository]) -> Callable[[bytes], bool]:
    """``may_hold`` for many contents."""
    asked = [_parts(repository) for repository in repositories]

    def test(content: bytes) -> bool:
        for parts, last in asked:
            for part in parts:
                if part not in content:
                    break
            else:
                if last.search(content) is not None:
                    return True
        return _ESCAPED in content and _ESCAPE.search(content) is not None

    return test


def mentions(content: bytes, repositories: Iterable[Repository]) -> bool:
    """One of the names occurs in one piece: the file speaks of this very image."""
    return any(_name(repository).search(content) is not None for repository in repositories)


def may_hold_any(content: bytes) -> bool:
    """Something in it may be a pin of some image."""
    return _HINTS.search(content) is not None


@lru_cache(maxsize=1024)
def _parts(repository: Repository) -> tuple[tuple[bytes, ...], re.Pattern[bytes]]:
    """The parts of the path, the telling ones first, and the last as a whole word (no ``api`` in ``apiVersion``)."""
    parts = repository.path.encode().split(b"/")
    if repository.registry == DEFAULT_REGISTRY and parts[0] == b"library":
        parts = parts[1:]
    return tuple(reversed(parts)), re.compile(rb"(?<![A-Za-z0-9])" + re.escape(parts[-1]) + rb"(?![A-Za-z0-9])")


@lru_cache(maxsize=1024)
def _name(repository: Repository) -> re.Pattern[bytes]:
    parts, _ = _parts(repository)
    name = re.escape(b"/".join(reversed(parts)))
    return re.compile(rb"(?<![A-Za-z0-9._-])" + name + rb"(?![A-Za-z0-9/]|[._-]+[A-Za-z0-9])")
