"""The table of verdicts: for a terminal, for a pull request, and as data."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from orchestrator.core.image import Repository
from orchestrator.core.verdict import Result, Verdict
from orchestrator.reports.verdicts import verdict_lines, verdict_markdown, verdicts_as_data
from tests.golden import assert_golden

END = datetime(2026, 3, 30, 6, 0, tzinfo=UTC)
VERDICTS = (
    Verdict("hold", Result.PASS, "no hold stands in the way"),
    Verdict("order", Result.PASS, "staging is skipped: hotfix", overridden="hotfix"),
    Verdict("freeze", Result.WAIT, "frozen until 2026-03-30 06:00:00 UTC: weekend", ("0 16 * * FRI",), until=END),
    Verdict(
        "error-budget",
        Result.REFUSE,
        "no budget left | @everyone <!-- x --> `code`",
        ("burnt: 104%\x1b[2J",),
        "https://slo.example/checkout",
        hint="wait for the next month",
        images=(Repository.parse("ghcr.io/acme/shop/api"),),
    ),
)


def test_the_table_for_a_terminal() -> None:
    text = "\n".join(verdict_lines(VERDICTS, evidence=True)) + "\n"
    assert "\x1b" not in text
    assert_golden("reports/verdicts.txt", text)


def test_the_table_for_a_pull_request() -> None:
    assert_golden("reports/verdicts.md", verdict_markdown(VERDICTS) + "\n")


def test_the_same_as_data() -> None:
    data = verdicts_as_data(VERDICTS)
    assert data["result"] == "refuse"
    assert_golden("reports/verdicts.json", json.dumps(data, indent=2) + "\n")


def test_without_evidence_the_table_is_a_line_a_gate() -> None:
    assert len(verdict_lines(VERDICTS)) == 1 + len(VERDICTS)
    assert verdict_lines(()) == ["GATE  VERDICT  REASON"]
