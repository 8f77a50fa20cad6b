"""The release pipeline: preflight, build, test, push and prove, hand off. In this order, as one reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.config.checks import dockerfile_of
from orchestrator.config.application import TestConfig
from orchestrator.core.change import Action, Change, ChangePlan
from orchestrator.core.errors import WorkFailed
from orchestrator.core.image import Platform, Repository
from orchestrator.core.release import CaseCounts, Release, ReleasedImage, SourceCommit, TestResult
from orchestrator.engine.events import stage
from orchestrator.gitops.outcome import Outcome
from orchestrator.images.base import BuildSpec, BuiltImage
from orchestrator.images.publish import publish
from orchestrator.images.testing import CommandTest, HttpTest, ImageTest, run_test
from pipelines.finished import built_from, released_before
from pipelines.handing_off import desk_for, hand_off_stage, plan_now
from pipelines.ports import Job, Ports
from pipelines.preflight import Cleared, clear, refuse_dirty, tell_unknown_order
from pipelines.targets import Target, check_files, targets_of, unbuilt


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """What the caller asks for beyond the configuration."""

    environment: str | None = None
    only: tuple[str, ...] = ()
    dry_run: bool = False
    allow_dirty: bool = False
    reopen: bool = False
    no_skip: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseResult:
    """What was released, and how the handoff ended; in a dry run the plan with its unknown digests instead."""

    release: Release
    environment: str
    outcome: Outcome | None
    plan: ChangePlan | None = None
    unknown_digests: tuple[Repository, ...] = field(default=())


def release(ports: Ports, job: Job, options: ReleaseOptions) -> ReleaseResult:
    """Release the application's images to its environment.

    Raises the error of the stage that failed; nothing is pushed unless every test passed, and nothing is handed
    off unless the registry's bytes were proven to be the tested ones.
    """
    targets = targets_of(job, options.only)
    environment = options.environment or job.application.config.gitops.environment
    with stage(ports.reporter, "preflight", ports.clock.monotonic):
        cleared = _preflight(ports, job, targets, environment, options)
    if options.dry_run:
        return _dry_run(ports, job, targets, cleared)

    made = None if options.no_skip else released_before(ports, job, targets, cleared)
    if made is None:
        made = _make(ports, job, targets)
    desk = desk_for(ports, cleared, made, job.identity, reopen=options.reopen)
    outcome = hand_off_stage(ports, desk, cleared, Change.of(Action.RELEASE, environment, made))
    return ReleaseResult(made, environment, outcome)


def _make(ports: Ports, job: Job, targets: Sequence[Target]) -> Release:
    """Build every image, test every image, then push and prove each: nothing is pushed before all tests passed."""
    built = [_build(ports, job, target) for target in targets]
    tests = [result for target, image in zip(targets, built, strict=True) for result in _test(ports, target, image)]
    pushed = [_push(ports, job, target, image) for target, image in zip(targets, built, strict=True)]
    return Release(job.application.config.application, tuple(pushed), job.source, tuple(tests))


def _preflight(ports: Ports, job: Job, targets: Sequence[Target], environment: str, options: ReleaseOptions) -> Cleared:
    refuse_dirty(job.source, allowed=options.allow_dirty or options.dry_run, reporter=ports.reporter)
    tell_unknown_order(job.source, ports.reporter)
    check_files(job.application, targets)
    repositories = [target.image.repository for target in targets]
    cleared = clear(ports, job, environment, repositories, builds=True, writes=not options.dry_run)
    # Planning with unknown digests finds an image that no manifest holds before an hour of building does.
    _plan(ports, job, cleared, unbuilt(job, targets, {}))
    return cleared


def _dry_run(ports: Ports, job: Job, targets: Sequence[Target], cleared: Cleared) -> ReleaseResult:
    """The plan. A digest is known when the registry holds this very tag, built from this very commit."""
    known = built_from(ports.registry, job.source, [target.image for target in targets])
    planned = unbuilt(job, targets, known)
    unknown = tuple(target.image.repository for target in targets if target.image.repository not in known)
    plan = _plan(ports, job, cleared, planned)
    return ReleaseResult(planned, cleared.environment.name, None, plan, unknown)


def _plan(ports: Ports, job: Job, cleared: Cleared, planned: Release) -> ChangePlan:
    desk = desk_for(ports, cleared, planned, job.identity)
    return plan_now(ports, desk, cleared, Change.of(Action.RELEASE, cleared.environment.name, planned))


# --- build, test, push -------------------------------------------------------------------------------------------


def _build(ports: Ports, job: Job, target: Target) -> BuiltImage:
    config, directory = target.config, job.application.directory
    spec = BuildSpec(
        name=target.name,
        context=(directory / config.context).resolve(),
        dockerfile=Path(dockerfile_of(config, directory)).resolve(),
        arguments=config.args,
        target=config.target,
        labels=config.labels | _labels(job.source, target),
        platform=Platform.parse(config.platform) if config.platform else None,
    )
    with stage(ports.reporter, f"build {target.name}", ports.clock.monotonic) as ending:
        image = ports.builder.build(spec, ports.reporter)
        ending.text = f"done, {image.engine_id.short}"
    return image


def _labels(source: SourceCommit, target: Target) -> dict[str, str]:
    """The annotations that the OCI image specification names (annotations.md). ``created`` is the commit's date,

    so that the same commit builds the same configuration again.
    """
    labels = {
        "org.opencontainers.image.revision": str(source.id),
        "org.opencontainers.image.created": source.authored.isoformat(),
        "org.opencontainers.image.version": target.image.tag,
        "org.opencontainers.image.title": target.name,
    }
    return labels | ({"org.opencontainers.image.source": source.remote} if source.remote else {})


def _test(ports: Ports, target: Target, image: BuiltImage) -> list[TestResult]:
    """Run the image's tests. Raises WorkFailed when one fails; the rest still run, so that one look tells all."""
    if not target.config.tests:
        ports.reporter.warn(f"the image {target.name} has no tests")
    reports = []
    for config in target.config.tests:
        name = f"test {target.name}/{config.name}"
        with stage(ports.reporter, name, ports.clock.monotonic) as ending:
            report = run_test(ports.engine, image, _test_spec(config), ports.reporter, ports.clock)
            reports.append(report)
            ending.text = report.summary if report.passed else f"failed: {report.summary}"
    failed = [report for report in reports if not report.passed]
    if failed:
        raise WorkFailed(
            f"{len(failed)} of {len(reports)} tests of the image {target.name} failed; nothing was pushed",
            where=f"image {target.name}: {', '.join(report.name for report in failed)}",
            details=[line for report in failed for line in (f"{report.name}: {report.summary}", *report.log_tail)],
            hint="fix the code or the test; the lines above are the end of its log",
        )
    return [_result(target.name, report.name, report.seconds, report.cases) for report in reports]


