"""The other half of a release whose images were made by many runners: join their records, check, hand off once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.ci.guard import Kind, Rules, Signal, enforce
from orchestrator.core.change import Action, Change
from orchestrator.core.environment import Waiver
from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.release import RecordReference, Release, ReleasedImage, Tested, TestResult
from orchestrator.core.stages import Graph
from orchestrator.core.stages import Kind as StageKind
from orchestrator.engine.events import stage
from orchestrator.engine.stage import Ended, State
from orchestrator.gitops.ledger import evidence_of
from orchestrator.gitops.outcome import Unchanged
from orchestrator.images.content_key import ContentKey
from orchestrator.reports.built import BuildRecord
from pipelines.handing_off import desk_for, plan_now
from pipelines.joining import Joined, Told, refuse_missing, refuse_records, told_by, verified
from pipelines.making import Run
from pipelines.matrix import Matrix, MatrixOptions, changed_images
from pipelines.ports import Job, Ports
from pipelines.preflight import Cleared, clear, refuse_dirty, tell_unknown_order
from pipelines.release import ReleaseResult, run_graph, unchanged
from pipelines.resolve import platforms_of
from pipelines.reuse import Reusable, adopt, definition_key
from pipelines.stages import Pipeline, check_stages, pipeline_of
from pipelines.targets import Target

_MADE = "done where the images were built"


@dataclass(frozen=True, slots=True)
class HandoverOptions:
    """What the caller asks for. ``wanted`` says which images the release needs, as it did for the matrix."""

    wanted: MatrixOptions = field(default_factory=MatrixOptions)
    environment: str | None = None
    dry_run: bool = False
    reopen: bool = False
    jobs: int = 1
    approved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """One image of the release, however its record came here."""

    image: ReleasedImage
    reusable: Reusable
    tests: tuple[TestResult, ...] = ()
    tested: Tested | None = None
    record: RecordReference | None = None


def hand_over(ports: Ports, job: Job, records: Mapping[Path, BuildRecord], options: HandoverOptions) -> ReleaseResult:
    """Join the records into one release of the commit that is checked out, and hand it off by one pull request.

    Raises BadRecords with every reason when they do not make one: another commit, a digest that the registry does not
    serve, a test that failed or did not run, an image without a record. Nothing is written then.
    """
    began = ports.clock.monotonic()
    refuse_dirty(job.source, allowed=False, reporter=ports.reporter)
    tell_unknown_order(job.source, ports.reporter)
    environment = options.environment or job.application.config.gitops.environment
    needed = changed_images(job, options.wanted)
    names = _names(job, needed, records, options)
    if not names:
        made = Release(job.application.config.application, (), job.source)
        return ReleaseResult(made, environment, Unchanged("this commit changes no image"))
    pipeline = pipeline_of(job, names)
    targets = {target.name: target for target in pipeline.released}
    told = told_by(job, records, targets)
    pipeline = replace(pipeline, graph=_after_the_builds(pipeline.graph))
    if not options.dry_run:
        check_stages(pipeline, options.approved)
    with stage(ports.reporter, "preflight", ports.clock.monotonic):
        repositories = [target.image.repository for target in targets.values()]
        cleared = clear(ports, job, environment, repositories, builds=False, writes=not options.dry_run)
        cleared = replace(cleared, waivers=(*cleared.waivers, *_judge_identities(job, cleared, told)))
    with stage(ports.reporter, "verify the records", ports.clock.monotonic) as ending:
        parts = _parts(ports, pipeline, cleared, told, needed)
        ending.text = f"done, {len(parts)} image{'s' if len(parts) != 1 else ''}"
    made = _release(job, [parts[name] for name in targets])
    if options.dry_run:
        desk = desk_for(ports, cleared, made, job)
        plan = plan_now(ports, desk, cleared, Change.of(Action.RELEASE, environment, made))
        return ReleaseResult(made, environment, None, plan)
    reusable = {name: part.reusable for name, part in parts.items()}
    run = Run(ports, pipeline, cleared, options.reopen, finished=made, reusable=reusable)
    ran = run_graph(run, pipeline.graph, options.jobs)
    done = Ended("preflight", State.DONE, ports.clock.monotonic() - began)
    own = [ended for ended in ran.ended.values() if ended.reason != _MADE]
    stages = (done, *_stages_told(pipeline, told), *own)
    return ReleaseResult(made, environment, run.outcome, stages=stages, graph=pipeline.graph)


def _names(job: Job, needed: Matrix, records: Mapping[Path, BuildRecord], options: HandoverOptions) -> tuple[str, ...]:
    """The images of the release, in the order of the configuration: those that it needs, and those with a record."""
    recorded = {image.name for record in records.values() for image in record.images}
    if options.wanted.only:
        return tuple(name for name in job.application.config.images if name in options.wanted.only)
    return tuple(name for name in job.application.config.images if name in needed.names or name in recorded)


def _after_the_builds(graph: Graph) -> Graph:
    """The handoff and what comes after it are left; everything else was done by the build jobs."""
    handoff = next(node.name for node in graph.nodes if node.kind is StageKind.HANDOFF)
    later = {handoff, *graph.descendants(handoff)}
    before = [node.name for node in graph.nodes if node.name not in later and node.kind is not StageKind.PREFLIGHT]
    return graph.skipping(dict.fromkeys(before, _MADE))


def _judge_identities(job: Job, cleared: Cleared, told: Mapping[str, Told]) -> tuple[Waiver, ...]:
    """What the build jobs could not judge for want of the policy: the clouds whose identity they held.

    Raises Refused.
    """
    if not job.ci.is_ci:
        return ()
    named = {one.name: one for entry in told.values() for one in entry.record.identities}
    found = [
        Signal(one.name, "take it from the build job", Kind.CLOUD, one.provider) for name, one in sorted(named.items())
    ]
    policy = cleared.policy
    return enforce(found, Rules(policy.waivers, policy.origin, policy.identities), pushes=True)


# --- the images --------------------------------------------------------------------------------------------------


def _parts(
    ports: Ports, pipeline: Pipeline, cleared: Cleared, told: Mapping[str, Told], needed: Matrix
) -> Mapping[str, _Part]:
    """Every image of the release: by its record, or as the registry holds it where the base branch proves it."""
    targets = {target.name: target for target in pipeline.released}
    joined = verified(ports.registry, told, targets)
    _check_evidence(ports, pipeline, cleared, told, joined)
    if cleared.policy.require_tested_platforms:
        _check_platforms(ports, joined)
    parts = {name: _part_of(one) for name, one in joined.items()}
    missing = [name for name in targets if name not in parts]
    if missing:
        parts |= _held_already(ports, pipeline, cleared, missing, needed)
    return parts


def _part_of(joined: Joined) -> _Part:
    digest = joined.image.pinned.digest
    # Stages after the handoff may run in the image; the key only says where it was found.
    key = joined.key or ContentKey(digest.hex)
    reusable = Reusable(key, joined.definition, digest, joined.assumed)
    return _Part(joined.image, reusable, joined.tests, joined.tested, joined.record)


def _check_evidence(
    ports: Ports, pipeline: Pipeline, cleared: Cleared, told: Mapping[str, Told], joined: Mapping[str, Joined]
) -> None:
    """Where a record says that the base branch proves its tests, it does. Raises BadRecords."""
    assumed = {name: one for name, one in joined.items() if one.assumed}
    if not assumed:
        return
    evidence = evidence_of(ports.repository, cleared.base_tip, pipeline.job.application.config.application)
    refuse_records(
        [
            f"{told[name].file}: {name} was not tested, and the GitOps base branch does not say that it was before"
            for name, one in assumed.items()
            if one.tested not in evidence
        ],
        "there are images that nobody tested",
    )


def _check_platforms(ports: Ports, joined: Mapping[str, Joined]) -> None:
    """Every platform was tested, as the policy asks. Raises BadRecords."""
    problems = []
    for name, one in joined.items():
        pinned = one.image.pinned
        manifest = ports.registry.manifest(pinned.repository, pinned.digest)
        there = platforms_of(ports.registry, pinned.repository, manifest) if manifest is not None else ()
        tested = one.image.platforms
        lacking = [str(platform) for platform in there if not any(known.serves(platform) for known in tested)]
        if lacking and not one.assumed:
            problems.append(f"{name} was not tested for {', '.join(lacking)}")
    refuse_records(problems, "the policy asks for tests on every platform")


def _held_already(
    ports: Ports, pipeline: Pipeline, cleared: Cleared, missing: Sequence[str], needed: Matrix
) -> Mapping[str, _Part]:
    """Images without a record that the registry holds, and that the base branch says were tested: what
    ``matrix --unbuilt`` leaves out. Raises BadRecords for all others."""
    reasons = {cell.name: cell.reason for cell in needed.images}
    try:
        known = unchanged(ports, pipeline, cleared)
    except (RemoteError, ConfigurationError) as error:
        refuse_missing(missing, {name: f"{reasons.get(name, '')}; {error.message}" for name in missing})
        raise
    proven = {name: known[name] for name in missing if name in known and known[name].found and known[name].proven}
    refuse_missing([name for name in missing if name not in proven], reasons)
    return {name: _adopted(ports, pipeline.targets[name], one) for name, one in proven.items()}


def _adopted(ports: Ports, target: Target, reusable: Reusable) -> _Part:
    assert reusable.found is not None  # noqa: S101  (nobody adopts what was not found)
    image = adopt(ports, target, reusable.found, None)
    tested = reusable.tested(target, reusable.found) if target.config.tests else None
    return _Part(image, replace(reusable, definition=definition_key(target)), tested=tested)


def _release(job: Job, parts: Sequence[_Part]) -> Release:
    return Release(
        job.application.config.application,
        tuple(part.image for part in parts),
        job.source,
        tuple(test for part in parts for test in part.tests),
        tuple(part.tested for part in parts if part.tested is not None),
        tuple(part.record for part in parts if part.record is not None),
    )


def _stages_told(pipeline: Pipeline, told: Mapping[str, Told]) -> tuple[Ended, ...]:
    """The stages that ran where the images were built, in the order of the graph, each once."""
    states = {State.DONE.value: State.DONE, State.ALLOWED.value: State.ALLOWED}
    ran = {
        one.name: Ended(one.name, states[one.state], one.seconds, one.reason)
        for entry in told.values()
        for one in entry.record.stages
        if one.state in states and one.name in pipeline.graph and one.name != "preflight"
    }
    return tuple(ran[node.name] for node in pipeline.graph.order if node.name in ran)
