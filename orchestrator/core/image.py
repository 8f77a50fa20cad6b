"""Image references: parsed once at the door, then the types carry the truth.

The grammar is that of the distribution project (https://pkg.go.dev/github.com/distribution/reference),
with two narrowings: the only digest algorithm is sha256, which is what registries serve; and upper case alone
makes no host (``ACME/api``), since in lower case, which hosts are compared in, it would name another repository.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from orchestrator.core.errors import ConfigurationError

DEFAULT_REGISTRY = "docker.io"
_LEGACY_DEFAULT_REGISTRY = "index.docker.io"
_OFFICIAL_NAMESPACE = "library"
_MAX_NAME_LENGTH = 255

_HOST = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(?::[0-9]{1,5})?",
    re.IGNORECASE | re.ASCII,  # without ASCII, [a-z] would also take the Kelvin sign, the long s and the dotless i
)
_PATH = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ENGINE_ID = re.compile(r"[0-9a-f]{64}")


class InvalidReference(ConfigurationError):
    """A text is not an image reference, a tag or a digest."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """``sha256:<64 hex>``: of a manifest or of an index, the two things a registry addresses by content."""

    value: str

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.value):
            raise InvalidReference(
                f"{_shown(self.value)} is not a digest",
                hint="a digest is sha256: followed by 64 lower-case hex digits",
            )

    @classmethod
    def of(cls, content: bytes) -> Self:
        """The digest of these bytes."""
        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @property
    def hex(self) -> str:
        """The 64 hex digits alone."""
        return self.value.partition(":")[2]

    @property
    def short(self) -> str:
        """``sha256:`` and 12 digits: for people, never for a decision."""
        return self.value[: len("sha256:") + 12]

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A registry and a path in it, normalised: ``nginx`` is ``docker.io/library/nginx``."""

    registry: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a repository name without tag or digest. Raises InvalidReference."""
        host, slash, rest = text.partition("/")
        if slash and ("." in host or ":" in host or host.lower() == "localhost"):
            registry, path = host, rest
        else:
            registry, path = DEFAULT_REGISTRY, text
        registry = registry.lower() if registry.isascii() else registry  # the Kelvin sign would become an honest k
        if registry == _LEGACY_DEFAULT_REGISTRY:
            registry = DEFAULT_REGISTRY
        if registry == DEFAULT_REGISTRY and "/" not in path:
            path = f"{_OFFICIAL_NAMESPACE}/{path}"
        if not _HOST.fullmatch(registry) or not _PATH.fullmatch(path):
            raise InvalidReference(f"{_shown(text)} is not an image repository", hint=_repository_hint(path))
        if len(path) > _MAX_NAME_LENGTH:
            raise InvalidReference(f"the repository name {text[:40]!r}… is longer than {_MAX_NAME_LENGTH} characters")
        return cls(registry, path)

    @property
    def name(self) -> str:
        """The last part of the path: ``api`` of ``ghcr.io/acme/api``."""
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


def _shown(text: str) -> str:
    """The text for a message: a URL with a credential in it was not meant as a reference, and is not repeated."""
    before, at, rest = text.rpartition("@")
    return repr(f"…@{rest}" if at and before else text)


def _repository_hint(path: str) -> str:
    if path != path.lower():
        return "repository names are lower case"
    return "write it as [registry[:port]/]path, for example ghcr.io/acme/api"


def parse_tag(text: str) -> str:
    """The text, when it is a valid tag. Raises InvalidReference."""
    if not _TAG.fullmatch(text):
        raise InvalidReference(
            f"{text!r} is not an image tag",
            hint="a tag has at most 128 letters, digits, '_', '.' or '-', and does not start with '.' or '-'",
        )
    return text


@dataclass(frozen=True, slots=True)
class ImageReference:
    """``registry[:port]/path[:tag][@digest]``, normalised. Equality is by repository, tag and digest."""

    repository: Repository
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read a reference as people and manifests write it. Raises InvalidReference."""
        if _ENGINE_ID.fullmatch(text):
            raise InvalidReference(f"{text!r} is an engine's image id, not a name", hint="write repository:tag")
        rest, at, digest_text = text.partition("@")
        digest = Digest(digest_text) if at else None
        slash = rest.rfind("/")
        colon = rest.find(":", slash + 1)
        name, tag = (rest, None) if colon < 0 else (rest[:colon], parse_tag(rest[colon + 1 :]))
        return ImageReference(Repository.parse(name), tag, digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


@dataclass(frozen=True, slots=True)
class TaggedImage:
    """A reference by tag: it may move, so it is never committed."""

    repository: Repository
    tag: str

    def __post_init__(self) -> None:
        parse_tag(self.tag)

    def pinned(self, digest: Digest) -> PinnedImage:
        """The same image, nailed to what the registry reported."""
        return PinnedImage(self.repository, digest, self.tag)

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class PinnedImage:
    """What may be committed: a digest is required to make one; the tag comes along for people."""

    repository: Repository
    digest: Digest
    tag: str | None = None

    def __post_init__(self) -> None:
        if self.tag is not None:
            parse_tag(self.tag)

    @classmethod
    def parse(cls, text: str) -> PinnedImage:
        """Read ``repository[:tag]@sha256:…``. Raises InvalidReference when the digest is missing."""
        reference = ImageReference.parse(text)
        if reference.digest is None:
            raise InvalidReference(f"{text!r} has no digest", hint="write repository:tag@sha256:…")
        return cls(reference.repository, reference.digest, reference.tag)

    @property
    def reference(self) -> ImageReference:
        """The same as a plain reference."""
        return ImageReference(self.repository, self.tag, self.digest)

    def __str__(self) -> str:
        return str(self.reference)


# What a missing variant means (containerd's platforms package normalises the same way).
_USUAL_VARIANTS = {"arm64": "v8", "arm": "v7"}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """``os/architecture[/variant]`` as in the OCI image specification (image-index.md, ``platform``)."""

    os: str
    architecture: str
    variant: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``linux/amd64`` or ``linux/arm/v7``. Raises InvalidReference."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(re.fullmatch(r"[a-z0-9._-]+", part) for part in parts):
            raise InvalidReference(f"{text!r} is not a platform", hint="write os/architecture, for example linux/amd64")
        return cls(*parts)

    def serves(self, other: Platform) -> bool:
        """Asked for this one, ``other`` will do: without a variant every variant does, and arm64 means arm64/v8."""
        if (self.os, self.architecture) != (other.os, other.architecture):
            return False
        usual = _USUAL_VARIANTS.get(self.architecture)
        return self.variant is None or self.variant == (other.variant or usual)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)
