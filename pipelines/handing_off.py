"""The last stage of every pipeline that changes an environment."""

from __future__ import annotations

from orchestrator.core.change import Change, ChangePlan
from orchestrator.core.release import Release
from orchestrator.engine.events import stage
from orchestrator.gitops.desk import Desk
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Outcome
from pipelines.describing import Describer
from pipelines.direct_judging import DirectJudge
from pipelines.policy import policy_at
from pipelines.ports import Ports, Surroundings
from pipelines.preflight import Cleared


def desk_for(ports: Ports, cleared: Cleared, made: Release, around: Surroundings, *, reopen: bool = False) -> Desk:
    """What the handoff works with, the pull request's text and the environment's gates included."""
    remote = made.source.remote if made.source is not None else None
    judge = DirectJudge(ports, cleared.policy, cleared.base_tip, around.ca_bundle)
    return Desk(
        ports.repository,
        ports.forge,
        cleared.policy,
        ports.clock,
        Describer(
            ports, cleared.environment, made.id, made, cleared.waivers, around.ci.run_url, judge=judge, remote=remote
        ),
        around.identity,
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
    for warning in getattr(outcome, "warnings", ()):
        ports.reporter.warn(warning)
    return outcome
