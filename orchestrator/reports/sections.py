"""Progress in the log of a CI that folds: each stage is a section of its own, also when many run at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from orchestrator.ci.commands import Sections
from orchestrator.core.text import printable

_QUIET_SECONDS = 30.0  # between signs of life of stages whose section is not open yet


@dataclass
class _Section:
    """A stage under way, and what it said while another one's section was open."""

    title: str
    number: int
    kept: list[str] = field(default_factory=list)
    ending: str | None = None


class SectionReporter:
    """A section can't be inside another, so one stage writes live and the others wait for their turn.

    When the stage whose section is open ends, those that have ended meanwhile are written as a whole, and then the
    oldest of those that still run goes on live. Nothing is lost when the run is cut: ``close`` writes what waits.
    """

    def __init__(
        self,
        out: TextIO,
        sections: Sections,
        *,
        moment: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out, self._sections = out, sections
        self._moment, self._monotonic = moment, monotonic
        self._running: dict[str, _Section] = {}
        self._live: _Section | None = None
        self._number = 0
        self._gone = False
        self._last_progress = -_QUIET_SECONDS
        self._lock = threading.RLock()

    def stage_started(self, stage: str) -> None:
        """Its section opens, when no other one is open."""
        with self._lock:
            self._number += 1
            section = self._running[stage] = _Section(stage, self._number)
            if self._live is None:
                self._open(section)

    def stage_finished(self, stage: str, outcome: str, seconds: float) -> None:
        """The section closes; the verdict stands below it, where nothing is folded."""
        failed = outcome.startswith("failed")
        verdict = f"{'✗' if failed else '✓'} {printable(stage)}  {printable(outcome)} in {seconds:.1f} s"
        with self._lock:
            section = self._running.get(stage) or _Section(stage, 0)
            section.ending = verdict
            if section is self._live:
                self._close(section)
                self._next()
            elif stage not in self._running:
                self._text(verdict)

    def log(self, stage: str, line: str) -> None:
        """The work's own output."""
        text = printable(line).rstrip()
        if text:
            self._tell(stage, f"  {printable(stage)} | {text}")

    def progress(self, stage: str, text: str) -> None:
        """A passing state: most of it is left out."""
        with self._lock:
            if self._monotonic() - self._last_progress >= _QUIET_SECONDS:
                self._last_progress = self._monotonic()
                self._tell(stage, f"  {printable(stage)} | {printable(text)}")

    def note(self, text: str) -> None:
        """Something to know."""
        with self._lock:
            self._text(f"  {printable(text)}")

    def warn(self, text: str) -> None:
        """Something to act on."""
        with self._lock:
            self._text(f"warning: {printable(text)}")

    def close(self) -> None:
        """The run is over, however it ended: every section is written and closed."""
        with self._lock:
            for section in list(self._running.values()):
                if section is not self._live:
                    continue
                self._close(section)
            for section in list(self._running.values()):
                self._open(section)
                self._close(section)

    def _tell(self, stage: str, line: str) -> None:
        with self._lock:
            section = self._running.get(stage)
            if section is None or section is self._live:
                self._text(line)
            else:
                section.kept.append(line)

    def _next(self) -> None:
        """Those that waited: the ended ones as a whole, then the oldest that runs."""
        for section in [one for one in self._running.values() if one.ending is not None]:
            self._open(section)
            self._close(section)
        if running := next(iter(self._running.values()), None):
            self._open(running)

    def _open(self, section: _Section) -> None:
        self._live = section
        self._command(self._sections.begin(printable(section.title), section.number, self._moment()))
        for line in section.kept:
            self._text(line)
        section.kept.clear()

    def _close(self, section: _Section) -> None:
        self._command(self._sections.end(section.title, section.number, self._moment()))
        self._live = None
        self._running.pop(section.title, None)
        if section.ending is not None:
            self._text(section.ending)

    def _text(self, line: str) -> None:
        self._write(self._out.write, f"{line}\n")

    def _command(self, line: str) -> None:
        self._write(getattr(self._out, "command", self._out.write), line)

    def _write(self, write: Callable[[str], object], text: str) -> None:
        """When the reader is gone the work goes on, and nobody is told of it."""
        if self._gone:
            return
        try:
            write(text)
            self._out.flush()
        except OSError:
            self._gone = True
