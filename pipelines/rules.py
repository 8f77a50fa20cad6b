"""Holds and vetoes: set, list and lift, each by a pull request of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from orchestrator.ci.redact import redactor
from orchestrator.config.holds import load_holds, load_vetoes
from orchestrator.core.change import ChangePlan
from orchestrator.core.environment import Policy
from orchestrator.core.holds import Hold, Rule, folder_of
from orchestrator.core.names import BranchName, CommitId, RefName
from orchestrator.core.rule_change import RuleChange, title_of
from orchestrator.engine.events import stage
from orchestrator.engine.parallel import side_by_side
from orchestrator.gitops.base import GitOpsRepository
from orchestrator.gitops.desk import Desk, Seen, missing_branch
from orchestrator.gitops.handoff import hand_off, required_forge
from orchestrator.gitops.outcome import Outcome
from orchestrator.gitops.pull_request_text import PullRequestText
from orchestrator.reports.rules import rule_block
from pipelines.policy import check_base, policy_at
from pipelines.ports import Ports, Surroundings
from pipelines.preflight import guard


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What was asked for, and what came of it; ``outcome`` is None in a dry run."""

    change: RuleChange
    plan: ChangePlan
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class ListedRule:
    """A hold or veto on the base branch; ``active`` is False once it has expired."""

    rule: Rule
    active: bool


def change_rule(
    ports: Ports, surroundings: Surroundings, change: RuleChange, *, dry_run: bool = False, reopen: bool = False
) -> RuleResult:
    """Propose to set or to lift a hold or a veto. Nothing is to do where the base branch says so already.

    Raises ConfigurationError for an environment that is not there; otherwise as a handoff does.
    """
    with stage(ports.reporter, "preflight", ports.clock.monotonic):
        policy, tip, seen = _rules(ports, surroundings, change.branch.ref)
        policy.members(change.environment)
        guard(surroundings.signals, policy, surroundings.ci, ports.reporter)
        desk = _desk(ports, policy, surroundings.identity, reopen)
        environment = desk.environment(change)
        asks = [required_forge(ports.forge, environment, ports.repository.url).check_access]
        if not dry_run:
            asks.append(partial(ports.repository.check_push, change.branch.ref))
        side_by_side(asks)
    plan = desk.plan(environment, change, tip)
    if change.lifts and plan.empty:
        ports.reporter.warn(f"there is no {change.rule.kind} of {change.rule.subject} in {change.environment} to lift")
    if dry_run:
        return RuleResult(change, plan, None)
    with stage(ports.reporter, f"hand off to {policy.base}", ports.clock.monotonic) as ending:
        outcome = hand_off(desk, change, seen=seen)
        ending.text = outcome.state
    return RuleResult(change, plan, outcome)


def list_rules(
    ports: Ports, surroundings: Surroundings, kind: type[Rule], environments: Sequence[str] = ()
) -> tuple[ListedRule, ...]:
    """The holds, or the vetoes, on the base branch, by environment. Raises ConfigurationError for a broken file."""
    policy, tip, _ = _rules(ports, surroundings)
    for name in environments:
        policy.members(name)
    now = ports.clock.now()
    found = read_rules(ports.repository, tip, kind, environments, policy.origin)
    return tuple(ListedRule(rule, rule.holds(now)) for rule in found)


def read_rules(
    repository: GitOpsRepository, tip: CommitId, kind: type[Rule], environments: Sequence[str], origin: str
) -> tuple[Rule, ...]:
    """The rules of these environments (none named: of all) in one batch. Raises ConfigurationError."""
    folders = [folder_of(kind.kind, name) for name in environments] or [f"{folder_of(kind.kind)}/*"]
    files = repository.files(tip, [f"{folder}/*.yaml" for folder in folders])
    return load_holds(files, origin) if kind is Hold else load_vetoes(files, origin)


def _rules(ports: Ports, surroundings: Surroundings, *refs: RefName) -> tuple[Policy, CommitId, Seen]:
    base = BranchName(surroundings.application.config.gitops.base)
    seen = Seen(ports.repository.tips([base.ref, *refs]), ports.clock.monotonic())
    if base.ref not in seen.tips:
        raise missing_branch(ports.repository, base)
    check_base(ports.repository, base)
    tip = seen.tips[base.ref]
    return policy_at(ports.repository, tip, base), tip, seen


def _desk(ports: Ports, policy: Policy, identity: str, reopen: bool) -> Desk:
    def describe(plan: ChangePlan) -> PullRequestText:
        change = plan.change
        assert isinstance(change, RuleChange)  # noqa: S101  (nothing else stands on the branch of a rule)
        return PullRequestText(redactor(title_of(change)), change.release, lambda room: redactor(rule_block(change)))

    return Desk(
        ports.repository,
        ports.forge,
        policy,
        ports.clock,
        describe,
        identity,
        reopen,
        policy_at=lambda commit: policy_at(ports.repository, commit, policy.base),
    )
