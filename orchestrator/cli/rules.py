"""What the ``hold`` and ``veto`` commands share: their words, and how their results are printed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.app import OutputFormat
from orchestrator.core.errors import ConfigurationError

if TYPE_CHECKING:
    from orchestrator.core.holds import Rule
    from pipelines.rules import ListedRule, RuleResult

SCHEMA = "hybrid-ci.rules/v1"
_LENGTH = re.compile(r"(?P<number>[1-9][0-9]{0,3})(?P<unit>[mhdw])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

Environment = Annotated[
    str, typer.Option("--env", metavar="ENVIRONMENT", help="The environment; one with waves means all its clusters.")
]
Environments = Annotated[
    list[str] | None, typer.Option("--env", metavar="ENVIRONMENT", help="Only this one; may be repeated.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; whoever is refused reads it.")]
Expires = Annotated[
    str | None, typer.Option("--expires", metavar="2d|DATE", help="When it ends by itself: 12h, 2d, 1w, or a date.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; print the diff.")]
Reopen = Annotated[bool, typer.Option("--reopen", help="Propose again what a person closed without merging.")]
Output = Annotated[OutputFormat, typer.Option(help="The result as table, json or markdown.")]


def parse_expiry(text: str | None, now: datetime) -> datetime | None:
    """A moment from ``2d``, a date (its end, in UTC) or a time with its zone. Raises ConfigurationError."""
    if text is None:
        return None
    match = _LENGTH.fullmatch(text)
    when = now + int(match["number"]) * _UNITS[match["unit"]] if match else _moment(text)
    if when <= now:
        raise ConfigurationError("that is in the past", where=f"--expires {text}", hint="name a time in the future")
    return when.astimezone(UTC).replace(microsecond=0)


def _moment(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is not None and when.tzinfo is None and len(text) == len("2026-03-01"):
        return when.replace(tzinfo=UTC) + timedelta(days=1)
    if when is None or when.tzinfo is None:
        raise ConfigurationError(
            f"{text!r} is not a date or time",
            where="--expires",
            hint="write 12h, 2d or 1w, a date as 2026-03-01, or a time as 2026-03-01T18:00Z",
        )
    return when


def one_line(reason: str) -> str:
    """The reason, when it is one. Raises ConfigurationError."""
    from orchestrator.core.text import printable

    clean = printable(reason).strip()
    if not clean or len(clean) > 500:
        raise ConfigurationError("a reason is needed", where="--reason", hint="say in one line why")
    return clean


def print_change(
    result: RuleResult, output: OutputFormat, calls: Mapping[str, Mapping[str, int]], *, verbose: bool
) -> None:
    """What came of a request; ``calls`` is what was counted, for JSON and for who wants to know it all."""
    from orchestrator.core.rule_change import title_of
    from orchestrator.reports.diff import readable, unified
    from orchestrator.reports.markdown import code, fenced
    from orchestrator.reports.records import calls_line

    diff = unified(result.plan.edits)
    pull_request = getattr(result.outcome, "pull_request", None)
    if output is OutputFormat.JSON:
        _print_json(
            {
                "action": result.change.action.value,
                "state": result.outcome.state if result.outcome is not None else "planned",
                "rule": _as_data(result.change.rule),
                "branch": result.change.branch.value,
                "pull_request": {"number": pull_request.number, "url": pull_request.url} if pull_request else None,
                "diff": diff,
                "calls": calls,
            }
        )
        return
    shown = readable(diff, terminal=sys.stdout.isatty() or output is OutputFormat.MARKDOWN)
    if output is OutputFormat.MARKDOWN:
        parts = [f"**{code(title_of(result.change))}**: {_sentence(result)}"]
        parts += [fenced(shown, "diff")] if result.outcome is None and shown else []
        parts += [f"Pull request: {pull_request.url}"] if pull_request else []
        typer.echo("\n\n".join(parts))
        return
    lines = [f"{title_of(result.change)}: {_sentence(result)}"]
    lines += ["", shown.rstrip("\n")] if result.outcome is None and shown else []
    lines += (
        ["", f"  pull request  {pull_request.url}", f"  branch        {result.change.branch}"] if pull_request else []
    )
    lines += ["", f"  {calls_line(calls)}"] if verbose else []
    typer.echo("\n".join(lines))


def _sentence(result: RuleResult) -> str:
    from orchestrator.forges.base import PullRequest, PullRequestState
    from orchestrator.gitops.outcome import Committed, Opened, Superseded, Unchanged, Updated, Waiting

    match result.outcome:
        case None:
            return "this is what would be proposed" if result.plan.edits else "nothing would change"
        case Opened() | Updated():
            return f"{result.outcome.state} pull request #{result.outcome.pull_request.number}; it counts once merged"
        case Waiting():
            return "it waits for a gate; nothing was changed"
        case Committed():
            return f"committed {result.outcome.commit.short}"
        case Superseded():
            return "superseded: a later request is on its way; nothing was changed"
        case Unchanged(reason, PullRequest(state=PullRequestState.CLOSED) as closed):
            return f"closed pull request #{closed.number}, which is not needed: {reason}"
        case Unchanged():
            return f"nothing to do: {result.outcome.reason}"


def print_rules(rules: Sequence[ListedRule], kind: str, output: OutputFormat) -> None:
    """The list, with those that have expired."""
    from orchestrator.core.judge import instant
    from orchestrator.core.text import printable
    from orchestrator.reports.markdown import code, table

    if output is OutputFormat.JSON:
        _print_json(
            {
                f"{kind}s" if kind == "hold" else "vetoes": [
                    {**_as_data(one.rule), "active": one.active} for one in rules
                ]
            }
        )
        return
    subject = "IMAGE" if kind == "hold" else "DIGEST"
    headings = ("ENVIRONMENT", subject, "UNTIL", "BY", "AT", "REASON")
    rows = [
        (rule.environment, rule.subject, _until(one), rule.by, instant(rule.at), rule.reason)
        for one in rules
        for rule in (one.rule,)
    ]
    if output is OutputFormat.MARKDOWN:
        typer.echo(
            table(tuple(one.title() for one in headings), [tuple(code(cell, 300) for cell in row) for row in rows])
        )
    elif not rows:
        typer.echo(f"no {_plural(kind)}")
    else:
        lines = [headings, *(tuple(printable(cell) for cell in row) for row in rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
        for row in lines:
            typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _plural(kind: str) -> str:
    return "vetoes" if kind == "veto" else f"{kind}s"


def _until(one: ListedRule) -> str:
    from orchestrator.core.judge import instant

    if one.rule.expires is None:
        return "it is lifted"
    return instant(one.rule.expires) if one.active else "expired"


def _as_data(rule: Rule) -> dict[str, Any]:
    return {"kind": rule.kind, **dict(rule.fields()), "path": str(rule.path)}


def _print_json(data: dict[str, Any]) -> None:
    typer.echo(json.dumps({"schema": SCHEMA, **data}, indent=2))
