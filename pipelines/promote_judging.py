"""The gates of a promotion: asked for all environments at once, and again where the base moved meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from orchestrator.core.change import Change, ChangePlan
from orchestrator.core.environment import Environment, Strategy
from orchestrator.core.errors import Refused
from orchestrator.core.facts import Moving, Subject, TestClaim
from orchestrator.core.gates import ApprovalsGate, HoldGate, VetoGate
from orchestrator.core.image import PinnedImage
from orchestrator.core.mirrors import Originals
from orchestrator.core.names import CommitId
from orchestrator.core.order import Ancestry
from orchestrator.core.verdict import Result, Verdict, overall
from orchestrator.engine.parallel import side_by_side
from orchestrator.forges.base import Comparing, Comparison, PullRequest, PullRequestState
from orchestrator.images.base import Registry
from pipelines.gates import Sources, judge_all
from pipelines.policy import policy_at
from pipelines.ports import Ports, Standpoint
from pipelines.promote_reading import World, moving_in, read_world
from pipelines.promote_targets import Route
from pipelines.promotion import Promoted
from pipelines.tested import claims_of

_Pair = tuple[CommitId, CommitId]
_WORDS = frozenset({HoldGate.kind, VetoGate.kind})


class GatesRefuse(Refused):
    """A gate says no to what is about to be written. ``verdicts`` tell which.

    ``moved``: the base is not what was looked at any more, so another look may tell more.
    """

    def __init__(self, verdicts: Sequence[Verdict], *, moved: bool) -> None:
        refusals = [one for one in verdicts if one.result is Result.REFUSE]
        super().__init__("; ".join(f"{one.gate}: {one.reason}" for one in refusals), hint=refusals[0].hint)
        self.verdicts, self.moved = tuple(verdicts), moved


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
        subjects = [_subject(one.environment, change, one.moving) for one, change, _ in moving]
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
        policy, environment, now = world.policy, one.environment, world
        if moved:
            policy = policy_at(self.ports.repository, plan.base, world.policy.base)
            environment = policy.environment(one.environment.name)
            now = read_world(self.ports.repository, policy, replace(route, targets=(environment,)), plan.base)
        subject = _subject(environment, plan.change, moving_in(now, now.side([environment]), plan.change))
        (judged,) = judge_all(self._sources(now, [plan]), policy, plan.base, [subject])
        if overall(judged.verdicts) is Result.REFUSE:
            raise GatesRefuse(judged.verdicts, moved=moved)
        return judged.verdicts

    def words_against(self, world: World, target: Environment, plan: ChangePlan) -> tuple[Verdict, ...]:
        """The holds and vetoes on what this plan moves, which may be another change than the one that is promoted.

        Nothing else: what its gates said when it was proposed is not for us to judge. Raises as ``judge_all`` does.
        """
        moving = moving_in(world, world.side([target]), plan.change)
        subject = _subject(replace(target, gates=(), after=()), plan.change, moving)
        (judged,) = judge_all(self._sources(world, ()), world.policy, world.tips[world.policy.base], [subject])
        return tuple(one for one in judged.verdicts if one.gate in _WORDS and one.result is Result.REFUSE)

    def _sources(self, world: World, plans: Sequence[ChangePlan]) -> Sources:
        ports = self.ports
        asked = [plan for plan in plans if _asks_approvals(world.policy.environment(plan.change.environment))]
        pulls = self._pull_requests(world, asked)
        return Sources(
            ports.repository,
            ports.registry,
            ports.forge,
            ports.clock,
            claims=partial(_claims, ports.registry, world.originals),
            ancestry=self.order,
            pull_requests=pulls,
            outdated=frozenset(
                plan.change.environment
                for plan in asked
                if (pull := pulls.get(plan.change.environment)) is not None and not self._holds(pull, plan)
            ),
            ca_bundle=self.at.ca_bundle,
        )

    def _pull_requests(self, world: World, plans: Sequence[ChangePlan]) -> dict[str, PullRequest]:
        """The open pull requests on the branches of these plans, by environment."""
        forge = self.ports.forge
        if forge is None:
            return {}
        calls: list[Callable[[], Sequence[PullRequest]]] = [
            partial(forge.pull_requests, one.change.branch, world.policy.base) for one in plans
        ]
        found: dict[str, PullRequest] = {}
        for plan, pulls in zip(plans, side_by_side(calls), strict=True):
            for pull in pulls:
                if pull.state is PullRequestState.OPEN and not pull.fork:
                    found.setdefault(plan.change.environment, pull)
        return found

    def _holds(self, pull: PullRequest, plan: ChangePlan) -> bool:
        """What would be written stands at its head already: else whoever approved that head saw something else."""
        if pull.head_commit is None:
            return False
        there = self.ports.repository.files(pull.head_commit, [edit.path.value for edit in plan.edits])
        return all(there.get(edit.path) == edit.after for edit in plan.edits)


def _claims(registry: Registry, originals: Originals, image: PinnedImage) -> tuple[TestClaim, ...]:
    """The records beside the image; of one from a mirror, those beside the original count too."""
    names = dict.fromkeys((image.repository, originals(image.repository)))
    return tuple(claim for name in names for claim in claims_of(registry, replace(image, repository=name)))


def _subject(environment: Environment, change: Change, moving: tuple[Moving, ...]) -> Subject:
    return Subject(environment, change.scope, moving, change.overrides)


def _asks_approvals(environment: Environment) -> bool:
    return environment.strategy is Strategy.PULL_REQUEST and any(
        isinstance(gate, ApprovalsGate) for gate in environment.gates
    )


def waits_for_more_than_people(verdicts: Sequence[Verdict], environment: Environment) -> bool:
    """Something else than a review is waited for. A draft asks nobody to review it, so for reviews alone it is none."""
    approvals = {gate.name for gate in environment.gates if isinstance(gate, ApprovalsGate)}
    return any(one.result is Result.WAIT and one.gate not in approvals for one in verdicts)
