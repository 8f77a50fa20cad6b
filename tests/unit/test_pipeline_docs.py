"""docs/pipelines.md shows what ``plan`` prints of the monorepo example, and names every key of a stage."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.ci.environment import CIEnvironment
from orchestrator.config.loader import load_application
from orchestrator.config.stages import Ready, ServiceConfig, StageConfig, When
from orchestrator.core.names import CommitId
from orchestrator.core.release import SourceCommit
from orchestrator.core.stages import Graph
from orchestrator.reports.graph import as_mermaid, as_text
from pipelines.ports import Job
from pipelines.stages import pipeline_of

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs/pipelines.md").read_text("utf-8")


@pytest.fixture(scope="module")
def graph() -> Graph:
    application = load_application(ROOT / "examples/monorepo/app/hybrid-ci.yaml")
    source = SourceCommit(CommitId("a" * 40), "main", (), datetime(2026, 1, 1, tzinfo=UTC), "x", None, dirty=False)
    return pipeline_of(Job(application, CIEnvironment("ci"), (), "ci@example.com", source)).graph


def test_the_picture_is_the_one_that_plan_prints(graph: Graph) -> None:
    assert f"```mermaid\n{as_mermaid(graph)}\n```" in DOCS


def test_the_list_is_the_one_that_plan_prints(graph: Graph) -> None:
    assert f"```\n{as_text(graph)}\n```" in DOCS


@pytest.mark.parametrize("model", [StageConfig, ServiceConfig, Ready, When], ids=lambda model: model.__name__)
def test_every_key_is_explained(model: type[StageConfig]) -> None:
    missing = [
        field.alias or name for name, field in model.model_fields.items() if f"`{field.alias or name}`" not in DOCS
    ]
    assert missing == []


def test_a_name_can_not_break_the_picture(graph: Graph) -> None:
    node = replace(graph.nodes[0], name='x"]; click s0 "javascript:1" <b>#\n\x1b', skip="not today")
    lines = as_mermaid(Graph((node,))).splitlines()
    assert lines[1].startswith('  s0(["x#34;#93;#59; click s0 #34;javascript:1#34; #60;b#62;#35;')
    assert lines[1].count('"') == 2
    assert len(lines) == 3
    assert "\x1b" not in as_text(Graph((node,)))
