"""What reviewers read: golden bodies, and hostile text that changes nothing in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.environment import Waiver
from orchestrator.core.verdict import Result, Verdict
from orchestrator.forges.base import Comparison
from orchestrator.reports.pull_request import Known, block, title
from orchestrator.reports.rendered import diff_rendered
from tests.golden import assert_golden
from tests.hostile import HOSTILE
from tests.unit.reports import samples
from tests.unit.reports.test_markdown import rendered

WAIVERS = (
    Waiver("KUBECONFIG", "the runner is shared with the cluster team until June"),
    Waiver("~/.kube/config", "@everyone `this` | is <b>hostile</b>"),
)
EVERY_HOSTILE_TEXT = (*samples.HOSTILE_TEXTS, *HOSTILE.values())
COMING = samples.source_range(samples.commits_between(130), "api", "web")
BODIES = {
    "one-image": block(samples.ONE_PLAN, Known(samples.ONE)),
    "several-images": block(samples.SEVERAL_PLAN, Known(samples.SEVERAL, WAIVERS)),
    "built-elsewhere": block(samples.ELSEWHERE_PLAN, Known(samples.ELSEWHERE)),
    "found-on-the-branch": block(samples.ONE_PLAN, Known()),
    "everything-known": block(samples.ONE_PLAN, samples.ALL_KNOWN),
    "ten-images-over-three-environments": "\n---\n\n".join(
        block(samples.ten_images(name), Known(samples.TEN, sources=(COMING,))) + "\n"
        for name in ("dev", "staging", "prod")
    ).rstrip("\n"),
    "rendered-above-the-limit": block(
        samples.ONE_PLAN, replace(samples.ALL_KNOWN, rendered=samples.many_resources(60, 20)), 6_000
    ),
    "hostile-commit-titles": block(
        samples.ONE_PLAN,
        Known(samples.ONE, sources=(samples.source_range(samples.commits_between(6, tuple(samples.HOSTILE_TEXTS))),)),
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_reads_so(name: str) -> None:
    assert_golden(f"reports/{name}.md", BODIES[name] + "\n")


@pytest.mark.parametrize("number", range(len(samples.HOSTILE_TEXTS)))
def test_a_body_of_hostile_text_reads_so(number: int) -> None:
    release, plan = samples.hostile(samples.HOSTILE_TEXTS[number])
    assert_golden(f"reports/hostile-{number}.md", block(plan, Known(release)) + "\n")


@pytest.mark.parametrize("text", EVERY_HOSTILE_TEXT, ids=ascii)
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


# --- what more is known --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", EVERY_HOSTILE_TEXT, ids=ascii)
def test_hostile_text_acts_nowhere_in_what_more_is_known(text: str) -> None:
    page, plain = (rendered(block(samples.ONE_PLAN, _known_with(one))) for one in (text, "plain"))
    assert page.tags == plain.tags
    assert page.outside.split() == plain.outside.split()
    assert page.comments == []


def _known_with(text: str) -> Known:
    verdict = Verdict("command x", Result.WAIT, text, link=text, overridden=text)
    resources = diff_rendered({}, {f"v1 ConfigMap {text}": f"data: {text.splitlines()[0]}\n"})
    comparison = samples.commits_between(2, (text,), text)
    broken = tuple(replace(one, url=text) for one in comparison.commits)
    return Known(
        samples.ONE,
        verdicts=(verdict,),
        sources=(samples.source_range(replace(comparison, commits=broken, url=text), text),),
        run_url=text,
        rendered=resources,
    )


@pytest.mark.parametrize("room", [60_000, 20_000, 6_000, 3_000, 1_500])
def test_a_body_keeps_to_its_room_and_always_has_the_summary(room: int) -> None:
    known = replace(
        samples.ALL_KNOWN,
        release=samples.TEN,
        sources=(samples.source_range(samples.commits_between(400)),),
        rendered=samples.many_resources(200, 300),
    )
    plan = samples.ten_images("prod")
    text = block(plan, known, room)
    always = len(block(plan, replace(known, sources=(), rendered=None), 0))
    assert len(text) <= max(room, always)
    page = rendered(text)
    assert "Moves 40 image pins of" in page.outside
    assert all(str(image.repository) in page.codes for image in samples.TEN.pins)
    assert page.tags.count("details") == text.count("</details>")


def test_a_summary_of_very_many_images_gates_and_waivers_still_fits_the_forge() -> None:
    """GitHub refuses a longer body as a whole, and with it the pull request."""
    images = tuple(
        samples.moved(
            f"{'clusters/' * 9}{number}/{place}.yaml", 9, f"ghcr.io/a/{number:03}:1", samples.pinned(name, "2", fill)
        )
        for number in range(300)
        for name, fill in [(f"{'very-long-name-' * 6}{number:03}", f"{number:03}"[-2:])]
        for place in ("deployment", "job", "cron")
    )
    plan = replace(samples.ONE_PLAN, pins=images)
    verdicts = tuple(
        Verdict(f"soak {number}", Result.WAIT if number == 250 else Result.PASS, "x" * 290) for number in range(300)
    )
    known = Known(samples.ONE, tuple(Waiver(f"SIGNAL_{n}", "y" * 110) for n in range(300)), verdicts)
    text = block(plan, known, 60_000)
    assert len(text) <= 60_000
    assert len(block(plan, known, 100)) <= 24_000
    assert "And 2" in text.partition("Gates of this")[0], "images that are left out are counted"
    assert "`soak 250` | **wait**" in text, "what stands in the way is told first"


def test_what_is_cut_is_counted() -> None:
    text = block(samples.ONE_PLAN, replace(samples.ALL_KNOWN, rendered=samples.many_resources(160, 20)), 6_000)
    assert "Rendered, 160 resources change" in text
    assert "are left out" in text
    assert f"And {160 - text.count('shop/d')} more." in text


def test_a_body_gives_the_command_that_brings_everything_back() -> None:
    text = block(samples.ONE_PLAN, Known(samples.ONE))
    earlier = f"api=ghcr.io/acme/shop/api:1.4.1@sha256:{'0a' * 32}"
    assert f"hybrid-ci pin {earlier} --env prod/eu-1" in text
    assert "hybrid-ci pin" not in block(samples.SEVERAL_PLAN, Known(samples.SEVERAL))  # a tag names no bytes


def test_commits_that_get_lost_are_told() -> None:
    back = samples.source_range(Comparison(0, 3))
    both = samples.source_range(Comparison(2, 1))
    assert "**Goes back** by 3 commits" in block(samples.ONE_PLAN, Known(samples.ONE, sources=(back,)))
    assert "**and loses 1 commit**" in block(samples.ONE_PLAN, Known(samples.ONE, sources=(both,)))


def test_why_nothing_was_rendered_is_told_where_it_is_known() -> None:
    text = block(samples.ONE_PLAN, Known(samples.ONE, not_rendered="apps/shop can't be rendered: @everyone"))
    assert rendered(text).outside.count("@everyone") == 0


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


@pytest.mark.parametrize("text", EVERY_HOSTILE_TEXT, ids=ascii)
def test_no_text_from_outside_reaches_a_title(text: str) -> None:
    _, plan = samples.hostile(text)
    assert title(plan) == "shop to prod: api 1.4.2"
