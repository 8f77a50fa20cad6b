"""``hybrid-ci doctor``."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, Settings, command_app, examples

app = command_app()


@app.command(
    epilog=examples(
        "hybrid-ci doctor",
        "hybrid-ci doctor --env prod --output json",
        'hybrid-ci doctor --output markdown >> "$GITHUB_STEP_SUMMARY"',
    )
)
def doctor(
    context: typer.Context,
    environment: Annotated[str | None, typer.Option("--env", help="Environment (default: the configured one).")] = None,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long each check may take.")] = 30.0,
    output: Annotated[OutputFormat, typer.Option(help="The findings as table, json or markdown.")] = OutputFormat.TABLE,
) -> None:
    """Check engine, logins, rights and settings before a release.

    Engine and BuildKit, registry login, clock, git, the token and its scopes, the policy and who can change it, branch
    protection, merge settings, the agent's statuses, cluster credentials in the job, the signing key. Each finding
    says why it matters and how to fix it. Changes nothing. Ends with 0 for warnings, with 3 when a release would be
    refused or fail.
    """
    from orchestrator.ci.redact import redactor
    from orchestrator.cli.doctor_results import print_diagnosis
    from orchestrator.core.findings import exit_code
    from orchestrator.reports.diagnosis import diagnosis
    from orchestrator.wiring import open_doctor
    from pipelines.doctor import examine
    from pipelines.doctor_forge import CHECKS

    settings: Settings = context.obj
    with open_doctor(settings, environment) as scene:
        findings = examine(scene, CHECKS, seconds)
        application = scene.around.application.config.application
        print_diagnosis(diagnosis(application, scene.environment, findings), output, redactor)
    raise typer.Exit(exit_code(findings))
