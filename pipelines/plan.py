"""``plan``: what a release would do, computed by the very functions that do it. Changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
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
from pipelines.making import PROVEN, Run
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
    writers_before,
)
from pipelines.stages import pipeline_of
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
        images=[_image(run, graph, options, name, tags) for name in pipeline.targets],
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


def _moved_images(promised: Sequence[ImagePlan], now: Sequence[ImagePlan]) -> Iterator[tuple[str, object, object]]:
    """What the registry and the contexts gave then, and what they give now."""
    after = {image.name: image for image in now}
    for image in promised:
        other = after.get(image.name)
        if other is None:
            yield f"the image {image.name} is no longer part of it", image, None
            continue
        yield _change(f"{image.repository}:{image.tag}", image.digest, other.digest)
        yield _change(f"the content key of {image.name} leads to", image.key_digest, other.key_digest)
        for base in sorted(image.bases.keys() | other.bases.keys()):
            yield _change(f"{image.name} is built upon {base}", image.bases.get(base), other.bases.get(base))
        yield f"what {image.name} is built from", image.key, other.key
        yield f"what would be done about {image.name}", (image.action, image.tests), (other.action, other.tests)


def _change(what: str, before: str | None, after: str | None) -> tuple[str, str | None, str | None]:
    return f"{what}: {before or 'not there'} then, {after or 'not there'} now", before, after


def _moved_pins(promised: PlanDocument, pins: Sequence[PinPlan], files: Mapping[str, str]) -> Conflict | None:
    """Pins as the plan has them; a digest that the plan did not know yet is no difference."""
    before, after = ({(pin.path, pin.line, pin.place): pin for pin in listed} for listed in (promised.pins, pins))
    places = before.keys() | after.keys()
    wrong = [f"{place[0]}:{place[1]}" for place in places if not _same_pin(before.get(place), after.get(place))]
    wrong += [path for path in promised.files.keys() | files.keys() if promised.files.get(path) != files.get(path)]
    if not wrong:
        return None
    return Conflict(
        "the GitOps repository has moved since the plan was made: it would not make the planned diff",
        where=", ".join(sorted(set(wrong))[:5]),
        hint="make a new plan, look at it, and release that one",
    )


def _same_pin(promised: PinPlan | None, now: PinPlan | None) -> bool:
    if promised is None or now is None:
        return promised is now
    digest = promised.digest and now.digest
    return promised == now.model_copy(update={"digest": digest})


def _image(
    run: Run, graph: Graph, options: ReleaseOptions, name: str, tags: Mapping[TaggedImage, Digest | None]
) -> ImagePlan:
    target, known = run.pipeline.targets[name], run.reusable.get(name)
    build = next(one for one in graph.nodes if one.kind is Kind.BUILD and one.image == name)
    digest = tags.get(target.image)
    unchanged = _unless(run, graph, name) if build.runs and run.adopts(name) else build.skip
    return ImagePlan(
        name=name,
        repository=str(target.image.repository),
        tag=target.image.tag,
        action="skip" if unchanged else "build",
        reason=unchanged or _why_built(run, options, name),
        tests=_tests(run, graph, name, has_tests=bool(target.config.tests)),
        digest=str(digest) if digest else None,
        key=known.key.hex if known else None,
        key_digest=str(known.tagged) if known and known.tagged else None,
        bases=dict(known.bases) if known else {},
    )


def _unless(run: Run, graph: Graph, name: str) -> str:
    """An image that will not be built, unless a stage before it changes what it is built from."""
    before = ", ".join(writers_before(run, graph, name))
    found = run.reusable[name].found
    assert found is not None  # noqa: S101  (what is adopted was found)
    return f"unchanged, {found.short} in the registry, unless {before} changes what it is built from"


def _why_built(run: Run, options: ReleaseOptions, name: str) -> str:
    known = run.reusable.get(name)
    if options.no_skip:
        return "--no-skip asks for it"
    if run.pipeline.job.source.dirty:
        return "the work tree holds what no commit does"
    if known is None:
        return "what goes into it is not known before the build"
    if known.tagged is None:
        return "nothing in the registry was built from the same"
    return f"{known.tagged.short} was built from the same, and its reuse is not allowed"


def _tests(run: Run, graph: Graph, name: str, *, has_tests: bool) -> str:
    """An image that is taken from the registry is tested again, unless the base branch proves that it passed."""
    if not has_tests:
        return "it has no tests"
    test = next((one for one in graph.nodes if one.kind is Kind.TEST and one.image == name), None)
    if test is None:
        return "not tested"
    if not test.runs:
        return f"not tested: {test.skip}"
    if run.adopts(name) and run.reusable[name].proven:
        return f"not tested: {PROVEN}"
    return (
        "tested" if run.adopts(name) is None else "tested again: nothing on the GitOps base branch says that it passed"
    )


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
