"""How ``diff`` is printed: pins side by side, then what is rendered differently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.cli.app import OutputFormat
from orchestrator.cli.looking import names_of, print_json, version_data, version_text
from orchestrator.core.text import printable
from orchestrator.reports.grid import Cell, Paint, Tone, fits, lines_of, painter, terminal_width, wrapped
from orchestrator.reports.markdown import code, link, table
from orchestrator.reports.rendered import ResourceDiff, rendered_part

if TYPE_CHECKING:
    from pipelines.differences import EnvironmentsCompared, ImageDifference, PinMove, PullRequestCompared

SCHEMA = "hybrid-ci.diff/v1"
_ROOM = 60_000  # characters of Markdown for what is rendered: a comment of a forge holds little more
_TONES = {"+": Tone.GOOD, "-": Tone.BAD, "@": Tone.FAINT}


def print_environments(found: EnvironmentsCompared, output: OutputFormat) -> None:
    """Two environments, to the standard output."""
    if output is OutputFormat.JSON:
        print_json(SCHEMA, environments_data(found))
    elif output is OutputFormat.MARKDOWN:
        typer.echo(environments_markdown(found))
    else:
        typer.echo("\n".join(environments_lines(found, terminal_width(), painter())))


def print_pull_request(found: PullRequestCompared, output: OutputFormat) -> None:
    """A pull request, to the standard output."""
    if output is OutputFormat.JSON:
        print_json(SCHEMA, pull_request_data(found))
    elif output is OutputFormat.MARKDOWN:
        typer.echo(pull_request_markdown(found))
    else:
        typer.echo("\n".join(pull_request_lines(found, terminal_width(), painter())))


# --- two environments ----------------------------------------------------------------------------------------------


def environments_lines(found: EnvironmentsCompared, width: int, paint: Paint) -> list[str]:
    """Side by side where that fits, else one below the other."""
    names = names_of([one.image for one in found.images])
    head = [Cell.of((text, Tone.HEAD)) for text in ("IMAGE", found.left, found.right, "")]
    rows = [
        [
            Cell.of(names[one.image]),
            Cell.of(version_text(one.left)),
            Cell.of(version_text(one.right)),
            Cell.of((_state(one), Tone.FAINT if one.same else Tone.WARN)),
        ]
        for one in found.images
    ]
    if not found.images:
        lines = ["neither runs an image of this"]
    elif fits([head, *rows], width):
        lines = lines_of([head, *rows], paint)
    else:
        lines = list(_stacked(found, names, width, paint))
    return [*lines, *_rendered_lines(found.rendered, found.why_not, width, paint)]


def _stacked(found: EnvironmentsCompared, names: dict[Any, str], width: int, paint: Paint) -> Iterator[str]:
    size = max(len(found.left), len(found.right))
    for one in found.images:
        yield paint(f"{printable(names[one.image])}: {_state(one)}", Tone.HEAD)
        for name, side in ((found.left, one.left), (found.right, one.right)):
            yield from wrapped(f"  {printable(name):<{size}}  ", version_text(side), width)


def _state(one: ImageDifference) -> str:
    if one.same:
        return "same"
    if not one.left or not one.right:
        return "only in one"
    return "differs"


def environments_markdown(found: EnvironmentsCompared) -> str:
    """A table, then what is rendered differently, folded."""
    names = names_of([one.image for one in found.images])
    rows = [
        (code(names[one.image]), code(version_text(one.left)), code(version_text(one.right)), _state(one))
        for one in found.images
    ]
    parts = [table(("Image", code(found.left), code(found.right), ""), rows)] if rows else ["Neither runs an image."]
    return "\n\n".join([*parts, *_rendered_markdown(found.rendered, found.why_not)])


def environments_data(found: EnvironmentsCompared) -> dict[str, Any]:
    """All of it; keys may be added, and none changes its meaning within a version of the schema."""
    return {
        "left": found.left,
        "right": found.right,
        "differ": found.differ,
        "images": [
            {
                "image": str(one.image),
                "state": _state(one),
                "left": [version_data(version) for version in one.left],
                "right": [version_data(version) for version in one.right],
                "left_places": list(one.left_places),
                "right_places": list(one.right_places),
            }
            for one in found.images
        ],
        **_rendered_data(found.rendered, found.why_not),
        "calls": found.calls,
    }


# --- a pull request ------------------------------------------------------------------------------------------------


def pull_request_lines(found: PullRequestCompared, width: int, paint: Paint) -> list[str]:
    """Each pin with its place, then what is rendered differently."""
    pull = found.pull_request
    lines = wrapped(f"#{pull.number}  ", f"{pull.title} ({pull.state.value})", width)
    for move in found.moves:
        lines += ["", paint(printable(_where(move)), Tone.HEAD)]
        lines += [paint(f"  - {printable(move.before)}", Tone.BAD)] if move.before else []
        lines += [paint(f"  + {printable(move.after)}", Tone.GOOD)] if move.after else []
    if found.others:
        lines += ["", paint("it also changes", Tone.HEAD), *(f"  {printable(path.value)}" for path in found.others)]
    if not found.differ:
        lines.append("it changes nothing")
    return [*lines, *_rendered_lines(found.rendered, found.why_not, width, paint)]


def _where(move: PinMove) -> str:
    environments = f"{', '.join(move.environments)}  " if move.environments else ""
    return f"{environments}{move.where}  {move.place}"


def pull_request_markdown(found: PullRequestCompared) -> str:
    """The same for a page."""
    pull = found.pull_request
    parts = [f"{link(f'#{pull.number}', pull.url)} {code(pull.title)} ({pull.state.value})"]
    if found.moves:
        rows = [
            (code(", ".join(move.environments)), code(move.where, 300), code(move.before, 300), code(move.after, 300))
            for move in found.moves
        ]
        parts.append(table(("Environment", "Where", "Before", "After"), rows))
    if found.others:
        parts.append("\n".join(["It also changes:", "", *(f"- {code(path.value, 300)}" for path in found.others)]))
    return "\n\n".join([*parts, *_rendered_markdown(found.rendered, found.why_not)])


def pull_request_data(found: PullRequestCompared) -> dict[str, Any]:
    """The same for machines."""
    pull = found.pull_request
    return {
        "pull_request": {"number": pull.number, "url": pull.url, "title": pull.title, "state": pull.state.value},
        "differ": found.differ,
        "pins": [
            {
                "environments": list(move.environments),
                "where": move.where,
                "place": move.place,
                "before": move.before or None,
                "after": move.after or None,
            }
            for move in found.moves
        ],
        "others": [path.value for path in found.others],
        **_rendered_data(found.rendered, found.why_not),
        "calls": found.calls,
    }


# --- what is rendered ----------------------------------------------------------------------------------------------


def _rendered_lines(
    rendered: Sequence[ResourceDiff] | None, why_not: str | None, width: int, paint: Paint
) -> Iterator[str]:
    if rendered is None:
        if why_not:
            yield ""
            yield from wrapped("not rendered: ", why_not, width)
        return
    yield ""
    yield paint("rendered" if rendered else "rendered, they are the same", Tone.HEAD)
    for one in rendered:
        yield f"  {printable(one.resource)} {one.change.value}: +{one.added} -{one.removed}"
        for line in printable(one.diff, keep_newlines=True).splitlines():
            yield paint(f"    {line}", _TONES.get(line[:1], Tone.PLAIN))


def _rendered_markdown(rendered: Sequence[ResourceDiff] | None, why_not: str | None) -> list[str]:
    told = rendered_part(rendered, why_not, _ROOM)
    return [told] if told else []


def _rendered_data(rendered: Sequence[ResourceDiff] | None, why_not: str | None) -> dict[str, Any]:
    if rendered is None:
        return {"rendered": None, "not_rendered": why_not}
    data = [
        {
            "resource": one.resource,
            "change": one.change.value,
            "added": one.added,
            "removed": one.removed,
            "diff": one.diff,
        }
        for one in rendered
    ]
    return {"rendered": data, "not_rendered": None}
