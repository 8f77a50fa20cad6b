"""The decision that an image need not be built: as ``hybrid-ci release`` takes it, without the rest of the release."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.release_world import World
from orchestrator.wiring import open_job
from pipelines.release import ReleaseOptions, preflight, unchanged
from pipelines.stages import pipeline_of


@dataclass(frozen=True)
class _Quiet:
    """The global options."""

    config: Path = Path("hybrid-ci.yaml")
    log_format: str = "text"
    quiet: bool = True
    verbose: bool = False
    git_cache: Path | None = None


@contextmanager
def decision(world: World) -> Iterator[Callable[[], object]]:
    """What takes the decision, over connections that are open; it fails where it does not find the image proven."""
    before = dict(os.environ)
    os.environ |= world.environment
    try:
        with chdir(world.app), open_job(_Quiet()) as (ports, job):
            pipeline = pipeline_of(job)
            cleared = preflight(ports, pipeline, "dev", ReleaseOptions())

            def decide() -> None:
                found = unchanged(ports, pipeline, cleared)
                assert all(one.found is not None and one.proven for one in found.values()), found

            yield decide
    finally:
        os.environ.clear()
        os.environ |= before
