"""``hybrid-ci diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.app import OutputFormat, command_app, examples
from orchestrator.cli.looking import Everything, Forge, Gitops, Images, Output, open_looking
from orchestrator.core.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from pipelines.differences import EnvironmentsCompared, PullRequestCompared
    from pipelines.looking import Looking

app = command_app()


@app.command(
    epilog=examples(
        "hybrid-ci diff staging prod",
        "hybrid-ci diff staging prod --pins-only --check",
        "hybrid-ci diff --pr 12 --output markdown",
    )
)
def diff(
    context: typer.Context,
    left: Annotated[str | None, typer.Argument(metavar="A", help="An environment.")] = None,
    right: Annotated[str | None, typer.Argument(metavar="B", help="The environment to compare it with.")] = None,
    number: Annotated[
        int | None, typer.Option("--pr", min=1, metavar="NUMBER", help="What this pull request changes.")
    ] = None,
    images: Images = None,
    pins_only: Annotated[bool, typer.Option("--pins-only", help="Render no manifests.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when there is a difference.")] = False,
    everything: Everything = False,
    gitops: Gitops = None,
    forge: Forge = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Compare two environments, or show what a pull request changes.

    Pins side by side, and the rendered manifests where kustomize, kubectl or Helm is installed; values of Secrets are
    never shown.
    """
    from orchestrator.cli.diff_output import print_environments, print_pull_request
    from pipelines.differences import EnvironmentsCompared

    _check_arguments(left, right, number, images)
    with open_looking(context.obj, gitops, forge) as looking:
        result = _compare(looking, left, right, number, images or [], everything, render=not pins_only)
    if isinstance(result, EnvironmentsCompared):
        print_environments(result, output)
    else:
        print_pull_request(result, output)
    if check and result.differ:
        raise typer.Exit(ExitCode.WORK_FAILED)


def _check_arguments(left: str | None, right: str | None, number: int | None, images: list[str] | None) -> None:
    """Two environments, or one pull request. Raises ConfigurationError."""
    two = left is not None and right is not None
    one = left is None and right is None and number is not None
    if two == one or (two and number is not None) or (number is not None and images):
        raise ConfigurationError(
            "diff takes two environments, or --pr and the number of a pull request",
            hint="such as `hybrid-ci diff staging prod` or `hybrid-ci diff --pr 12`",
        )


def _compare(
    looking: Looking,
    left: str | None,
    right: str | None,
    number: int | None,
    images: list[str],
    everything: bool,
    *,
    render: bool,
) -> EnvironmentsCompared | PullRequestCompared:
    from pipelines.differences import compare_environments, compare_pull_request
    from pipelines.looking import Wanted

    if number is not None:
        return compare_pull_request(looking, number, render=render)
    wanted = Wanted(images=tuple(images), everything=everything)
    return compare_environments(looking, left or "", right or "", wanted, render=render)
