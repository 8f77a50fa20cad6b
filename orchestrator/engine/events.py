"""What a run says while it works. Pipelines and adapters tell a Reporter; reports/ decides how it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Reporter(Protocol):
    """Takes progress. Every text may come from outside: implementations redact and escape it."""

    def stage_started(self, stage: str) -> None:
        """A stage begins: ``build api``."""

    def stage_finished(self, stage: str, outcome: str, seconds: float) -> None:
        """It ended: ``done``, ``skipped``, ``failed`` or a short sentence that starts with one of them."""

    def log(self, stage: str, line: str) -> None:
        """One line of the work's own output (a build log, a test's output)."""

    def progress(self, stage: str, text: str) -> None:
        """A passing state (bytes pushed); a terminal overwrites it, a log file leaves most of it out."""

    def note(self, text: str) -> None:
        """Something the reader should know."""

    def warn(self, text: str) -> None:
        """Something the reader should act on."""


class SilentReporter:
    """Says nothing; the default for library use."""

    def stage_started(self, stage: str) -> None:
        """Nothing."""

    def stage_finished(self, stage: str, outcome: str, seconds: float) -> None:
        """Nothing."""

    def log(self, stage: str, line: str) -> None:
        """Nothing."""

    def progress(self, stage: str, text: str) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """Nothing."""


@contextmanager
def stage(reporter: Reporter, name: str, monotonic: Callable[[], float]) -> Iterator[StageOutcome]:
    """Report a block of work as a stage; it ends as ``failed`` when the block raises."""
    outcome = StageOutcome()
    started = monotonic()
    reporter.stage_started(name)
    try:
        yield outcome
    except BaseException:
        reporter.stage_finished(name, "failed", monotonic() - started)
        raise
    reporter.stage_finished(name, outcome.text, monotonic() - started)


class StageOutcome:
    """What a stage says about its end; set ``text`` when plain ``done`` is not the whole story."""

    def __init__(self) -> None:
        self.text = "done"
