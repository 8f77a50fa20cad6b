"""Progress for the eye (a terminal), for a log (plain lines) and for machines (JSON lines). All on stderr."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import IO, Protocol, TextIO, cast

from orchestrator.ci.commands import sections
from orchestrator.ci.environment import detect
from orchestrator.core.text import printable
from orchestrator.engine.events import Reporter
from orchestrator.reports.sections import SectionReporter

_PROGRESS_EVERY = 10.0  # seconds between progress lines in a log
_TAIL = 20  # lines of a failed stage, where its log was not shown


class ConsoleReporter(Reporter, Protocol):
    """A reporter that leaves the terminal as it found it."""

    def close(self) -> None:
        """The run is over."""


def make_reporter(
    log_format: str,
    *,
    quiet: bool,
    verbose: bool,
    stream: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
) -> ConsoleReporter:
    """The reporter for this run. ``auto`` is live on a terminal, sections in a CI that folds them, else plain lines."""
    out = stream or sys.stderr
    if log_format == "json":
        return JsonReporter(out, quiet=quiet)
    ci = detect(environment)
    if log_format == "auto" and not quiet and (folding := sections(ci.name)):
        return SectionReporter(out, folding)
    able = out.isatty() and environment.get("TERM") != "dumb"
    if quiet or log_format == "text" or not able or ci.is_ci:
        return TextReporter(out, quiet=quiet)
    from orchestrator.reports.live import LiveReporter  # rich takes its time to be imported

    return LiveReporter(cast("IO[str]", Steady(out)), colour=not environment.get("NO_COLOR"), verbose=verbose)


class _Output:
    """A stream that many threads write to. When its reader is gone the work goes on, and nobody is told of it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._gone = False
        self.lock = threading.Lock()

    def write(self, text: str) -> None:
        """Write at once; the caller holds the lock."""
        if self._gone:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except OSError:
            self._gone = True


class Steady(io.TextIOBase):
    """The same as a file, for those who want one."""

    def __init__(self, out: TextIO) -> None:
        self._file = out
        self._out = _Output(out)

    def write(self, text: str) -> int:
        """Write at once."""
        with self._out.lock:
            self._out.write(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def isatty(self) -> bool:
        """What the stream itself says."""
        return self._file.isatty()

    def fileno(self) -> int:
        """The stream's own, for its size."""
        return self._file.fileno()


class TextReporter:
    """Lines of text, each with its stage in front: parallel stages stay apart."""

    def __init__(self, out: TextIO, *, quiet: bool = False) -> None:
        self._out, self._quiet = _Output(out), quiet
        self._tails: dict[str, deque[str]] = {}
        self._last_progress = -_PROGRESS_EVERY

    def stage_started(self, stage: str) -> None:
        """``▸ build api``."""
        if self._quiet:
            self._tails[stage] = deque(maxlen=_TAIL)
        else:
            self._line(f"▸ {printable(stage)}")

    def stage_finished(self, stage: str, outcome: str, seconds: float) -> None:
        """``✓ build api  done in 1.2 s``; of one that failed, the end of what it said where that was not shown."""
        failed = outcome.startswith("failed")
        tail = self._tails.pop(stage, ())
        if self._quiet and not failed:
            return
        for line in tail:
            self._line(f"  {printable(stage)} | {line}")
        self._line(f"{'✗' if failed else '✓'} {printable(stage)}  {printable(outcome)} in {seconds:.1f} s")

    def log(self, stage: str, line: str) -> None:
        """The work's own output, prefixed."""
        text = printable(line).rstrip()
        if self._quiet and text and stage in self._tails:
            self._tails[stage].append(text)
        elif text and not self._quiet:
            self._line(f"  {printable(stage)} | {text}")

    def progress(self, stage: str, text: str) -> None:
        """A passing state: most of it is left out."""
        if not self._quiet and time.monotonic() - self._last_progress >= _PROGRESS_EVERY:
            self._last_progress = time.monotonic()
            self._line(f"  {printable(stage)} | {printable(text)}")

    def note(self, text: str) -> None:
        """Something to know."""
        if not self._quiet:
            self._line(f"  {printable(text)}")

    def warn(self, text: str) -> None:
        """Something to act on; shown even when quiet."""
        self._line(f"warning: {printable(text)}")

    def close(self) -> None:
        """Nothing is open."""

    def _line(self, text: str) -> None:
        with self._out.lock:
            self._out.write(f"{text}\n")


class JsonReporter:
    """One JSON object a line: ``{"event": …, "time": seconds since the epoch, …}``."""

    def __init__(self, out: TextIO, *, quiet: bool = False) -> None:
        self._out = _Output(out)
        self._quiet = quiet

    def stage_started(self, stage: str) -> None:
        """``stage-started``."""
        self._write("stage-started", stage=printable(stage))

    def stage_finished(self, stage: str, outcome: str, seconds: float) -> None:
        """``stage-finished``."""
        self._write("stage-finished", stage=printable(stage), outcome=printable(outcome), seconds=round(seconds, 3))

    def log(self, stage: str, line: str) -> None:
        """``log``."""
        self._write("log", stage=printable(stage), line=printable(line).rstrip())

    def progress(self, stage: str, text: str) -> None:
        """``progress``."""
        self._write("progress", stage=printable(stage), text=printable(text))

    def note(self, text: str) -> None:
        """``note``."""
        self._write("note", text=printable(text))

    def warn(self, text: str) -> None:
        """``warning``."""
        self._write("warning", text=printable(text))

    def close(self) -> None:
        """Nothing is open."""

    def _write(self, event: str, **fields: object) -> None:
        if self._quiet and event != "warning" and not str(fields.get("outcome", "")).startswith("failed"):
            return
        line = json.dumps({"event": event, "time": round(time.time(), 3), **fields}, ensure_ascii=False)
        with self._out.lock:
            self._out.write(line + "\n")
