"""``hybrid-ci pins``."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, command_app, examples

app = command_app()


@app.command(
    epilog=examples(
        "hybrid-ci pins overlays/prod",
        "hybrid-ci pins . --image ghcr.io/acme/api --output json",
        "helm template charts/api | hybrid-ci pins -",
    )
)
def pins(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files and folders; '-' is the standard input.")
    ],
    image: Annotated[
        list[str] | None, typer.Option(metavar="REPOSITORY", help="Only pins of this image; may be repeated.")
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="FILE:PLACE=IMAGE", help="A place whose image is named elsewhere."),
    ] = None,
    arguments: Annotated[bool, typer.Option("--arguments", help="Also args, command and env of containers.")] = False,
    embedded: Annotated[bool, typer.Option("--embedded", help="Also YAML inside block texts.")] = False,
    max_size: Annotated[
        int, typer.Option(metavar="MIB", min=1, max=64, help="Read files up to this size; more takes more time.")
    ] = 1,
    stdin_name: Annotated[
        str, typer.Option(metavar="FILE", help="What the standard input is called; its name can decide the format.")
    ] = "-",
    output: Annotated[OutputFormat, typer.Option(help="The result as table, json or markdown.")] = OutputFormat.TABLE,
) -> None:
    """List every pin in files or folders.

    Each with its file, line, format, place and reference.
    """
    from orchestrator.cli.pin_tables import print_pins
    from orchestrator.manifests.options import ScanOptions
    from pipelines.local_arguments import parse_repository, parse_stdin_name, parse_target
    from pipelines.local_files import to_path
    from pipelines.local_pins import list_pins

    options = ScanOptions(
        targets=tuple(parse_target(text) for text in targets or ()), arguments=arguments, embedded=embedded
    ).up_to(max_size)
    wanted = [parse_repository(text, f"--image {text}") for text in image or ()]
    named = parse_stdin_name(stdin_name)
    print_pins(list_pins([to_path(text) for text in paths], options, wanted, stdin_name=named), output)
