"""The image ports: build, run, push, and ask the registry. Each is small; adapters sit beside this file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from orchestrator.core.errors import RemoteError, WorkFailed
from orchestrator.core.image import Digest, ImageReference, PinnedImage, Platform, Repository, TaggedImage
from orchestrator.core.secret import Secret
from orchestrator.engine.events import Reporter

MEBIBYTE = 1024 * 1024
BUILD_SECONDS = 3600.0
CONTEXT_LIMIT = 1024 * MEBIBYTE


class BuildFailed(WorkFailed):
    """The Dockerfile or its context does not build."""


class PushFailed(RemoteError):
    """The registry did not take the image, or did not say so clearly."""


@dataclass(frozen=True, slots=True)
class BuildSecret:
    """A secret that one step of a build may read (``RUN --mount=type=secret,id=…``): it stays in no layer.

    The value reaches the builder as a file without a name: it is on no disk, command line or environment.
    """

    id: str
    value: Secret


@dataclass(frozen=True, slots=True)
class BuildKitOptions:
    """What only BuildKit can do.

    ``ssh`` are agent sockets or keys as ``docker build --ssh`` takes them; ``cache_from`` and ``cache_to`` are registry
    references; ``created`` is what ``SOURCE_DATE_EPOCH`` is set to (seconds since 1970), so that times in the image are
    the commit's; ``builder`` names a buildx builder, perhaps a remote one.
    """

    secrets: tuple[BuildSecret, ...] = ()
    ssh: tuple[str, ...] = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    created: int | None = None
    provenance: bool = False
    builder: str | None = None

    @property
    def needed(self) -> str | None:
        """Why no other builder will do; None when one may."""
        wishes = {
            "a build secret": self.secrets,
            "an ssh mount": self.ssh,
            "a cache in a registry": (*self.cache_from, *self.cache_to),
            "provenance": self.provenance,
            "a named builder": self.builder,
        }
        return next((name for name, wished in wishes.items() if wished), None)

    @property
    def needs_buildx(self) -> str | None:
        """What of it takes buildx; None when ``DOCKER_BUILDKIT=1 docker build`` does it too."""
        wishes = {"cache-to": self.cache_to, "provenance": self.provenance, "a named builder": self.builder}
        return next((name for name, wished in wishes.items() if wished), None)


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """What to build. ``context`` and ``dockerfile`` are absolute paths.

    ``bases`` are images of this run under the names that FROM gives them, variables filled in: the builder sees to it
    that it builds upon just these, whatever else has that name in the engine or in a registry (images/bases.py).
    ``context_limit`` is the most bytes that the files of the context may have together.
    """

    name: str
    context: Path
    dockerfile: Path
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    bases: Mapping[str, BuiltImage] = field(default_factory=dict)
    buildkit: BuildKitOptions = BuildKitOptions()
    context_limit: int = CONTEXT_LIMIT


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image in an engine. It has no registry digest yet: only a registry can give one.

    ``engine_id`` is what the engine calls it: a config digest on the classic store, a manifest or index
    digest on the containerd store.
    """

    name: str
    engine_id: Digest
    platform: Platform


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One container run on a built image, in the fixed safe profile.

    ``command`` replaces the image's ENTRYPOINT and CMD. ``network`` False means none at all, or, with ``publish``
    (a container port, published on loopback), one that leads nowhere else. ``read_back`` is a path in the
    container to stream out afterwards. ``join`` puts it into a ``private_network`` instead, where others reach it as
    ``alias``; ``service`` gives it the few capabilities that servers need for a start as root, where tests get none.
    """

    command: Sequence[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    working_directory: str | None = None
    network: bool = False
    publish: int | None = None
    seconds: float = 300.0
    memory: int = 512 * MEBIBYTE
    pids: int = 256
    read_back: str | None = None
    join: str | None = None
    alias: str | None = None
    service: bool = False


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a container ended. ``log_tail`` are its last lines; ``files`` the streamed members under ``read_back``."""

    exit_code: int | None
    timed_out: bool
    seconds: float
    log_tail: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    out_of_memory: bool = False


class RunningContainer(Protocol):
    """A container that serves while the test asks it something."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port on loopback where the published port answers."""

    @property
    def inside(self) -> str:
        """Its address in the private network that it joined."""

    def running(self) -> bool:
        """It has not ended."""

    def execute(self, command: Sequence[str], seconds: float) -> int | None:
        """Run a command in it; its exit code, or None when the time was over."""

    def stop(self) -> RunResult:
        """End and remove it; what it said. Stopping twice gives the same result."""


