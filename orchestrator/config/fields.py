"""The kinds of value that both configuration files are made of, checked by the domain's own types."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from orchestrator.core.change import encode
from orchestrator.core.errors import ConfigurationError, HybridCIError
from orchestrator.core.image import ImageReference, Platform, Repository
from orchestrator.core.names import BranchName, RemoteURL

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,98}[A-Za-z0-9])?")
_DURATION = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>Ki|Mi|Gi)")
_SIZES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_SMALLEST_MEMORY, _LARGEST_MEMORY = 4 << 20, 1 << 40  # Docker takes no less; more is a slip of the pen
_LONGEST_REF_PART = 200  # bytes; a file system's names end at 255, and git adds ".lock"
_TAG_FIELDS = {"version", "sha", "commit", "branch", "date"}


class Model(BaseModel):
    """Strict by default: unknown keys are mistakes, and nothing changes after loading."""

    # A model that only stands inside others needs no validator of its own: building one for each costs start-up time.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _check(kind: Callable[[str], object], text: str) -> str:
    """The text, when the domain type takes it; its own words as pydantic's error when not."""
    in_our_words(lambda: kind(text))
    return text


def in_our_words(make: Callable[[], object]) -> None:
    """Make a domain object to see whether it can be made. Raises ValueError with the domain's own words."""
    try:
        make()
    except HybridCIError as error:
        raise ValueError(error.message + (f"; {error.hint}" if error.hint else "")) from None


def checked(kind: Callable[[str], object]) -> AfterValidator:
    """A text that a domain type takes."""
    return AfterValidator(partial(_check, kind))


def _seconds(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("write a duration as 30s, 5m or 1h")
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return float(match["number"]) * _UNITS[match["unit"] or "s"]
    if isinstance(value, str):
        raise ValueError("write a duration as 30s, 5m or 1h")
    return value


def _bytes(value: object) -> object:
    if not isinstance(value, str) or not (match := _SIZE.fullmatch(value)):
        raise ValueError("write a size as 256Mi or 1Gi")
    size = int(match["number"]) * _SIZES[match["unit"]]
    if not _SMALLEST_MEMORY <= size <= _LARGEST_MEMORY:
        raise ValueError("the size must be between 4Mi and 1024Gi")
    return size


def _argv(value: object) -> object:
    return ["/bin/sh", "-c", value] if isinstance(value, str) and value.strip() else value


def _matching(pattern: re.Pattern[str], rule: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(rule)
        return text

    return AfterValidator(check)


def is_url(text: str) -> bool:
    return "://" in text or "@" in text.partition("/")[0] or "::" in text


def gitops_url(text: str) -> str:
    if is_url(text):
        return _check(RemoteURL, text)
    if not text.isprintable():
        raise ValueError("a path holds no control characters")
    return text


def _path(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise ValueError("write a relative path without '..'")
    return text


def _short_enough_for_a_branch(text: str) -> str:
    """In a branch, every upper-case letter and sign of the name takes three characters."""
    if len(encode(text)) > _LONGEST_REF_PART:
        raise ValueError("the name is too long for a branch; use fewer upper-case letters and signs")
    return text


def _tag_template(text: str) -> str:
    fields = set(re.findall(r"\{([^}]*)\}", text))
    if unknown := fields - _TAG_FIELDS:
        known = ", ".join(f"{{{name}}}" for name in sorted(_TAG_FIELDS))
        raise ValueError(f"{{{sorted(unknown)[0]}}} is not known in a tag; use {known}")
    return text


Name = Annotated[str, _matching(_NAME, "use lower-case letters, digits, '.', '_' and '-' (at most 63)")]
EnvironmentName = Annotated[
    str,
    _matching(_ENVIRONMENT, "use letters, digits, '.', '_', '-' and '/' (at most 100)"),
    AfterValidator(_short_enough_for_a_branch),
]
Seconds = Annotated[
    float, BeforeValidator(_seconds), Field(gt=0, le=86_400, json_schema_extra={"type": ["number", "string"]})
]
Bytes = Annotated[int, BeforeValidator(_bytes), Field(json_schema_extra={"type": "string"})]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Argv = Annotated[
    tuple[str, ...],
    BeforeValidator(_argv),
    Field(min_length=1, json_schema_extra={"type": ["array", "string"], "minItems": 1, "minLength": 1}),
]
RelativePath = Annotated[str, Field(min_length=1), AfterValidator(_path)]
RepositoryName = Annotated[str, checked(Repository.parse)]
ReferenceName = Annotated[str, checked(ImageReference.parse)]
PlatformName = Annotated[str, checked(Platform.parse)]
Branch = Annotated[str, checked(BranchName)]
TagTemplate = Annotated[str, Field(min_length=1), AfterValidator(_tag_template)]


def remote_url(text: str, directory: Path) -> RemoteURL:
    """The repository's URL; a relative path is taken from the configuration file's folder.

    Raises InvalidName for what is neither, ConfigurationError for the home of a user that does not exist.
    """
    if is_url(text):
        return RemoteURL(text)
    try:
        return RemoteURL(str((directory / Path(text).expanduser()).resolve()))
    except RuntimeError:
        raise ConfigurationError(f"{text!r} names a user's home that is not there", where="gitops") from None
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a path", where="gitops") from None
