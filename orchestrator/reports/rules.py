"""What a reviewer reads in the pull request that sets or lifts a hold or a veto."""

from __future__ import annotations

from orchestrator.core.holds import Hold
from orchestrator.core.judge import instant
from orchestrator.core.rule_change import RuleChange
from orchestrator.reports.markdown import code, table


def rule_block(change: RuleChange) -> str:
    """The rule, what it does, and how to undo it."""
    rule = change.rule
    rows = [
        ("Environment", code(rule.environment)),
        ("Image" if isinstance(rule, Hold) else "Digest", code(rule.subject, 200)),
        ("Reason", code(rule.reason, 500)),
        ("Asked for by", code(rule.by)),
        ("At", instant(rule.at)),
    ]
    if not change.lifts:
        rows.append(("Until", instant(rule.expires) if rule.expires else "somebody lifts it"))
    return "\n\n".join([_effect(change), table(("", ""), rows), _file(change)])


def _effect(change: RuleChange) -> str:
    if isinstance(change.rule, Hold):
        if change.lifts:
            return "After the merge, promotions may change this image again."
        return "After the merge, promotions leave this image as it is."
    if change.lifts:
        return "After the merge, this digest may come here again."
    return "After the merge, this digest is kept out."


def _file(change: RuleChange) -> str:
    verb = "removes" if change.lifts else "writes"
    return (
        f"It {verb} {code(str(change.rule.path), 300)} and changes nothing else. Who asked is a claim: look who pushed."
    )
