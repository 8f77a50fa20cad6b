"""How ``status`` is printed: a matrix that fits the terminal, Markdown, or JSON with a stable schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.cli.app import OutputFormat
from orchestrator.cli.looking import age, label, moment, names_of, print_json, version_data, version_text
from orchestrator.core.text import printable
from orchestrator.reports.grid import (
    Cell,
    Paint,
    Tone,
    fits,
    lines_of,
    painter,
    terminal_width,
    transposed,
    wrapped,
)
from orchestrator.reports.markdown import code, link, table

if TYPE_CHECKING:
    from orchestrator.core.image import Repository
    from pipelines.looking_distance import Behind
    from pipelines.status import Cell as Found
    from pipelines.status import Status

SCHEMA = "hybrid-ci.status/v1"
_MOST_COLUMNS = 8  # of environments, in Markdown
_MOST_ROWS = 13  # of environments and their heading: with more, a list of versions is shorter
_STAY = "\xa0"  # what stands together is not cut apart at the end of a line
_NOTHING = Cell.of(("-", Tone.FAINT))


def print_status(status: Status, output: OutputFormat) -> None:
    """To the standard output."""
    if output is OutputFormat.JSON:
        print_json(SCHEMA, as_data(status))
    elif output is OutputFormat.MARKDOWN:
        typer.echo(as_markdown(status))
    else:
        typer.echo("\n".join(as_lines(status, terminal_width(), painter())))


# --- for a terminal ------------------------------------------------------------------------------------------------


def as_lines(status: Status, width: int, paint: Paint) -> list[str]:
    """A matrix where it fits, images down or environments down; else each image with what runs where."""
    if not status.images:
        return ["no environment that is looked at runs an image of this", *_below(status, width, paint)]
    rows = _matrix(status)
    turned = transposed(rows)
    if fits(rows, width):
        lines = lines_of(rows, paint, spaced=True)
    elif len(turned) <= _MOST_ROWS and fits(turned, width):
        lines = lines_of(turned, paint, spaced=True)
    else:
        lines = list(_listing(status, width, paint))
    return [*lines, *_below(status, width, paint)]


def _matrix(status: Status) -> list[list[Cell]]:
    names = names_of(status.images)
    head = [Cell.of(""), *(Cell.of((name, Tone.HEAD)) for name in status.environments)]
    rows = [head]
    for image in status.images:
        found = [status.cells.get((name, image)) for name in status.environments]
        cells = [_cell(one, status) if one is not None else _NOTHING for one in found]
        rows.append([Cell.of((names[image], Tone.HEAD)), *cells])
    return rows


def _cell(found: Found, status: Status) -> Cell:
    lines: list[str | tuple[str, Tone]] = []
    for version in found.versions:
        lines.append((label(version), _tone(found)))
        if version.digest is None:
            lines.append(("not pinned", Tone.WARN))
        elif version.tag is not None:
            lines.append((version.digest.hex[:12], Tone.FAINT))
    behind = _behind(found.behind)
    lines.append(", ".join(part for part in (_age(found, status), behind) if part))
    lines += [(word, Tone.BAD) for word in _marks(found)]
    return Cell.of(*lines)


def _tone(found: Found) -> Tone:
    if found.veto is not None:
        return Tone.BAD
    if found.behind is None or found.behind.commits == 0:
        return Tone.GOOD
    return Tone.WARN if found.behind.commits is not None else Tone.PLAIN


def _marks(found: Found) -> list[str]:
    return [word for word, rule in (("held", found.hold), ("vetoed", found.veto)) if rule is not None]


def _age(found: Found, status: Status) -> str:
    if found.since is None:
        return ""
    return f"{'>' if found.older else ''}{age(found.since, status.now)}"


def _behind(behind: Behind | None) -> str:
    if behind is None or behind.commits == 0:
        return ""
    if behind.commits is None:
        return "? behind"
    return f"{behind.commits} behind" if behind.commits > 0 else f"{-behind.commits} ahead"


def _listing(status: Status, width: int, paint: Paint) -> Iterator[str]:
    """Each image; below it each version, with the environments that run it."""
    for number, image in enumerate(status.images):
        if number:
            yield ""
        yield paint(printable(str(image)), Tone.HEAD)
        groups = _groups(status, image)
        size = max((len(text) for text, _ in groups), default=0)
        for text, members in groups:
            told = ", ".join(_member(one, status).replace(" ", _STAY) for one in members)
            lines = wrapped(f"  {printable(text):<{size}}  ", told, width)
            yield from (line.replace(_STAY, " ") for line in lines)
        absent = [name for name in status.environments if (name, image) not in status.cells]
        if absent:
            yield from wrapped("  not in  ", ", ".join(absent), width)


def _groups(status: Status, image: Repository) -> list[tuple[str, list[Found]]]:
    """The versions in the order in which environments run them, with how far behind they are."""
    groups: dict[str, list[Found]] = {}
    for name in status.environments:
        found = status.cells.get((name, image))
        if found is not None:
            behind = _behind(found.behind)
            text = version_text(found.versions) + (f"  {behind}" if behind else "")
            groups.setdefault(text, []).append(found)
    return list(groups.items())


def _member(found: Found, status: Status) -> str:
    told = " ".join(part for part in (found.environment, _age(found, status)) if part)
    marks = _marks(found)
    return f"{told} ({', '.join(marks)})" if marks else told


def _below(status: Status, width: int, paint: Paint) -> Iterator[str]:
    """What belongs to no single cell."""
    for heading, lines in _sections(status):
        yield ""
        yield paint(heading, Tone.HEAD)
        for head, text in lines:
            yield from wrapped(f"  {printable(head)}  ", text, width)


def _sections(status: Status) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    if status.pull_requests:
        yield (
            "open pull requests",
            [
                (f"#{one.pull_request.number}", f"{one.environment}: {one.pull_request.title}{_draft(one)}")
                for one in status.pull_requests
            ],
        )
    if status.rules:
        names = names_of(status.images)
        short = {str(image): name for image, name in names.items()}
        yield (
            "holds and vetoes",
            [
                (one.kind, f"{one.environment} {short.get(one.subject, one.subject)}: {one.reason}{_until(one)}")
                for one in status.rules
            ],
        )
    if status.skips:
        yield (
            "skipped and not made good",
            [
                (one.left_out, f"{', '.join(image.repository.name for image in one.images)} went past it to "
                 f"{one.environment}: {one.reason}")
                for one in status.skips
            ],
        )  # fmt: skip
    if reasons := _unknown(status):
        yield "not known", [("?", reason) for reason in reasons]


def _draft(one: Any) -> str:
    return " (draft)" if one.pull_request.draft else ""


def _until(rule: Any) -> str:
    return f" (until {moment(rule.expires)})" if rule.expires is not None else ""


def _unknown(status: Status) -> list[str]:
    """Why some of the distances are not told."""
    cells = status.cells.values()
    found = [one.behind.reason for one in cells if one.behind is not None and one.behind.commits is None]
    told = [f"how far behind: {reason}" for reason in dict.fromkeys(found)]
    return [*told, *(["open pull requests: nobody could be asked"] if status.pull_requests is None else [])]


# --- for a page, for machines --------------------------------------------------------------------------------------


def as_markdown(status: Status) -> str:
    """A table of images and environments; with many environments a row for each version."""
    parts = []
    if not status.images:
        parts.append("No image runs here.")
    elif len(status.environments) <= _MOST_COLUMNS:
        names = names_of(status.images)
        rows = [
            (code(names[image]), *(_markdown_cell(status, name, image) for name in status.environments))
            for image in status.images
        ]
        parts.append(table(("Image", *(code(name) for name in status.environments)), rows))
    else:
        rows = [
            (code(str(image), 200), code(text), ", ".join(code(_member(one, status)) for one in members))
            for image in status.images
            for text, members in _groups(status, image)
        ]
        parts.append(table(("Image", "Version", "Environments"), rows))
    for heading, lines in _sections(status):
        told = [f"- {code(head)} {code(text, 300)}" for head, text in lines]
        if heading == "open pull requests" and status.pull_requests:
            told = [
                f"- {link(f'#{one.pull_request.number}', one.pull_request.url)} {code(one.environment)}: "
                f"{code(one.pull_request.title)}{_draft(one)}"
                for one in status.pull_requests
            ]
        parts.append("\n".join([f"**{heading.capitalize()}**", "", *told]))
    return "\n\n".join(parts)


def _markdown_cell(status: Status, name: str, image: Repository) -> str:
    found = status.cells.get((name, image))
    if found is None:
        return "–"  # noqa: RUF001
    versions = "<br>".join(code(version_text([one])) for one in found.versions)
    notes = [part for part in (_age(found, status), _behind(found.behind), *_marks(found)) if part]
    return f"{versions}<br>{', '.join(notes)}" if notes else versions


def as_data(status: Status) -> dict[str, Any]:
    """All of it; keys may be added, and none changes its meaning within a version of the schema."""
    return {
        "environments": list(status.environments),
        "images": [str(image) for image in status.images],
        "cells": [_cell_data(one) for one in status.cells.values()],
        "pull_requests": None if status.pull_requests is None else [_pull_data(one) for one in status.pull_requests],
        "rules": [{"kind": one.kind, **dict(one.fields())} for one in status.rules],
        "skipped": [
            {
                "environment": one.environment,
                "left_out": one.left_out,
                "reason": one.reason,
                "images": [str(image) for image in one.images],
            }
            for one in status.skips
        ],
        "discovered": list(status.discovered),
        "calls": status.calls,
    }


def _cell_data(found: Found) -> dict[str, Any]:
    behind = found.behind
    return {
        "environment": found.environment,
        "image": str(found.image),
        "versions": [version_data(one) for one in found.versions],
        "since": moment(found.since),
        "since_is_a_bound": found.older,
        "behind": None
        if behind is None
        else {
            "environment": behind.first,
            "commits": behind.commits,
            "told_by": behind.told.value,
            "reason": behind.reason or None,
        },
        "held": found.hold is not None,
        "vetoed": found.veto is not None,
    }


def _pull_data(one: Any) -> dict[str, Any]:
    pull = one.pull_request
    return {
        "number": pull.number,
        "url": pull.url,
        "title": pull.title,
        "environment": one.environment,
        "scope": one.scope,
        "draft": pull.draft,
    }
