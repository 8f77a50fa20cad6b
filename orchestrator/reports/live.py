"""Progress on a terminal: what is done stays, and below it a line for each stage that is under way."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import IO

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from orchestrator.ci.redact import redactor
from orchestrator.core.text import printable

TAIL = 20  # lines of a stage that are shown when it failed
_REFRESH = 8  # times a second
_MOST_LANES = 12


@dataclass
class _Lane:
    """A stage that is under way: since when, and what it said last."""

    began: float
    said: str = ""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))


class LiveReporter:
    """Satisfies Reporter on a terminal. The lower part of the screen is drawn anew all the time, and gone at the end.

    Every text is masked before anything cuts it: the stream would not recognise half a secret.
    """

    def __init__(self, out: IO[str], *, colour: bool, verbose: bool = False, width: int | None = None) -> None:
        self._console = Console(
            file=out, force_terminal=True, no_color=not colour, highlight=False, markup=False, emoji=False, width=width
        )
        self._verbose = verbose
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.RLock()
        self._live: Live | None = None

    def stage_started(self, stage: str) -> None:
        """A line of its own, as long as it runs."""
        with self._lock:
            self._lanes[stage] = _Lane(time.monotonic())
            begin = self._live is None
            if begin:
                self._live = Live(
                    get_renderable=self._view, console=self._console, refresh_per_second=_REFRESH, transient=True
                )
            live = self._live
        if begin and live is not None:
            live.start()

    def stage_finished(self, stage: str, outcome: str, seconds: float) -> None:
        """``✓ build api  done in 1.2 s``; of one that failed, the end of what it said."""
        failed = outcome.startswith("failed")
        with self._lock:
            lane = self._lanes.pop(stage, None)
            over = not self._lanes
        if failed and lane is not None and not self._verbose:
            for line in lane.tail:
                self._print(f"  {stage} | {line}", style="dim")
        mark, style = ("✗ ", "red") if failed else ("✓ ", "green")
        self._print(f"{stage}  {outcome} in {seconds:.1f} s", mark=mark, mark_style=style)
        if over:
            self.close()

    def log(self, stage: str, line: str) -> None:
        """The newest line stands behind its stage; all of them above when verbose."""
        text = _clean(line).rstrip()
        if not text:
            return
        with self._lock:
            if lane := self._lane(stage):
                lane.said = text
                lane.tail.append(text)
        if self._verbose:
            self._print(f"  {stage} | {text}", style="dim")

    def progress(self, stage: str, text: str) -> None:
        """A passing state, behind its stage."""
        with self._lock:
            if lane := self._lane(stage):
                lane.said = _clean(text)

    def note(self, text: str) -> None:
        """Something to know."""
        self._print(f"  {text}")

    def warn(self, text: str) -> None:
        """Something to act on."""
        self._print(text, mark="warning: ", mark_style="yellow")

    def close(self) -> None:
        """Take the lower part off the screen, and give the cursor back. Closing twice does nothing."""
        with self._lock:
            live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _lane(self, stage: str) -> _Lane | None:
        """The line of this stage, or of the one that it is a part of (``test api`` of ``test api/unit``)."""
        return self._lanes.get(stage) or self._lanes.get(stage.rpartition("/")[0])

    def _print(self, text: str, *, style: str = "", mark: str = "", mark_style: str = "") -> None:
        """A line that stays. Never under our own lock: rich asks for the view while it holds its own."""
        line = Text(mark, style=mark_style)
        line.append(_clean(text), style=style or None)
        self._console.print(line, soft_wrap=True)

    def _view(self) -> Group:
        with self._lock:
            lanes = list(self._lanes.items())
        table = Table.grid(padding=(0, 1))
        for _ in range(3):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for stage, lane in lanes[:_MOST_LANES]:
            seconds = f"{time.monotonic() - lane.began:.0f} s"
            table.add_row(lane.spinner, Text(_clean(stage), style="bold"), Text(seconds), Text(lane.said, style="dim"))
        more = len(lanes) - _MOST_LANES
        return Group(table, *([Text(f"  and {more} more")] if more > 0 else []))


def _clean(text: str) -> str:
    return printable(redactor(text))
