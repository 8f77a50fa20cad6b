"""``hybrid-ci init``: a commented configuration from what the repository holds. It asks nothing that it can see."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import ConfigurationError

_SKIPPED = frozenset({".git", "node_modules", "vendor", ".venv", "venv", "target", "dist", "build"})
_DEEPEST = 4
_EXPOSED = re.compile(r"^\s*EXPOSE\s+(\d+)", re.IGNORECASE | re.MULTILINE)
_CI_FILES = {
    ".github/workflows": "GitHub Actions",
    ".gitlab-ci.yml": "GitLab CI",
    "Jenkinsfile": "Jenkins",
}


@dataclass(frozen=True, slots=True)
class FoundImage:
    """A Dockerfile and what it tells."""

    name: str
    context: str
    dockerfile: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class Answers:
    """What can't be seen and has to be given."""

    application: str
    registry: str
    gitops: str
    environment: str


def find_images(root: Path, application: str) -> tuple[FoundImage, ...]:
    """One image for each Dockerfile, at most four folders deep, named after its folder or its suffix."""
    images: dict[str, FoundImage] = {}
    for file in sorted(_dockerfiles(root)):
        folder = file.parent.relative_to(root)
        suffix = file.name.partition(".")[2]
        base = application if folder == Path() else folder.name
        name = _name(f"{base}-{suffix}" if suffix else base)
        exposed = _EXPOSED.search(file.read_text("utf-8", "replace"))
        images.setdefault(
            name,
            FoundImage(
                name,
                folder.as_posix(),
                file.relative_to(root).as_posix() if suffix else None,
                int(exposed[1]) if exposed else None,
            ),
        )
    return tuple(images.values())


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
application: {answers.application}

# Tags come from the commit: {{sha}}, {{commit}}, {{version}} (a tag such as v1.2.3), {{branch}}, {{date}}.
tag: "{{sha}}"

gitops:
  # Where the pull request goes. Its .hybrid-ci/environments.yaml says what this application may touch.
  repository: {answers.gitops}
  environment: {answers.environment}
  # base: main

images:
{blocks}"""


def write_new(file: Path, text: str, *, force: bool) -> None:
    """Write the file; an existing one only with ``force``. Raises ConfigurationError."""
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigurationError(
            "there is a configuration already", where=str(file), hint="edit it, or write it anew with --force"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"the file can't be written: {error.strerror}", where=str(file)) from None


def _image(image: FoundImage, answers: Answers) -> str:
    lines = [
        f"  {image.name}:",
        f"    repository: {answers.registry}/{image.name}",
        f"    context: {image.context}",
    ]
    if image.dockerfile:
        lines.append(f"    dockerfile: {image.dockerfile}")
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
        yield from (here / name for name in files if name == "Dockerfile" or name.startswith("Dockerfile."))


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._") or "app"
