"""A pytest plugin: how long each suite took, beside its budget. ``make test`` loads it with ``-p tests.budgets``.

The time is the sum over all workers, so it says what a suite costs and not how many cores there were. Going
over a budget is reported, not failed: a timed assertion would fail on a slow machine and teach nothing.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePosixPath

import pytest

# Seconds. Together with lint and types they keep the whole of .ci/run below 20 minutes on two cores.
BUDGETS = {
    "unit": 180,
    "property": 90,
    "contract": 180,
    "simulation": 240,
    "corpus": 120,
    "integration": 480,
    "e2e": 840,
}


class _Suite:
    """What one folder below tests/ has used up."""

    def __init__(self) -> None:
        self.tests: set[str] = set()
        self.seconds = 0.0
        self.slowest = (0.0, "")

    def add(self, report: pytest.TestReport) -> None:
        """Count one phase of one test."""
        self.tests.add(report.nodeid)
        self.seconds += report.duration
        self.slowest = max(self.slowest, (report.duration, report.nodeid.partition("/")[2]))


_suites: dict[str, _Suite] = defaultdict(_Suite)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Sees every phase of every test, also those of the workers."""
    path = PurePosixPath(report.nodeid.partition("::")[0])
    _suites[path.parts[1] if len(path.parts) > 2 else "(top)"].add(report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    terminalreporter.section("time budgets (seconds, sum over workers)")
    terminalreporter.line(f"{'suite':<12} {'tests':>6} {'used':>7} {'budget':>7}   slowest")
    for name, suite in sorted(_suites.items()):
        budget = BUDGETS.get(name)
        over = budget is None or suite.seconds > budget
        seconds, slowest = suite.slowest
        note = "  <- no budget: add one to tests/budgets.py" if budget is None else "  <- over budget" if over else ""
        row = f"{name:<12} {len(suite.tests):>6} {suite.seconds:>7.1f} {budget or 0:>7}   {seconds:.1f} {slowest}{note}"
        terminalreporter.line(row, yellow=over)
