"""The verdicts of gates: as a table for people, in Markdown for a pull request, and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.core.text import printable
from orchestrator.core.verdict import Result, Verdict, overall
from orchestrator.reports.markdown import code, table

HEADINGS = ("GATE", "VERDICT", "REASON")
_SIGNS = {Result.PASS: "✅ pass", Result.WAIT: "⏳ wait", Result.REFUSE: "⛔ refuse"}


def verdict_rows(verdicts: Sequence[Verdict]) -> list[tuple[str, str, str]]:
    """A row for each gate; nothing in it can act on a terminal."""
    return [(printable(one.gate), one.result.value, printable(_reason(one))) for one in verdicts]


def verdict_lines(verdicts: Sequence[Verdict], *, evidence: bool = False) -> list[str]:
    """The table as lines of text; with ``evidence``, what each verdict rests on and what to do stands below it."""
    rows = verdict_rows(verdicts)
    widths = [max(len(row[column]) for row in (HEADINGS, *rows)) for column in (0, 1)]
    lines = [_line(HEADINGS, widths)]
    for row, verdict in zip(rows, verdicts, strict=True):
        lines.append(_line(row, widths))
        if evidence:
            indent = " " * (sum(widths) + 4)
            lines += [indent + printable(line) for line in _below(verdict)]
    return lines


def verdict_markdown(verdicts: Sequence[Verdict]) -> str:
    """The table for a pull request. Texts of policies, people and servers are shown as code, so none of them acts."""
    rows = [(code(one.gate), _SIGNS[one.result], _markdown_reason(one)) for one in verdicts]
    return table(("Gate", "Verdict", "Reason"), rows)


def verdicts_as_data(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The same for JSON: the overall result, and every verdict with all that it says."""
    return {"result": overall(verdicts).value, "verdicts": [_as_data(one) for one in verdicts]}


def _as_data(one: Verdict) -> dict[str, Any]:
    return {
        "gate": one.gate,
        "verdict": one.result.value,
        "reason": one.reason,
        "evidence": list(one.evidence),
        "link": one.link,
        "hint": one.hint,
        "until": one.until.isoformat() if one.until else None,
        "images": [str(image) for image in one.images],
        "overridden": one.overridden,
    }


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip()


def _reason(one: Verdict) -> str:
    return f"{one.reason} (set aside in writing)" if one.overridden else one.reason


def _below(one: Verdict) -> list[str]:
    link = [f"see {one.link}"] if one.link else []
    hint = [f"to do: {one.hint}"] if one.hint and one.result is not Result.PASS else []
    return [*one.evidence, *link, *hint]


def _markdown_reason(one: Verdict) -> str:
    parts = [code(_reason(one), 300)]
    parts += [code(line, 200) for line in one.evidence[:5]]
    if one.link:
        parts.append(code(one.link, 300))
    return "<br>".join(parts)
