"""How ``drift`` is printed: each finding with its place, why it matters, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.cli.app import OutputFormat
from orchestrator.cli.looking import print_json, sentence
from orchestrator.core.text import printable
from orchestrator.reports.grid import Paint, Tone, painter, terminal_width, wrapped
from orchestrator.reports.markdown import code

if TYPE_CHECKING:
    from pipelines.drift import Drift
    from pipelines.drift_finding import Finding

SCHEMA = "hybrid-ci.drift/v1"


def print_drift(found: Drift, output: OutputFormat) -> None:
    """To the standard output."""
    if output is OutputFormat.JSON:
        print_json(SCHEMA, as_data(found))
    elif output is OutputFormat.MARKDOWN:
        typer.echo(as_markdown(found))
    else:
        typer.echo("\n".join(as_lines(found, terminal_width(), painter())))


def as_lines(found: Drift, width: int, paint: Paint) -> list[str]:
    """By kind: why it matters once, then each place."""
    lines: list[str] = []
    for kind, members in _by_kind(found).items():
        lines += [paint(f"{kind} ({len(members)})", Tone.HEAD)]
        lines += wrapped("  why: ", members[0].why, width)
        for one in members:
            lines += ["", *(paint(line, Tone.WARN) for line in wrapped("  ", _headline(one), width))]
            lines += [f"    where: {printable(one.where)}", *_fix(one, width)]
        lines.append("")
    lines += [line for text in found.unanswered for line in wrapped("not known: ", text, width)]
    return [*lines, _sentence(found)]


def _fix(one: Finding, width: int) -> list[str]:
    """A command stays in one piece, to be copied."""
    head = "    fix:   "
    return [head + printable(one.fix)] if one.fix.startswith("hybrid-ci ") else wrapped(head, one.fix, width)


def _headline(one: Finding) -> str:
    return f"{one.environment}: {one.what}" if one.environment else one.what


def _by_kind(found: Drift) -> dict[str, list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for one in found.findings:
        groups.setdefault(one.kind.value, []).append(one)
    return groups


def _sentence(found: Drift) -> str:
    count, environments = len(found.findings), len(found.looked_at)
    what = f"{count} finding{'s' if count != 1 else ''}" if count else "nothing found"
    more = "; not everybody answered, so there may be more" if found.unanswered else ""
    return f"{what} in {environments} environment{'s' if environments != 1 else ''}{more}"


def as_markdown(found: Drift) -> str:
    """The same for a page."""
    return "\n\n".join(_markdown_parts(found))


def _markdown_parts(found: Drift) -> Iterator[str]:
    yield f"**{sentence(_sentence(found))}.**"
    for kind, members in _by_kind(found).items():
        yield f"### {kind} ({len(members)})\n\n{sentence(members[0].why)}."
        yield "\n".join(
            f"- {code(_headline(one), 300)} at {code(one.where, 300)}. Fix: {code(one.fix, 300)}" for one in members
        )
    if found.unanswered:
        yield "\n".join(["Not known:", "", *(f"- {code(text, 300)}" for text in found.unanswered)])


def as_data(found: Drift) -> dict[str, Any]:
    """All of it; keys may be added, and none changes its meaning within a version of the schema."""
    return {
        "environments": list(found.looked_at),
        "findings": [
            {
                "kind": one.kind.value,
                "environment": one.environment,
                "image": str(one.image) if one.image is not None else None,
                "what": one.what,
                "where": one.where,
                "why": one.why,
                "fix": one.fix,
            }
            for one in found.findings
        ],
        "unanswered": list(found.unanswered),
        "discovered": list(found.discovered),
        "calls": found.calls,
    }
