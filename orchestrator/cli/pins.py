"""``hybrid-ci pins``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, command_app, examples

app = command_app()


@app.command(epilog=examples("hybrid-ci pins overlays/prod", "hybrid-ci pins . --image ghcr.io/acme/api --output json"))
def pins(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders.")],
    image: Annotated[
        list[str] | None, typer.Option(metavar="REPOSITORY", help="Only pins of this image (repeatable).")
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="FILE:PLACE=IMAGE", help="A place whose image is named elsewhere."),
    ] = None,
    arguments: Annotated[bool, typer.Option("--arguments", help="Also args, command and env of containers.")] = False,
    embedded: Annotated[bool, typer.Option("--embedded", help="Also YAML inside block texts.")] = False,
    output: Annotated[OutputFormat, typer.Option(help="The result as table, json or markdown.")] = OutputFormat.TABLE,
) -> None:
    """List every pin in files or folders.

    Each with its file, line, format, place and reference.
    """
    from orchestrator.cli.pin_tables import print_pins
    from orchestrator.core.image import Repository
    from orchestrator.manifests.options import ScanOptions
    from pipelines.local_arguments import parse_target
    from pipelines.local_pins import list_pins

    options = ScanOptions(
        targets=tuple(parse_target(text) for text in targets or ()), arguments=arguments, embedded=embedded
    )
    print_pins(list_pins(paths, options, [Repository.parse(text) for text in image or ()]), output)
