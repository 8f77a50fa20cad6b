"""The gates of a promotion: asked for all environments at once, and again where the base moved meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from orchestrator.core.change import ChangePlan
from orchestrator.core.environment import Environment
from orchestrator.core.facts import Moving, Subject
from orchestrator.core.names import CommitId
from orchestrator.core.order import Ancestry
from orchestrator.core.verdict import Result, Verdict, overall
from orchestrator.forges.base import Comparing, Comparison
from pipelines.gates import Sources, judge_all
from pipelines.judging import WORDS, GatesRefuse, rules_for, sources_for
from pipelines.policy import policy_at
from pipelines.ports import Ports, Standpoint
from pipelines.promote_reading import World, moving_in, read_world
from pipelines.promote_targets import Route
from pipelines.promotion import Promoted

_Pair = tuple[CommitId, CommitId]


@dataclass
class SourceOrder:
    """How source commits stand to each other, each pair asked once: by the forge, else by the commits themselves."""

    ports: Ports
    at: Standpoint
    _told: dict[_Pair, Ancestry] = field(default_factory=dict)

    def __call__(self, moving: Moving) -> Ancestry:
        """The proposed commit against the one that runs. Raises RemoteError."""
        current, proposed = moving.runs_origin.source, moving.origin.source
        if current is None or proposed is None:
            return Ancestry.UNKNOWN
        if (current, proposed) not in self._told:
            self._told[current, proposed] = self._ask(current, proposed)
        return self._told[current, proposed]

    def _ask(self, current: CommitId, proposed: CommitId) -> Ancestry:
        forge: object = self.ports.forge  # what it can do beyond the port
        if self.at.sources is not None and isinstance(forge, Comparing):
            compared = forge.compare(self.at.sources, current, proposed)
            if compared is not None:
                return _ancestry(compared)
        return self.at.ancestry(current, proposed)


def _ancestry(found: Comparison) -> Ancestry:
    if found.behind:
        return Ancestry.DIVERGED if found.ahead else Ancestry.ANCESTOR
    return Ancestry.DESCENDANT if found.ahead else Ancestry.SAME


@dataclass(frozen=True, slots=True)
class Judges:
    """Who asks the gates. ``order`` lives as long as the promotion, so that a second look asks nothing twice."""

    ports: Ports
    at: Standpoint
    order: SourceOrder

    def all(self, world: World, prepared: Sequence[Promoted]) -> tuple[Promoted, ...]:
        """With the verdicts on everything that would move. Raises as ``judge_all`` does."""
        moving = [(one, one.change, one.plan) for one in prepared if one.change is not None and one.plan is not None]
        subjects = [Subject(one.environment, change.scope, one.moving, change.overrides) for one, change, _ in moving]
        sources = self._sources(world, [plan for _, _, plan in moving])
        judged = judge_all(sources, world.policy, world.tips[world.policy.base], subjects)
        verdicts = {one.subject.environment.name: one.verdicts for one in judged}
        return tuple(replace(one, verdicts=verdicts.get(one.environment.name, ())) for one in prepared)

    def again(self, world: World, route: Route, one: Promoted, plan: ChangePlan) -> tuple[Verdict, ...]:
        """On what is about to be written: by the rules of its base, and with whatever it carries from earlier.

        Nothing is asked again where that is what was judged. Raises GatesRefuse.
        """
        moved = plan.base != world.tip_of(one.environment)
        if not moved and one.change is not None and set(plan.change.pins) == set(one.change.pins):
            return one.verdicts
        policy, environment, now, tip = world.policy, one.environment, world, world.tips[world.policy.base]
        if moved:
            tip = rules_for(self.ports.repository, environment, plan, policy.base)
            policy = policy_at(self.ports.repository, tip, policy.base)
            environment = policy.environment(environment.name)
            now = read_world(self.ports.repository, policy, replace(route, targets=(environment,)), tip)
        moving = moving_in(now, now.side([environment]), plan)
        own = one.change.overrides if one.change is not None else ()
        subject = Subject(environment, plan.change.scope, moving, own, plan.change.overrides)
        (judged,) = judge_all(self._sources(now, [plan]), policy, tip, [subject])
        if overall(judged.verdicts) is Result.REFUSE:
            raise GatesRefuse(judged.verdicts, moved=moved)
        return judged.verdicts

    def words_against(self, world: World, target: Environment, plan: ChangePlan) -> tuple[Verdict, ...]:
        """The holds and vetoes on what this plan moves, which may be another change than the one that is promoted.

        Nothing else: what its gates said when it was proposed is not for us to judge. Raises as ``judge_all`` does.
        """
        moving = moving_in(world, world.side([target]), plan)
        subject = Subject(replace(target, gates=(), after=()), plan.change.scope, moving)
        (judged,) = judge_all(self._sources(world, ()), world.policy, world.tips[world.policy.base], [subject])
        return tuple(one for one in judged.verdicts if one.gate in WORDS and one.result is Result.REFUSE)

    def _sources(self, world: World, plans: Sequence[ChangePlan]) -> Sources:
        return sources_for(self.ports, world.policy, world.originals, plans, self.order, self.at.ca_bundle)
