"""Holds and vetoes: small files on the base branch that keep an environment's image as it is, or a digest out of it.

Each is a file of its own, so that two people who set two of them never conflict.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from orchestrator.core.change import encode
from orchestrator.core.image import Digest, Repository
from orchestrator.core.names import InvalidName, RepoPath

_FOLDER = ".hybrid-ci"
# Of what JSON leaves as it is: no printable character of YAML 1.2, or the end of a line in YAML 1.1.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_LONGEST_NAME = 200  # a file system's names end at 255 bytes, and git adds ".lock" to a branch


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a hold and a veto have in common.

    ``by`` is who asked for it: a claim, since the file's author can write anything; the pull request that brought it
    tells more. ``expires`` None: until a person lifts it. Raises InvalidName for a time without a zone.
    """

    kind: ClassVar[str]
    environment: str
    reason: str
    by: str
    at: datetime
    expires: datetime | None

    def __post_init__(self) -> None:
        if self.at.tzinfo is None or (self.expires is not None and self.expires.tzinfo is None):
            raise InvalidName("the time has no zone", hint="write it as 2026-03-01T12:00:00Z")

    def holds(self, now: datetime) -> bool:
        """It counts at this moment; at the very second of its expiry it does not any more."""
        return self.expires is None or now < self.expires

    @property
    def subject(self) -> str:
        """What it is about: the image's repository, or the digest."""
        raise NotImplementedError

    @property
    def path(self) -> RepoPath:
        """The file that it stands in."""
        return RepoPath(f"{folder_of(self.kind, self.environment)}/{file_part(self.subject)}.yaml")

    def fields(self) -> Iterator[tuple[str, str]]:
        """The keys of the file and their values, in order."""
        yield "environment", self.environment
        yield self._key, self.subject
        yield "reason", self.reason
        yield "by", self.by
        yield "at", _time(self.at)
        if self.expires is not None:
            yield "expires", _time(self.expires)

    @property
    def _key(self) -> str:
        raise NotImplementedError

    def render(self) -> bytes:
        """The file."""
        lines = [f"{key}: {_quoted(value)}" for key, value in self.fields()]
        return ("\n".join(["version: 1", *lines]) + "\n").encode()


def _quoted(text: str) -> str:
    """A JSON string, which YAML reads as what it is once the characters that it does not take are escaped too."""
    quoted = json.dumps(text, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


@dataclass(frozen=True, slots=True)
class Hold(Rule):
    """Keep an image of an environment as it is."""

    kind: ClassVar[str] = "hold"
    image: Repository

    @property
    def subject(self) -> str:
        """The image's repository."""
        return str(self.image)

    @property
    def _key(self) -> str:
        return "image"


@dataclass(frozen=True, slots=True)
class Veto(Rule):
    """Keep a digest out of an environment."""

    kind: ClassVar[str] = "veto"
    digest: Digest

    @property
    def subject(self) -> str:
        """The digest."""
        return str(self.digest)

    @property
    def _key(self) -> str:
        return "digest"


def folder_of(kind: str, environment: str | None = None) -> str:
    """The folder of an environment's holds or vetoes; of all environments when None."""
    folder = f"{_FOLDER}/{'holds' if kind == Hold.kind else 'vetoes'}"
    return folder if environment is None else f"{folder}/{file_part(environment)}"


def file_part(name: str) -> str:
    """A name as one part of a path and of a branch; one that is too long is cut and told apart by its hash.

    ``_h`` never comes out of the encoding, so a cut name meets no other.
    """
    encoded = encode(name)
    if len(encoded) <= _LONGEST_NAME:
        return encoded
    return f"{encoded[: _LONGEST_NAME - 34]}_h{hashlib.sha256(name.encode()).hexdigest()[:32]}"
