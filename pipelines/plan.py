"""``plan``: what a release would do, computed by the very functions that do it. Changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core.change import ChangePlan
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.errors import ConfigurationError, Conflict, HybridCIError, Refused
from orchestrator.core.image import Digest, TaggedImage
from orchestrator.core.names import RepoPath
from orchestrator.core.release import Release
from orchestrator.core.stages import Graph, Kind
from orchestrator.reports.diff import unified
from orchestrator.reports.plans import ImagePlan, PinPlan, PlanDocument, StagePlan
from orchestrator.reports.records import SourceRecord, source_record
from pipelines.ports import Job, Ports
from pipelines.release import (
    ReleaseOptions,
    ReleaseResult,
    as_planned,
    begin,
    graph_to_run,
    plan_release,
    preflight,
    release,
)
from pipelines.stages import Pipeline, pipeline_of
from pipelines.targets import UNKNOWN_DIGEST


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan: its document, the graph with what would be skipped, and the change with digests as far as known."""

    document: PlanDocument
    graph: Graph
    change: ChangePlan


def make_plan(ports: Ports, job: Job, options: ReleaseOptions) -> Planned:
    """What a release with these options would do now. Raises what preflight raises."""
    options = replace(options, dry_run=True)
    pipeline = pipeline_of(job, options.only)
    environment = options.environment or job.application.config.gitops.environment
    cleared = preflight(ports, pipeline, environment, options)
    run = begin(ports, pipeline, cleared, options)
    graph = graph_to_run(run, options)
    planned, _ = as_planned(run)
    change = plan_release(ports, job, cleared, planned)
    tags = {target.image: ports.registry.resolve(target.image) for target in pipeline.released}
    policy = ports.repository.files(cleared.base_tip, [POLICY_PATH])[RepoPath(POLICY_PATH)]
    document = PlanDocument(
        created=ports.clock.now(),
        application=job.application.config.application,
        environment=environment,
        only=list(options.only),
        no_skip=options.no_skip,
        source=_source(job),
        configuration=_sha256(job.application.file.read_bytes()),
        policy=_sha256(policy),
        base=str(cleared.base_tip),
        stages=[
            StagePlan(
                name=node.name,
                kind=node.kind,
                needs=list(graph.drawn_needs(node.name)),
                action="run" if node.runs else "skip",
                reason=node.skip,
            )
            for node in graph.order
        ],
        images=_images(pipeline, graph, tags),
        pins=_pins(change),
        files={str(edit.path): _sha256(edit.before) for edit in change.edits},
        diff=unified(change.edits),
    )
    return Planned(document, graph, change)


def release_planned(ports: Ports, job: Job, promised: PlanDocument, options: ReleaseOptions) -> ReleaseResult:
    """Do what the plan says, and nothing else.

    The plan is made again first. Raises Refused when the commit, the configuration, the policy, the stages or the
    registry are no longer what it stands on, Conflict when the pins that it moves have been moved since.
    """
    options = replace(options, environment=promised.environment, only=tuple(promised.only), no_skip=promised.no_skip)
    now = make_plan(ports, job, options).document
    if error := moved(promised, now):
        raise error

    def still_promised(change: ChangePlan) -> None:
        if error := _moved_pins(promised, _pins(change), {str(e.path): _sha256(e.before) for e in change.edits}):
            raise error

    return release(ports, job, replace(options, promised=still_promised))


def moved(promised: PlanDocument, now: PlanDocument) -> HybridCIError | None:
    """What of the world is no longer as the plan has it; None when nothing is."""
    if (promised.application, promised.environment) != (now.application, now.environment):
        return ConfigurationError(
            f"the plan is for {promised.application} to {promised.environment}",
            where="--plan",
            hint="use it where it was made",
        )
    changed = [
        name
        for name, before, after in (
            (f"the source commit: {promised.source.commit[:12]} then, {now.source.commit[:12]} now",
             (promised.source.commit, promised.source.dirty), (now.source.commit, now.source.dirty)),
            ("hybrid-ci.yaml", promised.configuration, now.configuration),
            ("the policy on the base branch", promised.policy, now.policy),
            ("the stages that would run", promised.stages, now.stages),
            *_moved_images(promised.images, now.images),
        )
        if before != after
    ]  # fmt: skip
    if changed:
        return Refused(
            "the world has moved since the plan was made",
            where="--plan",
            details=changed,
            hint="make a new plan, look at it, and release that one",
        )
    return _moved_pins(promised, now.pins, now.files)


def _moved_images(promised: Sequence[ImagePlan], now: Sequence[ImagePlan]) -> list[tuple[str, object, object]]:
    after = {image.name: image for image in now}
    return [
        (
            f"{image.repository}:{image.tag}: {image.digest or 'not there'} then, "
            f"{(after[image.name].digest if image.name in after else None) or 'not there'} now",
            image,
            after.get(image.name),
        )
        for image in promised
    ]


def _moved_pins(promised: PlanDocument, pins: Sequence[PinPlan], files: Mapping[str, str]) -> Conflict | None:
    """Pins as the plan has them: a digest that only the push gave is no difference."""

    def known(listed: Sequence[PinPlan]) -> dict[tuple[str, int, str], tuple[str, str, str | None]]:
        return {(pin.path, pin.line, pin.place): (pin.before, pin.repository, pin.tag) for pin in listed}

    before, after = known(promised.pins), known(pins)
    places = before.keys() | after.keys()
    wrong = [f"{place[0]}:{place[1]}" for place in places if before.get(place) != after.get(place)]
    wrong += [path for path in promised.files.keys() | files.keys() if promised.files.get(path) != files.get(path)]
    if not wrong:
        return None
    return Conflict(
        "the GitOps repository has moved since the plan was made: it would not make the planned diff",
        where=", ".join(sorted(set(wrong))[:5]),
        hint="make a new plan, look at it, and release that one",
    )


def _images(pipeline: Pipeline, graph: Graph, tags: Mapping[TaggedImage, Digest | None]) -> list[ImagePlan]:
    found = []
    for name, target in pipeline.targets.items():
        node = next(one for one in graph.nodes if one.kind is Kind.BUILD and one.image == name)
        released = name in pipeline.layout.released
        reason = node.skip or ("" if released else "others are built upon it; it is not pushed")
        digest = tags.get(target.image)
        found.append(
            ImagePlan(
                name=name,
                repository=str(target.image.repository),
                tag=target.image.tag,
                action="build" if node.runs else "skip",
                reason=reason or "nothing proves that it is released",
                digest=str(digest) if digest else None,
            )
        )
    return found


def _pins(change: ChangePlan) -> list[PinPlan]:
    return [
        PinPlan(
            path=str(pin.path),
            line=pin.line,
            place=pin.place,
            before=str(pin.before),
            repository=str(pin.after.repository),
            tag=pin.after.tag,
            digest=None if pin.after.digest == UNKNOWN_DIGEST else str(pin.after.digest),
        )
        for pin in change.pins
    ]


def _source(job: Job) -> SourceRecord:
    record = source_record(Release(job.application.config.application, (), job.source))
    assert record is not None  # noqa: S101  (a job has a source)
    return record


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
