"""``hybrid-ci plan``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.app import Settings, command_app, examples

app = command_app()


class PlanFormat(StrEnum):
    """How a plan is written to stdout."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    MERMAID = "mermaid"


@app.command(
    epilog=examples(
        "hybrid-ci plan",
        "hybrid-ci plan --output mermaid",
        "hybrid-ci plan --out plan.json && hybrid-ci release --plan plan.json",
    )
)
def plan(
    context: typer.Context,
    environment: Annotated[str | None, typer.Option("--env", help="Environment (default: the configured one).")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="IMAGE", help="Only this image; may be repeated.")] = None,
    no_skip: Annotated[bool, typer.Option("--no-skip", help="Plan to build again what is released already.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the plan, for release --plan.")] = None,
    output: Annotated[
        PlanFormat, typer.Option(help="The plan as table, json, markdown, or its graph alone as mermaid.")
    ] = PlanFormat.TABLE,
) -> None:
    """Show the stages and the exact diff that a release would hand off.

    Runs preflight and changes nothing. Says of each stage and image whether it would run, or why not. A digest that
    only the registry can give is shown as unknown. A plan that was written to a file can be released as it is:
    release --plan does just that, and refuses once the world has moved.
    """
    from orchestrator.ci.redact import redactor
    from orchestrator.cli.plan_results import render
    from orchestrator.wiring import open_job
    from pipelines.plan import make_plan
    from pipelines.release import ReleaseOptions

    settings: Settings = context.obj
    options = ReleaseOptions(environment, tuple(only or ()), dry_run=True, no_skip=no_skip)
    with open_job(settings) as (ports, job):
        planned = make_plan(ports, job, options)
        typer.echo(render(planned, output))
        if out is not None:
            planned.document.write(out, redactor)
