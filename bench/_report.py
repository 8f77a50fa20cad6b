"""What all benchmarks share: timing two things fairly, a table for people, and the last line for machines."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def interleaved(subjects: Mapping[str, Callable[[], object]], *, runs: int, warm_up: int = 2) -> dict[str, list[float]]:
    """Seconds of each run of each subject, in turn, so that a busy moment of the machine hits all of them alike."""
    for subject in subjects.values():
        for _ in range(warm_up):
            subject()
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(runs):
        for name, subject in subjects.items():
            begin = time.perf_counter()
            subject()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def ratio(subject: Sequence[float], baseline: Sequence[float]) -> float:
    """How many times the baseline's median the subject's median is."""
    return statistics.median(subject) / statistics.median(baseline)


def milliseconds(seconds: Sequence[float]) -> str:
    """``median (fastest - slowest)``."""
    return f"{statistics.median(seconds) * 1e3:.1f} ({min(seconds) * 1e3:.1f} - {max(seconds) * 1e3:.1f})"


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they need to be: the first to the left, the others to the right."""
    cells = [list(headings), *[[_text(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    lines = ["  ".join(_padded(row, widths)).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def finish(name: str, figures: Mapping[str, float | int], digits: int = 2) -> None:
    """Print the last line: one JSON object with the figures that are compared."""
    rounded = {key: round(value, digits) for key, value in figures.items()}
    print(json.dumps({"name": name, "figures": rounded}), flush=True)


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _text(cell: object) -> str:
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
