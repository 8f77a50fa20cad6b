"""The record of a promotion, and how it reads on a terminal and in Markdown."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.reports.promotions import (
    LeftImage,
    OpenSkip,
    OverrideRecord,
    PromotedEnvironment,
    PromotedImage,
    PromotionRecord,
    VerdictRecord,
    promotion_lines,
    promotion_markdown,
    promotion_schema,
)
from orchestrator.reports.records import PullRequestRecord
from tests.golden import assert_golden
from tests.unit.reports.test_markdown import rendered

IMAGE = PromotedImage(
    repository="ghcr.io/acme/shop/api",
    before="1.4.1 sha256:0a0a0a0a0a0a",
    tag="1.4.2",
    digest="sha256:" + "a1" * 32,
    source="c0ffee" + "0" * 34,
)


def verdict(gate: str, said: str, reason: str, **more: Any) -> VerdictRecord:
    parts = {"evidence": [], "link": None, "hint": None, "until": None, "images": [], "overridden": None}
    return VerdictRecord(gate=gate, verdict=said, reason=reason, **(parts | more))


PASSED = [verdict("hold", "pass", "no hold stands in the way"), verdict("order", "pass", "every image moves forward")]


def environment(name: str, state: str, **more: Any) -> PromotedEnvironment:
    parts: dict[str, Any] = {
        "wave": None,
        "result": "pass",
        "images": [IMAGE],
        "left": [],
        "verdicts": PASSED,
        "branch": f"hybrid-ci/{name}/shop",
        "commit": None,
        "pull_request": None,
        "error": None,
        "diff": None,
    }
    return PromotedEnvironment(environment=name, state=state, **(parts | more))


def record(*environments: PromotedEnvironment, **more: Any) -> PromotionRecord:
    parts: dict[str, Any] = {
        "created": datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
        "source": "staging",
        "scope": "shop",
        "dry_run": False,
        "state": "opened",
        "changed": True,
        "overrides": [],
        "open_skips": [],
        "calls": {"git": {"files": 5, "tips": 2}, "forge": {"open": 1}},
    }
    return PromotionRecord(environments=list(environments), **(parts | more))


PULL = PullRequestRecord(number=7, url="https://github.com/acme/gitops/pull/7")
WAITING = verdict("soak", "wait", "api soaks in staging for 2h more", until="2026-03-02T11:30:00+00:00")
HELD = verdict(
    "hold",
    "refuse",
    "api is held: incident 42",
    evidence=["ghcr.io/acme/shop/api by ada: incident 42"],
    link="https://example.com/incidents/42",
    hint="lift it with `hybrid-ci hold lift`",
)
SKIPPED = verdict("order", "pass", "staging is skipped: outage", overridden="outage")
RECORDS = {
    "opened": record(environment("prod", "opened", pull_request=PULL, commit="d" * 40)),
    "waves": record(
        environment("prod/a", "opened", wave=1, pull_request=PULL, commit="d" * 40),
        *(environment(f"prod/{n}", "waiting", wave=2, result="wait", verdicts=[*PASSED, WAITING]) for n in "bcd"),
        dry_run=True,
    ),
    "refused": record(
        environment("prod", "refused", result="refuse", verdicts=[HELD, *PASSED[1:]]),
        environment("edge", "failed", error="the branch holds work that hybrid-ci did not make"),
    ),
    "skipped": record(
        environment(
            "prod",
            "opened",
            verdicts=[PASSED[0], SKIPPED],
            left=[
                LeftImage(repository="docker.io/library/redis", reason="not allowed", where="a.yaml:3", refused=False)
            ],
        ),
        overrides=[OverrideRecord(kind="skip", environment="staging", reason="outage")],
        open_skips=[
            OpenSkip(environment="prod", skipped="staging", reason="outage", images=["ghcr.io/acme/shop/api"], at=None)
        ],
    ),
    "unchanged": record(environment("prod", "unchanged", images=[], verdicts=[]), state="unchanged", changed=False),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_promotion_reads_so(name: str) -> None:
    assert_golden(f"reports/promotion-{name}.txt", "\n".join(promotion_lines(RECORDS[name])) + "\n")
    assert_golden(f"reports/promotion-{name}.md", promotion_markdown(RECORDS[name]) + "\n")


def test_verbose_tells_every_verdict_and_the_calls() -> None:
    text = "\n".join(promotion_lines(RECORDS["waves"], verbose=True))
    assert_golden("reports/promotion-verbose.txt", text + "\n")
    assert "calls: git 7 (files 5, tips 2); forge 1 (open 1)" in text


@pytest.mark.parametrize("name", RECORDS)
def test_the_record_is_what_its_schema_says(name: str) -> None:
    made = json.loads(RECORDS[name].to_json())
    jsonschema.Draft202012Validator(promotion_schema()).validate(made)
    assert PromotionRecord.model_validate(made) == RECORDS[name]


def test_nothing_from_outside_acts_on_a_terminal_or_in_markdown() -> None:
    evil = "x\x1b[31m\u202e @everyone <script>alert(1)</script> | `"
    bad = environment(
        "prod", "refused", result="refuse", verdicts=[verdict("http", "refuse", evil, evidence=[evil])], error=evil
    )
    made = record(bad, overrides=[OverrideRecord(kind="unknown-order", environment=None, reason=evil)])
    text = "\n".join(promotion_lines(made, verbose=True))
    assert not set(text) & set("\x1b\u202e")
    page = rendered(promotion_markdown(made))
    assert "@everyone" not in page.outside
    assert "script" not in page.tags


def test_a_record_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be written"):
        RECORDS["opened"].write(tmp_path)
