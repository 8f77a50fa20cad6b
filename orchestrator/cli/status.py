"""``hybrid-ci status``."""

from __future__ import annotations

import typer

from orchestrator.cli.app import OutputFormat, command_app, examples
from orchestrator.cli.looking import Environments, Everything, Forge, Gitops, Images, Output, open_looking

app = command_app()


@app.command(
    epilog=examples(
        "hybrid-ci status",
        "hybrid-ci status --image api --environment prod --output json",
        "hybrid-ci status --gitops https://github.com/acme/gitops",
    )
)
def status(
    context: typer.Context,
    images: Images = None,
    environments: Environments = None,
    everything: Everything = False,
    gitops: Gitops = None,
    forge: Forge = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show which image runs where, since when, and how far behind.

    With the open pull requests, and the holds and vetoes that count. Reads only: no right to push is needed.
    """
    from orchestrator.cli.status_output import print_status
    from pipelines.looking import Wanted
    from pipelines.status import status as look

    with open_looking(context.obj, gitops, forge) as looking:
        result = look(looking, Wanted(tuple(environments or ()), tuple(images or ()), everything))
    print_status(result, output)
