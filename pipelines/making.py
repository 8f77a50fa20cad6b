"""The built-in stages of a release, each a small function over the run: build, test, hand off. See pushing.py too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.config.application import ImageNeed, TestConfig
from orchestrator.core.change import Action, Change, ChangePlan
from orchestrator.core.errors import ConfigurationError, Place
from orchestrator.core.image import Digest, Platform
from orchestrator.core.release import (
    RecordReference,
    Release,
    ReleasedImage,
    SourceCommit,
    Tested,
    TestResult,
    TestsFailed,
)
from orchestrator.core.stages import Node
from orchestrator.engine.events import stage
from orchestrator.gitops.outcome import Outcome
from orchestrator.images.base import BuildSpec, BuiltImage
from orchestrator.images.bases import handed_repository
from orchestrator.images.tagging import REVISION
from orchestrator.images.testing import CommandTest, HttpTest, ImageTest, ImageTestReport, run_test
from pipelines.handing_off import desk_for, hand_off_stage, plan_now
from pipelines.platforms import platforms_of, tested_platforms
from pipelines.ports import Ports
from pipelines.preflight import Cleared
from pipelines.reuse import Reusable, fetch_proven, still_made_of
from pipelines.stages import Pipeline, build_spec
from pipelines.targets import Target

PROVEN = "the GitOps base branch says that it was tested"
APPLICATION_LABEL = "io.hybrid-ci.application"


@dataclass
class Run:
    """One release under way. Each stage writes what it made, once, and later stages read it.

    ``cleared`` is None where images are made alone, on a machine that may not read the rules: whoever hands them off
    applies these.
    """

    ports: Ports
    pipeline: Pipeline
    cleared: Cleared | None
    reopen: bool = False
    promised: Callable[[ChangePlan], None] | None = None  # raises when the handoff is not the one that was planned
    finished: Release | None = None  # found pinned already: then nothing is made
    reusable: dict[str, Reusable] = field(default_factory=dict)  # by image: what its content key leads to
    built: dict[str, BuiltImage] = field(default_factory=dict)
    fetched: dict[str, BuiltImage] = field(default_factory=dict)
    foreign: dict[tuple[str, Platform], BuiltImage] = field(default_factory=dict)  # further platforms of both
    tests: dict[str, list[TestResult]] = field(default_factory=dict)
    pushed: dict[str, ReleasedImage] = field(default_factory=dict)
    records: dict[str, RecordReference] = field(default_factory=dict)
    outcome: Outcome | None = None
    _fetching: Mapping[str, threading.Lock] = field(init=False, repr=False)  # by image: one is fetched once

    def __post_init__(self) -> None:
        self._fetching = {name: threading.Lock() for name in self.pipeline.targets}

    @property
    def release(self) -> Release:
        """What this run made, or found made."""
        if self.finished is not None:
            return self.finished
        job, names = self.pipeline.job, self.pipeline.layout.released
        tests = tuple(result for name in names for result in self.tests.get(name, ()))
        return Release(
            job.application.config.application,
            tuple(self.pushed[name] for name in names),
            job.source,
            tests,
            tuple(tested for name in names if (tested := self._tested(name)) is not None),
            tuple(self.records[name] for name in names if name in self.records),
        )

    @property
    def immutable_tags(self) -> bool:
        """A tag that carries an image is never given another commit's, as far as the rules are known here."""
        return self.cleared is not None and self.cleared.policy.immutable_tags

    def adopts(self, name: str) -> Digest | None:
        """The digest of an image that is taken from the registry as it is; None when this run makes it."""
        reusable = self.reusable.get(name)
        return reusable.found if reusable is not None and name not in self.built else None

    def image(self, name: str, platform: Platform | None = None) -> BuiltImage:
        """The image in the engine: as it was built here, or fetched and proven to be what the registry serves.

        Raises ConfigurationError when it is not made for that platform, ProofBroken, RemoteError.
        """
        with self._fetching[name]:
            known = self.built.get(name) or self.fetched.get(name)
            if known is None:
                known = self.fetched[name] = self._fetch(name, platform)
            if platform is None or platform.serves(known.platform):
                return known
            if (name, platform) not in self.foreign:
                self.foreign[name, platform] = self._fetch(name, platform)
            return self.foreign[name, platform]

    def _fetch(self, name: str, platform: Platform | None) -> BuiltImage:
        target = self.pipeline.targets[name]
        if name in self.built or (platform is not None and platform not in platforms_of(target)):
            raise ConfigurationError(
                f"the image {name} is not built for {platform}, and another one is built upon it for that",
                where=str(self.pipeline.job.application.file),
                hint=f"add it to images.{name}.platforms",
            )
        return fetch_proven(self.ports, target, self.reusable[name], platform)

    def native_for(self, target: Target) -> Platform | None:
        """The engine's own platform, where the image is for several and so it matters."""
        return self.ports.engine.platform() if len(platforms_of(target)) > 1 else None

    def tested_on(self, target: Target) -> tuple[Platform, ...]:
        """The platforms on which this run tested the image; none where its tests were not run."""
        if not self.tests.get(target.name):
            return ()
        wanted = tested_platforms(target, self.native_for(target))
        return tuple(self.image(target.name, platform).platform for platform in wanted)

    def _tested(self, name: str) -> Tested | None:
        """What the trailers may say of the image: that it passed its tests, here or before."""
        target, reusable = self.pipeline.targets[name], self.reusable.get(name)
        if reusable is None or not target.config.tests:
            return None
        return reusable.tested(target, self.pushed[name].pinned.digest)

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
    """Build the image for each of its platforms, upon those of the project that it names.

    Where stages of the application's own ran before, one that is unchanged all the same is not built.
    """
    target = run.target(node)
    if _is_unchanged(run, node, target):
        return
    platforms: Sequence[Platform | None] = platforms_of(target) or (None,)
    for platform in _native_first(run, platforms):
        image = _build(run, node.name if len(platforms) == 1 else f"{node.name} {platform}", target, platform)
        if target.name not in run.built:
            run.built[target.name] = image
        elif platform is not None:
            run.foreign[target.name, platform] = image
    _settle_key(run, target)


