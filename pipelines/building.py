"""One runner's part of a release: build, test, push and prove some images, and write down what came of it.

It needs no login for the GitOps repository, and writes nothing there. The rules are read where anybody may read them;
where not, the job that hands the images off applies them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from orchestrator.ci.guard import Kind, Signal
from orchestrator.core.environment import Policy
from orchestrator.core.errors import RemoteError
from orchestrator.core.names import BranchName, RemoteURL
from orchestrator.core.release import Release
from orchestrator.core.stages import Kind as StageKind
from orchestrator.engine.events import stage
from orchestrator.engine.parallel import side_by_side
from orchestrator.engine.stage import Ended, State
from orchestrator.gitops.desk import Seen, missing_branch
from orchestrator.reports.built import BuildRecord, BuiltImageRecord, SignalRecord
from orchestrator.reports.records import ImageRecord, StageRecord, image_records, source_record
from pipelines.making import Run
from pipelines.platforms import check_tested
from pipelines.policy import check_base, policy_at
from pipelines.ports import Job, Ports
from pipelines.preflight import Cleared, guard, refuse_dirty, refuse_pull_request_events, released_from
from pipelines.release import run_graph, unchanged, unchanged_stages
from pipelines.reuse import definition_key
from pipelines.stages import Pipeline, check_stages, pipeline_of
from pipelines.targets import check_files

_ELSEWHERE = "`hybrid-ci handoff` does it"


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What the caller asks for. ``environment`` is the one whose rules the images have to meet."""

    images: tuple[str, ...]
    environment: str | None = None
    no_skip: bool = False
    jobs: int = 1
    approved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """What the run made. ``rules_known``: the policy could be read; ``identities`` the handoff has to judge."""

    run: Run
    stages: tuple[Ended, ...]
    rules_known: bool
    identities: tuple[Signal, ...]

    @property
    def release(self) -> Release:
        """Its images, as the registry serves them."""
        return self.run.release


def build(ports: Ports, job: Job, options: BuildOptions) -> Built:
    """Build, test and push these images (what they are built upon is built, and not pushed), and prove each.

    Raises the error of the stage that failed; nothing is pushed unless every test passed.
    """
    began = ports.clock.monotonic()
    pipeline = _without_handoff(pipeline_of(job, options.images))
    with stage(ports.reporter, "preflight", ports.clock.monotonic):
        cleared, identities = _preflight(ports, pipeline, options)
    run = Run(ports, pipeline, cleared)
    if not options.no_skip:
        run = replace(run, reusable=unchanged(ports, pipeline, cleared))
    ran = run_graph(run, pipeline.graph.skipping(dict(unchanged_stages(run, pipeline.graph))), options.jobs)
    done = Ended("preflight", State.DONE, ports.clock.monotonic() - began)
    return Built(run, (done, *ran.ended.values()), cleared is not None, identities)


def _without_handoff(pipeline: Pipeline) -> Pipeline:
    """The handoff, and the stages that come after it, belong to another job."""
    graph = pipeline.graph
    handoff = next(node.name for node in graph.nodes if node.kind is StageKind.HANDOFF)
    later = {handoff, *graph.descendants(handoff)}
    return replace(pipeline, graph=graph.skipping(dict.fromkeys(later, _ELSEWHERE)))


def _preflight(ports: Ports, pipeline: Pipeline, options: BuildOptions) -> tuple[Cleared | None, tuple[Signal, ...]]:
    """What can be known to fail before the slow work begins: the rules where they can be read, logins, the engine."""
    job = pipeline.job
    refuse_pull_request_events(job.ci)
    refuse_dirty(job.source, allowed=False, reporter=ports.reporter)
    check_files(job.application, pipeline.targets.values())
    check_stages(pipeline, options.approved)
    cleared = _rules(ports, pipeline, options.environment)
    identities: tuple[Signal, ...] = ()
    if cleared is None:
        identities = _guard_without_rules(ports, job)
    elif cleared.policy.require_tested_platforms:
        check_tested(cleared.policy, pipeline.released, ports.engine.platform())
    repositories = [target.image.repository for target in pipeline.released]
    asks: list[Callable[[], object]] = [
        partial(ports.registry.check_login, repository, push=True) for repository in dict.fromkeys(repositories)
    ]
    side_by_side([*asks, ports.engine.check])
    return cleared, identities


def _rules(ports: Ports, pipeline: Pipeline, name: str | None) -> Cleared | None:
    """The policy and what it says of these images, where it can be read without a login; None where it can't.

    Raises Refused, ConfigurationError for a policy that is broken.
    """
    job, repository = pipeline.job, ports.repository
    config = job.application.config
    base = BranchName(config.gitops.base)
    try:
        if RemoteURL(repository.url).scheme == "ssh":
            raise RemoteError("it is reached by ssh, which takes a login")
        seen = Seen(repository.tips([base.ref]), ports.clock.monotonic())
        if base.ref not in seen.tips:
            raise missing_branch(repository, base)
        check_base(repository, base)
        policy = policy_at(repository, seen.tips[base.ref], base)
    except RemoteError as error:
        ports.reporter.note(
            f"the GitOps policy can't be read without a login ({error.message}), and this job has none; "
            "`hybrid-ci handoff` applies it"
        )
        return None
    environment = policy.environment(name or config.gitops.environment)
    policy.authorise(config.application, environment, [target.image.repository for target in pipeline.released])
    policy.authorise_ref(config.application, released_from(job))
    waivers = guard(job.signals, policy, job.ci, ports.reporter, pushes=True)
    return Cleared(policy, environment, waivers, seen, seen.tips[base.ref])


def _guard_without_rules(ports: Ports, job: Job) -> tuple[Signal, ...]:
    """A cluster credential is refused at once. The identities of clouds, which a registry may need, are written into
    the record: the handoff, which can read the policy, judges them. Raises Refused."""
    clouds = tuple(one for one in job.signals if one.kind is Kind.CLOUD and one.provider is not None)
    others = tuple(one for one in job.signals if one not in clouds)
    base = BranchName(job.application.config.gitops.base)
    unread = Policy({}, base, f"the policy of {ports.repository.url}, which this job can't read")
    guard(others, unread, job.ci, ports.reporter, pushes=True)
    return clouds if job.ci.is_ci else ()


def build_record(built: Built, now: datetime) -> BuildRecord:
    """What the run made, for the job that joins the records of many."""
    job, made = built.run.pipeline.job, built.release
    source = source_record(made)
    assert source is not None  # noqa: S101  (what is built has a commit)
    return BuildRecord(
        application=made.application,
        created=now,
        source=source,
        run_url=job.ci.run_url,
        policy=built.rules_known,
        identities=[SignalRecord(name=one.name, provider=one.provider or "") for one in built.identities],
        images=[_image_record(built.run, record) for record in image_records(made)],
        stages=[
            StageRecord(name=one.name, state=one.state, seconds=round(one.seconds, 3), reason=one.reason)
            for one in built.stages
        ],
    )


def _image_record(run: Run, record: ImageRecord) -> BuiltImageRecord:
    target, reusable = run.pipeline.targets[record.name], run.reusable.get(record.name)
    beside, made = run.records.get(record.name), run.pushed[record.name]
    return BuiltImageRecord(
        **{**record.__dict__, "digest": str(made.pinned.digest)},
        built_from=str(made.built_from or run.pipeline.job.source.id),
        content=reusable.key.hex if reusable is not None else None,
        definition=definition_key(target),
        tested_before=bool(target.config.tests) and not run.tests.get(record.name),
        record=str(beside.digest) if beside is not None else None,
    )
