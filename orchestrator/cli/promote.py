"""``hybrid-ci promote``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.app import OutputFormat, Settings, command_app, examples
from orchestrator.core.errors import ConfigurationError

if TYPE_CHECKING:
    from orchestrator.reports.promotions import PromotionRecord

app = command_app()
_LENGTH = re.compile(r"(?P<number>[1-9][0-9]{0,4})(?P<unit>[smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@app.command(
    epilog=examples(
        "hybrid-ci promote --from dev --to staging",
        "hybrid-ci promote --from staging --to prod --wave 1 --wait",
        "hybrid-ci promote --from staging --to prod --all-waves --dry-run",
        'hybrid-ci promote --from dev --to prod --skip staging --reason "outage 42" --image api',
        "hybrid-ci promote --gitops https://github.com/acme/gitops --application shop --from dev --to staging",
    )
)
def promote(
    context: typer.Context,
    source: Annotated[str, typer.Option("--from", metavar="ENV", help="The environment that runs the images.")],
    targets: Annotated[list[str], typer.Option("--to", metavar="ENV", help="Where they go; may be repeated.")],
    images: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="NAME|REPO", help="Only this image; may be repeated. Default: all together."),
    ] = None,
    application: Annotated[
        str | None, typer.Option(metavar="NAME", help="The application, or the name of a set (default: configured).")
    ] = None,
    wave: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="This wave of an environment with waves.")
    ] = None,
    all_waves: Annotated[
        bool, typer.Option("--all-waves", help="Every wave; each waits until the one before it runs the images.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the gates pass.")] = False,
    timeout: Annotated[str, typer.Option(metavar="LENGTH", help="How long to wait: 90s, 30m, 2h.")] = "1h",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; print plan, gates and diff.")] = False,
    skip: Annotated[
        list[str] | None, typer.Option(metavar="ENV", help="Leave this environment out; needs --reason.")
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why an environment is skipped.")] = None,
    allow_unknown_order: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Allow an image although nobody can tell whether it is newer; the reason is recorded.",
        ),
    ] = None,
    fail_superseded: Annotated[
        bool, typer.Option("--fail-superseded", help="Exit 3, not 0, when a newer change is on its way.")
    ] = False,
    reopen: Annotated[
        bool, typer.Option("--reopen", help="Propose again what a person closed without merging.")
    ] = False,
    gitops: Annotated[
        str | None, typer.Option(metavar="URL", help="The GitOps repository; no configuration is read then.")
    ] = None,
    forge: Annotated[
        str | None,
        typer.Option(
            metavar="KIND|PATH",
            help="Its forge, where the host does not tell: github, gitlab, or a local forge's path.",
        ),
    ] = None,
    sources: Annotated[
        str | None,
        typer.Option("--source", metavar="URL", help="The application's repository, for the order rule ancestry."),
    ] = None,
    output: Annotated[OutputFormat, typer.Option(help="The result as table, json or markdown.")] = OutputFormat.TABLE,
    record: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the promotion's record (JSON).")] = None,
) -> None:
    """Hand off what one environment runs to the next.

    Copies digests by image into the files of the other environments, which keep everything of their own; what runs
    together goes together, in one pull request for each environment. The gates of the policy are asked first: what has
    to wait becomes a draft, what is refused ends with 3.
    """
    from orchestrator.ci.redact import redactor
    from orchestrator.cli.publish import publish_promotion
    from orchestrator.cli.results import check_record_file
    from orchestrator.wiring import open_standpoint
    from pipelines.promote import promote as run_promote
    from pipelines.promotion import PromoteOptions
    from pipelines.promotion_record import record_of_promotion

    settings: Settings = context.obj
    check_record_file(record)
    if wave is not None and all_waves:
        raise ConfigurationError("one wave, or all of them", where="--wave", hint="leave out --wave or --all-waves")
    options = PromoteOptions(
        source,
        tuple(dict.fromkeys(targets)),
        tuple(images or ()),
        application,
        wave,
        all_waves,
        tuple(skip or ()),
        reason,
        allow_unknown_order,
        _seconds(timeout) if wait else None,
        dry_run,
        reopen,
        fail_superseded,
    )
    with open_standpoint(settings, gitops, forge, sources) as (ports, at):
        result = run_promote(ports, at, options)
        document = record_of_promotion(result, ports.clock.now())
    _print(document, output, verbose=settings.verbose)
    publish_promotion(document)
    if record is not None:
        document.write(record, redactor)
    if (failure := result.failure(fail_superseded=fail_superseded)) is not None:
        raise failure


def _seconds(text: str) -> float:
    """A length of time. Raises ConfigurationError."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"{text!r} is not a length of time", where="--timeout", hint="write 90s, 30m or 2h")
    return int(match["number"]) * float(_UNITS[match["unit"]])


def _print(record: PromotionRecord, output: OutputFormat, *, verbose: bool) -> None:
    from orchestrator.reports.diff import readable
    from orchestrator.reports.markdown import fenced, folded
    from orchestrator.reports.promotions import promotion_lines, promotion_markdown

    diff = "".join(one.diff or "" for one in record.environments)
    if output is OutputFormat.JSON:
        typer.echo(record.to_json(), nl=False)
    elif output is OutputFormat.MARKDOWN:
        shown = folded("Diff", fenced(readable(diff, terminal=True), "diff")) if diff else ""
        typer.echo("\n\n".join(part for part in (promotion_markdown(record), shown) if part))
    else:
        lines = promotion_lines(record, verbose=verbose)
        shown = readable(diff, terminal=sys.stdout.isatty()).rstrip("\n")
        typer.echo("\n".join([*lines, "", shown] if diff else lines))
