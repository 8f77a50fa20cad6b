"""References inside a longer text: arguments, scripts, comments, templates."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.core.image import ImageReference
from orchestrator.manifests.forms import parse

_CANDIDATE = re.compile(
    r"(?:(?<=://)(?<!http://)(?<!https://)|(?<![A-Za-z0-9_./:@-]))"
    r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
    r"(?![A-Za-z0-9_/:@{$])"
)
_PORTS = 65535
_MOVING = frozenset({"latest", "stable", "edge", "nightly", "dev", "main", "master", "alpine", "slim"})


def references_in(text: str) -> Iterator[tuple[int, int, ImageReference]]:
    """Start, end and reference of everything in a text that is one and has a tag or a digest."""
    for match in _CANDIDATE.finditer(text):
        if ":" not in match[0] and "@" not in match[0]:
            continue
        image = parse(match[0])
        if image is not None and (image.digest is not None or (image.tag is not None and _is_likely(match[0]))):
            yield match.start(), match.end(), image


def _is_likely(text: str) -> bool:
    """A word with a tag, as images of Docker Hub are written, may be something else in a text.

    ``kafka:9092`` is a host with its port, ``redis:redis`` a user with its group, ``minecraft:item`` a name with its
    namespace; ``node:22`` and ``redis:alpine`` are images.
    """
    name, _, tag = text.partition(":")
    if "/" in text:
        return True
    if tag.isdecimal():
        return tag != "80" and not 100 <= int(tag[:6]) <= _PORTS
    return name != tag and (any(c.isdecimal() for c in tag) or tag in _MOVING)
