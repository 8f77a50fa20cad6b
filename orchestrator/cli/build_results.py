"""How the result of a build is printed, and its record written."""

from __future__ import annotations

from pathlib import Path

import typer

from orchestrator.ci.redact import redactor
from orchestrator.cli.app import OutputFormat
from orchestrator.cli.publish import publish_built
from orchestrator.cli.results import check_record_file
from orchestrator.core.text import printable
from orchestrator.reports.built import BuildRecord, BuiltImageRecord, is_folder
from orchestrator.reports.markdown import code, table


def check_record_place(place: Path) -> None:
    """Before the work: the record, or records, can be written there. Raises ConfigurationError."""
    check_record_file(place / "record.json" if is_folder(place) else place)


def print_built(record: BuildRecord, output: OutputFormat, place: Path) -> None:
    """Write the record first, which the next job can't do without; then print it."""
    files = record.write_to(place, redactor)
    publish_built(record)
    if output is OutputFormat.JSON:
        typer.echo(record.to_json(), nl=False)
    elif output is OutputFormat.MARKDOWN:
        rows = [(code(image.name), code(_reference(image), 300), _tests(image)) for image in record.images]
        typer.echo(table(("Image", "Reference", "Tests"), rows))
    else:
        width = max(len(image.name) for image in record.images)
        lines = [f"  {image.name:<{width}}  {_reference(image)}  {_tests(image)}" for image in record.images]
        written = ", ".join(map(str, files))
        typer.echo("\n".join(printable(line) for line in (*lines, "", f"  record  {written}")))


def _reference(image: BuiltImageRecord) -> str:
    return f"{image.repository}{f':{image.tag}' if image.tag else ''}@{image.digest}"


def _tests(image: BuiltImageRecord) -> str:
    if image.tested_before:
        return "tested before"
    count = len(image.tests)
    return f"{count} test{'' if count == 1 else 's'} passed" if count else "no tests"
