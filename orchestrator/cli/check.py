"""``hybrid-ci check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.app import Settings, command_app, examples

app = command_app()


@app.command(epilog=examples("hybrid-ci check --policy ../gitops/.hybrid-ci/environments.yaml"))
def check(
    context: typer.Context,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also check a GitOps policy file (environments.yaml).")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors (for CI).")] = False,
) -> None:
    """Validate configuration offline; every problem at once."""
    from orchestrator.config.checks import check_files

    settings: Settings = context.obj
    report = check_files(settings.config, policy)
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for line in report.sound:
        typer.echo(line)
    if strict and report.warnings:
        raise typer.Exit(2)
