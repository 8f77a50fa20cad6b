"""Sections of a CI's log: one is open at a time, and nothing that a stage says is lost."""

from __future__ import annotations

import io
import random
import re
from itertools import count

import pytest

from orchestrator.ci.commands import Sections
from orchestrator.reports.console import make_reporter
from orchestrator.reports.sections import SectionReporter
from tests.hostile import HOSTILE


def reporter(out: io.StringIO, name: str = "github") -> SectionReporter:
    ticks = count(1000)
    return SectionReporter(out, Sections(name), moment=lambda: float(next(ticks)), monotonic=lambda: 0.0)


def test_a_stage_is_a_section_with_its_verdict_below() -> None:
    out = io.StringIO()
    told = reporter(out)
    told.stage_started("build api")
    told.log("build api", "step 1")
    told.stage_finished("build api", "done", 1.25)
    assert out.getvalue() == "::group::build api\n  build api | step 1\n::endgroup::\n✓ build api  done in 1.2 s\n"


def test_of_stages_side_by_side_one_is_live_and_the_others_follow_whole() -> None:
    out = io.StringIO()
    told = reporter(out)
    for stage in ("a", "b", "c"):
        told.stage_started(stage)
        told.log(stage, f"{stage} begins")
    told.stage_finished("b", "failed: 1 of 2", 2.0)
    told.log("c", "c goes on")
    assert "b begins" not in out.getvalue()
    told.stage_finished("a", "done", 1.0)
    told.log("c", "c ends")
    told.stage_finished("c", "done", 3.0)
    assert out.getvalue().splitlines() == [
        "::group::a", "  a | a begins", "::endgroup::", "✓ a  done in 1.0 s",
        "::group::b", "  b | b begins", "::endgroup::", "✗ b  failed: 1 of 2 in 2.0 s",
        "::group::c", "  c | c begins", "  c | c goes on", "  c | c ends", "::endgroup::", "✓ c  done in 3.0 s",
    ]  # fmt: skip


def test_gitlabs_sections_have_names_that_are_used_once() -> None:
    out = io.StringIO()
    told = reporter(out, "gitlab")
    for _ in range(2):
        told.stage_started("test api/unit")
        told.stage_finished("test api/unit", "done", 0.0)
    starts = re.findall(r"\x1b\[0Ksection_start:\d+:(\S+)\[collapsed=true\]\r\x1b\[0Ktest api/unit\n", out.getvalue())
    ends = re.findall(r"\x1b\[0Ksection_end:\d+:(\S+)\r\x1b\[0K\n", out.getvalue())
    assert starts == ends
    assert len(set(starts)) == 2


def test_a_run_that_is_cut_leaves_nothing_open_and_nothing_unsaid() -> None:
    out = io.StringIO()
    told = reporter(out)
    for stage in ("a", "b"):
        told.stage_started(stage)
        told.log(stage, f"{stage} says")
    told.close()
    assert "b says" in out.getvalue()
    assert out.getvalue().count("::group::") == out.getvalue().count("::endgroup::") == 2


def test_whatever_the_order_sections_never_nest_and_every_line_is_there_once() -> None:
    chance = random.Random(8)
    for _ in range(50):
        out = io.StringIO()
        told = reporter(out)
        running: list[str] = []
        said: list[str] = []
        for step in range(40):
            choice = chance.random()
            if choice < 0.3 or not running:
                running.append(f"s{step}")
                told.stage_started(running[-1])
            elif choice < 0.7:
                said.append(f"line {step}")
                told.log(chance.choice(running), said[-1])
            else:
                told.stage_finished(running.pop(chance.randrange(len(running))), "done", 0.0)
        told.close()
        depth = 0
        for line in out.getvalue().splitlines():
            depth += line.startswith("::group::") - (line == "::endgroup::")
            assert depth in (0, 1)
        assert depth == 0
        assert sorted(re.findall(r"\| (line \d+)$", out.getvalue(), re.MULTILINE)) == sorted(said)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_line_is_one_line_of_its_stage(text: str) -> None:
    out = io.StringIO()
    told = reporter(out)
    told.stage_started("build")
    told.log("build", text)
    told.note(text)
    told.stage_finished("build", f"done {text}", 0.0)
    lines = out.getvalue().splitlines()
    assert len(lines) == 5
    assert [line for line in lines if line.startswith("::")] == ["::group::build", "::endgroup::"]
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize(
    ("environment", "log_format", "quiet", "folds"),
    [
        ({"GITHUB_ACTIONS": "true"}, "auto", False, True),
        ({"GITLAB_CI": "true"}, "auto", False, True),
        ({"GITHUB_ACTIONS": "true"}, "text", False, False),
        ({"GITHUB_ACTIONS": "true"}, "auto", True, False),
        ({"JENKINS_URL": "x"}, "auto", False, False),
        ({}, "auto", False, False),
    ],
)
def test_where_the_ci_folds_its_log_there_are_sections(
    environment: dict[str, str], log_format: str, quiet: bool, folds: bool
) -> None:
    made = make_reporter(log_format, quiet=quiet, verbose=False, stream=io.StringIO(), environment=environment)
    assert isinstance(made, SectionReporter) is folds


def test_a_reader_that_is_gone_stops_no_work() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    told = reporter(Gone())
    told.stage_started("a")
    told.log("a", "x")
    told.stage_finished("a", "done", 0.0)
    told.close()
