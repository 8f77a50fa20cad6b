"""How the build matrix is printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from orchestrator.core.text import printable
from orchestrator.reports.markdown import code, table
from orchestrator.reports.matrices import MatrixDocument, MatrixImage

if TYPE_CHECKING:
    from orchestrator.cli.matrix import MatrixFormat


def print_matrix(document: MatrixDocument, output: MatrixFormat, config: Path) -> None:
    """Print it to stdout in the form that was asked for."""
    texts: dict[str, Callable[[], str]] = {
        "json": document.to_json,
        "github": document.for_github,
        "dotenv": document.for_dotenv,
        "gitlab": lambda: document.for_gitlab(str(config)),
        "markdown": lambda: _markdown(document),
        "table": lambda: _text(document),
    }
    typer.echo(texts[output.value](), nl=False)


def _rows(document: MatrixDocument) -> list[tuple[str, MatrixImage]]:
    return [
        *(("build", image) for image in document.images),
        *(("held", image) for image in document.held),
        *(("unchanged", image) for image in document.unchanged),
    ]


def _sentence(document: MatrixDocument) -> str:
    compared = f"compared with {document.base[:12]}" if document.base else document.reason or "all images"
    count = len(document.images)
    return f"{document.commit[:12]}: {count} image{'' if count == 1 else 's'} to build; {compared}"


def _text(document: MatrixDocument) -> str:
    rows = _rows(document)
    width = max(len(image.name) for _, image in rows)
    lines = [f"  {what:<9}  {image.name:<{width}}  {image.reason}" for what, image in rows]
    return "\n".join(printable(line) for line in (_sentence(document), "", *lines)) + "\n"


def _markdown(document: MatrixDocument) -> str:
    rows = [(code(image.name), what, code(image.reason, 300)) for what, image in _rows(document)]
    return f"{code(_sentence(document), 300)}\n\n{table(('Image', 'What', 'Why'), rows)}\n"
