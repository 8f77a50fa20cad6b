"""The tags that a release's images will carry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from pipelines.targets import targets_of
from tests.simulation.workshop import Workshop


def test_a_dirty_tag_says_so_and_keeps_what_tells_commits_apart(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    config = workshop.root / "hybrid-ci.yaml"
    config.write_text(config.read_text() + "tag: '{branch}-{commit}'\n")
    job = workshop.job()
    dirty = replace(job, source=replace(job.source, dirty=True, branch="x" * 200))

    (first, _) = targets_of(dirty, ())

    assert first.image.tag.endswith(f"{job.source.id}-dirty")
    assert len(first.image.tag) <= 128


def test_only_names_that_are_configured_are_taken(tmp_path: Path) -> None:
    job = Workshop(tmp_path).job()

    assert [target.name for target in targets_of(job, ["worker"])] == ["worker"]
    with pytest.raises(ConfigurationError, match="no image 'web'"):
        targets_of(job, ["web"])
