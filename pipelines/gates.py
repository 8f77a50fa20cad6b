"""The facts that gates need, collected at the edge: each is asked once, only where a gate needs it, side by side.

However many images and environments are judged, Git is asked for holds, vetoes and what runs in one batch each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from orchestrator.core.environment import Policy
from orchestrator.core.facts import (
    Approval,
    Facts,
    HttpAnswer,
    Moving,
    Need,
    NoAnswer,
    Reviews,
    Run,
    Served,
    Subject,
    TestClaim,
    asks_ancestry,
    needs,
    soaked_in,
)
from orchestrator.core.gates import ApprovalsGate, CommandGate, HttpGate, OrderGate, SoakGate
from orchestrator.core.holds import Hold, Veto
from orchestrator.core.image import PinnedImage
from orchestrator.core.judge import judge
from orchestrator.core.mirrors import Originals
from orchestrator.core.names import BranchName, CommitId
from orchestrator.core.order import Ancestry
from orchestrator.core.verdict import Verdict
from orchestrator.engine.clock import Clock
from orchestrator.engine.parallel import side_by_side
from orchestrator.forges.base import Forge, PullRequest, Reviewing, ReviewState
from orchestrator.gitops.base import GitOpsRepository
from orchestrator.gitops.running import Watched, runs_in, since
from orchestrator.images.base import Registry
from pipelines.asking import ask_command, ask_http
from pipelines.resolve import platforms_of
from pipelines.rules import read_rules

_Key = TypeVar("_Key")
_Answer = TypeVar("_Answer")


def _no_claims(image: PinnedImage) -> tuple[TestClaim, ...]:
    return ()


def _no_ancestry(moving: Moving) -> Ancestry:
    return Ancestry.UNKNOWN


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom to ask. ``claims`` reads the records of an image, ``ancestry`` compares two source commits.

    ``pull_requests`` has the open pull request of an environment, where there is one; ``outdated`` are the environments
    whose pull request holds another change until now.
    """

    repository: GitOpsRepository
    registry: Registry
    forge: Forge | None
    clock: Clock
    claims: Callable[[PinnedImage], tuple[TestClaim, ...]] = _no_claims
    ancestry: Callable[[Moving], Ancestry] = _no_ancestry
    pull_requests: Mapping[str, PullRequest] = field(default_factory=dict)
    outdated: frozenset[str] = frozenset()
    variables: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    ca_bundle: Path | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A change with the verdict of every gate."""

    subject: Subject
    verdicts: tuple[Verdict, ...]


def judge_all(sources: Sources, policy: Policy, tip: CommitId, subjects: Sequence[Subject]) -> tuple[Judged, ...]:
    """The verdicts for changes to several environments. ``tip`` is the base branch's.

    Raises ConfigurationError for a broken hold or veto, RemoteError when Git, the registry or the forge fails.
    """
    facts = collect(sources, policy, tip, subjects)
    return tuple(Judged(one, judge(one, known)) for one, known in zip(subjects, facts, strict=True))


def collect(sources: Sources, policy: Policy, tip: CommitId, subjects: Sequence[Subject]) -> tuple[Facts, ...]:
    """The facts about each of the changes, in their order. Raises as ``judge_all`` does."""
    wanted = {need for one in subjects for need in needs(one.environment.all_gates, one)}
    shared = Facts(sources.clock.now())
    if Need.HOLDS in wanted:
        holds = read_rules(sources.repository, tip, Hold, (), policy.origin)
        shared = replace(shared, holds=tuple(one for one in holds if isinstance(one, Hold)))
    if Need.VETOES in wanted:
        vetoes = read_rules(sources.repository, tip, Veto, (), policy.origin)
        shared = replace(shared, vetoes=tuple(one for one in vetoes if isinstance(one, Veto)))
    if Need.RUNS in wanted:
        shared = replace(shared, runs=_runs(sources, policy, tip, subjects))
    shared = _with_images(sources, subjects, shared, wanted)
    http = _http_answers(sources, subjects)
    asks = [partial(_own_facts, sources, one, shared, http) for one in subjects]
    return tuple(side_by_side(asks))


# --- what runs ----------------------------------------------------------------------------------------------------


def _runs(sources: Sources, policy: Policy, tip: CommitId, subjects: Sequence[Subject]) -> tuple[Run, ...]:
    """What the environments before these run; with the moment since when, where a soak asks for it."""
    names = dict.fromkeys(name for one in subjects for name in _earlier(one))
    branches: dict[BranchName, list[str]] = {}
    for name in names:
        branches.setdefault(policy.environment(name).branch or policy.base, []).append(name)
    own = [branch.ref for branch in branches if branch != policy.base]
    tips = dict(sources.repository.tips(own)) if own else {}
    tips[policy.base.ref] = tip
    scope = subjects[0].scope
    found: list[Run] = []
    originals = policy.originals
    for branch, members in branches.items():
        if branch.ref in tips:
            watched = Watched(scope, tuple(policy.environment(name) for name in members))
            found += _runs_on(sources, watched, tips[branch.ref], subjects, originals)
    return tuple(found)


def _earlier(subject: Subject) -> tuple[str, ...]:
    soaked = [name for gate in _soaks(subject) for name in soaked_in(gate, subject.environment)]
    return (*subject.environment.after, *soaked)


def _soaks(subject: Subject) -> tuple[SoakGate, ...]:
    return tuple(gate for gate in subject.environment.all_gates if isinstance(gate, SoakGate))


def _runs_on(
    sources: Sources, watched: Watched, tip: CommitId, subjects: Sequence[Subject], originals: Originals
) -> tuple[Run, ...]:
    wanted = {(one.known_as, one.image.digest) for subject in subjects for one in subject.images}
    files = sources.repository.files(tip, watched.patterns)
    runs = tuple(run for run in runs_in(watched, files) if (originals(run.repository), run.digest) in wanted)
    names = {one.name for one in watched.environments}
    longest = [
        gate.seconds
        for subject in subjects
        for gate in _soaks(subject)
        if names.intersection(soaked_in(gate, subject.environment))
    ]
    if longest and runs:
        oldest = sources.clock.now() - timedelta(seconds=max(longest))
        runs = since(sources.repository, watched, tip, files, runs, oldest)
    return tuple(replace(run, repository=originals(run.repository)) for run in runs)


# --- what the registry, the records and the source history say -----------------------------------------------------


def _with_images(sources: Sources, subjects: Sequence[Subject], shared: Facts, wanted: set[Need]) -> Facts:
    images = tuple(dict.fromkeys(one.image for subject in subjects for one in subject.images))
    served = _all(images, partial(_served, sources.registry)) if Need.SERVED in wanted else {}
    claims = _all(images, sources.claims) if Need.CLAIMS in wanted else {}
    return replace(shared, served=served, claims={image.digest: found for image, found in claims.items()})


def _all(keys: Sequence[_Key], ask: Callable[[_Key], _Answer]) -> dict[_Key, _Answer]:
    """The answers by what was asked, side by side."""
    return dict(zip(keys, side_by_side([partial(ask, key) for key in keys]), strict=True))


def _served(registry: Registry, image: PinnedImage) -> Served | None:
    manifest = registry.manifest(image.repository, image.digest)
    return Served(platforms_of(registry, image.repository, manifest)) if manifest is not None else None


def _http_answers(sources: Sources, subjects: Sequence[Subject]) -> Mapping[HttpGate, HttpAnswer | NoAnswer]:
    """Each different question is asked once, however many environments have it."""
    gates = tuple(
        dict.fromkeys(gate for one in subjects for gate in one.environment.gates if isinstance(gate, HttpGate))
    )
    return _all(gates, lambda gate: ask_http(gate, sources.variables, sources.ca_bundle))


# --- what is about one environment ---------------------------------------------------------------------------------


def _own_facts(
    sources: Sources, subject: Subject, shared: Facts, http: Mapping[HttpGate, HttpAnswer | NoAnswer]
) -> Facts:
    gates = subject.environment.all_gates
    ordered = next(gate for gate in gates if isinstance(gate, OrderGate))
    commands = [gate for gate in gates if isinstance(gate, CommandGate)]
    teams = {team for gate in gates if isinstance(gate, ApprovalsGate) for team in gate.teams}
    asked = any(isinstance(gate, ApprovalsGate) for gate in gates)
    return replace(
        shared,
        ancestry={one.repository: sources.ancestry(one) for one in asks_ancestry(ordered, subject)},
        reviews=_reviews(sources, subject, teams) if asked else None,
        http={gate.name: http[gate] for gate in gates if isinstance(gate, HttpGate)},
        commands={gate.name: ask_command(gate, subject) for gate in commands},
    )


def _reviews(sources: Sources, subject: Subject, teams: set[str]) -> Reviews | NoAnswer:
    pull_request = sources.pull_requests.get(subject.environment.name)
    if pull_request is None:
        return NoAnswer("there is no pull request yet that somebody could approve")
    if subject.environment.name in sources.outdated:
        return NoAnswer(f"pull request #{pull_request.number} held another change, so nobody has approved this one yet")
    forge: object = sources.forge
    if not isinstance(forge, Reviewing):
        return _from_approvals(pull_request, teams)
    members = {team: forge.members(team) for team in sorted(teams)}
    reviews = forge.reviews(pull_request.number)
    approvals = tuple(
        Approval(
            one.author,
            frozenset(team for team, people in members.items() if one.author in people),
            one.commit is None or one.commit == pull_request.head_commit,
        )
        for one in reviews
        if one.state is ReviewState.APPROVED
    )
    objections = tuple(one.author for one in reviews if one.state is ReviewState.CHANGES_REQUESTED)
    return Reviews(pull_request.number, pull_request.url, pull_request.author, approvals, objections)


def _from_approvals(pull_request: PullRequest, teams: set[str]) -> Reviews | NoAnswer:
    """A forge that knows no reviews may still list who approves the head; of teams it can say nothing."""
    if teams:
        return NoAnswer("this forge does not tell who belongs to a team")
    approvals = tuple(Approval(author) for author in pull_request.approvals)
    return Reviews(pull_request.number, pull_request.url, pull_request.author, approvals)
