"""What a compose file tells of the images that it builds: for ``hybrid-ci init``, which asks nothing that it can see.

https://github.com/compose-spec/compose-spec (build.md): a service with ``build`` is built from a context; ``image`` is
then what it is called. Values with variables in them tell nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath

from orchestrator.config.document import parse
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import DEFAULT_REGISTRY, ImageReference, InvalidReference

# In the order in which docker compose looks for them.
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_PORT = re.compile(r"(?:[^/]*:)?([0-9]{1,5})(?:/tcp)?")
_TAG = re.compile(r":[^/]*$")


@dataclass(frozen=True, slots=True)
class ComposeService:
    """A service that is built. Paths are relative to the compose file's folder; ``repository`` is where it goes."""

    name: str
    context: str
    dockerfile: str
    target: str | None = None
    repository: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class ComposeFile:
    """A compose file and the services that it builds; ``problem`` is why it could not be read."""

    name: str
    services: tuple[ComposeService, ...] = ()
    problem: str | None = None


def find_compose(root: Path) -> ComposeFile | None:
    """The compose file of this folder; None when there is none."""
    file = next((root / name for name in NAMES if (root / name).is_file()), None)
    if file is None:
        return None
    try:
        data = parse(file.read_bytes(), file.name).data
    except OSError as error:
        return ComposeFile(file.name, problem=error.strerror or "it can't be read")
    except ConfigurationError as error:
        return ComposeFile(file.name, problem=error.message)
    services = data.get("services") if isinstance(data, dict) else None
    return ComposeFile(file.name, tuple(_built(services)) if isinstance(services, dict) else ())


def _built(services: dict[object, object]) -> Iterator[ComposeService]:
    for name, service in services.items():
        if not isinstance(service, dict) or not service.get("build"):
            continue
        build = service["build"]
        settings = build if isinstance(build, dict) else {"context": build}
        context, dockerfile = _plain(settings.get("context", ".")), _plain(settings.get("dockerfile", "Dockerfile"))
        if context is None or dockerfile is None or "dockerfile_inline" in settings:
            continue
        folder = normpath(context)
        file = normpath(f"{folder}/{dockerfile}")
        if folder.startswith(("..", "/")) or file.startswith(("..", "/")) or "://" in context:
            continue
        yield ComposeService(
            str(name), folder, file, _plain(settings.get("target")), _repository(service.get("image")), _port(service)
        )


def _plain(value: object) -> str | None:
    """A text without variables."""
    return value if isinstance(value, str) and value and "$" not in value else None


def _repository(image: object) -> str | None:
    """Where the image goes, when the name says so: with a registry, and without a variable before its tag."""
    if not isinstance(image, str):
        return None
    name = image if "$" not in image else _TAG.sub("", image.partition("${")[0].rstrip(":") + ":")
    try:
        repository = ImageReference.parse(name.rstrip(":")).repository
    except InvalidReference:
        return None
    if repository.registry == DEFAULT_REGISTRY and repository.path.startswith("library/"):
        return None  # a name that only this machine knows
    return str(repository)


def _port(service: dict[object, object]) -> int | None:
    """The first TCP port of the container that others reach."""
    for key in ("ports", "expose"):
        listed = service.get(key)
        for one in listed if isinstance(listed, list) else []:
            told = one.get("target") if isinstance(one, dict) else one
            match = _PORT.fullmatch(str(told))
            if match and 0 < int(match[1]) < 1 << 16:
                return int(match[1])
    return None
