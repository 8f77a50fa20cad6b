"""What the commands that only look share: from where they look, and how moments are told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.app import OutputFormat, Settings

if TYPE_CHECKING:
    from orchestrator.core.image import ImageReference, Repository
    from pipelines.looking import Looking

Gitops = Annotated[
    str | None,
    typer.Option("--gitops", metavar="URL", help="The GitOps repository, where there is no hybrid-ci.yaml to name it."),
]
Forge = Annotated[
    str | None, typer.Option("--forge", metavar="FORGE", help="github, gitlab, or the path of a local forge.")
]
Everything = Annotated[bool, typer.Option("--all", help="Also what belongs to other applications.")]
Images = Annotated[
    list[str] | None, typer.Option("--image", metavar="NAME|REPO", help="Only this image; may be repeated.")
]
Environments = Annotated[
    list[str] | None, typer.Option("--environment", "--env", metavar="NAME", help="Only this one; may be repeated.")
]
Output = Annotated[OutputFormat, typer.Option(help="The result as table, json or markdown.")]


@contextmanager
def open_looking(settings: Settings, gitops: str | None, forge: str | None) -> Iterator[Looking]:
    """From the application's checkout, or with ``gitops`` from that address alone. Raises ConfigurationError."""
    from orchestrator.config.loader import load_application
    from orchestrator.core.image import Repository
    from orchestrator.git.distance import distance_in
    from orchestrator.wiring import open_standpoint
    from pipelines.looking import Looking

    with open_standpoint(settings, gitops, forge) as (ports, at):
        if gitops is not None:
            looking = Looking.through(ports, at)
        else:
            application = load_application(settings.config)
            lines = {
                Repository.parse(image.repository): application.place("images", name, "repository")
                for name, image in application.config.images.items()
            }
            looking = Looking.through(ports, at, distance=distance_in(application.directory), written_at=lines)
        yield looking
        if settings.verbose:
            ports.reporter.note(calls_in_words(looking.tally.counts()))


def calls_in_words(calls: dict[str, dict[str, int]] | Any) -> str:
    """``6 calls to git (files 2, tips 1 …), 1 to the forge (list 1)``."""
    told = []
    for kind, methods in calls.items():
        each = ", ".join(f"{name} {count}" for name, count in methods.items())
        told.append(f"{sum(methods.values())} to {'git' if kind == 'git' else 'the forge'} ({each})")
    return f"calls: {'; '.join(told) or 'none'}"


def print_json(schema: str, data: dict[str, Any]) -> None:
    """One document, which names its schema."""
    typer.echo(json.dumps({"schema": schema, **data}, indent=2))


def age(since: datetime, now: datetime) -> str:
    """A length of time for people, in its largest unit: ``2h``, ``12d``."""
    seconds = max(0, int((now - since).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def moment(when: datetime | None) -> str | None:
    """A moment for machines, in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when is not None else None


def day(when: datetime) -> str:
    """A moment for people, in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def label(image: ImageReference) -> str:
    """The tag, else what stands for it."""
    return image.tag or ("(no tag)" if image.digest is None else image.digest.hex[:12])


def version_text(versions: Sequence[ImageReference]) -> str:
    """``1.4.2@3f2a9c1b2d4e`` for each version, for people."""
    return ", ".join(_version(one) for one in versions) or "nothing"


def _version(image: ImageReference) -> str:
    digest = image.digest.hex[:12] if image.digest is not None else None
    if image.tag is None:
        return f"@{digest}" if digest else "(no tag)"
    return f"{image.tag}@{digest}" if digest else image.tag


def version_data(image: ImageReference) -> dict[str, Any]:
    """A version for machines."""
    return {"tag": image.tag, "digest": str(image.digest) if image.digest is not None else None}


def names_of(images: Sequence[Repository]) -> dict[Repository, str]:
    """A short name for each image: the last part where it is the only one with it, else all of it."""
    last = [image.name for image in images]
    return {image: image.name if last.count(image.name) == 1 else str(image) for image in images}


def sentence(text: str) -> str:
    """With a capital letter, and every other one as it is."""
    return text[:1].upper() + text[1:]
