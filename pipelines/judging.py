"""What gates are asked about a plan: whom to ask, and whether the pull request that is open holds that plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from orchestrator.core.change import ChangePlan
from orchestrator.core.environment import Environment, Policy, Strategy
from orchestrator.core.errors import Refused
from orchestrator.core.facts import Moving, TestClaim
from orchestrator.core.gates import ApprovalsGate, HoldGate, VetoGate
from orchestrator.core.image import PinnedImage
from orchestrator.core.mirrors import Originals
from orchestrator.core.names import BranchName, CommitId
from orchestrator.core.order import Ancestry
from orchestrator.core.verdict import Result, Verdict
from orchestrator.engine.parallel import side_by_side
from orchestrator.forges.base import PullRequest, PullRequestState
from orchestrator.gitops.base import GitOpsRepository
from orchestrator.gitops.desk import missing_branch
from orchestrator.images.base import Registry
from pipelines.gates import Sources
from pipelines.ports import Ports
from pipelines.tested import claims_of

WORDS = frozenset({HoldGate.kind, VetoGate.kind})  # gates by which a person says no


class GatesRefuse(Refused):
    """A gate says no to what is about to be written. ``verdicts`` tell which.

    ``moved``: the base is not what was looked at any more, so another look may tell more.
    """

    def __init__(self, verdicts: Sequence[Verdict], *, moved: bool) -> None:
        refusals = [one for one in verdicts if one.result is Result.REFUSE]
        super().__init__("; ".join(f"{one.gate}: {one.reason}" for one in refusals), hint=refusals[0].hint)
        self.verdicts, self.moved = tuple(verdicts), moved


def rules_for(repository: GitOpsRepository, environment: Environment, plan: ChangePlan, base: BranchName) -> CommitId:
    """The commit whose rules count for this plan: the one that it is made for, which is the base's, or where the base
    is now, when the environment lives on a branch of its own. Raises ConfigurationError when the base is gone."""
    if environment.strategy is Strategy.PULL_REQUEST:
        return plan.base
    tip = repository.tips([base.ref]).get(base.ref)
    if tip is None:
        raise missing_branch(repository, base)
    return tip


def sources_for(
    ports: Ports,
    policy: Policy,
    originals: Originals,
    plans: Sequence[ChangePlan],
    ancestry: Callable[[Moving], Ancestry],
    ca_bundle: Path | None,
) -> Sources:
    """Whom to ask about these plans. Raises RemoteError when the forge can't list their pull requests."""
    asked = [plan for plan in plans if _asks_approvals(policy.environment(plan.change.environment))]
    pulls = _pull_requests(ports, policy, asked)
    held = {
        plan.change.environment
        for plan in asked
        if (pull := pulls.get(plan.change.environment)) is not None and _holds(ports, pull, plan)
    }
    return Sources(
        ports.repository,
        ports.registry,
        ports.forge,
        ports.clock,
        claims=partial(_claims, ports.registry, originals),
        ancestry=ancestry,
        pull_requests=pulls,
        outdated=frozenset(pulls) - held,
        ca_bundle=ca_bundle,
    )


def _pull_requests(ports: Ports, policy: Policy, plans: Sequence[ChangePlan]) -> Mapping[str, PullRequest]:
    """The open pull requests on the branches of these plans, by environment."""
    forge = ports.forge
    if forge is None:
        return {}
    calls: list[Callable[[], Sequence[PullRequest]]] = [
        partial(forge.pull_requests, one.change.branch, policy.base) for one in plans
    ]
    found: dict[str, PullRequest] = {}
    for plan, pulls in zip(plans, side_by_side(calls), strict=True):
        for pull in pulls:
            if pull.state is PullRequestState.OPEN and not pull.fork:
                found.setdefault(plan.change.environment, pull)
    return found


def _holds(ports: Ports, pull: PullRequest, plan: ChangePlan) -> bool:
    """What would be written stands at its head already: else whoever approved that head saw something else."""
    if pull.head_commit is None:
        return False
    there = ports.repository.files(pull.head_commit, [edit.path.value for edit in plan.edits])
    return all(there.get(edit.path) == edit.after for edit in plan.edits)


def _claims(registry: Registry, originals: Originals, image: PinnedImage) -> tuple[TestClaim, ...]:
    """The records beside the image; of one from a mirror, those beside the original count too."""
    names = dict.fromkeys((image.repository, originals(image.repository)))
    return tuple(claim for name in names for claim in claims_of(registry, PinnedImage(name, image.digest, image.tag)))


def _asks_approvals(environment: Environment) -> bool:
    return environment.strategy is Strategy.PULL_REQUEST and bool(_approvals(environment))


def _approvals(environment: Environment) -> set[str]:
    return {gate.name for gate in environment.gates if isinstance(gate, ApprovalsGate)}


def waits_for_more_than_people(verdicts: Sequence[Verdict], environment: Environment) -> bool:
    """Something else than a review is waited for. A draft asks nobody to review it, so for reviews alone it is none."""
    approvals = _approvals(environment)
    return any(
        one.result is Result.REFUSE or (one.result is Result.WAIT and one.gate not in approvals) for one in verdicts
    )
