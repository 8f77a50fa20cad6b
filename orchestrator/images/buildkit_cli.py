"""Which docker on this machine can build with BuildKit. The first one on PATH may not: it lacks the buildx component.

See https://docs.docker.com/build/buildkit/ ("DOCKER_BUILDKIT=1") and https://docs.docker.com/reference/cli/docker/buildx/.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import ConfigurationError
from orchestrator.engine.process import Completed, Limits, run

_ASKING = Limits(seconds=20.0, output=1 << 20)


@dataclass(frozen=True, slots=True)
class DockerCli:
    """A docker command that can do BuildKit: by its ``buildx`` component, or by itself (``docker build``)."""

    program: Path
    buildx: bool

    @property
    def build(self) -> tuple[str, ...]:
        """How a build begins."""
        return (str(self.program), *(("buildx", "build") if self.buildx else ("build",)))

    @property
    def name(self) -> str:
        """For people: ``docker buildx build (/usr/bin/docker)``."""
        return f"docker {'buildx ' if self.buildx else ''}build ({self.program})"


def find_docker_cli(environment: Mapping[str, str]) -> DockerCli | None:
    """The first docker on PATH with buildx, else the first that does BuildKit without; None when there is neither."""
    plain: DockerCli | None = None
    for program in _candidates(environment):
        if _asked(program, environment, "buildx", "version").ok:
            return DockerCli(program, buildx=True)
        # Its help lists --secret only where this docker can hand one over: that takes BuildKit.
        answer = _asked(program, environment, "build", "--help")
        if plain is None and answer.ok and b"--secret" in answer.stdout:
            plain = DockerCli(program, buildx=False)
    return plain


def required_docker_cli(environment: Mapping[str, str], why: str) -> DockerCli:
    """The same, for a build that can't do without. Raises ConfigurationError that says what needs it."""
    found = find_docker_cli(environment)
    if found is None:
        tried = ", ".join(map(str, _candidates(environment))) or "there is no docker on PATH"
        raise ConfigurationError(
            f"{why}, and no docker command on this machine can do BuildKit",
            where=f"PATH: {tried}",
            hint="install docker's buildx component (docker-buildx-plugin), or a docker command that has it built in",
        )
    return found


def plugin_folders(environment: Mapping[str, str]) -> list[str]:
    """Where this user keeps components of the docker command: they are looked for there even with another HOME."""
    home = environment.get("DOCKER_CONFIG") or os.path.join(environment.get("HOME", "/"), ".docker")  # noqa: PTH118
    return [str(Path(home) / "cli-plugins")]


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    seen: set[Path] = set()
    for folder in environment.get("PATH", os.defpath).split(os.pathsep):
        program = Path(folder or ".") / "docker"
        if program.is_file() and os.access(program, os.X_OK) and program.resolve() not in seen:
            seen.add(program.resolve())
            yield program


def _asked(program: Path, environment: Mapping[str, str], *arguments: str) -> Completed:
    """Ask it, with the user's own components in sight and nothing else of theirs."""
    inherited = {name: environment[name] for name in ("DOCKER_CONFIG",) if name in environment}
    home = {"DOCKER_CONFIG": str(Path(environment["HOME"]) / ".docker")} if environment.get("HOME") else {}
    return run([str(program), *arguments], environment=home | inherited | {"DOCKER_BUILDKIT": "1"}, limits=_ASKING)
