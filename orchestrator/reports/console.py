"""Progress for the eye (a terminal), for a log (plain lines) and for machines (JSON lines). All on stderr."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import TextIO

from orchestrator.ci.environment import detect
from orchestrator.ci.redact import redactor
from orchestrator.core.text import printable
from orchestrator.engine.events import Reporter

_PROGRESS_EVERY = 10.0  # seconds between progress lines in a log


def make_reporter(
    log_format: str,
    *,
    quiet: bool,
    verbose: bool,
    stream: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Reporter:
    """The reporter for this run. ``auto`` is live on a terminal and plain lines elsewhere, and in CI."""
    out = stream or sys.stderr
    if log_format == "json":
        return JsonReporter(out, quiet=quiet)
    able = out.isatty() and environment.get("TERM") != "dumb"
    live = log_format == "auto" and able and not detect(environment).is_ci
    colour = live and not environment.get("NO_COLOR")
    return TextReporter(out, live=live, colour=colour, quiet=quiet, verbose=verbose)


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


class TextReporter:
    """Lines of text. Live, the newest progress is overwritten in place; a finished build's log folds away."""

    def __init__(
        self, out: TextIO, *, live: bool = False, colour: bool = False, quiet: bool = False, verbose: bool = False
    ) -> None:
        self._out, self._live, self._colour = _Output(out), live, colour
        self._quiet, self._verbose = quiet, verbose
        self._transient = False
        self._last_progress = -_PROGRESS_EVERY

    def stage_started(self, stage: str) -> None:
        """``▸ build api``."""
        if not self._quiet:
            self._line(self._paint("1", f"▸ {printable(stage)}"))

    def stage_finished(self, stage: str, outcome: str, seconds: float) -> None:
        """``✓ build api  done in 1.2 s``."""
        failed = outcome.startswith("failed")
        if self._quiet and not failed:
            return
        mark = self._paint("31", "✗") if failed else self._paint("32", "✓")
        self._line(f"{mark} {printable(stage)}  {printable(outcome)} in {seconds:.1f} s")

    def log(self, stage: str, line: str) -> None:
        """The work's own output, prefixed; on a terminal only the newest line stays, unless verbose."""
        if self._quiet:
            return
        text = printable(line).rstrip()
        if self._live and not self._verbose:
            self._overwrite(f"  {text}")
        elif text:
            self._line(f"  {self._paint('2', printable(stage) + ' |')} {text}")

    def progress(self, stage: str, text: str) -> None:
        """A passing state."""
        if self._quiet:
            return
        if self._live:
            self._overwrite(f"  {printable(text)}")
        elif time.monotonic() - self._last_progress >= _PROGRESS_EVERY:
            self._last_progress = time.monotonic()
            self._line(f"  {printable(stage)} | {printable(text)}")

    def note(self, text: str) -> None:
        """Something to know."""
        if not self._quiet:
            self._line(f"  {printable(text)}")

    def warn(self, text: str) -> None:
        """Something to act on; shown even when quiet."""
        self._line(f"{self._paint('33', 'warning:')} {printable(text)}")

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _line(self, text: str) -> None:
        with self._out.lock:
            clear = "\r\x1b[2K" if self._transient else ""
            self._transient = False
            self._out.write(f"{clear}{text}\n")

    def _overwrite(self, text: str) -> None:
        # Redacted before it is cut: the stream would not recognise half a secret.
        shown = redactor(text)[: _terminal_width() - 1]
        with self._out.lock:
            self._out.write("\r\x1b[2K" + shown)
            self._transient = True


def _terminal_width() -> int:
    try:
        return os.get_terminal_size(2).columns
    except OSError:
        return 80


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

    def _write(self, event: str, **fields: object) -> None:
        if self._quiet and event != "warning" and not str(fields.get("outcome", "")).startswith("failed"):
            return
        line = json.dumps({"event": event, "time": round(time.time(), 3), **fields}, ensure_ascii=False)
        with self._out.lock:
            self._out.write(line + "\n")
