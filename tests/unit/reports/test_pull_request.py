"""What reviewers read: golden bodies, and hostile text that changes nothing in them."""

from __future__ import annotations

import pytest

from orchestrator.core.environment import Waiver
from orchestrator.reports.pull_request import Known, block, title
from tests.golden import assert_golden
from tests.unit.reports import samples
from tests.unit.reports.test_markdown import rendered

WAIVERS = (
    Waiver("KUBECONFIG", "the runner is shared with the cluster team until June"),
    Waiver("~/.kube/config", "@everyone `this` | is <b>hostile</b>"),
)
BODIES = {
    "one-image": block(samples.ONE_PLAN, Known(samples.ONE)),
    "several-images": block(samples.SEVERAL_PLAN, Known(samples.SEVERAL, WAIVERS)),
    "built-elsewhere": block(samples.ELSEWHERE_PLAN, Known(samples.ELSEWHERE)),
    "found-on-the-branch": block(samples.ONE_PLAN, Known()),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_reads_so(name: str) -> None:
    assert_golden(f"reports/{name}.md", BODIES[name] + "\n")


@pytest.mark.parametrize("number", range(len(samples.HOSTILE_TEXTS)))
def test_a_body_of_hostile_text_reads_so(number: int) -> None:
    release, plan = samples.hostile(samples.HOSTILE_TEXTS[number])
    assert_golden(f"reports/hostile-{number}.md", block(plan, Known(release)) + "\n")


@pytest.mark.parametrize("text", samples.HOSTILE_TEXTS, ids=range(len(samples.HOSTILE_TEXTS)))
def test_hostile_text_acts_nowhere(text: str) -> None:
    release, plan = samples.hostile(text)
    waivers = (Waiver("KUBECONFIG", text),)
    page = rendered(block(plan, Known(release, waivers)))
    plain_release, plain_plan = samples.hostile("plain")
    plain = rendered(block(plain_plan, Known(plain_release, (Waiver("KUBECONFIG", "plain"),))))
    assert page.tags == plain.tags
    assert page.outside.split() == plain.outside.split()
    assert page.comments == []
    assert not set("".join(page.codes)) & set("\n\r\x1b\x07\u202e\u2066\u200b\u061c")


def test_a_body_speaks_of_each_pin_that_moves_and_of_nothing_else() -> None:
    page = rendered(BODIES["several-images"])
    assert "Moves 4 image pins of" in page.outside
    assert "prod/eu-1" in page.codes
    for pin in samples.SEVERAL_PLAN.pins:
        assert f"{pin.path}:{pin.line}" in page.codes
    assert "untagged" in page.codes


def test_a_body_with_a_waiver_gives_its_reason() -> None:
    page = rendered(BODIES["several-images"])
    assert "the runner is shared with the cluster team until June" in page.codes
    assert "waives" not in BODIES["one-image"]


# --- titles -------------------------------------------------------------------------------------------------------


def test_a_title_says_what_goes_where() -> None:
    assert title(samples.ONE_PLAN) == "shop to prod/eu-1: api 1.4.2"
    assert title(samples.SEVERAL_PLAN) == "shop to prod/eu-1: api 1.4.2, worker 1.4.2, web sha256:c3c3c3c3c3c3"


def test_a_title_is_one_short_line() -> None:
    images = tuple(samples.released(f"image-{number}", "1.4.2", "a1") for number in range(40))
    release = samples.Release("shop", images, samples.SOURCE)
    text = title(samples.plan_of(release, ()))
    assert len(text) == 120
    assert text.endswith("…")


@pytest.mark.parametrize("text", samples.HOSTILE_TEXTS, ids=range(len(samples.HOSTILE_TEXTS)))
def test_no_text_from_outside_reaches_a_title(text: str) -> None:
    _, plan = samples.hostile(text)
    assert title(plan) == "shop to prod: api 1.4.2"
