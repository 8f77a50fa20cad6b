"""The verdicts of gates in Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.verdict import Result, Verdict
from orchestrator.reports.markdown import code, table

_SIGNS = {Result.PASS: "✅ pass", Result.WAIT: "⏳ wait", Result.REFUSE: "⛔ refuse"}


def verdict_markdown(verdicts: Sequence[Verdict]) -> str:
    """The table for a pull request. Texts of policies, people and servers are shown as code, so none of them acts."""
    rows = [(code(one.gate), _SIGNS[one.result], _reason(one)) for one in verdicts]
    return table(("Gate", "Verdict", "Reason"), rows)


def _reason(one: Verdict) -> str:
    reason = f"{one.reason} (set aside in writing)" if one.overridden else one.reason
    parts = [code(reason, 300)]
    parts += [code(line, 200) for line in one.evidence[:5]]
    if one.link:
        parts.append(code(one.link, 300))
    return "<br>".join(parts)
