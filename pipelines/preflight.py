"""Preflight: everything that can be known to fail is asked before the slow work begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from orchestrator.ci.environment import CIEnvironment
from orchestrator.ci.guard import Kind, Rules, Signal, enforce, hints
from orchestrator.core.change import branch_for
from orchestrator.core.environment import Environment, Policy, Strategy, Waiver
from orchestrator.core.errors import Refused
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName, CommitId
from orchestrator.core.release import SourceCommit
from orchestrator.engine.events import Reporter
from orchestrator.engine.parallel import side_by_side
from orchestrator.forges.base import Guarding
from orchestrator.gitops.desk import Seen, missing_branch
from orchestrator.gitops.handoff import required_forge
from pipelines.policy import check_base, policy_at
from pipelines.ports import Job, Ports, Surroundings


@dataclass(frozen=True, slots=True)
class Cleared:
    """What preflight found out: the rules, the target, the waivers that were needed, and where the branches are."""

    policy: Policy
    environment: Environment
    waivers: tuple[Waiver, ...]
    seen: Seen
    base_tip: CommitId


def clear(
    ports: Ports,
    surroundings: Surroundings,
    environment_name: str,
    images: Sequence[Repository],
    *,
    builds: bool,
    writes: bool = True,
    meanwhile: Callable[[Cleared], None] = lambda cleared: None,
) -> Cleared:
    """Read the policy and apply it, then ask engine, registries, Git and forge side by side.

    ``builds`` needs an engine and the right to push images; without ``writes`` (a dry run) not even the beginning of
    an upload is made to find out about that right. ``meanwhile`` looks at the target while the others are asked.
    """
    refuse_pull_request_events(surroundings.ci)
    config = surroundings.application.config
    base, head = BranchName(config.gitops.base), branch_for(environment_name, config.application)
    seen = Seen(ports.repository.tips([base.ref, head.ref]), ports.clock.monotonic())
    if base.ref not in seen.tips:
        raise missing_branch(ports.repository, base)
    check_base(ports.repository, base)
    policy = policy_at(ports.repository, seen.tips[base.ref], base)
    environment = policy.environment(environment_name)
    policy.authorise(config.application, environment, images)
    if surroundings.ci.is_ci or isinstance(surroundings, Job):  # a person who pins may stand anywhere
        policy.authorise_ref(config.application, released_from(surroundings))
    waivers = guard(surroundings.signals, policy, surroundings.ci, ports.reporter, pushes=builds)
    asks: list[Callable[[], object]] = [partial(ports.repository.check_push, (environment.branch or head).ref)]
    asks += [partial(ports.registry.check_login, image, push=builds and writes) for image in dict.fromkeys(images)]
    if builds:
        asks.append(ports.engine.check)
    if environment.strategy is Strategy.PULL_REQUEST:
        asks.append(required_forge(ports.forge, environment, ports.repository.url).check_access)
    else:
        asks.append(partial(refuse_writers_of_policy, ports.forge, environment, policy))
    cleared = Cleared(policy, environment, waivers, seen, seen.tips[base.ref])
    asks.append(partial(meanwhile, cleared))
    side_by_side(asks)
    return cleared


def refuse_writers_of_policy(forge: object, environment: Environment, policy: Policy) -> None:
    """Who commits to an environment's branch must not be able to change the rules by a push. Raises Refused.

    Only where the forge can tell.
    """
    if isinstance(forge, Guarding) and forge.can_push(policy.base):
        raise Refused(
            f"the login that commits to {environment.name!r} may also push to {policy.base}, which holds the policy",
            where=f"{policy.origin}, environment {environment.name}",
            hint=f"protect {policy.base} so that it changes by pull request only, without an exception for this login",
        )


def guard(
    signals: Sequence[Signal], policy: Policy, ci: CIEnvironment, reporter: Reporter, *, pushes: bool = False
) -> tuple[Waiver, ...]:
    """Refuse a cluster credential in CI; warn a person. Gives the waivers that were needed.

    ``pushes``: the job pushes images, so the policy may let it hold the identity of its registry's cloud.
    """
    if ci.is_ci:
        if not pushes and (hint := hints(signals)):
            reporter.note(hint)
        return enforce(signals, Rules(policy.waivers, policy.origin, policy.identities), pushes=pushes)
    for signal in signals:
        if signal.kind is Kind.DIRECT:
            told = f"a cluster credential is within reach: {signal.name} (in CI this is refused; {signal.removal})"
            reporter.warn(told)
        elif signal.kind is Kind.CLOUD:
            reporter.note(f"a cloud identity is within reach: {signal.name} (in CI it has to be allowed by the policy)")
    return ()


def released_from(around: Surroundings) -> str | None:
    """The branch or tag that this run is for: as the CI says; on a person's machine, as the checkout does."""
    if around.ci.is_ci and around.ci.ref is not None:
        return around.ci.ref
    branch = around.source.branch if isinstance(around, Job) else None
    return f"refs/heads/{branch}" if branch else None


def refuse_pull_request_events(ci: CIEnvironment) -> None:
    """A pull request's code comes from somebody who may not release. Raises Refused."""
    if ci.pull_request is not None:
        raise Refused(
            "a release is not made for a pull request",
            where=f"{ci.name}, {ci.pull_request}",
            hint="run it on a push to a protected branch or tag",
        )


def refuse_dirty(source: SourceCommit, *, allowed: bool, reporter: Reporter) -> None:
    """An image of uncommitted changes has no source commit. Raises Refused unless that is allowed."""
    if not source.dirty:
        return
    if not allowed:
        raise Refused(
            "the work tree has uncommitted changes, so the image would not be what its commit says",
            where=f"commit {source.id.short}",
            hint="commit or stash them; or use --allow-dirty, which is written into the record",
        )
    reporter.warn("the work tree has uncommitted changes; the record says so")


def tell_unknown_order(source: SourceCommit, reporter: Reporter) -> None:
    """Without a position on its branch a late, older release can't be told from a newer one."""
    if source.first_parent_count is None:
        reporter.warn(
            "the checkout is shallow, so releases can't be ordered and a late job could move the environment back; "
            "fetch the whole history (actions/checkout: fetch-depth: 0; GitLab: GIT_DEPTH: 0)"
        )
    elif source.branch is None:
        reporter.warn("the branch of this commit is not known, so releases can't be ordered; check out a branch")
