"""``hybrid-ci matrix``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from orchestrator.cli.app import Settings, command_app, examples

app = command_app()


class MatrixFormat(StrEnum):
    """How the matrix is written to stdout."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    GITHUB = "github"
    GITLAB = "gitlab"
    DOTENV = "dotenv"


@app.command(
    epilog=examples(
        "hybrid-ci matrix",
        'echo "matrix=$(hybrid-ci matrix --output github)" >> "$GITHUB_OUTPUT"',
        "hybrid-ci matrix --base origin/main --output json",
        "hybrid-ci matrix --all --unbuilt --output gitlab > child-pipeline.yml",
    )
)
def matrix(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Every image, whatever the commit changes.")] = False,
    base: Annotated[
        str | None, typer.Option(metavar="REF", help="Compare with the merge base of HEAD and this branch or commit.")
    ] = None,
    unbuilt: Annotated[
        bool,
        typer.Option("--unbuilt", help="Leave out images that the registry holds and that are proven to be tested."),
    ] = False,
    only: Annotated[list[str] | None, typer.Option(metavar="IMAGE", help="Only this image; may be repeated.")] = None,
    output: Annotated[
        MatrixFormat, typer.Option(help="table, json, markdown; github, gitlab, dotenv: what that CI reads.")
    ] = MatrixFormat.TABLE,
) -> None:
    """Print which images this commit changes, as a build matrix.

    Compares with the commit that the branch was at before this push, as the CI tells it (on your machine: with HEAD's
    parent). An image is changed by its context, its Dockerfile, its .dockerignore, its configuration, and by a changed
    image that it is built upon. Where nobody can tell, every image is in the matrix, with the reason.
    """
    from orchestrator.cli.matrix_results import print_matrix
    from orchestrator.wiring import open_job
    from pipelines.matrix import MatrixOptions
    from pipelines.matrix import matrix as make_matrix

    settings: Settings = context.obj
    options = MatrixOptions(everything, base, unbuilt, tuple(only or ()))
    with open_job(settings) as (ports, job):
        print_matrix(make_matrix(ports, job, options).document(), output, settings.config)
