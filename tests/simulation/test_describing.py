"""What a pull request says of a release, over simulated ports: what comes in, and that nothing of it can fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.core.comparison import Comparison, SourceChange
from orchestrator.core.errors import RemoteError
from orchestrator.core.names import CommitId
from orchestrator.core.verdict import Result, Verdict
from orchestrator.forges.base import NotOpen
from orchestrator.gitops.outcome import Opened
from pipelines.describing import Describer
from pipelines.ports import Ports
from tests.simulation.town import MAIN
from tests.simulation.workshop import Workshop, forge_of

THREE, FOUR = CommitId(f"{3:040x}"), CommitId(f"{4:040x}")
BETWEEN = Comparison(1, 0, (SourceChange(FOUR, "Round prices half up", "ada"),))


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """An environment that runs the release of commit 3; the checkout is at commit 4."""
    made = Workshop(tmp_path)
    made.release()
    made.town.merge(1)
    made.commit(4)
    made.town.forge.compared[(THREE, FOUR)] = BETWEEN
    return made


def body(workshop: Workshop) -> str:
    (pull,) = workshop.town.open_pulls()
    return pull.body


def test_the_commits_since_what_runs_now_are_told(workshop: Workshop) -> None:
    workshop.release()
    assert f"Brings 1 commit since `{THREE.short}`, which `api`, `worker` run now" in body(workshop)
    assert "`Round prices half up` by `ada`" in body(workshop)


def test_without_trailers_the_image_s_label_tells_what_runs(workshop: Workshop) -> None:
    """A squash has lost them."""
    files = workshop.town.git.commits[workshop.town.tip(MAIN)].files
    squashed = workshop.town.git.store(files, (), "Kim <kim@acme.example>", "Squashed", workshop.town.clock.now())
    workshop.town.git.refs[MAIN.ref] = squashed
    workshop.town.git.refs = {ref: tip for ref, tip in workshop.town.git.refs.items() if "hybrid-ci" not in ref.value}
    workshop.release()
    assert "Brings 1 commit since" in body(workshop)


def test_a_comparison_that_fails_is_left_out(workshop: Workshop) -> None:
    result = workshop.release(prepare=lambda ports: forge_of(ports).fail(method="compare", error=RemoteError("down")))

    assert isinstance(result.outcome, Opened)
    assert "Moves **2** image pins" in body(workshop)


def test_a_run_that_changes_nothing_asks_for_no_comparison(workshop: Workshop) -> None:
    workshop.release()
    asked: list[Ports] = []
    workshop.release(prepare=asked.append)
    assert "compare" not in forge_of(asked[0]).calls


def test_a_pull_request_is_rendered_once(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after, however often its text is asked for, and also where a lost race has it described again."""
    tool, ran = tmp_path / "bin" / "kustomize", tmp_path / "ran"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\necho once >> {ran}\ncat $2/kustomization.yaml\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    asked: list[Ports] = []

    def hinder(ports: Ports) -> None:
        asked.append(ports)
        forge_of(ports).fail(method="open", error=NotOpen("somebody was faster"))

    workshop.release(prepare=hinder)

    assert forge_of(asked[0]).calls.count("open") == 2
    assert "Rendered, 1 resource changes:" in body(workshop)
    assert ran.read_text().count("once") == 2


def test_a_gate_that_waits_makes_a_draft_and_stands_in_the_text(workshop: Workshop) -> None:
    ports, release = workshop.ports(), workshop.release()
    assert isinstance(release.outcome, Opened)
    plan, environment = release.outcome.plan, workshop.town.policy.environment("dev")
    said = [Verdict("soak", Result.WAIT, "1 h of 24 h")]
    describe = Describer(ports, environment, release.release.id, release.release, judge=lambda plan: said)
    text = describe(plan)
    assert text.waiting
    assert "| `soak` | **wait** | `1 h of 24 h` |" in text.body()
    said[0] = Verdict("soak", Result.WAIT, "2 h of 24 h")
    assert describe(plan).stands_in(text.body()), "minutes that pass are no reason to write"
    said[0] = Verdict("soak", Result.PASS, "24 h")
    assert not describe(plan).waiting
    assert not describe(plan).stands_in(text.body())
