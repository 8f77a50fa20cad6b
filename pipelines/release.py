"""The release pipeline: preflight, build, test, push and prove, hand off. In this order, as one reads it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from orchestrator.config.application import ApplicationConfig
from orchestrator.core.change import Action, Change, ChangePlan
from orchestrator.core.image import PinnedImage, Repository
from orchestrator.core.release import Release
from orchestrator.core.stages import Graph, Kind, Node
from orchestrator.engine.events import stage
from orchestrator.engine.parallel import ahead
from orchestrator.engine.runner import Ran, run_stages
from orchestrator.engine.stage import Ended, Stage, State
from orchestrator.gitops.ledger import evidence_of
from orchestrator.gitops.outcome import Outcome
from orchestrator.images.base import BuildSpec
from pipelines.custom import custom_stage
from pipelines.finished import released_before
from pipelines.from_stage import starting_at
from pipelines.handing_off import desk_for, plan_now, refuse_held
from pipelines.making import PROVEN, Run, all_tested, build_image, check_image, hand_off, keyed_spec
from pipelines.platforms import check_tested
from pipelines.ports import Job, Ports
from pipelines.preflight import Cleared, clear, refuse_dirty, tell_unknown_order
from pipelines.pushing import push_image
from pipelines.reuse import Contexts, Reusable, find_reusable, kept_pin, origin_of, read_contexts
from pipelines.stages import Pipeline, check_stages, pipeline_of
from pipelines.targets import check_files, unbuilt

# What each kind of stage does. Which stages there are, and what each needs, is the graph (config/graph.py).
WORK: Mapping[Kind, Callable[[Run, Node], None]] = {
    Kind.BUILD: build_image,  # upon the images of the project that it names
    Kind.TEST: check_image,  # in containers of the image that was just built
    Kind.CUSTOM: custom_stage,  # on this machine or in a built image
    Kind.TESTED: all_tested,  # nothing is pushed before all tests passed
    Kind.PUSH: push_image,  # and read back, and proven
    Kind.HANDOFF: hand_off,  # the pull request
}
_MOST_JOBS = 4
_RELEASED = "released already"
_MADE = (Kind.BUILD, Kind.TEST, Kind.TESTED, Kind.PUSH)


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """What the caller asks for beyond the configuration. ``approved`` names stages whose approval was given.

    ``promised`` looks at the change just before the handoff, and raises when it is not the one that was planned.
    """

    environment: str | None = None
    only: tuple[str, ...] = ()
    dry_run: bool = False
    allow_dirty: bool = False
    reopen: bool = False
    no_skip: bool = False
    jobs: int = 1
    approved: tuple[str, ...] = ()
    from_stage: str | None = None
    promised: Callable[[ChangePlan], None] | None = None


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """What was released, and how the handoff ended; in a dry run the plan with its unknown digests instead.

    ``graph`` is the one that ran, where one did; ``stages`` how its stages ended.
    """

    release: Release
    environment: str
    outcome: Outcome | None
    plan: ChangePlan | None = None
    unknown_digests: tuple[Repository, ...] = field(default=())
    stages: tuple[Ended, ...] = field(default=())
    graph: Graph | None = None


def release(ports: Ports, job: Job, options: ReleaseOptions) -> ReleaseResult:
    """Release the application's images to its environment.

    Raises the error of the stage that failed (of several, one that tells them all); nothing is pushed unless every
    test passed, and nothing is handed off unless the registry's bytes were proven to be the tested ones.
    """
    began = ports.clock.monotonic()
    pipeline = pipeline_of(job, options.only)
    environment = options.environment or job.application.config.gitops.environment
    with ahead(contexts_of(pipeline, options)) as contexts:  # read while preflight waits for others
        with stage(ports.reporter, "preflight", ports.clock.monotonic):
            cleared = preflight(ports, pipeline, environment, options)
        if options.dry_run:
            return _dry_run(ports, pipeline, cleared, options, contexts)
        run = begin(ports, pipeline, cleared, options, contexts)
    if run.finished is None:
        refuse_held(ports, cleared, job, lambda: as_planned(run)[0])
    graph = graph_to_run(run, options)
    ran = run_graph(run, graph, options.jobs)
    done = Ended("preflight", State.DONE, ports.clock.monotonic() - began)
    return ReleaseResult(run.release, environment, run.outcome, stages=(done, *ran.ended.values()), graph=graph)


def run_graph(run: Run, graph: Graph, jobs: int) -> Ran:
    """Run the stages of the graph, and tell which did not run, and why. Raises the error of what failed."""
    ran = run_stages(
        [_stage(run, node) for node in graph.nodes if node.kind is not Kind.PREFLIGHT],
        jobs=jobs,
        clock=run.ports.clock,
        reporter=run.ports.reporter,
        on_interrupt=run.ports.engine.abort,
    )
    tell(run.ports, ran)
    ran.raise_failure()
    return ran


def begin(
    ports: Ports,
    pipeline: Pipeline,
    cleared: Cleared,
    options: ReleaseOptions,
    contexts: Callable[[], Contexts] | None = None,
) -> Run:
    """A run that knows what is done already: the whole release, or single images. Raises RemoteError."""
    run = Run(ports, pipeline, cleared, options.reopen, options.promised)
    if _makes_everything(pipeline, options):
        return run
    finished = released_before(ports, pipeline.job, pipeline.released, cleared)
    if finished is not None:
        return replace(run, finished=finished)
    return replace(run, reusable=unchanged(ports, pipeline, cleared, contexts))


def unchanged(
    ports: Ports, pipeline: Pipeline, cleared: Cleared | None, contexts: Callable[[], Contexts] | None = None
) -> dict[str, Reusable]:
    """The content key of each image, and what the registry holds under it. Raises RemoteError, ConfigurationError.

    Without rules to go by there is no evidence either, and everything that is found is tested again. ``contexts``
    gives the build contexts where somebody is reading them already.
    """
    application, specs = pipeline.job.application.config.application, _keyed_specs(pipeline)
    return find_reusable(
        ports,
        specs,
        tuple(pipeline.targets.values()),
        lambda: evidence_of(ports.repository, cleared.base_tip, application) if cleared else frozenset(),
        contexts or partial(read_contexts, specs),
    )


def contexts_of(pipeline: Pipeline, options: ReleaseOptions) -> Callable[[], Contexts]:
    """Reads the build contexts, where anybody will ask what is in them."""
    return partial(read_contexts, {} if _makes_everything(pipeline, options) else _keyed_specs(pipeline))


def _makes_everything(pipeline: Pipeline, options: ReleaseOptions) -> bool:
    return options.no_skip or pipeline.job.source.dirty


def _keyed_specs(pipeline: Pipeline) -> Mapping[str, BuildSpec]:
    return {name: keyed_spec(pipeline, name) for name in pipeline.targets}


def graph_to_run(run: Run, options: ReleaseOptions) -> Graph:
    """The graph, without what is done already. Raises Refused where ``--from-stage`` skips what nobody can prove."""
    graph = run.pipeline.graph
    if run.finished is not None:
        graph = graph.skipping(made_already(graph))
    graph = graph.skipping(dict(unchanged_stages(run, graph)))
    if options.from_stage is not None:
        graph = starting_at(graph, options.from_stage, run)
    return graph


def jobs_for(config: ApplicationConfig) -> int:
    """How many stages run at once when nobody says it: one a processor, at most four, since an engine works beside."""
    return config.jobs or min(_MOST_JOBS, os.cpu_count() or 1)


def made_already(graph: Graph) -> Mapping[str, str]:
    """A release that is pinned needs nothing that comes before the handoff."""
    handoff = next(node.name for node in graph.nodes if node.kind is Kind.HANDOFF)
    before = graph.ancestors(handoff)
    made = {node.name for node in graph.nodes if node.name in before or node.kind in _MADE}
    return {node.name: _RELEASED for node in graph.nodes if node.name in made and node.kind is not Kind.PREFLIGHT}


def unchanged_stages(run: Run, graph: Graph) -> Iterator[tuple[str, str]]:
    """The stages that an unchanged image spares: its build, and its test where that is proven.

    Not where a stage on this machine comes first: when it has run, the build looks whether anything changed.
    """
    for node in graph.nodes:
        reusable = run.reusable.get(node.image or "")
        if reusable is None or reusable.found is None or not node.runs or writers_before(run, graph, node.image):
            continue
        if node.kind is Kind.BUILD:
            yield node.name, f"unchanged, {reusable.found.short} in the registry"
        elif node.kind is Kind.TEST and reusable.proven:
            yield node.name, PROVEN


def writers_before(run: Run, graph: Graph, image: str | None) -> tuple[str, ...]:
    """The stages that run on this machine before the image is built, so that they may write into its context."""
    if image is None:
        return ()
    above = graph.ancestors(f"build {image}")
    variants = run.pipeline.variants
    return tuple(
        node.name
        for node in graph.nodes
        if node.name in above
        and node.runs
        and node.kind is Kind.CUSTOM
        and variants[node.name].config.on_host
        and variants[node.name].config.run is not None
    )


def _stage(run: Run, node: Node) -> Stage:
    variant = run.pipeline.variants.get(node.name)
    needs = tuple(
        need
        for need in node.needs
        if need in run.pipeline.graph and run.pipeline.graph[need].kind is not Kind.PREFLIGHT
    )
    allowed = variant is not None and variant.config.allow_failure
    return Stage(node.name, partial(WORK[node.kind], run, node), needs, node.skip, allowed)


def tell(ports: Ports, ran: Ran) -> None:
    """What did not run, and why."""
    for one in ran.ended.values():
        if one.state is State.STOPPED or (one.state is State.SKIPPED and one.reason != _RELEASED):
            ports.reporter.note(f"{one.name}: {one.state} ({one.reason})")


def preflight(ports: Ports, pipeline: Pipeline, environment: str, options: ReleaseOptions) -> Cleared:
    """All that can be known to fail before the slow work begins."""
    job, released = pipeline.job, pipeline.released
    refuse_dirty(job.source, allowed=options.allow_dirty or options.dry_run, reporter=ports.reporter)
    tell_unknown_order(job.source, ports.reporter)
    check_files(job.application, pipeline.targets.values())
    if not options.dry_run:
        check_stages(pipeline, options.approved)
    repositories = [target.image.repository for target in released]

    def plan(cleared: Cleared) -> None:
        """With unknown digests it finds an image that no manifest holds before an hour of building does."""
        plan_release(ports, job, cleared, unbuilt(job, released, {}))

    cleared = clear(ports, job, environment, repositories, builds=True, writes=not options.dry_run, meanwhile=plan)
    if cleared.policy.require_tested_platforms:
        check_tested(cleared.policy, released, ports.engine.platform())
    return cleared


def _dry_run(
    ports: Ports, pipeline: Pipeline, cleared: Cleared, options: ReleaseOptions, contexts: Callable[[], Contexts]
) -> ReleaseResult:
    planned, unknown = as_planned(begin(ports, pipeline, cleared, replace(options, dry_run=False), contexts))
    plan = plan_release(ports, pipeline.job, cleared, planned)
    return ReleaseResult(planned, cleared.environment.name, None, plan, unknown)


def as_planned(run: Run) -> tuple[Release, tuple[Repository, ...]]:
    """The release as far as it is known, and the repositories whose digest only a push can give.

    A digest is known when the release is pinned already, or the registry holds the image under its content key.
    """
    if run.finished is not None:
        return run.finished, ()
    job, targets, registry = run.pipeline.job, run.pipeline.released, run.ports.registry
    known: dict[str, PinnedImage] = {}
    for target in targets:
        if (digest := run.adopts(target.name)) is not None:
            known[target.name] = kept_pin(registry, target, digest, origin_of(registry, target, digest))
    unknown = tuple(target.image.repository for target in targets if target.name not in known)
    return unbuilt(job, targets, known), unknown


def plan_release(ports: Ports, job: Job, cleared: Cleared, planned: Release) -> ChangePlan:
    """What the handoff of this release would write where the environment is now."""
    desk = desk_for(ports, cleared, planned, job)
    return plan_now(ports, desk, cleared, Change.of(Action.RELEASE, cleared.environment.name, planned))
