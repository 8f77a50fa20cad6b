"""A whole release of an unchanged application, against a cached ``docker build`` and ``docker push`` of the same.

    make bench-release            RUNS=7; COLD=3 (0: without that table); JOBS=3 (0: without that one)

The fixture is a build context of 100 MB in 2,000 files that nothing compresses. Each turn commits a change beside the
context, and then runs, in turn and in processes of their own: ``docker build`` and ``docker push`` with every layer in
the cache (the classic builder, and BuildKit where a docker command has it), and the installed ``hybrid-ci release``,
which reads policy and GitOps repository, finds the image by its content key, sees that the base branch says that it
was tested, that the tag is pinned already, and writes nothing. Engine and registry are the same for all, on loopback.
The decision alone is measured in this process: context, key, registry, evidence of the base branch.

The second table is the same where the engine has no layer left. The third builds, tests and pushes five changed
images, whose tests wait as integration tests do, one stage after the other and with two at once.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench._report import finish, milliseconds, table
from bench.release_decision import decision
from bench.release_world import World, fill
from orchestrator.images.buildkit_cli import find_docker_cli
from scripts import services

_DOCKER, _BUILDKIT, _OURS, _DECISION = (
    "docker build + push, classic builder",
    "docker build + push, BuildKit",
    "hybrid-ci release",
    "the decision alone, in process",
)
Subjects = Mapping[str, Callable[[], object]]


def main() -> None:
    """Measure, print the tables, print the figures."""
    runs, cold, jobs = (int(os.environ.get(name, default)) for name, default in _RUNS)
    state = Path(os.environ.get("BENCH_DIR", ".cache/bench")) / "services"
    with services.lease(state, say=lambda _: None) as running, tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "unchanged", running, 1, '"true"')
        fill(world.context(0))
        world.commit("Fill")
        world.hybrid_ci("release")
        world.hybrid_ci("forge", "merge", "1")
        figures = _unchanged(world, runs)
        if cold:
            figures |= _cold(world, cold)
        if jobs:
            figures |= _five(World(Path(folder) / "five", running, 5, "sleep 2"), jobs)
    finish("bench-release", figures, digits=3)


_RUNS = (("RUNS", "7"), ("COLD", "3"), ("JOBS", "3"))


def _unchanged(world: World, runs: int) -> dict[str, float]:
    with decision(world) as decide:
        subjects = {_DOCKER: _docker(world), **_buildkit(world), _OURS: lambda: _released(world), _DECISION: decide}
        seconds = _interleaved(world, subjects, runs)
    _print(f"An unchanged application, every layer cached, {runs} interleaved runs each", seconds)
    figures = {
        "unchanged_x_docker": _ratio(seconds, _OURS, _DOCKER),
        "decision_x_docker": _ratio(seconds, _DECISION, _DOCKER),
        "unchanged_seconds": statistics.median(seconds[_OURS]),
        "docker_seconds": statistics.median(seconds[_DOCKER]),
    }
    return figures | ({"unchanged_x_buildkit": _ratio(seconds, _OURS, _BUILDKIT)} if _BUILDKIT in seconds else {})


def _cold(world: World, runs: int) -> dict[str, float]:
    """Without layers: the docker command is told to use none, and its image is removed."""
    subjects = {_DOCKER: _docker(world, "--no-cache"), _OURS: lambda: _released(world)}
    seconds = _interleaved(world, subjects, runs, lambda: world.run("docker", "image", "rm", "--force", _tag(world)))
    _print(f"An unchanged application, no layer in the engine, {runs} interleaved runs each", seconds)
    return {"unchanged_cold_x_docker": _ratio(seconds, _OURS, _DOCKER)}


def _five(world: World, runs: int) -> dict[str, float]:
    """Five images that changed, with --jobs 1 and --jobs 2."""
    numbers = iter(range(1_000_000))

    def release(jobs: int) -> None:
        for number in range(5):
            (world.context(number) / "content").write_bytes(os.urandom(4 << 20))
        world.commit(f"Change {next(numbers)}")
        world.hybrid_ci("release", "--jobs", str(jobs))

    one, two = "hybrid-ci release --jobs 1", "hybrid-ci release --jobs 2"
    seconds = _interleaved(world, {one: lambda: release(1), two: lambda: release(2)}, runs)
    _print(f"Five changed images, each with a test that waits 2 s, {runs} interleaved runs each", seconds)
    return {"two_jobs_x_one": _ratio(seconds, two, one)}


def _docker(world: World, *options: str) -> Callable[[], object]:
    def build_and_push() -> None:
        world.run("docker", "build", "--quiet", *options, "--tag", _tag(world), str(world.context(0)))
        world.run("docker", "push", "--quiet", _tag(world))

    return build_and_push


def _buildkit(world: World) -> Subjects:
    cli = find_docker_cli(world.environment)
    if cli is None:
        return {}
    tag = f"{world.image(0)}:buildkit"

    def build_and_push() -> None:
        world.run("env", "DOCKER_BUILDKIT=1", *cli.build, "--quiet", "--tag", tag, str(world.context(0)))
        world.run("docker", "push", "--quiet", tag)

    return {_BUILDKIT: build_and_push}


def _released(world: World) -> None:
    said = world.hybrid_ci("release")
    assert "unchanged" in said and "tested" in said, said


def _tag(world: World) -> str:
    return f"{world.image(0)}:docker"


def _interleaved(
    world: World, subjects: Subjects, runs: int, before: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Seconds by subject; each of them at a commit of its own. The first turn does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(runs + 1):
        for name, subject in subjects.items():
            world.commit(f"{name} {turn} {time.monotonic_ns()}")
            before()
            begin = time.perf_counter()
            subject()
            taken = time.perf_counter() - begin
            if turn:
                seconds[name].append(taken)
    return seconds


def _ratio(seconds: Mapping[str, list[float]], name: str, baseline: str) -> float:
    """The median over the turns."""
    return statistics.median(one / other for one, other in zip(seconds[name], seconds[baseline], strict=True))


def _print(title: str, seconds: Mapping[str, list[float]]) -> None:
    baseline = next(iter(seconds))
    rows = [(name, milliseconds(taken), _ratio(seconds, name, baseline)) for name, taken in seconds.items()]
    print(f"\n{title}")
    print(table(("", "ms: median (min - max)", "x the first"), rows), flush=True)


if __name__ == "__main__":
    main()
