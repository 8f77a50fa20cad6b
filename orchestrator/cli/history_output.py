"""How ``history`` is printed: each change with its images, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.cli.app import OutputFormat
from orchestrator.cli.looking import day, label, moment, names_of, print_json, sentence, version_data, version_text
from orchestrator.core.image import ImageReference, Repository
from orchestrator.reports.grid import Paint, Tone, painter, terminal_width, wrapped
from orchestrator.reports.markdown import code, link, table

if TYPE_CHECKING:
    from pipelines.history import Entry, History, ImageMove

SCHEMA = "hybrid-ci.history/v1"


def print_history(found: History, output: OutputFormat) -> None:
    """To the standard output."""
    if output is OutputFormat.JSON:
        print_json(SCHEMA, as_data(found))
    elif output is OutputFormat.MARKDOWN:
        typer.echo(as_markdown(found))
    else:
        typer.echo("\n".join(as_lines(found, terminal_width(), painter())))


def as_lines(found: History, width: int, paint: Paint) -> list[str]:
    """When, what and by whom; then each image."""
    names = names_of(_images(found))
    size = max((len(name) for name in names.values()), default=0)
    lines: list[str] = []
    for one in found.entries:
        told = ", ".join(_about(one, found))
        lines += [paint(line, Tone.HEAD) for line in wrapped(f"{day(one.landed)}  ", told, width)]
        for move in one.moves:
            lines += wrapped(f"  {names[move.image]:<{size}}  ", _moved(move), width)
    return [*lines, *([""] if lines else []), *wrapped("", _sentence(found), width)]


def _images(found: History) -> list[Repository]:
    return sorted({move.image for one in found.entries for move in one.moves})


def _about(one: Entry, found: History) -> Iterator[str]:
    """What is known of an entry, in a few words each."""
    if one.environment != found.environment:
        yield one.environment
    yield one.change.action.value if one.change is not None else "changed"
    if one.change is not None and one.change.taken_from is not None:
        yield f"from {one.change.taken_from}"
    if one.change is not None and one.change.source is not None:
        yield f"source {one.change.source.short}"
    if one.pull_request is not None:
        yield f"#{one.pull_request}"
    yield f"by {_name(one.by)}"
    yield f"commit {one.commit.id.short}"


def _name(person: str) -> str:
    """Without the address."""
    return person.partition(" <")[0] or person


def _moved(move: ImageMove) -> str:
    if not move.before:
        return f"{_short(move.after)} (new)"
    return f"{_short(move.before)} -> {_short(move.after) if move.after else 'removed'}"


def _short(versions: tuple[ImageReference, ...]) -> str:
    """The tags, with digests where tags alone tell too little."""
    return ", ".join(label(one) for one in versions)


def _sentence(found: History) -> str:
    count = len(found.entries)
    told = f"{count} change{'s' if count != 1 else ''} in {found.environment}" if count else "no change"
    if found.whole:
        return f"{told}; there is nothing before"
    if found.left_out:
        return f"{told}; older ones are left out"
    back = f", looking back to {day(found.looked_back_to)}" if found.looked_back_to is not None else ""
    return f"{told}{back}; there may be more before"


def as_markdown(found: History) -> str:
    """A row for each image that moved."""
    names = names_of(_images(found))
    rows = [
        (
            day(one.landed),
            *([code(one.environment)] if _several(found) else []),
            code(names[move.image]),
            code(version_text(move.before)),
            code(version_text(move.after)),
            one.change.action.value if one.change is not None else "",
            code(_name(one.by)),
            _pull_request(one),
        )
        for one in found.entries
        for move in one.moves
    ]
    columns = ("When (UTC)", *(["Environment"] if _several(found) else []), "Image", "Before", "After", "Action", "By")
    parts = [table((*columns, "Pull request"), rows)] if rows else []
    return "\n\n".join([*parts, f"{sentence(_sentence(found))}."])


def _several(found: History) -> bool:
    return any(one.environment != found.environment for one in found.entries)


def _pull_request(one: Entry) -> str:
    if one.pull_request is None:
        return ""
    return link(f"#{one.pull_request}", one.url or "") if one.url else code(f"#{one.pull_request}")


def as_data(found: History) -> dict[str, Any]:
    """All of it; keys may be added, and none changes its meaning within a version of the schema."""
    return {
        "environment": found.environment,
        "entries": [_entry_data(one) for one in found.entries],
        "whole": found.whole,
        "left_out": found.left_out,
        "looked_back_to": moment(found.looked_back_to),
        "discovered": list(found.discovered),
        "calls": found.calls,
    }


def _entry_data(one: Entry) -> dict[str, Any]:
    change = one.change
    return {
        "environment": one.environment,
        "commit": str(one.commit.id),
        "at": moment(one.landed),
        "by": one.by,
        "action": change.action.value if change is not None else None,
        "scope": change.scope if change is not None else None,
        "release": change.release if change is not None else None,
        "from": change.taken_from if change is not None else None,
        "source": str(change.source) if change is not None and change.source is not None else None,
        "pull_request": None if one.pull_request is None else {"number": one.pull_request, "url": one.url},
        "images": [
            {
                "image": str(move.image),
                "before": [version_data(version) for version in move.before],
                "after": [version_data(version) for version in move.after],
            }
            for move in one.moves
        ],
    }
