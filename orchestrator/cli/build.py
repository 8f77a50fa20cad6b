"""``hybrid-ci build``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, Settings, command_app, examples

app = command_app()


@app.command(
    epilog=examples(
        "hybrid-ci build --image api --record records/api.json",
        "hybrid-ci build --image api --image worker --record records/ --jobs 2",
    )
)
def build(
    context: typer.Context,
    image: Annotated[list[str], typer.Option("--image", metavar="IMAGE", help="Build this one; may be repeated.")],
    record: Annotated[
        Path, typer.Option(metavar="FILE|DIR", help="Write the record; in a folder, one file for each image.")
    ],
    environment: Annotated[
        str | None, typer.Option("--env", help="Environment whose rules count (default: the configured one).")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, max=64, help="Stages that may run at once.")
    ] = None,
    approve: Annotated[
        list[str] | None, typer.Option(metavar="STAGE", help="This stage's approval was given; may be repeated.")
    ] = None,
    no_skip: Annotated[bool, typer.Option("--no-skip", help="Build and test again what is in the registry.")] = False,
    output: Annotated[OutputFormat, typer.Option(help="The result as table, json or markdown.")] = OutputFormat.TABLE,
) -> None:
    """Build, test, push and prove some images, and write their record.

    One runner's part of a release: what the images are built upon is built too, and the application's own stages run,
    up to the handoff. Needs an engine and a login for the registry, and neither uses nor reads one for the GitOps
    repository: `hybrid-ci handoff` joins the records of all runners there.
    """
    from orchestrator.cli.build_results import check_record_place, print_built
    from orchestrator.wiring import open_building
    from pipelines.building import BuildOptions, build_record
    from pipelines.building import build as run_build
    from pipelines.release import jobs_for

    settings: Settings = context.obj
    check_record_place(record)
    with open_building(settings) as (ports, job):
        options = BuildOptions(
            tuple(dict.fromkeys(image)),
            environment,
            no_skip,
            jobs or jobs_for(job.application.config),
            tuple(approve or ()),
        )
        built = run_build(ports, job, options)
        print_built(build_record(built, ports.clock.now()), output, record)
