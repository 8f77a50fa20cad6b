"""A Docker Engine (or what speaks its API) behind the image ports: build, run, push."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import Any, Self, cast

from docker.errors import APIError, ImageNotFound, NotFound

from orchestrator.core.errors import ConfigurationError, HybridCIError, RemoteError, TimedOut
from orchestrator.core.image import (
    Digest,
    ImageReference,
    InvalidReference,
    PinnedImage,
    Platform,
    Repository,
    TaggedImage,
)
from orchestrator.core.secret import Redactor
from orchestrator.engine.clock import Clock, Deadline, SystemClock
from orchestrator.engine.events import Reporter
from orchestrator.images.base import BUILD_SECONDS, BuildFailed, BuildSpec, BuiltImage, RunResult, RunSpec
from orchestrator.images.bases import local_reference, registries
from orchestrator.images.build_arguments import check_build_arguments
from orchestrator.images.build_stream import BuildStream
from orchestrator.images.container_run import Running, run_to_end
from orchestrator.images.containers import Containers
from orchestrator.images.context import Context, plan_context, tell_left_out
from orchestrator.images.credentials import Anonymous, Credentials
from orchestrator.images.engine_client import EngineClient, engine_errors, from_environment
from orchestrator.images.push_stream import PushStream, error_of, pull_error

PUSH_SECONDS = 1800.0
PULL_SECONDS = 1800.0
_PARSE_LINE = re.compile(r"parse error (?:on )?line (?P<line>\d+)")


class DockerEngine:
    """Satisfies ImageBuilder and ContainerEngine over the Engine API.

    ``connect`` is called once, when the engine is first needed. ``redact`` knows this run's credentials, so that
    none of them goes out as a build argument.
    """

    def __init__(
        self,
        connect: Callable[[], EngineClient] = from_environment,
        credentials: Credentials | None = None,
        *,
        clock: Clock | None = None,
        redact: Redactor | None = None,
        build_seconds: float = BUILD_SECONDS,
    ) -> None:
        self._connect = connect
        self._credentials = credentials or Anonymous()
        self._clock = clock or SystemClock()
        self._redact = redact or Redactor()
        self._build_seconds = build_seconds
        self._lock = threading.Lock()
        self._made_containers: Containers | None = None

    @cached_property
    def _client(self) -> EngineClient:
        return self._connect()

    @property
    def host(self) -> str:
        """Where the engine listens. Raises RemoteError or ConfigurationError when it can't be told."""
        return self._client.host

    @property
    def _host(self) -> str:
        return self._client.host

    @property
    def _containers(self) -> Containers:
        """The one place that knows what runs here; stages of several threads ask for it at once."""
        with self._lock:
            if self._made_containers is None:
                made = Containers(self._client, self._clock)
                made.sweep()
                self._made_containers = made
            return self._made_containers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        if "_client" in self.__dict__:
            self._client.close()

    # --- ContainerEngine: what answers ----------------------------------------------------------------------------

    def check(self) -> str:
        """What answers, such as ``Docker Engine 28.2.2 (API 1.50), linux/amd64``."""
        with engine_errors(self._host):
            version = self._client.version()
        if version.get("Os") != "linux":
            raise ConfigurationError(
                f"the container engine runs {version.get('Os')} containers", where=self._host, hint="use a Linux engine"
            )
        platform = f"{version['Os']}/{version.get('Arch', 'unknown')}"
        name = (version.get("Platform") or {}).get("Name") or "Container engine"
        return f"{name} {version.get('Version', '')} (API {self._client.api_version}), {platform}"

    # --- ImageBuilder ---------------------------------------------------------------------------------------------

    def build(self, spec: BuildSpec, reporter: Reporter) -> BuiltImage:
        """Build; the log goes to the reporter. Raises BuildFailed, ConfigurationError, RemoteError, TimedOut."""
        check_build_arguments(spec.arguments, self._redact, f"image {spec.name}: args")
        if spec.buildkit.needed is not None:
            raise ConfigurationError(
                f"the build of {spec.name} asks for {spec.buildkit.needed}, and that takes BuildKit",
                where=str(spec.dockerfile),
                hint="set builder: buildkit, or auto, in the configuration",
            )
        stage = f"build {spec.name}"
        context = plan_context(spec)
        tell_left_out(context, spec, reporter)
        stream = BuildStream(spec)
        deadline = Deadline(self._clock, self._build_seconds)
        with engine_errors(self._host), self._client.streams():
            try:
                for event in self._build_events(spec, context):
                    for line in stream.feed(event):
                        reporter.log(stage, line)
                    if deadline.expired:
                        raise TimedOut(f"the build of {spec.name} took too long", where=str(spec.dockerfile))
            except APIError as error:  # the SDK looks at the status when the stream is first read
                raise _refused_build(error, spec) from None
            for line in stream.end():
                reporter.log(stage, line)
            if stream.image is None:
                raise stream.broken_off()
            return self._built(spec, stream.image)

    def _build_events(self, spec: BuildSpec, context: Context) -> Iterator[Mapping[str, object]]:
        self._client.give_build_logins(self._base_logins(context.dockerfile, spec.arguments))
        self.name_bases(spec)
        return _events(
            self._client.build(
                fileobj=cast(Any, context.stream()),  # requests sends a generator in chunks
                custom_context=True,
                dockerfile=context.dockerfile_name,
                buildargs=dict(spec.arguments),
                labels=dict(spec.labels),
                target=spec.target,
                platform=str(spec.platform) if spec.platform else None,
                rm=True,
                forcerm=True,
                decode=True,
                use_config_proxy=False,
                timeout=int(self._build_seconds),
            ),
            stream_ended=f"the build of {spec.name}",
        )

    def name_bases(self, spec: BuildSpec) -> None:
        """Give each base of this run the local reference that the Dockerfile now names it by. Raises RemoteError."""
        with engine_errors(self._host):
            for base in spec.bases.values():
                local = local_reference(base)
                self._client.tag(base.engine_id.value, str(local.repository), local.tag, force=True)

    def _base_logins(self, dockerfile: bytes, arguments: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """The logins for the registries that the Dockerfile names, and for no other."""
        hosts = registries(dockerfile, arguments)
        entries = [login.for_engine(host) for host in hosts if (login := self._credentials.login(host)) is not None]
        return {entry["serveraddress"]: entry for entry in entries}

    def describe_built(self, spec: BuildSpec, image: str) -> BuiltImage:
        """What was built under this id, when it is for the platform that was asked for. Raises BuildFailed."""
        with engine_errors(self._host):
            return self._built(spec, image)

    def _built(self, spec: BuildSpec, image: str) -> BuiltImage:
        built = describe(spec.name, self._client.inspect_image(image))  # type: ignore[no-untyped-call]
        if spec.platform is not None and not _same_platform(spec.platform, built.platform):
            raise BuildFailed(
                f"{spec.name} was to be built for {spec.platform}, and the engine built it for {built.platform}",
                where=str(spec.dockerfile),
                hint="take a base image that exists for this platform, and build with BuildKit or on such a machine",
            )
        return built

    def speaks_buildkit(self) -> bool:
        """The engine has BuildKit in it, as Docker's has since 18.09; Podman only speaks Docker's API."""
        with engine_errors(self._host):
            version = self._client.version()
        components = version.get("Components") or []
        return not any("podman" in str(component.get("Name", "")).lower() for component in components)

    # --- ContainerEngine: fetch -----------------------------------------------------------------------------------

    def platform(self) -> Platform:
        """What the engine's machine is. Raises RemoteError or ConfigurationError."""
        with engine_errors(self._host):
            version = self._client.version()
        return Platform(str(version.get("Os")), str(version.get("Arch")))

    def holds(self, reference: ImageReference) -> Digest | None:
        """The registry's digest of an image that is here, else its id; None when it is not here."""
        with engine_errors(self._host):
            try:
                inspected = self._client.inspect_image(str(reference))  # type: ignore[no-untyped-call]
            except ImageNotFound:
                return None
        for known in inspected.get("RepoDigests") or []:
            repository, _, digest = str(known).partition("@")
            if digest and _same_repository(repository, reference.repository):
                return Digest(digest)
        return describe(reference.repository.name, inspected).engine_id

    def fetch(
        self, name: str, image: PinnedImage, platform: Platform | None, reporter: Reporter, stage: str
    ) -> BuiltImage:
        """Pull by digest. What the engine then calls it is left to the proof. Raises LoginRefused, PullFailed."""
        reference = ImageReference(image.repository, None, image.digest)
        with engine_errors(self._host), self._client.streams():
            self._pull(reference, platform, reporter, stage)
            return describe(name, self._client.inspect_image(str(reference)))  # type: ignore[no-untyped-call]

    def _pull(self, image: ImageReference, platform: Platform | None, reporter: Reporter, stage: str) -> None:
        login = self._credentials.login(image.repository.registry)
        authentication = login.for_engine(image.repository.registry) if login else {"username": "", "password": ""}
        deadline = Deadline(self._clock, PULL_SECONDS)
        try:
            events = self._client.pull(
                str(image.repository),
                image.digest.value if image.digest else image.tag or "latest",
                stream=True,
                decode=True,
                auth_config=authentication,
                platform=str(platform) if platform else None,
            )
            for event in _events(events, stream_ended=f"the pull of {image}"):
                if (message := error_of(event)) is not None:
                    raise pull_error(message, image, logged_in=login is not None)
                reporter.progress(stage, str(event.get("status") or ""))
                if deadline.expired:
                    raise TimedOut(f"the pull of {image} took too long", where=str(image.repository))
        except APIError as error:  # before any stream: no such image, or no login
            raise pull_error(str(error.explanation or error), image, logged_in=login is not None) from None

    # --- ContainerEngine: run and push ----------------------------------------------------------------------------

    def run(self, image: BuiltImage, spec: RunSpec, reporter: Reporter, stage: str) -> RunResult:
        """Run to the end or the time limit, in the safe profile; the container is always removed."""
        with engine_errors(self._host), _missing_image(image), self._containers.started(image, spec) as container:
            return run_to_end(self._client, container, spec, self._clock, reporter, stage)

    def start(self, image: BuiltImage, spec: RunSpec) -> Running:
        """Start one that serves; the caller stops it."""
        with engine_errors(self._host), _missing_image(image):
            container = self._containers.start(image, spec)
            return Running(self._client, self._containers, container, spec, self._clock, self._host)

    def obtain(self, name: str, reference: ImageReference, reporter: Reporter, stage: str) -> BuiltImage:
        """An image that the engine has, or pulls with the login of its registry. Raises LoginRefused, PullFailed."""
        with engine_errors(self._host), self._client.streams():
            try:
                return describe(name, self._client.inspect_image(str(reference)))  # type: ignore[no-untyped-call]
            except ImageNotFound:
                reporter.log(stage, f"pulling {reference}")
            self._pull(reference, None, reporter, stage)
            return describe(name, self._client.inspect_image(str(reference)))  # type: ignore[no-untyped-call]

    def made_before(self, name: str, labels: Mapping[str, str]) -> BuiltImage | None:
        """The newest image in the engine that bears all these labels."""
        wanted = {"label": [f"{key}={value}" for key, value in labels.items()]}
        with engine_errors(self._host):
            found = self._client.images(filters=wanted)
            newest = max(found, key=lambda one: int(one.get("Created") or 0), default=None)
            if newest is None:
                return None
            return describe(name, self._client.inspect_image(newest["Id"]))  # type: ignore[no-untyped-call]

    @contextmanager
    def private_network(self, seconds: float, *, outside: bool = False) -> Iterator[str]:
        """A network for the containers that ``join`` it; removed at the end."""
        with engine_errors(self._host):
            name = self._containers.make_network(seconds, outside=outside, shared=True)
        try:
            yield name
        finally:
            with engine_errors(self._host):
                self._containers.remove_network(name)

    def abort(self) -> None:
        """End and remove all that this process has running there; nothing can be started afterwards."""
        if "_client" in self.__dict__:
            with engine_errors(self._host):
                self._containers.abort()  # made now where none was: a stage may be about to begin

    def push(self, image: BuiltImage, target: TaggedImage, reporter: Reporter, stage: str) -> Digest | None:
        """Tag and push. Gives the digest that the engine claims, if it does.

        Raises Refused when the registry denies it, LoginRefused, PushInterrupted (worth another try), PushFailed.
        """
        login = self._credentials.login(target.repository.registry)
        stream = PushStream(target, logged_in=login is not None)
        deadline = Deadline(self._clock, PUSH_SECONDS)
        # An empty entry, because without one the SDK would look for a login of its own.
        authentication = login.for_engine(target.repository.registry) if login else {"username": "", "password": ""}
        with engine_errors(self._host), _missing_image(image), self._client.streams():
            self._client.tag(image.engine_id.value, str(target.repository), target.tag, force=True)
            events = self._client.push(
                str(target.repository), target.tag, stream=True, decode=True, auth_config=authentication
            )
            for event in _events(events, stream_ended=f"the push of {target}"):
                stream.feed(event)
                reporter.progress(stage, stream.progress)
                if deadline.expired:
                    raise TimedOut(f"the push of {target} took too long", where=str(target.repository))
        return stream.finish()


def describe(name: str, inspected: Mapping[str, Any]) -> BuiltImage:
    """What the engine says about an image (ImageInspect of its API). Raises RemoteError when that is no answer."""
    try:
        platform = Platform(inspected["Os"], inspected["Architecture"], inspected.get("Variant") or None)
        return BuiltImage(name, Digest(_with_algorithm(inspected["Id"])), platform)
    except (KeyError, TypeError, InvalidReference):
        raise RemoteError(f"the engine does not describe the image {name}", hint="look at the engine's log") from None


def _with_algorithm(identity: str) -> str:
    """Podman's own API leaves ``sha256:`` off."""
    return identity if ":" in identity else f"sha256:{identity}"


def _same_repository(text: str, repository: Repository) -> bool:
    try:
        return Repository.parse(text) == repository
    except InvalidReference:  # <none>
        return False


def _same_platform(wanted: Platform, built: Platform) -> bool:
    same_machine = (wanted.os, wanted.architecture) == (built.os, built.architecture)
    return same_machine and (wanted.variant is None or built.variant is None or wanted.variant == built.variant)


def _events(stream: object, *, stream_ended: str) -> Iterator[Mapping[str, object]]:
    """The events of a stream, each a JSON object."""
    for event in cast(Iterator[object], stream):
        if not isinstance(event, Mapping):
            raise RemoteError(f"{stream_ended} gave an answer that is not a JSON object")
        yield event


def _refused_build(error: APIError, spec: BuildSpec) -> HybridCIError:
    """A Dockerfile that does not parse is a 400 (classic builder), before any stream."""
    text = str(error.explanation or "").strip()
    line = _PARSE_LINE.search(text)
    if error.status_code == 400 or "dockerfile parse error" in text or "failed to reach build target" in text:
        return BuildFailed(
            f"the Dockerfile of {spec.name} does not build: {text}",
            where=f"{spec.dockerfile}:{line['line']}" if line else str(spec.dockerfile),
            hint="correct the Dockerfile and build again",
        )
    return RemoteError(
        f"the engine refused to build {spec.name}: {text}", where=str(spec.dockerfile), hint="look at the engine's log"
    )


class _missing_image:
    """Say which image is gone, when one was pruned between two stages."""

    def __init__(self, image: BuiltImage) -> None:
        self._image = image

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        gone = isinstance(error, ImageNotFound) or (isinstance(error, NotFound) and "image" in str(error).lower())
        if gone:
            raise RemoteError(
                f"the image {self._image.name} is no longer in the engine",
                where=self._image.engine_id.short,
                hint="something removed it (a prune?) while it was tested; run again",
            ) from None
