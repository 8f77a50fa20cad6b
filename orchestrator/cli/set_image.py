"""``hybrid-ci set-image``."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, command_app, examples

app = command_app()


@app.command(
    epilog=examples(
        "hybrid-ci set-image ghcr.io/acme/api:1.4.2@sha256:… overlays/prod",
        "hybrid-ci set-image ghcr.io/acme/api:1.4.2 . --dry-run",
        "hybrid-ci set-image app=ghcr.io/acme/api:1.4.2 overlays/prod/kustomization.yaml",
        "hybrid-ci set-image --set spec.chart.spec.version=1.4.2 release.yaml",
        "kubectl kustomize overlays/prod | hybrid-ci set-image ghcr.io/acme/api:1.4.2 -",
    )
)
def set_image(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[REF...] PATH...",
            help="References, then files and folders; '-' edits standard input to standard output.",
        ),
    ],
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="PLACE=VALUE", help="Set any other value; may be repeated.")
    ] = None,
    at: Annotated[
        list[str] | None, typer.Option("--at", metavar="PLACE", help="Only here; also inside texts; may be repeated.")
    ] = None,
    container: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only containers of this name; may be repeated.")
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="FILE:PLACE=IMAGE", help="A place whose image is named elsewhere."),
    ] = None,
    in_arguments: Annotated[bool, typer.Option("--arguments", help="Also args, command and env.")] = False,
    embedded: Annotated[bool, typer.Option("--embedded", help="Also YAML inside block texts.")] = False,
    tagged_only: Annotated[
        bool, typer.Option("--tagged-only", help="Leave references without a tag as they are.")
    ] = False,
    add: Annotated[
        bool, typer.Option("--add", help="Add the entry that a kustomization named by path, or by its folder, lacks.")
    ] = False,
    max_size: Annotated[
        int, typer.Option(metavar="MIB", min=1, max=64, help="Read files up to this size; more takes more time.")
    ] = 1,
    stdin_name: Annotated[
        str, typer.Option(metavar="FILE", help="What the standard input is called; its name can decide the format.")
    ] = "-",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; print the diff.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when something would change.")] = False,
    prove: Annotated[
        str | None, typer.Option(metavar="render", help="Also compare what kustomize renders, before writing.")
    ] = None,
    output: Annotated[OutputFormat, typer.Option(help="The result as table, json or markdown.")] = OutputFormat.TABLE,
) -> None:
    """Set images in local files, touching no other byte.

    Needs no Git, no forge and no configuration.
    NAME=REF sets the kustomize entry of that literal name, and adds it to a kustomization named by path that lacks
    it, as 'kustomize edit set image' does.
    """
    from orchestrator.cli.pin_tables import check_output, print_edits
    from orchestrator.manifests.options import ScanOptions
    from pipelines.local_arguments import parse_stdin_name, parse_target, split_arguments
    from pipelines.local_files import STANDARD_INPUT
    from pipelines.local_pins import Request, set_images_in

    asked = split_arguments(arguments, values or (), prove)
    write = not (dry_run or check)
    check_output(output, filtering=write and STANDARD_INPUT in asked.paths)
    options = ScanOptions(
        targets=tuple(parse_target(text) for text in targets or ()),
        places=tuple(at or ()),
        containers=tuple(container or ()),
        arguments=in_arguments,
        embedded=embedded,
        add_tag=not tagged_only,
    ).up_to(max_size)
    request = Request(
        asked.paths,
        asked.images,
        asked.names,
        asked.values,
        options,
        prove=prove is not None,
        spelled=asked.spelled,
        add=add,
        stdin_name=parse_stdin_name(stdin_name),
    )
    result = set_images_in(request, write=write)
    print_edits(result, output, written=write, diff=dry_run)
    if check and result.changed:
        raise typer.Exit(1)
