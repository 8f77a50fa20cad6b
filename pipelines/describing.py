"""What the pull request of a change says: everything that is known of it, gathered when it is written.

None of it can fail a handoff: what can't be found out is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

from orchestrator.ci.redact import redactor
from orchestrator.core.change import ChangePlan, FileEdit
from orchestrator.core.delivery import Merge
from orchestrator.core.environment import Environment, Strategy, Waiver
from orchestrator.core.errors import HybridCIError
from orchestrator.core.image import Digest, Repository
from orchestrator.core.names import CommitId, InvalidName
from orchestrator.core.release import Release
from orchestrator.core.verdict import Result, Verdict, overall
from orchestrator.forges.base import Comparing
from orchestrator.gitops.ledger import landed
from orchestrator.gitops.pull_request_text import PullRequestText
from orchestrator.images.tagging import revision_of
from orchestrator.reports import pull_request
from orchestrator.reports.commits import SourceRange
from orchestrator.reports.pull_request import Known
from pipelines.judging import waits_for_more_than_people
from pipelines.ports import Ports
from pipelines.rendering import Rendering, render_plan

_REMEMBERED = 50  # commits of the base branch that are asked what runs now
Judge = Callable[[ChangePlan], Sequence[Verdict]]
Renderings = dict[tuple[CommitId, tuple[FileEdit, ...]], Rendering]  # by where a plan was made, and what it writes


@dataclass(frozen=True, slots=True)
class Describer:
    """Describes the change of release ``own``, and others that are found on the branch.

    ``made`` is what this run made, ``remote`` the repository of its source. ``judge`` gives the verdicts of the
    environment's gates on our own change; without it none is asked. Of a change that was found nobody knows them here,
    so it stays a draft until its own run, or a later one, asks. ``renderings`` remembers what was rendered already.
    """

    ports: Ports
    environment: Environment
    own: str
    made: Release | None = None
    waivers: tuple[Waiver, ...] = ()
    run_url: str | None = None
    judge: Judge | None = None
    remote: str | None = None
    renderings: Renderings = field(default_factory=dict, repr=False)

    def __call__(self, plan: ChangePlan) -> PullRequestText:
        """The text; its content is made when it is asked for. Raises what ``judge`` raises."""
        found = plan.change.release != self.own
        verdicts = () if found or self.judge is None else tuple(self.judge(plan))
        waits = self.judge is not None and bool(self.environment.gates) if found else self._waits(verdicts)
        known = cache(lambda: self._known(plan, verdicts, found))  # a body may be asked for more than once
        return PullRequestText(
            redactor(pull_request.title(plan)),
            plan.change.release,
            lambda room: redactor(pull_request.block(plan, known(), room)),
            waiting=waits,
            gates=fingerprint(verdicts),
            found=found,
        )

    def _waits(self, verdicts: Sequence[Verdict]) -> bool:
        """It is to be a draft. Where a person merges, a review that is missing makes none: nobody reviews drafts."""
        by_hand = self.environment.strategy is Strategy.PULL_REQUEST and self.environment.delivery.merge is Merge.MANUAL
        return (
            waits_for_more_than_people(verdicts, self.environment) if by_hand else overall(verdicts) is not Result.PASS
        )

    def _known(self, plan: ChangePlan, verdicts: tuple[Verdict, ...], found: bool) -> Known:
        made = None if found else self.made
        names = {image.pinned.repository: image.name for image in made.images} if made else {}
        rendered, why_not = self._rendering(plan)
        return Known(
            release=made,
            waivers=() if found else self.waivers,
            verdicts=verdicts,
            sources=tuple(incoming(self.ports, plan, self.remote, names)),
            run_url=None if found else self.run_url,
            rendered=rendered,
            not_rendered=why_not,
        )

    def _rendering(self, plan: ChangePlan) -> Rendering:
        """Each plan is rendered once, however often a lost race has it described again."""
        key = plan.base, plan.edits
        if key not in self.renderings:
            self.renderings[key] = render_plan(self.ports.repository, plan)
        return self.renderings[key]


def incoming(
    ports: Ports, plan: ChangePlan, remote: str | None, names: Mapping[Repository, str]
) -> Iterator[SourceRange]:
    """The commits of ``remote`` between what runs now and what comes; nothing where nobody can tell.

    ``names`` are what the application calls its images.
    """
    forge: object = ports.forge  # what it can do beyond the port
    if remote is None or not isinstance(forge, Comparing):
        return
    moves: dict[tuple[CommitId, CommitId], list[str]] = {}
    for repository, running in _running(ports, plan).items():
        coming = plan.change.origin(repository).source
        if coming is not None and coming != running:
            moves.setdefault((running, coming), []).append(names.get(repository, repository.name))
    for (running, coming), images in moves.items():
        with suppress(HybridCIError):
            comparison = forge.compare(remote, running, coming)
            if comparison is not None:
                yield SourceRange(tuple(images), running, coming, comparison)


def _running(ports: Ports, plan: ChangePlan) -> Mapping[Repository, CommitId]:
    """The source commit that each image that moves runs now, where anybody can tell."""
    digests: dict[Repository, Digest] = {}
    for pin in plan.pins:
        if pin.before.digest is not None:
            digests.setdefault(pin.after.repository, pin.before.digest)
    known = _told_by_trailers(ports, plan.base, digests)
    found = {one: known.get(one) or _labelled(ports, one, digest) for one, digest in digests.items()}
    return {repository: revision for repository, revision in found.items() if revision is not None}


def _told_by_trailers(
    ports: Ports, base: CommitId, running: Mapping[Repository, Digest]
) -> Mapping[Repository, CommitId]:
    """What the base branch's own commits say that these digests were built from."""
    found: dict[Repository, CommitId] = {}
    with suppress(HybridCIError):
        for one in landed(ports.repository, base, _REMEMBERED):
            for image in one.change.pins:
                source = one.change.origin(image.repository).source
                if source is not None and running.get(image.repository) == image.digest:
                    found.setdefault(image.repository, source)
            if len(found) == len(running):
                break
    return found


def _labelled(ports: Ports, repository: Repository, digest: Digest) -> CommitId | None:
    """What the image itself says that it was built from."""
    with suppress(HybridCIError, InvalidName):
        text = revision_of(ports.registry, repository, digest)
        return CommitId(text) if text else None
    return None


def fingerprint(verdicts: Sequence[Verdict]) -> str:
    """Changes when a gate says another word, and not with the minutes that it still waits."""
    told = "\n".join(f"{one.gate} {one.result} {bool(one.overridden)}" for one in verdicts)
    return hashlib.sha256(told.encode()).hexdigest()[:8] if verdicts else ""
