"""The last stage of every pipeline that changes an environment."""

from __future__ import annotations

from orchestrator.ci.redact import redactor
from orchestrator.core.change import Change, ChangePlan
from orchestrator.core.release import Release
from orchestrator.engine.events import stage
from orchestrator.gitops.handoff import BLOCK_BEGIN, BLOCK_END, Desk, PullRequestText, hand_off
from orchestrator.gitops.outcome import Outcome
from orchestrator.reports import pull_request
from pipelines.ports import Ports
from pipelines.preflight import Cleared


def desk_for(ports: Ports, cleared: Cleared, made: Release, identity: str, *, reopen: bool = False) -> Desk:
    """What the handoff works with, the pull request's text included."""

    def describe(plan: ChangePlan) -> PullRequestText:
        # The change may be another release's, found on the branch: of that one only the commit is known.
        known = made if plan.change.release == made.id else None
        stamp = f"<!-- hybrid-ci:release {plan.change.release} -->"
        block = redactor(pull_request.block(plan, known, cleared.waivers))  # a subject can hold anything
        whole = "\n".join([BLOCK_BEGIN, stamp, "", block, "", BLOCK_END])
        return PullRequestText(redactor(pull_request.title(plan)), whole, stamp)

    return Desk(ports.repository, ports.forge, cleared.policy, ports.clock, describe, identity, reopen)


def hand_off_stage(ports: Ports, desk: Desk, change: Change) -> Outcome:
    """Hand off, reported as a stage."""
    with stage(ports.reporter, f"hand off to {change.environment}", ports.clock.monotonic) as ending:
        outcome = hand_off(desk, change)
        ending.text = outcome.state
    return outcome
