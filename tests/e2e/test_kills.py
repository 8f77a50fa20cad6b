"""A release that is ended before or after any stage, by any signal, and run again.

Over the real engine and registry. Whatever happened, there is one pull request in the end, one digest an image, and
nothing left. Every case releases the same commit, so that builds come from the engine's cache.
"""

from __future__ import annotations

import signal

import pytest

from tests.e2e.small import Small, gone_soon, left_in_engine

pytestmark = pytest.mark.engine

STAGES = (
    "preflight", "lint", "build base", "build app", "test app/unit", "integration", "push base", "push app",
    "hand off to dev",
)  # fmt: skip
BEFORE = [("stage-started", stage) for stage in STAGES]
AFTER = [("stage-finished", stage) for stage in STAGES]
CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}

at_every_effect = pytest.mark.parametrize(
    ("event", "stage"),
    [*BEFORE, *AFTER],
    ids=[*(f"before {stage}" for stage in STAGES), *(f"after {stage}" for stage in STAGES)],
)
on_the_way = pytest.mark.parametrize("points", [BEFORE, AFTER], ids=["before", "after"])


@pytest.mark.scenario(number=73)
@at_every_effect
def test_sigkill_at_every_effect(small: Small, engine_host: str, event: str, stage: str) -> None:
    pid = broken_off(small, engine_host, signal.SIGKILL, event, stage)
    small.finishes()
    assert left_in_engine(engine_host, pid) == []


@pytest.mark.scenario(number=74)
@on_the_way
def test_sigterm_at_every_effect(small: Small, engine_host: str, points: list[tuple[str, str]]) -> None:
    taken_up_again_and_again(small, engine_host, signal.SIGTERM, points)


@pytest.mark.scenario(number=74)
@on_the_way
def test_sigint_at_every_effect(small: Small, engine_host: str, points: list[tuple[str, str]]) -> None:
    taken_up_again_and_again(small, engine_host, signal.SIGINT, points)


@pytest.mark.scenario(number=75)
def test_sigkill_twice_then_run(small: Small, engine_host: str) -> None:
    first = broken_off(small, engine_host, signal.SIGKILL, "stage-started", "integration")
    second = broken_off(small, engine_host, signal.SIGKILL, "stage-started", "push app")
    small.finishes()
    assert left_in_engine(engine_host, first) + left_in_engine(engine_host, second) == []


def taken_up_again_and_again(
    small: Small, engine_host: str, number: signal.Signals, points: list[tuple[str, str]]
) -> None:
    """Each run takes up what the one before left, gets past where that ended, and is ended a stage later."""
    for event, stage in points:
        broken_off(small, engine_host, number, event, stage)
    small.finishes()


def broken_off(small: Small, engine_host: str, number: signal.Signals, event: str, stage: str) -> int:
    """End a release there; nothing of it lives on. Its process id."""
    broken = small.ended_by(number, event, stage)

    point = f"{number.name} at {event} {stage}"
    over = (event, stage) == AFTER[-1]  # it may be through before the signal comes
    assert broken.code in ({CODES[number], 0} if over else {CODES[number]}), (point, broken.said)
    assert broken.seconds < 5, point
    assert gone_soon(small.mark), f"a child of a stage lives on after {point}"
    assert small.at_most_one_pull_request(), point
    assert not (small.app / ".git/index.lock").exists(), point
    if number is not signal.SIGKILL:
        assert left_in_engine(engine_host, broken.pid) == [], point
        assert not list(small.tmp.glob("hybrid-ci-*")), f"a temporary file is left after {point}"
        if stage != "preflight" and not over:
            told = any("interrupted; " in line and "Run it again" in line for line in broken.said)
            assert told, (point, broken.said[-3:])
    return broken.pid