def _is_unchanged(run: Run, node: Node, target: Target) -> bool:
    """The registry holds what would be built now."""
    if run.adopts(target.name) is None:
        return False
    _settle_key(run, target)
    found = run.adopts(target.name)
    if found is None:
        return False
    with stage(run.ports.reporter, node.name, run.ports.clock.monotonic) as ending:
        ending.text = f"done, unchanged, {found.short} in the registry"
    return True


def _settle_key(run: Run, target: Target) -> None:
    """Forget the key of an image that is made of something else by now: a stage wrote into its context, say."""
    reusable = run.reusable.get(target.name)
    if reusable is None:
        return
    own = {*run.pipeline.bases[target.name].values()}
    own |= {need.image for need in target.config.needs if isinstance(need, ImageNeed)}
    if own <= run.reusable.keys() and still_made_of(keyed_spec(run.pipeline, target.name), reusable):
        return
    run.reusable.pop(target.name)
    run.ports.reporter.note(f"the image {target.name} has no content key: what it is built from changed meanwhile")


def _native_first(run: Run, platforms: Sequence[Platform | None]) -> Sequence[Platform | None]:
    """The engine's own before the others: it is the one that further stages run."""
    if len(platforms) == 1:
        return platforms
    native = run.ports.engine.platform()
    return sorted(platforms, key=lambda platform: platform is None or not platform.serves(native))


def _build(run: Run, name: str, target: Target, platform: Platform | None) -> BuiltImage:
    bases = {base: run.image(base, platform) for base in run.pipeline.layout.bases[target.name]}
    spec = build_spec(run.pipeline, target.name, bases, labels_of(run.pipeline, target))
    with stage(run.ports.reporter, name, run.ports.clock.monotonic) as ending:
        image = run.ports.builder.build(replace(spec, platform=platform), run.ports.reporter)
        ending.text = f"done, {image.engine_id.short}"
    return image


def keyed_spec(pipeline: Pipeline, name: str) -> BuildSpec:
    """What decides the content key of an image: as the builder gets it, with its bases named and not yet built."""
    spec = build_spec(pipeline, name, {}, labels_of(pipeline, pipeline.targets[name]))
    handed = {
        need.argument: f"{handed_repository(need.image)}:0"
        for need in pipeline.targets[name].config.needs
        if isinstance(need, ImageNeed)
    }
    return replace(spec, arguments={**spec.arguments, **handed})


