"""The table of verdicts for a pull request."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.core.image import Repository
from orchestrator.core.verdict import Result, Verdict
from orchestrator.reports.verdicts import verdict_markdown
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


def test_the_table_for_a_pull_request() -> None:
    assert_golden("reports/verdicts.md", verdict_markdown(VERDICTS) + "\n")
