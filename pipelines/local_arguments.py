"""What people write for ``pins`` and ``set-image``: references, names, places, targets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.environment import Target
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import ImageReference, InvalidReference, Repository
from orchestrator.core.names import InvalidName, RepoPath
from orchestrator.manifests.forms import name_of
from pipelines.local_files import to_path


@dataclass(frozen=True, slots=True)
class NamedImage:
    """``NAME=REF``: the literal name of a kustomize entry, the image that it shall become, and how that was written."""

    name: str
    image: ImageReference
    spelled: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of ``set-image``, told apart. ``images`` have the text that was written for each."""

    images: tuple[ImageReference, ...]
    names: tuple[NamedImage, ...]
    values: tuple[tuple[str, str], ...]
    paths: tuple[Path, ...]
    spelled: tuple[str, ...] = ()


_USAGE = "hybrid-ci set-image REF... PATH..."


def split_arguments(arguments: Sequence[str], values: Sequence[str], prove: str | None) -> Asked:
    """References come first; what exists on disk, and all after it, is a path. Raises ConfigurationError."""
    if prove not in (None, "render"):
        raise ConfigurationError(
            f"there is no proof by {prove!r}", where="--prove", hint="the one that can be asked for is: render"
        )
    first_path = _first_path(arguments, bool(values))
    references, rest = arguments[:first_path], arguments[first_path:]
    plain = [text for text in references if "=" not in text]
    images = tuple(_reference(text, text) for text in plain)
    names = tuple(_named(text) for text in references if "=" in text)
    for text in rest:
        _check_order(text)
    if not images and not names and not values:
        raise ConfigurationError("no image is given", where="the arguments", hint=_USAGE)
    if not rest:
        raise ConfigurationError("no file or folder is given", where="the arguments", hint=_USAGE)
    set_values = tuple(parse_value(text) for text in values)
    return Asked(images, names, set_values, tuple(to_path(text) for text in rest), tuple(map(name_of, plain)))


def _first_path(arguments: Sequence[str], only_values: bool) -> int:
    """The number of the first argument that is a path: behind a reference, all that has no sign of one is."""
    for number, text in enumerate(arguments):
        if _is_path(text) or (not _speaks_of_an_image(text) and (number > 0 or only_values)):
            return number
    return len(arguments)


def _is_path(text: str) -> bool:
    """It is there, or it can be nothing but a path."""
    if text == "-" or text.startswith((".", "/")) or Path(text).exists() or Path(text).is_symlink():
        return True
    return not _speaks_of_an_image(text) and text.endswith((".yaml", ".yml", ".json"))


def _speaks_of_an_image(text: str) -> bool:
    """A tag, a digest or a name stands in it, well or badly written: what a mistake in it is must be told."""
    return "@" in text or "=" in text or ":" in text.rpartition("/")[2]


def _reference(text: str, argument: str) -> ImageReference:
    where = f"the argument {argument!r}"
    try:
        image = ImageReference.parse(text)
    except InvalidReference as error:
        raise ConfigurationError(error.message, where=where, hint=error.hint) from None
    if image.tag is None and image.digest is None:
        raise ConfigurationError(
            f"{text!r} has neither a tag nor a digest, and there is no such file or folder",
            where=where,
            hint="write an image as repository:tag@sha256:…",
        )
    return image


def _named(text: str) -> NamedImage:
    name, _, reference = text.rpartition("=")
    if not name:
        raise ConfigurationError(
            f"no name stands before the '=' of {text!r}",
            where="the arguments",
            hint="write NAME=REPOSITORY:TAG, with the name of an entry of a kustomization",
        )
    return NamedImage(name, _reference(reference, text), name_of(reference))


def _check_order(text: str) -> None:
    """What is not there but looks like an image was meant as one. Raises ConfigurationError."""
    if text != "-" and _speaks_of_an_image(text) and not Path(text).exists() and not text.startswith((".", "/")):
        raise ConfigurationError(
            f"there is no file or folder {text!r}",
            where="the arguments",
            hint=f"if it is an image, it has to stand before the files: {_USAGE}",
        )


def parse_value(text: str) -> tuple[str, str]:
    """``PLACE=VALUE``; an ``=`` inside brackets belongs to the place. Raises ConfigurationError."""
    match = re.match(r"(?P<place>(?:[^\[\]=]|\[[^\]]*\])+)=(?P<value>.*)\Z", text, re.DOTALL)
    if match is None:
        raise ConfigurationError(
            f"{text!r} is no PLACE=VALUE", where="--set", hint="for example spec.chart.spec.version=1.4.2"
        )
    return match["place"], match["value"]


def parse_stdin_name(text: str) -> RepoPath:
    """What the standard input is called. Raises ConfigurationError."""
    try:
        return RepoPath(text)
    except InvalidName as error:
        raise ConfigurationError(error.message, where="--stdin-name", hint="write it as a relative path") from None


def parse_target(text: str) -> Target:
    """``FILE:PLACE=IMAGE``, as ``targets`` in the policy. Raises ConfigurationError."""
    rest, equals, image = text.rpartition("=")
    file, colon, place = rest.partition(":")
    if not equals or not colon or not file:
        raise ConfigurationError(
            f"{text!r} is no FILE:PLACE=IMAGE",
            where="--target",
            hint="for example values-prod.yaml:image.tag=ghcr.io/acme/api",
        )
    return Target(file, place, parse_repository(image, f"--target {text}"))


def parse_repository(text: str, where: str) -> Repository:
    """A repository without tag or digest. Raises ConfigurationError."""
    try:
        return Repository.parse(text)
    except InvalidReference as error:
        raise ConfigurationError(error.message, where=where, hint=error.hint) from None
