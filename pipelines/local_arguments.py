"""What people write for ``pins`` and ``set-image``: references, names, places, targets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.environment import Target
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import ImageReference, InvalidReference, Repository


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of ``set-image``, told apart. ``names`` are the kustomize names of ``NAME=REF``."""

    images: tuple[ImageReference, ...]
    names: tuple[tuple[str, ImageReference], ...]
    values: tuple[tuple[str, str], ...]
    paths: tuple[Path, ...]


def split_arguments(arguments: Sequence[str], values: Sequence[str], prove: str | None) -> Asked:
    """References come first; what exists on disk, and all after it, is a path. Raises ConfigurationError."""
    if prove not in (None, "render"):
        raise ConfigurationError(f"there is no proof by {prove!r}", hint="the one that can be asked for is: render")
    first_path = next((i for i, text in enumerate(arguments) if _is_path(text)), len(arguments))
    images: list[ImageReference] = []
    names: list[tuple[str, ImageReference]] = []
    for text in arguments[:first_path]:
        name, equals, reference = text.rpartition("=")
        image = ImageReference.parse(reference)
        if image.tag is None and image.digest is None:
            raise ConfigurationError(f"{text!r} has neither a tag nor a digest", hint="write repository:tag@sha256:…")
        if equals:
            names.append((name, image))
        else:
            images.append(image)
    paths = tuple(Path(text) for text in arguments[first_path:])
    if not paths:
        raise ConfigurationError("no file or folder is given", hint="hybrid-ci set-image REF... PATH...")
    if not images and not names and not values:
        raise ConfigurationError("no image is given", hint="hybrid-ci set-image REF... PATH...")
    return Asked(tuple(images), tuple(names), tuple(parse_value(text) for text in values), paths)


def _is_path(text: str) -> bool:
    """It is there, or it can be nothing but a path."""
    if Path(text).exists() or Path(text).is_symlink() or text.startswith((".", "/")):
        return True
    try:
        reference = ImageReference.parse(text.rpartition("=")[2])
    except InvalidReference:
        return True
    return reference.tag is None and reference.digest is None and text.endswith((".yaml", ".yml", ".json"))


def parse_value(text: str) -> tuple[str, str]:
    """``PLACE=VALUE``; an ``=`` inside brackets belongs to the place. Raises ConfigurationError."""
    match = re.match(r"(?P<place>(?:[^\[\]=]|\[[^\]]*\])+)=(?P<value>.*)\Z", text, re.DOTALL)
    if match is None:
        raise ConfigurationError(f"{text!r} is no PLACE=VALUE", hint="for example spec.chart.spec.version=1.4.2")
    return match["place"], match["value"]


def parse_target(text: str) -> Target:
    """``FILE:PLACE=IMAGE``, as ``targets`` in the policy. Raises ConfigurationError."""
    rest, equals, image = text.rpartition("=")
    file, colon, place = rest.partition(":")
    if not equals or not colon or not file:
        raise ConfigurationError(
            f"{text!r} is no FILE:PLACE=IMAGE", hint="for example values-prod.yaml:image.tag=ghcr.io/acme/api"
        )
    return Target(file, place, Repository.parse(image))
