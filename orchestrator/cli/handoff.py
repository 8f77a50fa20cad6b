"""``hybrid-ci handoff``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, Settings, command_app, examples

app = command_app()


@app.command(
    epilog=examples(
        "hybrid-ci handoff --records 'records/*.json'",
        "hybrid-ci handoff --records records/ --only api --env staging",
        "hybrid-ci handoff --records records/ --dry-run",
    )
)
def handoff(
    context: typer.Context,
    records: Annotated[
        list[str], typer.Option("--records", metavar="PATTERN", help="Build records: files, a pattern, or a folder.")
    ],
    further: Annotated[list[str] | None, typer.Argument(metavar="[FILE]...", help="Further records.")] = None,
    environment: Annotated[str | None, typer.Option("--env", help="Environment (default: the configured one).")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="IMAGE", help="Only this image; may be repeated.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every image needs a record (for matrix --all).")] = False,
    base: Annotated[
        str | None, typer.Option(metavar="REF", help="What the matrix was compared with (matrix --base).")
    ] = None,
    approve: Annotated[
        list[str] | None, typer.Option(metavar="STAGE", help="This stage's approval was given; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; print the plan and its diff.")] = False,
    record: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the release record (JSON).")] = None,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="Propose again what a person closed without merging.")
    ] = False,
    output: Annotated[OutputFormat, typer.Option(help="The result as table, json or markdown.")] = OutputFormat.TABLE,
) -> None:
    """Join the records of many runners into one pull request.

    Checks that all records are of the commit that is checked out here, that every image this commit changes has one,
    that its tests passed, and that the registry serves what it says: the digest, the configuration that was tested,
    the commit in its label, its tags. Whatever does not hold is refused with its reason, and nothing is written.
    """
    from orchestrator.cli.results import check_record_file, print_result
    from orchestrator.reports.built import files_of, read_build
    from orchestrator.wiring import open_job
    from pipelines.counting import Tally
    from pipelines.handover import HandoverOptions, hand_over
    from pipelines.matrix import MatrixOptions
    from pipelines.release import jobs_for

    settings: Settings = context.obj
    check_record_file(record)
    found = {file: read_build(file) for file in files_of([*records, *(further or ())], Path.cwd())}
    tally = Tally()
    with open_job(settings) as (ports, job):
        ports = tally.counted(ports)
        wanted = MatrixOptions(everything or bool(only), base, only=tuple(only or ()))
        options = HandoverOptions(
            wanted, environment, dry_run, reopen, jobs_for(job.application.config), tuple(approve or ())
        )
        result = hand_over(ports, job, found, options)
        print_result(result, ports.clock.now(), output, record, calls=tally.counts(), verbose=settings.verbose)
