"""``hybrid-ci drift``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, command_app, examples
from orchestrator.cli.looking import Environments, Everything, Forge, Gitops, Images, Output, open_looking
from orchestrator.core.errors import ExitCode

app = command_app()


class KindName(StrEnum):
    """What can be found; a test holds it against the pipeline's own list."""

    PLAINTEXT_SECRET = "plaintext-secret"  # noqa: S105  (not a password)
    UNPINNED = "unpinned"
    MOVED_TAG = "moved-tag"
    AHEAD = "ahead"
    NEVER_BEFORE = "never-before"
    SKIPPED = "skipped"
    NO_ENVIRONMENT = "no-environment"
    UNREADABLE = "unreadable"


@app.command(
    epilog=examples(
        "hybrid-ci drift",
        "hybrid-ci drift --only unpinned --only moved-tag --output json",
        "hybrid-ci drift --gitops https://github.com/acme/gitops --ignore never-before",
    )
)
def drift(
    context: typer.Context,
    only: Annotated[list[KindName] | None, typer.Option(metavar="KIND", help="Look for this; may be repeated.")] = None,
    ignore: Annotated[
        list[KindName] | None, typer.Option(metavar="KIND", help="Do not look for this; may be repeated.")
    ] = None,
    images: Images = None,
    environments: Environments = None,
    everything: Everything = False,
    gitops: Gitops = None,
    forge: Forge = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Find unpinned images, moved tags, plaintext Secrets and other drift.

    KIND is one of plaintext-secret, unpinned, moved-tag, ahead, never-before, skipped, no-environment, unreadable.
    Ends with 1 when it finds something, and with 5 when it found nothing but somebody did not answer.
    """
    from orchestrator.cli.drift_output import print_drift
    from pipelines.drift import drift as look
    from pipelines.drift_finding import Kind
    from pipelines.looking import Wanted

    kinds = {Kind(one.value) for one in only or KindName} - {Kind(one.value) for one in ignore or ()}
    with open_looking(context.obj, gitops, forge) as looking:
        result = look(looking, Wanted(tuple(environments or ()), tuple(images or ()), everything), kinds)
    print_drift(result, output)
    if result.findings:
        raise typer.Exit(ExitCode.WORK_FAILED)
    if result.unanswered:
        raise typer.Exit(ExitCode.REMOTE)
