"""Stages tell a reporter how they begin and end."""

from __future__ import annotations

import pytest

from orchestrator.engine.events import SilentReporter, stage
from tests.simulators.clock import FakeClock


class Listener(SilentReporter):
    """Remembers what it is told about stages."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def stage_started(self, stage: str) -> None:
        self.heard.append(("started", stage))

    def stage_finished(self, stage: str, outcome: str, seconds: float) -> None:
        self.heard.append(("finished", stage, outcome, seconds))


def test_a_stage_ends_as_done_with_its_seconds() -> None:
    listener, clock = Listener(), FakeClock()
    with stage(listener, "build api", clock.monotonic):
        clock.advance(1.5)
    assert listener.heard == [("started", "build api"), ("finished", "build api", "done", 1.5)]


def test_a_stage_may_say_more_about_its_end() -> None:
    listener = Listener()
    with stage(listener, "push api", FakeClock().monotonic) as ending:
        ending.text = "done, sha256:0123 proven"
    assert listener.heard[-1][2] == "done, sha256:0123 proven"


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_a_stage_that_raises_ends_as_failed_and_the_error_goes_on(error: BaseException) -> None:
    listener, clock = Listener(), FakeClock()
    with pytest.raises(type(error)), stage(listener, "test api", clock.monotonic) as ending:
        ending.text = "done anyway"
        clock.advance(2)
        raise error
    assert listener.heard[-1] == ("finished", "test api", "failed", 2.0)


def test_the_silent_reporter_takes_everything(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = SilentReporter()
    reporter.stage_started("s")
    reporter.stage_finished("s", "done", 1.0)
    reporter.log("s", "line")
    reporter.progress("s", "text")
    reporter.note("text")
    reporter.warn("text")
    assert capsys.readouterr() == ("", "")
