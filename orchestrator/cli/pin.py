"""``hybrid-ci pin``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, Settings, command_app, examples

app = command_app()


@app.command(
    epilog=examples("hybrid-ci pin api=ghcr.io/acme/shop/api:1.4.2", "hybrid-ci pin api=:1.4.2 worker=@sha256:…")
)
def pin(
    context: typer.Context,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE=REF...", help="A configured image and its reference.")],
    environment: Annotated[str | None, typer.Option("--env", help="Environment (default: the configured one).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; print the plan and its diff.")] = False,
    record: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the record (JSON).")] = None,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="Propose again what a person closed without merging.")
    ] = False,
    output: Annotated[OutputFormat, typer.Option(help="The result as table, json or markdown.")] = OutputFormat.TABLE,
) -> None:
    """Hand off images that were built elsewhere.

    Each reference is resolved in its registry, its platforms are checked, and the digest is pinned by the same pull
    request that a release would open.
    """
    from orchestrator.cli.results import check_record_file, print_result
    from orchestrator.wiring import open_ports
    from pipelines.counting import Tally
    from pipelines.pin import PinOptions
    from pipelines.pin import pin as run_pin

    settings: Settings = context.obj
    check_record_file(record)
    tally = Tally()
    with open_ports(settings) as (ports, surroundings):
        ports = tally.counted(ports)
        result = run_pin(ports, surroundings, images, PinOptions(environment, dry_run, reopen))
        print_result(result, ports.clock.now(), output, record, calls=tally.counts(), verbose=settings.verbose)
