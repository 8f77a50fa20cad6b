"""``hybrid-ci init``: a commented configuration from what the repository holds. It asks nothing that it can see."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from posixpath import normpath

import yaml

from orchestrator.config.compose import ComposeService
from orchestrator.config.loader import parse_application
from orchestrator.core.errors import ConfigurationError

_SKIPPED = frozenset({".git", "node_modules", "vendor", ".venv", "venv", "target", "dist", "build"})
_DEEPEST = 4
_EXPOSED = re.compile(r"^[ \t]*EXPOSE[ \t]+([0-9]{1,5})(/\w+)?\b", re.IGNORECASE | re.MULTILINE)
_SEPARATORS = ("-", ".", "_", "__")  # those that an image repository's name may hold between letters and digits
_LONGEST_NAME = 63
_CI_FILES = {
    ".github/workflows": "GitHub Actions",
    ".gitlab-ci.yml": "GitLab CI",
    "Jenkinsfile": "Jenkins",
}


@dataclass(frozen=True, slots=True)
class FoundImage:
    """A Dockerfile and what it tells; ``repository`` is where the image goes, where something says so."""

    name: str
    context: str
    dockerfile: str | None
    port: int | None
    target: str | None = None
    repository: str | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What can't be seen and has to be given. ``registry`` is for the images whose repository nothing tells."""

    application: str
    registry: str
    gitops: str
    environment: str


def find_images(root: Path, application: str) -> tuple[FoundImage, ...]:
    """One image for each Dockerfile, at most four folders deep, named after its folder or its suffix.

    Where two would have the same name, the later one is named after its whole path. Raises ConfigurationError for a
    Dockerfile that can't be read.
    """
    images: dict[str, FoundImage] = {}
    for file in sorted(_dockerfiles(root)):
        relative = file.relative_to(root)
        folder, suffix = relative.parent, file.name.partition(".")[2]
        base = application if folder == Path() else folder.name
        name = _unused([_name(f"{base}-{suffix}" if suffix else base), _name("-".join(relative.parts))], images)
        dockerfile = relative.as_posix() if suffix else None
        images[name] = FoundImage(name, folder.as_posix(), dockerfile, _port(file))
    return tuple(images.values())


def with_compose(images: Sequence[FoundImage], services: Sequence[ComposeService]) -> tuple[FoundImage, ...]:
    """The images as a compose file builds them: its names, contexts, targets, ports and repositories.

    Dockerfiles that no service builds stay as they were found.
    """
    by_file = {_file_of(image): image for image in images}
    found: dict[str, FoundImage] = {}
    built: set[str] = set()
    for service in services:
        image = by_file.get(service.dockerfile)
        if image is None:
            continue  # compose would not find it either
        built.add(service.dockerfile)
        own = normpath(f"{service.context}/Dockerfile") == service.dockerfile
        name = _unused([_name(service.name)], found)
        found[name] = FoundImage(
            name,
            service.context,
            None if own else service.dockerfile,
            image.port or service.port,
            service.target,
            service.repository,
        )
    for file, image in by_file.items():
        if file not in built:
            name = _unused([image.name, _name(file.replace("/", "-"))], found)
            found[name] = replace(image, name=name)
    return tuple(found.values())


def _file_of(image: FoundImage) -> str:
    return normpath(image.dockerfile or f"{image.context}/Dockerfile")


def _unused(candidates: Sequence[str], taken: Container[str]) -> str:
    numbered = (f"{candidates[-1][: _LONGEST_NAME - 3]}-{number}" for number in count(2))
    return next(name for name in chain(candidates, numbered) if name not in taken)


def _port(dockerfile: Path) -> int | None:
    """The first TCP port that it exposes."""
    try:
        text = dockerfile.read_text("utf-8", "replace")
    except OSError as error:
        raise ConfigurationError(
            f"the Dockerfile can't be read: {error.strerror}", where=str(dockerfile), hint="check its permissions"
        ) from None
    ports = (int(port) for port, protocol in _EXPOSED.findall(text) if protocol.lower() != "/udp")
    return next((port for port in ports if 0 < port < 1 << 16), None)


def ci_in_use(root: Path) -> tuple[str, ...]:
    """The CI systems whose files are here."""
    return tuple(name for path, name in _CI_FILES.items() if (root / path).exists())


