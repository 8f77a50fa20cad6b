"""The summary of a CI job, and the JUnit report beside it: whatever the texts are, they stay texts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from orchestrator.core.errors import WorkFailed
from orchestrator.core.release import CaseCounts, TestResult
from orchestrator.core.stages import Graph, Kind, Node
from orchestrator.core.verdict import Result, Verdict
from orchestrator.engine.stage import Ended, State
from orchestrator.reports.junit import as_junit
from orchestrator.reports.records import (
    CasesRecord,
    ImageRecord,
    PullRequestRecord,
    ReleaseRecord,
    TestRecord,
    results_of,
)
from orchestrator.reports.summary import Told, failure_summary, job_summary
from tests.hostile import HOSTILE

GRAPH = Graph(
    (
        Node("build api", Kind.BUILD),
        Node("test api", Kind.TEST, ("build api",)),
        Node("handoff", Kind.HANDOFF, ("test api",)),
    )
)
ENDED = {
    "build api": Ended("build api", State.DONE, 3.21),
    "test api": Ended("test api", State.FAILED, 1.0),
}


def record(text: str = "api", url: str = "https://git.example/acme/gitops/pull/7") -> ReleaseRecord:
    image = ImageRecord(
        name=text, repository="ghcr.io/acme/api", tag="1.0", digest="sha256:" + "a" * 64, kind="manifest",
        config=None, platforms=[],
        tests=[TestRecord(name=text, passed=True, seconds=1.5,
                          cases=CasesRecord(tests=12, failures=0, errors=0, skipped=1))],
    )  # fmt: skip
    return ReleaseRecord(
        release="0123456789ab", application=text, environment="dev", state="opened", changed=True,
        created=datetime(2026, 1, 1, tzinfo=UTC), source=None, images=[image], branch="x", commit=None,
        pull_request=PullRequestRecord(number=7, url=url), warnings=[text],
    )  # fmt: skip


def test_it_tells_images_tests_gates_stages_and_where_to_look() -> None:
    verdicts = (Verdict("soak", Result.WAIT, "ran for 2 h of 24 h"),)
    text = job_summary(record(), Told("opened pull request #7", GRAPH, ENDED, verdicts))
    assert "## `api` to `dev`" in text
    assert "**Pull request: [#7](<https://git.example/acme/gitops/pull/7>)**" in text
    assert f"| `api` | `ghcr.io/acme/api:1.0` | `sha256:{'a' * 64}` |" in text
    assert "| `api` | `api` | ✅ passed (12 cases) | 1.5 s |" in text
    assert "| `soak` | ⏳ wait | `ran for 2 h of 24 h` |" in text
    assert '  s0["build api 3.2 s"]:::done' in text
    assert '  s1["test api 1.0 s"]:::failed' in text
    assert '  s2[["handoff"]]\n' in text
    assert "s0 --> s1" in text


def without_code(markdown: str) -> str:
    """What a renderer would look into: no fences, no code spans (of one backtick or more)."""
    text = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", markdown)
    return re.sub(r"(?s)(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_shown_and_never_act(text: str) -> None:
    pages = (
        job_summary(record(text), Told(text, GRAPH, ENDED, (Verdict(text, Result.PASS, text),))),
        failure_summary(WorkFailed(text, where=text, hint=text, details=[text])),
    )
    for page in pages:
        looked_into = without_code(page)
        for word in ("planted", "@acme", "evil.example", "onerror", "hidden", "Fixes #1", "secrets.GITOPS"):
            assert word not in looked_into
        assert "\x1b" not in page
        assert "\u202e" not in page


def test_an_address_that_is_none_is_no_link() -> None:
    assert "javascript:" not in job_summary(record(url="javascript:alert(1)"), Told("x"))


# --- JUnit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_junit_report_holds_any_name(text: str) -> None:
    tests = [
        TestResult(text, text, False, 1.25, CaseCounts(5, 1, 1)),
        TestResult("api", "smoke", True, 0.5),
    ]
    suites = ElementTree.fromstring(as_junit(tests).encode())
    assert len(suites) == 2
    cases = list(suites.iter("testcase"))
    assert len(cases) == 2
    (failure,) = suites.iter("failure")
    assert failure.get("message") == "2 of 5 cases failed"
    assert {suite.get("failures") for suite in suites} == {"0", "1"}


def test_the_tests_of_a_record_are_those_that_were_written() -> None:
    assert results_of(record().images) == [TestResult("api", "api", True, 1.5, CaseCounts(12, skipped=1))]
