"""How the local forge's answers are printed: for people, as Markdown, or as JSON with a versioned schema."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import typer

from orchestrator.cli.app import OutputFormat
from orchestrator.core.names import CommitId
from orchestrator.core.text import printable
from orchestrator.forges.base import CommitStatus, PullRequest, PullRequestState
from orchestrator.forges.local_records import PullRecord
from orchestrator.reports.markdown import code, table

SCHEMA = "hybrid-ci.forge/v1"
UNCHECKED = "the local forge does not check who anybody is"
Rows = Sequence[tuple[str, ...]]


def print_list(pull_requests: Sequence[PullRequest], output: OutputFormat) -> None:
    """Many pull requests, a line each."""
    if output is OutputFormat.JSON:
        _print_json({"pull_requests": [_as_json(one) for one in pull_requests]})
        return
    header = ("#", "STATE", "TITLE", "HEAD", "BASE", "AUTHOR", "UPDATED")
    rows = [
        (str(one.number), _state(one), one.title, one.head.value, one.base.value, one.author, _time(one.updated))
        for one in pull_requests
    ]
    _print_rows(header, rows, output, nothing="no pull requests")


def print_shown(
    pull_request: PullRequest, record: PullRecord, needed: int, diff: str | None, output: OutputFormat
) -> None:
    """One pull request, whole."""
    if output is OutputFormat.JSON:
        _print_json(
            {
                "pull_request": _as_json(pull_request),
                "required_approvals": needed,
                "approvals": [
                    {"by": one.by, "commit": one.commit.value, "at": one.at.isoformat()} for one in record.approvals
                ],
                "routing": {name: list(names) for name, names in _routing(record).items()},
                "merges_when_approved": record.wish is not None and record.is_open,
                "comments": [{"by": one.by, "at": one.at.isoformat(), "text": one.text} for one in record.comments],
                "diff": diff,
            }
        )
    elif output is OutputFormat.MARKDOWN:
        typer.echo(_markdown(pull_request, record, needed, diff))
    else:
        typer.echo(_text(pull_request, record, needed, diff))


def print_approved(pull_request: PullRequest, actor: str, needed: int, output: OutputFormat) -> None:
    """An approval that is there now, and the merge that it may have brought."""
    if pull_request.state is PullRequestState.MERGED:
        print_ended(pull_request, output)
        return
    have = len(pull_request.approvals)
    text = (
        f"{printable(actor)} approves #{pull_request.number} at {_short(pull_request.head_commit)}: "
        f"{have} of {needed} needed; {UNCHECKED}"
    )
    _print_result(text, pull_request, output)


def print_ended(pull_request: PullRequest, output: OutputFormat) -> None:
    """A pull request that is merged or closed now."""
    text = f"pull request #{pull_request.number} is closed, not merged"
    if pull_request.state is PullRequestState.MERGED:
        commit = _short(pull_request.merge_commit)
        text = f"pull request #{pull_request.number} is merged into {pull_request.base} as {commit}"
    _print_result(text, pull_request, output)


def print_statuses(commit: CommitId, statuses: Sequence[CommitStatus], output: OutputFormat) -> None:
    """What is said about a commit."""
    if output is OutputFormat.JSON:
        listed = [
            {
                "context": one.context,
                "state": one.state.value,
                "description": one.description,
                "target_url": one.target_url,
                "creator": one.creator,
                "created": _iso(one.created),
            }
            for one in statuses
        ]
        _print_json({"commit": commit.value, "statuses": listed})
        return
    header = ("CONTEXT", "STATE", "DESCRIPTION", "CREATOR", "TIME", "WHERE")
    rows = [
        (one.context, one.state.value, one.description, one.creator, _time(one.created), one.target_url)
        for one in statuses
    ]
    _print_rows(header, rows, output, nothing=f"no statuses of {commit.short}")


def _text(pull_request: PullRequest, record: PullRecord, needed: int, diff: str | None) -> str:
    """For people: head lines, the body, comments, the diff."""
    lines = [f"#{pull_request.number} {printable(pull_request.title)}", ""]
    lines += [f"  {name:<9}  {printable(value)}" for name, value in _facts(pull_request, record, needed)]
    if pull_request.body.strip():
        lines += ["", textwrap.indent(printable(pull_request.body, keep_newlines=True).rstrip(), "  ")]
    for one in record.comments:
        lines += ["", f"  {printable(one.by)}, {_time(one.at)}: {printable(one.text)}"]
    lines += ["", _shown(diff)]
    return "\n".join(lines)


def _markdown(pull_request: PullRequest, record: PullRecord, needed: int, diff: str | None) -> str:
    parts = [f"**#{pull_request.number}** {code(pull_request.title, 256)}"]
    parts.append(table(("", ""), [(name, code(value, 300)) for name, value in _facts(pull_request, record, needed)]))
    parts += [f"{code(one.by)}, {_time(one.at)}: {code(one.text, 1000)}" for one in record.comments]
    fence = "`" * max(3, _longest_run(diff or "", "`") + 1)
    parts.append(f"{fence}diff\n{_shown(diff)}\n{fence}")
    return "\n\n".join(parts)


def _shown(diff: str | None) -> str:
    if diff is None:
        return "no diff: a branch is gone"
    return printable(diff, keep_newlines=True).rstrip("\n") or "no difference to the base"


def _facts(pull_request: PullRequest, record: PullRecord, needed: int) -> Sequence[tuple[str, str]]:
    approvers = ", ".join(pull_request.approvals) or "nobody"
    facts = [
        ("state", _state(pull_request) + (f" by {record.ended_by}" if record.ended_by else "")),
        ("head", f"{pull_request.head} at {_short(pull_request.head_commit)}"),
        ("base", pull_request.base.value),
        ("author", f"{pull_request.author}, {_time(pull_request.created)}"),
        ("approvals", f"{approvers} ({needed} needed; {UNCHECKED})"),
        *((name, ", ".join(names)) for name, names in _routing(record).items() if names),
    ]
    if record.wish is not None and record.is_open:
        facts.append(("merges", f"with the approvals that are missing, at {record.wish.head.short}"))
    if pull_request.merge_commit is not None:
        facts.append(("merged as", pull_request.merge_commit.value))
    return facts


def _routing(record: PullRecord) -> dict[str, tuple[str, ...]]:
    """Whom it was sent to, as far as a forge without people can say so."""
    routing = record.routing
    return {
        "reviewers": (*routing.reviewers, *routing.teams),
        "assignees": routing.assignees,
        "labels": routing.labels,
    }


def _print_result(text: str, pull_request: PullRequest, output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        _print_json({"pull_request": _as_json(pull_request)})
    else:
        typer.echo(text)


def _print_rows(header: tuple[str, ...], rows: Rows, output: OutputFormat, *, nothing: str) -> None:
    if output is OutputFormat.MARKDOWN:
        typer.echo(table(header, [tuple(code(cell) for cell in row) for row in rows]))
        return
    if not rows:
        typer.echo(nothing)
        return
    cells = [header, *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_json(data: Mapping[str, Any]) -> None:
    typer.echo(json.dumps({"schema": SCHEMA, "approvers_authenticated": False, **data}, indent=2))


def _as_json(one: PullRequest) -> dict[str, Any]:
    return {
        "number": one.number,
        "url": one.url,
        "title": one.title,
        "body": one.body,
        "state": one.state.value,
        "draft": one.draft,
        "head": one.head.value,
        "head_commit": one.head_commit.value if one.head_commit else None,
        "base": one.base.value,
        "author": one.author,
        "approved_by": list(one.approvals),
        "merge_commit": one.merge_commit.value if one.merge_commit else None,
        "created": _iso(one.created),
        "updated": _iso(one.updated),
    }


def _state(one: PullRequest) -> str:
    return "draft" if one.draft and one.state is PullRequestState.OPEN else one.state.value


def _short(commit: CommitId | None) -> str:
    return commit.short if commit else "nothing (the branch is gone)"


def _time(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else ""


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


def _longest_run(text: str, character: str) -> int:
    longest = run = 0
    for one in text:
        run = run + 1 if one == character else 0
        longest = max(longest, run)
    return longest
