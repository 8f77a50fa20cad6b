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


def references_in(text: str) -> Iterator[tuple[int, int, ImageReference]]:
    """Start, end and reference of everything in a text that is one and has a tag or a digest."""
    for match in _CANDIDATE.finditer(text):
        if ":" not in match[0] and "@" not in match[0]:
            continue
        image = parse(match[0])
        if image is not None and not _is_address(match[0]) and (image.tag is not None or image.digest is not None):
            yield match.start(), match.end(), image


def _is_address(text: str) -> bool:
    """``kafka:9092`` is a host with its port, and ``node:22`` an image: few images have tags that look like ports."""
    host, _, port = text.partition(":")
    return "/" not in host and port.isdecimal() and (port == "80" or 100 <= int(port[:6]) <= _PORTS)
