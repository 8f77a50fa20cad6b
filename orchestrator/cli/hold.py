"""``hybrid-ci hold``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, Settings, command_app, examples
from orchestrator.cli.rules import DryRun, Environment, Environments, Expires, Output, Reason, Reopen

app = command_app(
    no_args_is_help=True,
    help="Keep an image of an environment as it is: set, list, lift.\n\nA hold is a small file on the base branch "
    "of the GitOps repository; setting and lifting one is a pull request of its own.",
    epilog=examples(
        'hybrid-ci hold set api --env prod --reason "incident 42" --expires 2d',
        "hybrid-ci hold list",
        'hybrid-ci hold lift api --env prod --reason "incident 42 is over"',
    ),
)

Image = Annotated[str, typer.Argument(metavar="IMAGE", help="A configured image, or a repository.")]


@app.command(name="set", epilog=examples('hybrid-ci hold set api --env prod --reason "incident 42" --expires 2d'))
def set_(
    context: typer.Context,
    image: Image,
    environment: Environment,
    reason: Reason,
    expires: Expires = None,
    dry_run: DryRun = False,
    reopen: Reopen = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Propose to keep an image as it is."""
    _change(context.obj, image, environment, reason, expires, dry_run, reopen, output, lift=False)


@app.command(epilog=examples('hybrid-ci hold lift api --env prod --reason "incident 42 is over"'))
def lift(
    context: typer.Context,
    image: Image,
    environment: Environment,
    reason: Reason,
    dry_run: DryRun = False,
    reopen: Reopen = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Propose to let an image change again."""
    _change(context.obj, image, environment, reason, None, dry_run, reopen, output, lift=True)


@app.command(name="list", epilog=examples("hybrid-ci hold list --env prod --output json"))
def list_(context: typer.Context, environments: Environments = None, output: Output = OutputFormat.TABLE) -> None:
    """List the holds on the base branch."""
    from orchestrator.cli.rules import print_rules
    from orchestrator.core.holds import Hold
    from orchestrator.wiring import open_ports
    from pipelines.rules import list_rules

    with open_ports(context.obj) as (ports, surroundings):
        print_rules(list_rules(ports, surroundings, Hold, environments or ()), Hold.kind, output)


def _change(
    settings: Settings,
    image: str,
    environment: str,
    reason: str,
    expires: str | None,
    dry_run: bool,
    reopen: bool,
    output: OutputFormat,
    *,
    lift: bool,
) -> None:
    from orchestrator.cli.rules import one_line, parse_expiry, print_change
    from orchestrator.core.holds import Hold
    from orchestrator.core.image import Repository
    from orchestrator.core.rule_change import RuleChange
    from orchestrator.git.person import who_asks
    from orchestrator.wiring import open_ports
    from pipelines.counting import Tally
    from pipelines.rules import change_rule

    tally = Tally()
    with open_ports(settings) as (ports, surroundings):
        now = ports.clock.now().replace(microsecond=0)
        configured = surroundings.application.config.images.get(image)
        repository = Repository.parse(configured.repository if configured is not None else image)
        by = who_asks(os.environ, Path.cwd())
        hold = Hold(environment, one_line(reason), by, now, parse_expiry(expires, now), repository)
        change = RuleChange.about(hold, lift=lift)
        result = change_rule(tally.counted(ports), surroundings, change, dry_run=dry_run, reopen=reopen)
        print_change(result, output, tally.counts(), verbose=settings.verbose)
