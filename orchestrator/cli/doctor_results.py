"""How the findings of ``doctor`` are printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import typer

from orchestrator.cli.app import OutputFormat
from orchestrator.core.text import printable
from orchestrator.reports.diagnosis import Diagnosis, FindingRecord
from orchestrator.reports.markdown import code, table

_MARKS = {"ok": "ok", "unknown": "?", "warning": "warning", "refusal": "REFUSED"}


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
    width = max(len(one.check) for one in found.findings)
    lines = [line for one in found.findings for line in _lines(one, width)]
    return "\n".join([*lines, "", _sentence(found.findings)]) + "\n"


def _lines(one: FindingRecord, width: int) -> list[str]:
    indent = " " * (width + 13)
    lines = [f"  {_MARKS[one.severity]:<9}  {one.check:<{width}} {printable(one.what)}"]
    if one.severity in ("warning", "refusal"):
        lines += [f"{indent}why: {printable(one.why)}"] if one.why else []
        lines += [f"{indent}fix: {printable(one.fix)}"] if one.fix else []
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
    return f"Nothing stands in a release's way; {warned} to look at." if warned else "Nothing to be said against it."
