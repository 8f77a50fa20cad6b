"""The last stage of every pipeline that changes an environment."""

from __future__ import annotations

from orchestrator.ci.redact import redactor
from orchestrator.core.change import Change, ChangePlan
from orchestrator.core.release import Release
from orchestrator.engine.events import stage
from orchestrator.gitops.desk import BLOCK_BEGIN, BLOCK_END, Desk, PullRequestText
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Outcome
from orchestrator.reports import pull_request
from pipelines.policy import policy_at
from pipelines.ports import Ports
from pipelines.preflight import Cleared


def desk_for(ports: Ports, cleared: Cleared, made: Release, identity: str, *, reopen: bool = False) -> Desk:
    """What the handoff works with, the pull request's text included."""

    def describe(plan: ChangePlan) -> PullRequestText:
        # The change may be another release's, found on the branch: of that one only the commit is known.
        known = made if plan.change.release == made.id else None
        stamp = f"<!-- hybrid-ci:release {plan.change.release} -->"
        block = redactor(
            pull_request.block(plan, known, cleared.waivers if known else ())
        )  # a subject can hold anything
        whole = "\n".join([BLOCK_BEGIN, stamp, "", block, "", BLOCK_END])
        return PullRequestText(redactor(pull_request.title(plan)), whole, stamp)

    return Desk(
        ports.repository,
        ports.forge,
        cleared.policy,
        ports.clock,
        describe,
        identity,
        reopen,
        policy_at=lambda commit: policy_at(ports.repository, commit, cleared.policy.base),
    )


def plan_now(ports: Ports, desk: Desk, cleared: Cleared, change: Change) -> ChangePlan:
    """What the change would write where the environment is now; nothing is written."""
    own = cleared.environment.branch
    return desk.plan(cleared.environment, change, desk.required_tip(own) if own else cleared.base_tip)


def hand_off_stage(ports: Ports, desk: Desk, cleared: Cleared, change: Change) -> Outcome:
    """Hand off, reported as a stage."""
    with stage(ports.reporter, f"hand off to {change.environment}", ports.clock.monotonic) as ending:
        outcome = hand_off(desk, change, seen=cleared.seen)
        ending.text = outcome.state
    return outcome
