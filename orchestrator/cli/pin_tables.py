"""How ``pins`` and ``set-image`` print what they found and did: a table, Markdown, or JSON with a stable schema.

The schema is told in docs/pins.md; keys may be added to it, and none changes its meaning within a version.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from orchestrator.ci.redact import redactor
from orchestrator.cli.app import OutputFormat
from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.text import printable
from orchestrator.manifests.pins import Pin, Unresolved
from orchestrator.reports.diff import readable, unified
from orchestrator.reports.markdown import code, fenced, table
from pipelines.local_pins import LocalEdits, LocalPins

_SCHEMA_VERSION = 1
_ADDED = "(added)"
_Row = tuple[str, ...]
_CHANGE_HEADINGS = ("FILE", "LINE", "PLACE", "BEFORE", "AFTER")
_HEADINGS = ("FILE", "LINE", "FORMAT", "PLACE", "REFERENCE")


def print_pins(found: LocalPins, output: OutputFormat) -> None:
    """Every pin; what could not be resolved goes to stderr, or into the JSON."""
    if output is OutputFormat.JSON:
        typer.echo(json.dumps(_pins_json(found), indent=2))
        return
    rows: list[_Row] = [(str(pin.path), str(pin.line), pin.format, pin.place, pin.text) for pin in found.pins]
    if output is OutputFormat.MARKDOWN:
        typer.echo(_markdown(_HEADINGS, rows))
    elif rows:
        typer.echo("\n".join(_columns([_HEADINGS, *rows])))
    for problem in found.unresolved:
        typer.echo(_told("unresolved", problem), err=True)
    typer.echo(f"{_count(len(found.pins), 'pin')} in {_count(found.files, 'file')}", err=True)


def check_output(output: OutputFormat, *, filtering: bool) -> None:
    """With ``filtering`` stdout holds the edited manifest, so no report may be asked for. Raises ConfigurationError."""
    if filtering and output is not OutputFormat.TABLE:
        raise ConfigurationError(
            "the standard output holds the edited manifest, so no report can go there",
            where=f"--output {output}",
            hint="leave --output out, or add --dry-run or --check",
        )


def print_edits(result: LocalEdits, output: OutputFormat, *, written: bool, diff: bool) -> None:
    """What changed, or with ``diff`` how; of an edited standard input the manifest itself."""
    if written and result.output is not None:
        _print_manifest(result.output)
    elif output is OutputFormat.JSON:
        typer.echo(json.dumps(_edits_json(result, written), indent=2))
        return
    elif diff:
        _print_diff(unified(result.file_edits), output)
    elif output is OutputFormat.MARKDOWN:
        typer.echo(_markdown(_CHANGE_HEADINGS, _change_rows(result)))
    elif rows := _change_rows(result):
        typer.echo("\n".join(_columns([_CHANGE_HEADINGS, *rows])))
    for place in result.left:
        typer.echo(_told("not changed", place), err=True)
    typer.echo(_sentence(result, written), err=True)


def _told(what: str, problem: Unresolved) -> str:
    text = f" ({problem.text})" if problem.text else ""
    return printable(f"{what}: {problem.where}: {problem.reason}{text}")


def _print_manifest(content: bytes) -> None:
    """The exact bytes. Raises Refused where a credential in them would have to be masked."""
    text = content.decode("utf-8", "surrogateescape")
    if redactor(text) != text:
        raise Refused(
            "the manifest holds a credential, which is never printed",
            where="the standard output",
            hint="edit the file by its path instead of '-'; and take the credential out of it",
        )
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.flush()


def _print_diff(text: str, output: OutputFormat) -> None:
    if output is OutputFormat.MARKDOWN:
        typer.echo(fenced(readable(text, terminal=True), "diff"))
    else:
        typer.echo(readable(text, terminal=sys.stdout.isatty()), nl=False)


def _markdown(headings: _Row, rows: Sequence[_Row]) -> str:
    cells = [tuple(code(cell, 300) for cell in row) for row in rows]
    return table(tuple(heading.title() for heading in headings), cells)


def _sentence(result: LocalEdits, written: bool) -> str:
    changed = len(result.file_edits)
    if not changed:
        others = f"; {_count(len(result.left), 'place')} can't be changed" if result.left else ""
        return f"nothing to do: every pin is as asked for already{others}"
    pins = len(_change_rows(result))
    what = _count(changed, "file") if result.output is None else _count(pins, "place")
    return f"{what} {'changed' if written else 'would change'}"


def _change_rows(result: LocalEdits) -> list[_Row]:
    rows: list[_Row] = []
    for edit in result.edits:
        rows += [(str(one.path), str(one.line), one.place, one.before or _ADDED, one.after) for one in edit.changes]
    for value in result.values:
        if value.changed:
            rows.append((str(value.path), str(value.line), value.place, value.was, value.value))
    return rows


def _pins_json(found: LocalPins) -> dict[str, Any]:
    return {
        "schema": _SCHEMA_VERSION,
        "pins": [_pin_json(pin) for pin in found.pins],
        "unresolved": [_unresolved_json(one) for one in found.unresolved],
        "files": found.files,
    }


def _unresolved_json(one: Unresolved) -> dict[str, Any]:
    return {
        "path": str(one.path),
        "line": one.line,
        "column": one.column or None,
        "place": one.place,
        "reason": one.reason,
        "text": one.text,
    }


def _pin_json(pin: Pin) -> dict[str, Any]:
    return {
        "path": str(pin.path),
        "line": pin.line,
        "format": pin.format,
        "place": pin.place,
        "at": pin.at,
        "container": pin.container,
        "text": pin.text,
        "image": str(pin.image),
        "repository": str(pin.image.repository),
        "tag": pin.image.tag,
        "digest": str(pin.image.digest) if pin.image.digest else None,
        "policy": pin.marker,
    }


def _edits_json(result: LocalEdits, written: bool) -> dict[str, Any]:
    changes = [
        {"pin": _pin_json(change.pin), "before": change.before, "after": change.after, "follows": list(change.follows)}
        for edit in result.edits
        for change in edit.changes
    ]
    values = [
        {"path": str(one.path), "line": one.line, "place": one.place, "before": one.was, "after": one.value}
        for one in result.values
        if one.changed
    ]
    return {
        "schema": _SCHEMA_VERSION,
        "changed": result.changed,
        "written": written and result.changed,
        "changes": changes,
        "values": values,
        "unresolved": [_unresolved_json(one) for one in result.left],
        "files": [str(edit.path) for edit in result.file_edits],
        "diff": unified(result.file_edits),
    }


def _columns(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    clean = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in clean) for column in range(len(clean[0]))]
    for row in clean:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
