"""``hybrid-ci veto``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.app import OutputFormat, Settings, command_app, examples
from orchestrator.cli.rules import DryRun, Environment, Environments, Expires, Output, Reason, Reopen

app = command_app(
    no_args_is_help=True,
    help="Keep a digest out of an environment: set, list, lift.\n\nA veto is a small file on the base branch "
    "of the GitOps repository; setting and lifting one is a pull request of its own.",
    epilog=examples(
        'hybrid-ci veto set sha256:… --env prod --reason "loses orders" --expires 2d',
        "hybrid-ci veto list",
        'hybrid-ci veto lift sha256:… --env prod --reason "it was fixed elsewhere"',
    ),
)

Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="sha256:…, alone or as the end of a reference.")]


@app.command(name="set", epilog=examples('hybrid-ci veto set sha256:… --env prod --reason "loses orders" --expires 2d'))
def set_(
    context: typer.Context,
    digest: Digest,
    environment: Environment,
    reason: Reason,
    expires: Expires = None,
    dry_run: DryRun = False,
    reopen: Reopen = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Propose to keep a digest out."""
    _change(context.obj, digest, environment, reason, expires, dry_run, reopen, output, lift=False)


@app.command(epilog=examples('hybrid-ci veto lift sha256:… --env prod --reason "it was fixed elsewhere"'))
def lift(
    context: typer.Context,
    digest: Digest,
    environment: Environment,
    reason: Reason,
    dry_run: DryRun = False,
    reopen: Reopen = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Propose to let a digest in again."""
    _change(context.obj, digest, environment, reason, None, dry_run, reopen, output, lift=True)


@app.command(name="list", epilog=examples("hybrid-ci veto list --env prod --output json"))
def list_(context: typer.Context, environments: Environments = None, output: Output = OutputFormat.TABLE) -> None:
    """List the vetoes on the base branch."""
    from orchestrator.cli.rules import print_rules
    from orchestrator.core.holds import Veto
    from orchestrator.wiring import open_ports
    from pipelines.rules import list_rules

    with open_ports(context.obj) as (ports, surroundings):
        print_rules(list_rules(ports, surroundings, Veto, environments or ()), Veto.kind, output)


def _change(
    settings: Settings,
    digest: str,
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
    from orchestrator.core.holds import Veto
    from orchestrator.core.image import Digest as ImageDigest
    from orchestrator.core.rule_change import RuleChange
    from orchestrator.git.person import who_asks
    from orchestrator.wiring import open_ports
    from pipelines.counting import Tally
    from pipelines.rules import change_rule

    wanted = ImageDigest(digest.rpartition("@")[2])
    tally = Tally()
    with open_ports(settings) as (ports, surroundings):
        now = ports.clock.now().replace(microsecond=0)
        by = who_asks(os.environ, Path.cwd())
        veto = Veto(environment, one_line(reason), by, now, parse_expiry(expires, now), wanted)
        change = RuleChange.about(veto, lift=lift)
        result = change_rule(tally.counted(ports), surroundings, change, dry_run=dry_run, reopen=reopen)
        print_change(result, output, tally.counts(), verbose=settings.verbose)
