"""``hybrid-ci release``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, Settings, command_app, examples

app = command_app()


@app.command(
    epilog=examples(
        "hybrid-ci release --record release.json",
        "hybrid-ci release --only api --env staging --jobs 4",
        "hybrid-ci release --approve database-cut",
        "hybrid-ci release --dry-run",
    )
)
def release(
    context: typer.Context,
    environment: Annotated[str | None, typer.Option("--env", help="Environment (default: the configured one).")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="IMAGE", help="Only this image; may be repeated.")] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, max=64, help="Stages that may run at once.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; print the plan and its diff.")] = False,
    plan: Annotated[Path | None, typer.Option(metavar="FILE", help="Do what this plan says, and nothing else.")] = None,
    approve: Annotated[
        list[str] | None, typer.Option(metavar="STAGE", help="This stage's approval was given; may be repeated.")
    ] = None,
    from_stage: Annotated[
        str | None,
        typer.Option(metavar="STAGE", help="Begin here; refused unless everything before it is provably done."),
    ] = None,
    record: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the release record (JSON).")] = None,
    allow_dirty: Annotated[bool, typer.Option("--allow-dirty", help="Build uncommitted changes too.")] = False,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="Propose again what a person closed without merging.")
    ] = False,
    no_skip: Annotated[bool, typer.Option("--no-skip", help="Build and test again what is released already.")] = False,
    output: Annotated[OutputFormat, typer.Option(help="The result as table, json or markdown.")] = OutputFormat.TABLE,
) -> None:
    """Build, test, push, prove, and hand off by pull request.

    Runs preflight first (engine, registry login, GitOps repository, policy, cluster-credential guard), then the
    stages: builds every image, tests it, pushes it, reads it back from the registry by digest, proves that it is what
    was tested, and opens or updates the pull request that pins it. A second run of a finished release changes nothing.
    """
    from orchestrator.core.errors import ConfigurationError
    from orchestrator.wiring import open_job

    settings: Settings = context.obj
    if plan is not None and (environment or only or dry_run or no_skip or from_stage or allow_dirty):
        raise ConfigurationError(
            "a plan says itself what is released, and where to",
            where="--plan",
            hint="leave out --env, --only, --dry-run, --no-skip, --from-stage and --allow-dirty",
        )
    if plan is not None:  # nobody else pays for loading these
        from orchestrator.reports.plans import read_plan
        from pipelines.plan import release_planned

        promised = read_plan(plan)
    with open_job(settings) as (ports, job):
        from orchestrator.cli.results import check_record_file, print_result
        from pipelines.counting import Tally
        from pipelines.release import ReleaseOptions, jobs_for
        from pipelines.release import release as run_release

        check_record_file(record)
        tally = Tally()
        ports = tally.counted(ports)
        options = ReleaseOptions(
            environment,
            tuple(only or ()),
            dry_run,
            allow_dirty,
            reopen,
            no_skip,
            jobs or jobs_for(job.application.config),
            tuple(approve or ()),
            from_stage,
        )
        if plan is not None:
            result = release_planned(ports, job, promised, options)
        else:
            result = run_release(ports, job, options)
        print_result(result, ports.clock.now(), output, record, calls=tally.counts(), verbose=settings.verbose)
