"""The gates of what comes to an environment from elsewhere than another one: a release, a pin.

All but the order: which release is newer the handoff finds out by itself, and a pin may well go back to what ran
before. Whoever holds an image, vetoes a digest or asks for a review means every change, however it comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.core.change import ChangePlan
from orchestrator.core.environment import Environment, Policy
from orchestrator.core.facts import Facts, Moving, Subject
from orchestrator.core.gates import HoldGate, OrderGate, SoakGate
from orchestrator.core.holds import Hold
from orchestrator.core.judge import evaluate
from orchestrator.core.names import CommitId
from orchestrator.core.order import Ancestry, OrderRule, Origin
from orchestrator.core.verdict import Result, Verdict, overall
from pipelines.gates import judge_all
from pipelines.judging import GatesRefuse, rules_for, sources_for
from pipelines.policy import policy_at
from pipelines.ports import Ports
from pipelines.rules import read_rules


@dataclass(frozen=True, slots=True)
class DirectJudge:
    """Asks the gates of an environment about a plan, by the rules of the base as it is when something is written.

    ``policy`` is that of ``base_tip``.
    """

    ports: Ports
    policy: Policy
    base_tip: CommitId
    ca_bundle: Path | None = None

    def __call__(self, plan: ChangePlan) -> Sequence[Verdict]:
        """The verdicts. Raises GatesRefuse; ConfigurationError for a broken hold or veto; RemoteError."""
        policy, repository = self.policy, self.ports.repository
        environment = policy.environment(plan.change.environment)
        tip = rules_for(repository, environment, plan, policy.base)
        if tip != self.base_tip:  # the build took its time
            policy = policy_at(repository, tip, policy.base)
            environment = policy.environment(plan.change.environment)
        subject = Subject(
            _unordered(environment),
            plan.change.scope,
            tuple(_moving(policy, plan)),
            carried_overrides=plan.change.overrides,
        )
        sources = sources_for(self.ports, policy, policy.originals, [plan], _nobody_asks, self.ca_bundle)
        (judged,) = judge_all(sources, policy, tip, [subject])
        verdicts = tuple(one for one in judged.verdicts if one.gate != OrderGate.kind)
        if overall(verdicts) is Result.REFUSE:
            raise GatesRefuse(verdicts, moved=tip != self.base_tip)
        return verdicts

    def holds(self) -> tuple[Hold, ...]:
        """Those on the base. Raises ConfigurationError for a broken one."""
        rules = read_rules(self.ports.repository, self.base_tip, Hold, (), self.policy.origin)
        return tuple(one for one in rules if isinstance(one, Hold))

    def refuse_held(self, plan: ChangePlan, holds: tuple[Hold, ...]) -> None:
        """An image that is held stays as it is, whatever its digest. Raises GatesRefuse."""
        environment = self.policy.environment(plan.change.environment)
        subject = Subject(environment, plan.change.scope, tuple(_moving(self.policy, plan)))
        verdict = evaluate(HoldGate(), subject, Facts(self.ports.clock.now(), holds=holds))
        if verdict.result is Result.REFUSE:
            raise GatesRefuse([verdict], moved=False)


def _unordered(environment: Environment) -> Environment:
    """The environment without what only its order asks for; a soak may mean those before it."""
    soaks = any(isinstance(gate, SoakGate) for gate in environment.gates)
    return replace(environment, order=(("**", OrderRule.NONE),), after=environment.after if soaks else ())


def _moving(policy: Policy, plan: ChangePlan) -> Iterator[Moving]:
    """Each image with what the plan finds in its place."""
    originals, change = policy.originals, plan.change
    carried = {one.image for one in change.carried}
    for image in plan.moved:
        told = change.origin(image.repository)
        moving = Moving(
            image,
            Origin(told.source, told.position),
            original=originals(image.repository),
            carried=image in carried,
        )
        runs = dict.fromkeys(pin.before for pin in plan.pins if pin.after.repository == image.repository)
        versions = [one for one in runs if one.tag is not None or one.digest is not None]
        yield from [replace(moving, runs=one) for one in versions] or [moving]


def _nobody_asks(moving: Moving) -> Ancestry:
    return Ancestry.UNKNOWN
