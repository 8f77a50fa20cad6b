"""Builds with BuildKit, through the docker command: secrets that stay in no layer, caches in a registry, and speed.

The engine still runs and pushes what was built, and what it calls the image is asked of the engine, never read from
the build's output. The docker command sees a configuration of this build's own: the logins of the registries that the
Dockerfile names, and nothing else of the user's.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Protocol

from orchestrator.core.errors import ConfigurationError, TimedOut
from orchestrator.core.machine import killed
from orchestrator.core.secret import Redactor
from orchestrator.engine.events import Reporter
from orchestrator.engine.nameless import nameless_file
from orchestrator.engine.process import Limits, run
from orchestrator.images.base import BUILD_SECONDS, BuildSpec, BuiltImage, ImageBuilder
from orchestrator.images.bases import registries
from orchestrator.images.build_arguments import check_build_arguments
from orchestrator.images.buildkit_cli import DockerCli, find_docker_cli, plugin_folders, required_docker_cli
from orchestrator.images.buildkit_log import BuildKitLog
from orchestrator.images.context import Context, plan_context, tell_left_out
from orchestrator.images.credentials import Credentials

# What the docker command needs to find the engine that everything else of this run talks to.
_ENGINE_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "BUILDX_CONFIG", "SSH_AUTH_SOCK")
_MOST_OUTPUT = 256 << 20


class ImageStore(ImageBuilder, Protocol):
    """The engine, as far as BuildKit needs it: it holds what is built, and what is built upon."""

    @property
    def host(self) -> str:
        """Where the engine listens. Raises RemoteError or ConfigurationError when it can't be told."""

    def speaks_buildkit(self) -> bool:
        """The engine has BuildKit in it."""

    def name_bases(self, spec: BuildSpec) -> None:
        """Give each base of this run the local reference that the Dockerfile now names it by. Raises RemoteError."""

    def describe_built(self, spec: BuildSpec, image: str) -> BuiltImage:
        """What was built under this id, when it is for the platform that was asked for. Raises BuildFailed."""