def labels_of(pipeline: Pipeline, target: Target) -> dict[str, str]:
    """The annotations that the OCI image specification names (annotations.md). ``created`` is the commit's date,

    so that the same commit builds the same configuration again.
    """
    source: SourceCommit = pipeline.job.source
    labels = {
        REVISION: str(source.id),
        "org.opencontainers.image.created": source.authored.isoformat(),
        "org.opencontainers.image.version": target.image.tag,
        "org.opencontainers.image.title": target.name,
        APPLICATION_LABEL: pipeline.job.application.config.application,
    }
    return labels | ({"org.opencontainers.image.source": source.remote} if source.remote else {})


def check_image(run: Run, node: Node) -> None:
    """Run the image's tests. Raises TestsFailed when one fails; the rest still run, so that one look tells all.

    One that is taken from the registry, and proven to have passed them, passes them.
    """
    target = run.target(node)
    if run.adopts(target.name) is not None and run.reusable[target.name].proven:
        run.ports.reporter.note(f"{node.name}: {PROVEN}")
        return
    if not target.config.tests:
        run.ports.reporter.warn(f"the image {target.name} has no tests")
    platforms = tested_platforms(target, run.native_for(target))
    reports = [report for platform in platforms for report in _reports(run, node, platform, many=len(platforms) > 1)]
    failed = [report for report in reports if not report.passed]
    if failed:
        raise TestsFailed(
            f"{len(failed)} of {len(reports)} tests of the image {target.name} failed; nothing was pushed",
            where=f"image {target.name}: {', '.join(report.name for report in failed)}",
            details=[line for report in failed for line in (f"{report.name}: {report.summary}", *report.log_tail)],
            hint="fix the code or the test; the lines above are the end of its log",
            places=[_test_place(run, target, report) for report in failed],
        ).having([_result(target.name, one) for one in reports])
    run.tests[target.name] = [_result(target.name, one) for one in reports]


def _test_place(run: Run, target: Target, report: ImageTestReport) -> Place:
    """Where the configuration has the test. On one platform of several its name has more than that."""
    tests = target.config.tests
    index = next((i for i, one in enumerate(tests) if report.name in (one.name, *_on_platforms(target, one.name))), 0)
    file, _, line = run.pipeline.job.application.place("images", target.name, "tests", index).rpartition(":")
    cases = f": {', '.join(report.failed_cases[:10])}" if report.failed_cases else ""
    message = f"the test {report.name} of the image {target.name} failed: {report.summary}{cases}"
    return Place(file, int(line), message) if line.isdecimal() else Place(None, None, message)


def _on_platforms(target: Target, name: str) -> Iterator[str]:
    return (f"{name} ({platform})" for platform in platforms_of(target))


def _reports(run: Run, node: Node, platform: Platform | None, *, many: bool) -> Iterator[ImageTestReport]:
    target, ports = run.target(node), run.ports
    for config in target.config.tests:
        with stage(ports.reporter, f"{node.name}/{config.name}", ports.clock.monotonic) as ending:
            image = run.image(target.name, platform)
            report = run_test(ports.engine, image, _test_spec(config), ports.reporter, ports.clock)
            ending.text = report.summary if report.passed else f"failed: {report.summary}"
        yield replace(report, name=f"{report.name} ({platform})") if many else report


def all_tested(run: Run, node: Node) -> None:
    """Everything that has to pass before the first push has passed: nothing to do but to stand between."""


def hand_off(run: Run, node: Node) -> None:
    """Bring the release to its environment, by pull request or by commit."""
    made, cleared = run.release, run.cleared
    assert cleared is not None  # noqa: S101  (only a run that was cleared has this stage)
    desk = desk_for(run.ports, cleared, made, run.pipeline.job, reopen=run.reopen)
    change = Change.of(Action.RELEASE, cleared.environment.name, made)
    if run.promised is not None:
        run.promised(plan_now(run.ports, desk, cleared, change))
    run.outcome = hand_off_stage(run.ports, desk, cleared, change)


def _result(image: str, report: ImageTestReport) -> TestResult:
    return TestResult(image, report.name, report.passed, report.seconds, report.cases)


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
