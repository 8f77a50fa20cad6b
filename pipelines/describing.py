"""What the pull request of a change says: everything that is known of it, gathered when it is written.

None of it can fail a handoff: what can't be found out is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from orchestrator.ci.redact import redactor
from orchestrator.core.change import ChangePlan
from orchestrator.core.environment import Environment, Waiver
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
from pipelines.ports import Ports
from pipelines.rendering import render_plan

_REMEMBERED = 50  # commits of the base branch that are asked what runs now
Judge = Callable[[ChangePlan], Sequence[Verdict]]


@dataclass(frozen=True, slots=True)
class Describer:
    """Describes the change that ``made`` makes, and others that are found on the branch.

    ``judge`` gives the verdicts of the environment's gates on our own change; without it none is asked. Of a change
    that was found nobody knows them here, so it stays a draft until its own run, or a later one, asks.
    """

    ports: Ports
    environment: Environment
    made: Release
    waivers: tuple[Waiver, ...] = ()
    run_url: str | None = None
    judge: Judge | None = None

    def __call__(self, plan: ChangePlan) -> PullRequestText:
        """The text; its content is made when it is asked for. Raises what ``judge`` raises."""
        found = plan.change.release != self.made.id
        verdicts = () if found or self.judge is None else tuple(self.judge(plan))
        waits = self.judge is not None and bool(self.environment.gates) if found else overall(verdicts) is Result.WAIT
        return PullRequestText(
            redactor(pull_request.title(plan)),
            plan.change.release,
            lambda room: redactor(pull_request.block(plan, self._known(plan, verdicts, found), room)),
            waiting=waits,
            gates=_fingerprint(verdicts),
            found=found,
        )

    def _known(self, plan: ChangePlan, verdicts: tuple[Verdict, ...], found: bool) -> Known:
        rendered, why_not = render_plan(self.ports.repository, plan)
        return Known(
            release=None if found else self.made,
            waivers=() if found else self.waivers,
            verdicts=verdicts,
            sources=tuple(incoming(self.ports, plan, None if found else self.made)),
            run_url=None if found else self.run_url,
            rendered=rendered,
            not_rendered=why_not,
        )


def incoming(ports: Ports, plan: ChangePlan, release: Release | None) -> Iterator[SourceRange]:
    """The commits between what runs now and what comes, by the commit that runs; empty where nobody can tell."""
    forge: object = ports.forge  # what it can do beyond the port
    if release is None or release.source is None or release.source.remote is None or not isinstance(forge, Comparing):
        return
    source, remote = release.source, release.source.remote
    names = {image.pinned.repository: image.name for image in release.images}
    for running, repositories in _by_revision(ports, plan).items():
        if running == source.id:
            continue
        with suppress(HybridCIError):
            comparison = forge.compare(remote, running, source.id)
            if comparison is not None:
                images = tuple(names.get(one, one.name) for one in repositories)
                yield SourceRange(images, running, source.id, comparison)


def _by_revision(ports: Ports, plan: ChangePlan) -> Mapping[CommitId, list[Repository]]:
    """The images that move, by the source commit that they run now."""
    running: dict[Repository, Digest] = {}
    for pin in plan.pins:
        if pin.before.digest is not None:
            running.setdefault(pin.after.repository, pin.before.digest)
    known = _told_by_trailers(ports, plan.base, running)
    found: dict[CommitId, list[Repository]] = {}
    for repository, digest in running.items():
        revision = known.get(repository) or _labelled(ports, repository, digest)
        if revision is not None:
            found.setdefault(revision, []).append(repository)
    return found


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


def _fingerprint(verdicts: Sequence[Verdict]) -> str:
    """Changes when a gate says another word, and not with the minutes that it still waits."""
    told = "\n".join(f"{one.gate} {one.result} {bool(one.overridden)}" for one in verdicts)
    return hashlib.sha256(told.encode()).hexdigest()[:8] if verdicts else ""