def _result(image: str, name: str, seconds: float, cases: CaseCounts | None) -> TestResult:
    return TestResult(image, name, True, seconds, cases)


def _test_spec(config: TestConfig) -> ImageTest:
    if config.http is not None:
        return HttpTest(
            name=config.name,
            port=config.http.port,
            path=config.http.path,
            status=config.http.status,
            contains=config.http.contains,
            environment=config.environment,
            user=config.user,
            seconds=config.timeout,
            memory=config.memory,
        )
    return CommandTest(
        name=config.name,
        command=config.run or (),
        junit=config.junit,
        environment=config.environment,
        network=config.network,
        user=config.user,
        seconds=config.timeout,
        memory=config.memory,
    )


def _push(ports: Ports, job: Job, target: Target, image: BuiltImage) -> ReleasedImage:
    """Push, read back from the registry, prove. Raises when a link of the chain breaks."""
    revision = {"org.opencontainers.image.revision": str(job.source.id)}
    with stage(ports.reporter, f"push {target.name}", ports.clock.monotonic) as ending:
        published = publish(
            ports.engine, ports.registry, image, target.image, ports.reporter, ports.clock, labels=revision
        )
        ending.text = f"done, {published.pinned.digest.short} proven"
    proof = published.proof
    return ReleasedImage(target.name, published.pinned, proof.kind, proof.config, (proof.platform,))
