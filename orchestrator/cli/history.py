"""``hybrid-ci history``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, command_app, examples
from orchestrator.cli.looking import Everything, Forge, Gitops, Images, Output, open_looking
from orchestrator.core.errors import ConfigurationError

app = command_app()


@app.command(
    epilog=examples(
        "hybrid-ci history --env prod",
        "hybrid-ci history --env prod --image api --limit 5",
        "hybrid-ci history --env prod --since 2026-03-01 --output json",
    )
)
def history(
    context: typer.Context,
    environment: Annotated[str, typer.Option("--env", "--environment", metavar="NAME", help="The environment.")],
    images: Images = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="At most this many changes.")] = 20,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Not older than 2026-03-01 (in UTC), or 2026-03-01T18:00Z.")
    ] = None,
    everything: Everything = False,
    gitops: Gitops = None,
    forge: Forge = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show what an environment ran, since when, and who changed it.

    The pins in Git tell it; what trailers and pull requests say is added where it is there.
    """
    from orchestrator.cli.history_output import print_history
    from pipelines.history import history as look
    from pipelines.looking import Wanted

    moment = parse_since(since)
    with open_looking(context.obj, gitops, forge) as looking:
        wanted = Wanted(images=tuple(images or ()), everything=everything)
        result = look(looking, environment, wanted, limit=limit, since=moment)
    print_history(result, output)


def parse_since(text: str | None) -> datetime | None:
    """A date (its beginning, in UTC) or a time with its zone. Raises ConfigurationError."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is not None and when.tzinfo is None and len(text) == len("2026-03-01"):
        return when.replace(tzinfo=UTC)
    if when is None or when.tzinfo is None:
        raise ConfigurationError(
            f"{text!r} is not a date or time",
            where="--since",
            hint="write a date as 2026-03-01, or a time as 2026-03-01T18:00Z",
        )
    return when