def default_application(root: Path) -> str:
    """The folder's name, as a valid application name."""
    return _name(root.resolve().name)


def starter(images: tuple[FoundImage, ...], answers: Answers) -> str:
    """The text of ``hybrid-ci.yaml``."""
    blocks = "\n".join(_image(image, answers) for image in images)
    return f"""\
# hybrid-ci: build, test and push these images, then hand them off by pull request.
# `hybrid-ci check` validates this file; `hybrid-ci schema` prints its JSON Schema.
version: 1
application: {scalar(answers.application)}

# Tags come from the commit: {{sha}}, {{commit}}, {{version}} (a tag such as v1.2.3), {{branch}}, {{date}}.
tag: "{{sha}}"

gitops:
  # Where the pull request goes. Its .hybrid-ci/environments.yaml says what this application may touch.
  repository: {scalar(answers.gitops)}
  environment: {scalar(answers.environment)}
  # base: main

images:
{blocks}"""


def check_starter(text: str, file: Path) -> None:
    """The text will pass ``hybrid-ci check``. Raises ConfigurationError for answers that make none that does."""
    try:
        parse_application(text.encode(), file)
    except UnicodeEncodeError:
        problems = ["the name of a folder is not UTF-8"]
    except ConfigurationError as error:
        problems = [line.partition(": ")[2] for line in error.details] or [error.message]
    else:
        return
    raise ConfigurationError(
        "with these answers the configuration would not be valid",
        where=str(file),
        details=problems,
        hint="nothing was written; correct the options, or rename what they were read from",
    )


def refuse_existing(file: Path, *, force: bool) -> None:
    """Before anybody is asked anything. Raises ConfigurationError."""
    if not force and (file.exists() or file.is_symlink()):
        raise ConfigurationError(
            "there is a configuration already", where=str(file), hint="edit it, or overwrite it with --force"
        )


def write_new(file: Path, text: str, *, force: bool) -> None:
    """Write the file; an existing one only with ``force``. Raises ConfigurationError."""
    refuse_existing(file, force=force)
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise ConfigurationError(
            f"the file can't be written: {error.strerror}", where=str(file), hint="check the path and its permissions"
        ) from None


def _image(image: FoundImage, answers: Answers) -> str:
    lines = [
        f"  {scalar(image.name)}:",
        f"    repository: {scalar(image.repository or f'{answers.registry}/{image.name}')}",
        f"    context: {scalar(image.context)}",
    ]
    if image.dockerfile:
        lines.append(f"    dockerfile: {scalar(image.dockerfile)}")
    if image.target:
        lines.append(f"    target: {scalar(image.target)}")
    lines += ["    # args: {KEY: value}       # build arguments; never secrets", "    tests:"]
    if image.port:
        lines += [
            "      - name: smoke",
            f"        http: {{port: {image.port}, path: /}}",
            "        timeout: 30s",
        ]
    else:
        lines += [
            "      # Runs inside the built image, without network unless `network: true`.",
            "      - name: starts",
            '        run: "true"',
        ]
    return "\n".join(lines) + "\n"


def _dockerfiles(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        here = Path(folder)
        names[:] = [name for name in names if name not in _SKIPPED and len(here.relative_to(root).parts) < _DEEPEST]
        yield from (here / name for name in files if _is_dockerfile(name))


def _is_dockerfile(name: str) -> bool:
    """Also with a suffix; but ``Dockerfile.dockerignore`` is what BuildKit calls an ignore file."""
    return name == "Dockerfile" or (name.startswith("Dockerfile.") and not name.endswith(".dockerignore"))


def _name(text: str) -> str:
    """The text as a name that an application, an image and its repository may have."""

    def separator(match: re.Match[str]) -> str:
        return match[0] if match[0] in _SEPARATORS else "-"

    return re.sub(r"[^a-z0-9]+", separator, text.lower()).strip("-._")[:_LONGEST_NAME].rstrip("-._") or "app"


def scalar(text: str) -> str:
    """The text as YAML reads it back: in quotes where a plain scalar would be something else."""
    try:
        plain = yaml.safe_load(f"key: {text}\n") == {"key": text}
    except (yaml.YAMLError, ValueError):
        plain = False
    return text if plain else json.dumps(text, ensure_ascii=False)