class BuildKit:
    """Satisfies ImageBuilder. ``store`` holds what is built; ``find`` gives the docker command, once."""

    def __init__(
        self,
        store: ImageStore,
        credentials: Credentials,
        environment: Mapping[str, str],
        redact: Redactor,
        *,
        find: Callable[[Mapping[str, str], str], DockerCli] = required_docker_cli,
        seconds: float = BUILD_SECONDS,
    ) -> None:
        self._store, self._credentials = store, credentials
        self._environment, self._redact = environment, redact
        self._find, self._seconds = find, seconds

    @cached_property
    def cli(self) -> DockerCli:
        """The docker command. Raises ConfigurationError when there is none that can do this."""
        return self._find(self._environment, "the configuration asks for BuildKit")

    def build(self, spec: BuildSpec, reporter: Reporter) -> BuiltImage:
        """Build; the log goes to the reporter.

        Raises BuildFailed, ConfigurationError, LoginRefused, RemoteError, TimedOut.
        """
        check_build_arguments(spec.arguments, self._redact, f"image {spec.name}: args")
        self._check(spec)
        context = plan_context(spec)
        tell_left_out(context, spec, reporter)
        self._store.name_bases(spec)
        log = BuildKitLog(spec, context.dockerfile.decode("utf-8", "replace"))

        def tell(line: str) -> None:
            for told in log.feed(line):
                reporter.log(f"build {spec.name}", told)

        with tempfile.TemporaryDirectory(prefix="hybrid-ci-build-") as folder, ExitStack() as stack:
            identity = Path(folder) / "image"
            secrets = {
                secret.id: stack.enter_context(nameless_file(secret.value.reveal().encode("utf-8", "surrogateescape")))
                for secret in spec.buildkit.secrets
            }
            done = run(
                [
                    *self.cli.build,
                    "--progress=plain",
                    f"--iidfile={identity}",
                    *self._options(spec, context),
                    *(f"--secret=id={name},src=/dev/fd/{descriptor}" for name, descriptor in secrets.items()),
                    "-",
                ],
                environment=self._variables(Path(folder), context, spec.arguments),
                stdin=context.stream(),
                limits=Limits(seconds=self._seconds, output=_MOST_OUTPUT),
                on_line=tell,
                pass_fds=tuple(secrets.values()),
            )
            if done.timed_out:
                raise TimedOut(f"the build of {spec.name} took too long", where=str(spec.dockerfile))
            if done.killed:
                raise killed(f"the build of {spec.name}", str(self.cli.program))
            if not done.ok:
                raise log.failure(done.returncode)
            return self._store.describe_built(spec, identity.read_text("ascii").strip())

    def _check(self, spec: BuildSpec) -> None:
        """What this docker can't do is told before anything is sent."""
        wanted = spec.buildkit.needs_buildx
        if wanted is not None and not self.cli.buildx:
            raise ConfigurationError(
                f"the build of {spec.name} asks for {wanted}, and that takes buildx",
                where=str(self.cli.program),
                hint="install docker's buildx component (docker-buildx-plugin)",
            )

    def _options(self, spec: BuildSpec, context: Context) -> Iterator[str]:
        options = spec.buildkit
        yield f"--file={context.dockerfile_name}"
        for name, value in sorted(spec.arguments.items()):
            yield f"--build-arg={name}={value}"
        if options.created is not None:
            yield f"--build-arg=SOURCE_DATE_EPOCH={options.created}"
        for name, value in sorted(spec.labels.items()):
            yield f"--label={name}={value}"
        yield from _given("--target", spec.target)
        yield from _given("--platform", str(spec.platform) if spec.platform else None)
        yield from (f"--ssh={agent}" for agent in options.ssh)
        yield from (f"--cache-from={_cache(reference, self.cli.buildx)}" for reference in options.cache_from)
        if self.cli.buildx:
            yield from (f"--cache-to={_cache(reference, True)},mode=max" for reference in options.cache_to)
            yield from _given("--builder", options.builder)
            yield f"--provenance={'mode=max' if options.provenance else 'false'}"
            yield "--load"

    def _variables(self, folder: Path, context: Context, arguments: Mapping[str, str]) -> dict[str, str]:
        """An engine to talk to and a configuration with the logins that this build needs, readable for nobody else."""
        auths: dict[str, dict[str, str]] = {}
        for registry in registries(context.dockerfile, arguments):
            if (login := self._credentials.login(registry)) is None:
                continue
            entry = login.for_engine(registry)
            if "identitytoken" in entry:
                auths[entry["serveraddress"]] = {"identitytoken": entry["identitytoken"]}
            else:
                pair = f"{entry['username']}:{entry['password']}".encode()
                auths[entry["serveraddress"]] = {"auth": base64.b64encode(pair).decode()}
        configuration = {"auths": auths, "cliPluginsExtraDirs": plugin_folders(self._environment)}
        file = folder / "config.json"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            json.dump(configuration, stream)
        passed = {name: self._environment[name] for name in _ENGINE_VARIABLES if self._environment.get(name)}
        return passed | {"DOCKER_HOST": self._store.host, "DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(folder)}


class Builders:
    """Satisfies ImageBuilder: BuildKit where this machine has it, or where a build can't do without; else the engine.

    ``choice`` is ``auto``, ``buildkit`` (always) or ``engine`` (never).
    """

    def __init__(
        self, store: ImageStore, buildkit: BuildKit, environment: Mapping[str, str], choice: str = "auto"
    ) -> None:
        self._store, self._buildkit = store, buildkit
        self._environment, self._choice = environment, choice

    def build(self, spec: BuildSpec, reporter: Reporter) -> BuiltImage:
        """As the builder that was chosen. Raises ConfigurationError when what the build asks for is not there."""
        if self._choice == "engine" or (self._choice == "auto" and not spec.buildkit.needed and not self._has_buildkit):
            return self._store.build(spec, reporter)
        return self._buildkit.build(spec, reporter)

    @cached_property
    def _has_buildkit(self) -> bool:
        return find_docker_cli(self._environment) is not None and self._store.speaks_buildkit()


def _given(name: str, value: str | None) -> Iterator[str]:
    if value is not None:
        yield f"{name}={value}"


def _cache(reference: str, buildx: bool) -> str:
    return f"type=registry,ref={reference}" if buildx else reference
