"""How the findings of ``doctor`` are printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import typer

from orchestrator.cli.app import OutputFormat
from orchestrator.reports.diagnosis import Diagnosis, FindingRecord
from orchestrator.reports.grid import Paint, Tone, painter, terminal_width, wrapped
from orchestrator.reports.markdown import code, table

_MARKS = {"ok": "ok", "unknown": "?", "warning": "warning", "refusal": "REFUSED"}
_TONES = {"ok": Tone.GOOD, "unknown": Tone.PLAIN, "warning": Tone.WARN, "refusal": Tone.BAD}
_INDENT = " " * 13


def print_diagnosis(found: Diagnosis, output: OutputFormat, redact: Callable[[str], str]) -> None:
    """Print it to stdout."""
    if output is OutputFormat.JSON:
        text = found.to_json()
    elif output is OutputFormat.MARKDOWN:
        text = _markdown(found)
    else:
        text = _text(found)
    typer.echo(redact(text), nl=False)


def _text(found: Diagnosis) -> str:
    column, paint = max(len(one.check) for one in found.findings), painter()
    lines = [line for one in found.findings for line in _lines(one, column, paint)]
    return "\n".join([*lines, "", _sentence(found.findings)]) + "\n"


def _lines(one: FindingRecord, column: int, paint: Paint) -> list[str]:
    """What was found, in line with the other checks; below it why and how to fix it, with more room."""
    width = terminal_width()
    first, *more = wrapped(" " * (column + 14), one.what, width)
    mark = paint(f"{_MARKS[one.severity]:<9}", _TONES[one.severity])
    lines = [f"  {mark}  {one.check:<{column}} {first.lstrip()}", *more]
    if one.severity in ("warning", "refusal"):
        lines += wrapped(f"{_INDENT}why: ", one.why, width) if one.why else []
        lines += wrapped(f"{_INDENT}fix: ", one.fix, width) if one.fix else []
    return lines


def _markdown(found: Diagnosis) -> str:
    rows = [
        (_MARKS[one.severity], code(one.check), _plain(one.what), _plain(one.why), _plain(one.fix))
        for one in found.findings
    ]
    return f"{_sentence(found.findings)}\n\n{table(('', 'Check', 'What', 'Why', 'Fix'), rows)}\n"


def _plain(text: str) -> str:
    return code(text, 500) if text else ""


def _sentence(findings: Sequence[FindingRecord]) -> str:
    counts = Counter(one.severity for one in findings)
    refused, warned = counts["refusal"], counts["warning"]
    if refused:
        return f"A release would be refused, or fail: {refused} to fix, {warned} to look at."
    return f"Nothing would stop a release; {warned} to look at." if warned else "Nothing would stop a release."