class ImageBuilder(Protocol):
    """Builds an image in an engine."""

    def build(self, spec: BuildSpec, reporter: Reporter) -> BuiltImage:
        """Build; the log goes to the reporter. Raises BuildFailed, ConfigurationError, RemoteError."""


class ContainerEngine(Protocol):
    """Runs built images, and pushes them."""

    def check(self) -> str:
        """What answers (name and version). Raises RemoteError or ConfigurationError with what to do."""

    def platform(self) -> Platform:
        """What it builds for when nothing else is asked. Raises RemoteError or ConfigurationError."""

    def holds(self, reference: ImageReference) -> Digest | None:
        """What the image of this name is in the engine, where a build finds it before it asks a registry.

        The registry's digest of it, else the engine's own id; None when it is not there.
        """

    def fetch(
        self, name: str, image: PinnedImage, platform: Platform | None, reporter: Reporter, stage: str
    ) -> BuiltImage:
        """Pull by digest (the platform's manifest, of an index). What came still has to be proven.

        Raises RemoteError, Refused.
        """

    def run(self, image: BuiltImage, spec: RunSpec, reporter: Reporter, stage: str) -> RunResult:
        """Run to the end or the time limit; the container is always removed."""

    def start(self, image: BuiltImage, spec: RunSpec) -> RunningContainer:
        """Start one that serves; the caller stops it."""

    def obtain(self, name: str, reference: ImageReference, reporter: Reporter, stage: str) -> BuiltImage:
        """An image that the engine has, or pulls. What came is not proven. Raises RemoteError."""

    def made_before(self, name: str, labels: Mapping[str, str]) -> BuiltImage | None:
        """The newest image in the engine that bears all these labels."""

    def private_network(self, seconds: float, *, outside: bool = False) -> AbstractContextManager[str]:
        """A network for the containers that ``join`` it; removed at the end. ``outside`` lets them reach the rest."""

    def push(self, image: BuiltImage, target: TaggedImage, reporter: Reporter, stage: str) -> Digest | None:
        """Tag and push. Gives the digest that the engine claims, if it does. Raises PushFailed, Refused."""

    def abort(self) -> None:
        """End and remove all that this process has running there, at once; nothing can be started afterwards."""


@dataclass(frozen=True, slots=True)
class PlatformManifest:
    """One entry of an index."""

    digest: Digest
    platform: Platform | None


@dataclass(frozen=True, slots=True)
class RegistryManifest:
    """A manifest or index whose bytes hash to ``digest``: the registry could not lie about it.

    ``config`` is set for an image manifest, ``manifests`` for an index.
    """

    digest: Digest
    media_type: str
    content: bytes
    config: Digest | None = None
    manifests: tuple[PlatformManifest, ...] = ()

    @property
    def is_index(self) -> bool:
        """It names manifests of several platforms."""
        return self.config is None


@dataclass(frozen=True, slots=True)
class Descriptor:
    """An artifact that refers to an image, as the registry lists it: a claim until its bytes are read and hashed."""

    digest: Digest
    artifact_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)


class Registry(Protocol):
    """Asks registries. Every answer is verified against its digest; every method raises RemoteError."""

    def check_login(self, repository: Repository, *, push: bool = False) -> None:
        """A cheap authenticated request for this repository: may we read it, or (``push``) push to it?"""

    def resolve(self, image: TaggedImage) -> Digest | None:
        """The digest that the tag points to now; None when there is no such tag."""

    def manifest(self, repository: Repository, digest: Digest) -> RegistryManifest | None:
        """The manifest with this digest, its bytes hashed; None when there is none."""

    def config(self, repository: Repository, digest: Digest) -> Mapping[str, object]:
        """The image configuration with this digest (``os``, ``architecture``, ``config.Labels`` …), hashed."""

    def blob(self, repository: Repository, digest: Digest) -> bytes:
        """A small blob (8 MiB at most), hashed."""

    def referrers(self, repository: Repository, subject: Digest, artifact_type: str) -> Sequence[Descriptor]:
        """The artifacts of this type that refer to the digest, whatever the registry's way to list them."""

    def put_blob(self, repository: Repository, content: bytes) -> Digest:
        """Store a small blob; storing it twice changes nothing."""

    def put_manifest(self, repository: Repository, content: bytes, media_type: str, tag: str | None = None) -> Digest:
        """Store these very bytes, and point the tag to them where one is given. Uploads no layer."""

    def attach(self, repository: Repository, subject: Digest, content: bytes, media_type: str) -> Digest:
        """Store an artifact's manifest that names ``subject``; ``referrers`` lists it from then on, once."""
