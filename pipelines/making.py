"""The built-in stages of a release, each a small function over the run: build, test, push, hand off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.config.application import TestConfig
from orchestrator.core.change import Action, Change, ChangePlan
from orchestrator.core.errors import WorkFailed
from orchestrator.core.release import CaseCounts, Release, ReleasedImage, SourceCommit, TestResult
from orchestrator.core.stages import Node
from orchestrator.engine.events import stage
from orchestrator.gitops.outcome import Outcome
from orchestrator.images.base import BuiltImage
from orchestrator.images.publish import publish
from orchestrator.images.testing import CommandTest, HttpTest, ImageTest, run_test
from pipelines.handing_off import desk_for, hand_off_stage, plan_now
from pipelines.ports import Ports
from pipelines.preflight import Cleared
from pipelines.stages import Pipeline, build_spec
from pipelines.targets import Target

APPLICATION_LABEL = "io.hybrid-ci.application"


@dataclass
class Run:
    """One release under way. Each stage writes what it made, once, and later stages read it."""

    ports: Ports
    pipeline: Pipeline
    cleared: Cleared
    reopen: bool = False
    promised: Callable[[ChangePlan], None] | None = None  # raises when the handoff is not the one that was planned
    finished: Release | None = None  # found pinned already: then nothing is made
    built: dict[str, BuiltImage] = field(default_factory=dict)
    tests: dict[str, list[TestResult]] = field(default_factory=dict)
    pushed: dict[str, ReleasedImage] = field(default_factory=dict)
    outcome: Outcome | None = None

    @property
    def release(self) -> Release:
        """What this run made, or found made."""
        if self.finished is not None:
            return self.finished
        job, names = self.pipeline.job, self.pipeline.layout.released
        tests = tuple(result for name in names for result in self.tests.get(name, ()))
        return Release(
            job.application.config.application, tuple(self.pushed[name] for name in names), job.source, tests
        )

    def target(self, node: Node) -> Target:
        """The image that the stage is about."""
        return self.pipeline.targets[node.image or ""]

    def found_in_engine(self, node: Node) -> BuiltImage | None:
        """The image of a build stage, when this engine made it of this very commit before."""
        if self.pipeline.job.source.dirty:
            return None
        target = self.target(node)
        return self.ports.engine.made_before(target.name, labels_of(self.pipeline, target))


def build_image(run: Run, node: Node) -> None:
    """Build the image, upon those that this run has built."""
    target, ports = run.target(node), run.ports
    spec = build_spec(run.pipeline, target.name, run.built, labels_of(run.pipeline, target))
    with stage(ports.reporter, node.name, ports.clock.monotonic) as ending:
        image = ports.builder.build(spec, ports.reporter)
        ending.text = f"done, {image.engine_id.short}"
    run.built[target.name] = image


def labels_of(pipeline: Pipeline, target: Target) -> dict[str, str]:
    """The annotations that the OCI image specification names (annotations.md). ``created`` is the commit's date,

    so that the same commit builds the same configuration again.
    """
    source: SourceCommit = pipeline.job.source
    labels = {
        "org.opencontainers.image.revision": str(source.id),
        "org.opencontainers.image.created": source.authored.isoformat(),
        "org.opencontainers.image.version": target.image.tag,
        "org.opencontainers.image.title": target.name,
        APPLICATION_LABEL: pipeline.job.application.config.application,
    }
    return labels | ({"org.opencontainers.image.source": source.remote} if source.remote else {})


def check_image(run: Run, node: Node) -> None:
    """Run the image's tests. Raises WorkFailed when one fails; the rest still run, so that one look tells all."""
    target, ports = run.target(node), run.ports
    if not target.config.tests:
        ports.reporter.warn(f"the image {target.name} has no tests")
    reports = []
    for config in target.config.tests:
        name = f"{node.name}/{config.name}"
        with stage(ports.reporter, name, ports.clock.monotonic) as ending:
            report = run_test(ports.engine, run.built[target.name], _test_spec(config), ports.reporter, ports.clock)
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
    run.tests[target.name] = [_result(target.name, one.name, one.seconds, one.cases) for one in reports]


def all_tested(run: Run, node: Node) -> None:
    """Everything that has to pass before the first push has passed: nothing to do but to stand between."""


def push_image(run: Run, node: Node) -> None:
    """Push, read back from the registry, prove. Raises when a link of the chain breaks."""
    target, ports = run.target(node), run.ports
    revision = {"org.opencontainers.image.revision": str(run.pipeline.job.source.id)}
    with stage(ports.reporter, node.name, ports.clock.monotonic) as ending:
        published = publish(
            ports.engine,
            ports.registry,
            run.built[target.name],
            target.image,
            ports.reporter,
            ports.clock,
            labels=revision,
        )
        ending.text = f"done, {published.pinned.digest.short} proven"
    proof = published.proof
    run.pushed[target.name] = ReleasedImage(target.name, published.pinned, proof.kind, proof.config, (proof.platform,))


def hand_off(run: Run, node: Node) -> None:
    """Bring the release to its environment, by pull request or by commit."""
    made = run.release
    desk = desk_for(run.ports, run.cleared, made, run.pipeline.job.identity, reopen=run.reopen)
    change = Change.of(Action.RELEASE, run.cleared.environment.name, made)
    if run.promised is not None:
        run.promised(plan_now(run.ports, desk, run.cleared, change))
    run.outcome = hand_off_stage(run.ports, desk, run.cleared, change)


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
