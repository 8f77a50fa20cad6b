"""The last stage of every pipeline that changes an environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from orchestrator.core.change import Action, Change, ChangePlan
from orchestrator.core.environment import Strategy
from orchestrator.core.errors import HybridCIError
from orchestrator.core.names import CommitId
from orchestrator.core.release import Release
from orchestrator.core.verdict import Result
from orchestrator.engine.events import stage
from orchestrator.gitops.desk import Desk
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.holding import hold_up
from orchestrator.gitops.outcome import Outcome
from orchestrator.gitops.pull_request_text import PullRequestText
from pipelines.describing import Describer
from pipelines.direct_judging import DirectJudge
from pipelines.judging import WORDS, GatesRefuse
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


def refuse_held(ports: Ports, cleared: Cleared, around: Surroundings, planned: Callable[[], Release]) -> None:
    """Look at the holds before anything is built, and not at the handoff alone. Raises GatesRefuse.

    ``planned`` is the release as far as it is known; it is asked for only where something is held.
    """
    judge = DirectJudge(ports, cleared.policy, cleared.base_tip)
    holds = judge.holds()
    if not holds:
        return
    made = planned()
    desk, change = desk_for(ports, cleared, made, around), Change.of(Action.RELEASE, cleared.environment.name, made)
    try:
        judge.refuse_held(plan_now(ports, desk, cleared, change), holds)
    except GatesRefuse:
        _hold_up(ports, desk, change)
        raise


def hand_off_stage(ports: Ports, desk: Desk, cleared: Cleared, change: Change) -> Outcome:
    """Hand off, reported as a stage. Raises as ``hand_off`` does, and GatesRefuse."""
    with stage(ports.reporter, f"hand off to {change.environment}", ports.clock.monotonic) as ending:
        try:
            outcome = hand_off(desk, change, seen=cleared.seen)
        except GatesRefuse:
            ending.text = "refused"
            _hold_up(ports, desk, change)
            raise
        ending.text = outcome.state
    for warning in getattr(outcome, "warnings", ()):
        ports.reporter.warn(warning)
    return outcome


def _hold_up(ports: Ports, desk: Desk, change: Change) -> None:
    """What is open for the same environment becomes a draft, where somebody holds or vetoes what it would bring.

    The refusal is what is told in any case, so whatever keeps us from it is a warning.
    """
    where = desk.environment(change)
    if where.strategy is not Strategy.PULL_REQUEST:
        return
    try:
        held = hold_up(desk, change, partial(_objection, desk, desk.required_tip(desk.policy.base)))
    except HybridCIError as error:
        ports.reporter.warn(f"what is open for {where.name} may still be merged: {error.message}")
        return
    if held is not None:
        ports.reporter.warn(f"pull request #{held.number} for {where.name} is refused by now, so it is a draft")


def _objection(desk: Desk, tip: CommitId, plan: ChangePlan) -> PullRequestText | None:
    """What the rules at ``tip`` say against it, wherever the branch stands."""
    describe = desk.describe
    assert isinstance(describe, Describer)  # noqa: S101  (desk_for made it)
    assert describe.judge is not None  # noqa: S101  (so it did)
    try:
        describe.judge(replace(plan, base=tip))
    except GatesRefuse as refused:
        verdicts = refused.verdicts
        if any(one.gate in WORDS and one.result is Result.REFUSE for one in verdicts):
            return replace(describe, own=plan.change.release, made=None, judge=lambda asked: verdicts)(plan)
    return None
