"""Promotion: what one environment runs, proposed to others when their gates let it pass.

Look, compare, judge, hand off; with a wait, look again. Everything is computed from what stands in Git at each look, so
a run that is killed anywhere is finished by running it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from orchestrator.core.change import ChangePlan
from orchestrator.core.environment import Policy, Strategy, Waiver
from orchestrator.core.errors import HybridCIError, Refused
from orchestrator.core.names import BranchName
from orchestrator.core.verdict import Result, Verdict, wait_ends
from orchestrator.engine.clock import Deadline
from orchestrator.engine.events import stage
from orchestrator.engine.parallel import side_by_side
from orchestrator.gitops.desk import Desk, Seen, missing_branch
from orchestrator.gitops.handoff import hand_off, required_forge
from orchestrator.gitops.holding import hold_up
from orchestrator.gitops.pull_request_text import PullRequestText
from pipelines.counting import Tally
from pipelines.describing import Describer, Judge, Renderings
from pipelines.judging import GatesRefuse
from pipelines.policy import check_base, policy_at, policy_to_look_at
from pipelines.ports import Ports, Standpoint
from pipelines.preflight import guard, refuse_writers_of_policy
from pipelines.promote_judging import Judges, SourceOrder
from pipelines.promote_reading import World, prepare, read_world
from pipelines.promote_targets import Route, images_named, route
from pipelines.promotion import Promoted, PromoteOptions, PromotionResult

_SHORTEST_PAUSE = 5.0
_LONGEST_PAUSE = 60.0
_MOST_LOOKS = 5  # at a base that moves under our hands


def promote(ports: Ports, at: Standpoint, options: PromoteOptions) -> PromotionResult:
    """Bring what the source runs to the targets, as far as their gates let it pass.

    What fails or is refused for one environment is in its result, and keeps no other one back. Raises
    ConfigurationError when names, files or images are missing, Refused when the policy knows no such right: then
    nothing was written.
    """
    _refuse_pull_request_events(at, options)
    tally = Tally()
    ports = tally.counted(ports)
    judges = Judges(ports, at, SourceOrder(ports, at))
    deadline = Deadline(ports.clock, options.wait_seconds or 0.0)
    pause = _SHORTEST_PAUSE
    while True:
        result = _settled_look(ports, at, options, judges)
        if options.wait_seconds is None or options.dry_run or not result.waiting:
            return replace(result, calls=tally.counts())
        if deadline.expired:
            return replace(result, timed_out=True, calls=tally.counts())
        ports.reporter.note(f"waiting: {', '.join(_what_waits(result))}")
        ports.clock.sleep(min(deadline.remaining, _next_look(ports, result, pause)))
        pause = min(_LONGEST_PAUSE, pause * 2)


def _settled_look(ports: Ports, at: Standpoint, options: PromoteOptions, judges: Judges) -> PromotionResult:
    """One round, begun anew where the base moved while we wrote, so that what was judged is not what stands there."""
    for _ in range(_MOST_LOOKS):
        result = _look(ports, at, options, judges)
        if not any(isinstance(one.error, GatesRefuse) and one.error.moved for one in result.targets):
            break
    return result


def _look(ports: Ports, at: Standpoint, options: PromoteOptions, judges: Judges) -> PromotionResult:
    """One round: what would move now, what the gates say of it, and the handoff of what they let pass."""
    with stage(ports.reporter, "look", ports.clock.monotonic):
        policy, world, way, waivers = _read(ports, at, options)
        source = world.side(way.sources)
        prepared = prepare(world, way, source, images_named(at, options.images, source.repositories))
    with stage(ports.reporter, "gates", ports.clock.monotonic) as ending:
        judged = judges.all(world, prepared)
        ending.text = _in_words(judged)
    skips = world.skips
    for skip in skips:
        names = ", ".join(image.repository.name for image in skip.images)
        ports.reporter.warn(f"{skip.left_out} was skipped for {names} in {skip.environment}: {skip.reason}")
    result = PromotionResult(options.source, way.scope, judged, options.dry_run, skips)
    if options.dry_run:
        return result
    teller = _Teller(ports, at, judges, world, way, waivers, options.reopen)
    if any(_goes(one) for one in judged):
        _check_rights(ports, policy, judged)
        judged = teller.hand_off_all(judged)
    return replace(result, targets=tuple(teller.hold_up(one) if _may_stand(one) else one for one in judged))


def _read(ports: Ports, at: Standpoint, options: PromoteOptions) -> tuple[Policy, World, Route, tuple[Waiver, ...]]:
    """The rules on the base branch, and all environments that they speak of on the way."""
    base = at.base or _default_branch(ports)
    tip = ports.repository.tips([base.ref]).get(base.ref)
    if tip is None:
        raise missing_branch(ports.repository, base)
    check_base(ports.repository, base)
    if options.dry_run:
        policy = policy_to_look_at(ports.repository, tip, base, ports.reporter)
    else:
        policy = policy_at(ports.repository, tip, base)
    waivers = guard(at.signals, policy, at.ci, ports.reporter)
    way = route(policy, at, options)
    return policy, read_world(ports.repository, policy, way, tip), way, waivers


def _default_branch(ports: Ports) -> BranchName:
    found = ports.repository.default_branch()
    if found is None:
        raise missing_branch(ports.repository, BranchName("main"))
    return found


def _check_rights(ports: Ports, policy: Policy, judged: Sequence[Promoted]) -> None:
    """We may push and open pull requests: asked once, however many environments there are."""
    going = [one for one in judged if _goes(one)]
    proposed = [one for one in going if one.environment.strategy is Strategy.PULL_REQUEST]
    committed = [one for one in going if one.environment.strategy is Strategy.COMMIT]
    asks: list[Callable[[], object]] = []
    for first in proposed[:1]:
        assert first.change is not None  # noqa: S101  (it goes)
        forge = required_forge(ports.forge, first.environment, ports.repository.url)
        asks += [forge.check_access, partial(ports.repository.check_push, first.change.branch.ref)]
    for one in committed:
        assert one.environment.branch is not None  # noqa: S101  (by its strategy)
        asks.append(partial(ports.repository.check_push, one.environment.branch.ref))
    asks += [partial(refuse_writers_of_policy, ports.forge, one.environment, policy) for one in committed[:1]]
    side_by_side(asks)


def _goes(one: Promoted) -> bool:
    """It is handed off: nothing refuses it, and where it waits, a pull request can say so."""
    if one.change is None or one.result is Result.REFUSE:
        return False
    return one.result is Result.PASS or one.environment.strategy is Strategy.PULL_REQUEST


def _may_stand(one: Promoted) -> bool:
    """It is refused, and may have been proposed before that."""
    refused = one.change is not None and one.result is Result.REFUSE
    return (
        refused
        and (one.error is None or isinstance(one.error, GatesRefuse))
        and one.environment.strategy is Strategy.PULL_REQUEST
    )


@dataclass(frozen=True, slots=True)
class _Teller:
    """Hands off what was judged, each environment by itself, with a pull request that tells what the gates said."""

    ports: Ports
    at: Standpoint
    judges: Judges
    world: World
    way: Route
    waivers: tuple[Waiver, ...]
    reopen: bool
    renderings: Renderings = field(default_factory=dict)
    judged: dict[str, tuple[Verdict, ...]] = field(default_factory=dict)  # by environment: of what was written

    def hand_off_all(self, judged: Sequence[Promoted]) -> tuple[Promoted, ...]:
        """The same with their outcomes, first to last: waves in their order."""
        heads = [one.change.branch.ref for one in judged if _goes(one) and one.change is not None]
        base = self.world.policy.base
        seen = Seen(self.ports.repository.tips([base.ref, *heads]), self.ports.clock.monotonic())
        return tuple(self._hand_off(one, seen) if _goes(one) else one for one in judged)

    def _hand_off(self, one: Promoted, seen: Seen) -> Promoted:
        assert one.change is not None  # noqa: S101  (it goes)
        with stage(self.ports.reporter, f"hand off to {one.environment.name}", self.ports.clock.monotonic) as ending:
            try:
                outcome = hand_off(self._desk(one), one.change, seen=seen)
            except GatesRefuse as refused:
                ending.text = "refused"
                return replace(one, verdicts=refused.verdicts, error=refused)
            except HybridCIError as error:
                ending.text = f"failed: {error.message}"
                return replace(one, error=error)
            done = replace(one, outcome=outcome, verdicts=self.judged.get(one.environment.name, one.verdicts))
            ending.text = done.state
        for warning in getattr(outcome, "warnings", ()):
            self.ports.reporter.warn(warning)
        return done

    def hold_up(self, one: Promoted) -> Promoted:
        """With the open pull request that is a draft now, where a refusal is about what it holds.

        The refusal is what is told in any case, so whatever keeps us from it is a warning.
        """
        assert one.change is not None  # noqa: S101  (it may stand)
        reporter = self.ports.reporter
        try:
            held = hold_up(self._desk(one), one.change, partial(self._objection, one))
        except HybridCIError as error:
            reporter.warn(f"what is open for {one.environment.name} may still be merged: {error.message}")
            return one
        if held is not None:
            reporter.warn(f"pull request #{held.number} for {one.environment.name} is refused by now, so it is a draft")
        return replace(one, held=held)

    def _objection(self, one: Promoted, plan: ChangePlan) -> PullRequestText | None:
        """Of the same change all that was judged; of another one what a person said against its images."""
        same = one.change is not None and plan.change.release == one.change.release
        verdicts = one.verdicts if same else self.judges.words_against(self.world, one.environment, plan)
        return self._describer(one, plan.change.release, lambda asked: verdicts)(plan) if verdicts else None

    def _desk(self, one: Promoted) -> Desk:
        policy, repository = self.world.policy, self.ports.repository
        return Desk(
            repository,
            self.ports.forge,
            policy,
            self.ports.clock,
            partial(self._describe, one),
            self.at.identity,
            self.reopen,
            policy_at=lambda commit: policy_at(repository, commit, policy.base),
        )

    def _describe(self, one: Promoted, plan: ChangePlan) -> PullRequestText:
        """The text of our own promotion, judged again when the base moved; of another change only what it says."""
        assert one.change is not None  # noqa: S101  (it goes)
        name = one.environment.name

        def judge(asked: ChangePlan) -> Sequence[Verdict]:
            self.judged[name] = self.judges.again(self.world, self.way, one, asked)
            return self.judged[name]

        return self._describer(one, one.change.release, judge)(plan)

    def _describer(self, one: Promoted, own: str, judge: Judge) -> Describer:
        return Describer(
            self.ports,
            one.environment,
            own,
            waivers=self.waivers,
            run_url=self.at.ci.run_url,
            judge=judge,
            remote=self.at.sources,
            renderings=self.renderings,
        )


# --- waiting --------------------------------------------------------------------------------------------------------


def _next_look(ports: Ports, result: PromotionResult, pause: float) -> float:
    """When to look again: soon, later and later, and just when the last wait ends by itself."""
    ends = [wait_ends(one.verdicts) for one in result.targets if one.state == "waiting"]
    known = [(end - ports.clock.now()).total_seconds() for end in ends if end is not None]
    soonest = min((seconds for seconds in known if seconds > 0), default=pause)
    return max(1.0, min(pause, soonest))


def _what_waits(result: PromotionResult) -> Sequence[str]:
    return [
        f"{one.environment.name} ({'; '.join(v.reason for v in one.verdicts if v.result is Result.WAIT)})"
        for one in result.targets
        if one.state == "waiting"
    ]


def _in_words(judged: Sequence[Promoted]) -> str:
    counts = {result: sum(one.change is not None and one.result is result for one in judged) for result in Result}
    told = [f"{count} {result.value}" for result, count in counts.items() if count]
    return ", ".join(told) or "nothing moves"


def _refuse_pull_request_events(at: Standpoint, options: PromoteOptions) -> None:
    """A pull request's code comes from somebody who may not promote. Raises Refused; a dry run may look."""
    if at.ci.pull_request is not None and not options.dry_run:
        raise Refused(
            "nothing is promoted in a job that runs for a pull request",
            where=f"{at.ci.name}, {at.ci.pull_request}",
            hint="promote from a protected branch, by hand or on a schedule; --dry-run works here",
        )
