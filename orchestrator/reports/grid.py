"""Tables for a terminal whose cells have several lines: laid out plainly, then painted."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.text import printable

_GAP = "  "
_NARROWEST = 40


class Tone(StrEnum):
    """What a text is like, by which a terminal may colour it (ECMA-48, SGR)."""

    PLAIN = ""
    HEAD = "1"
    GOOD = "32"
    WARN = "33"
    BAD = "31"
    FAINT = "2"


Paint = Callable[[str, Tone], str]


@dataclass(frozen=True, slots=True)
class Cell:
    """The lines of one cell, each with its tone."""

    lines: tuple[tuple[str, Tone], ...] = ()

    @classmethod
    def of(cls, *lines: str | tuple[str, Tone]) -> Cell:
        """Lines without a tone are plain; nothing in them can act on a terminal."""
        pairs = (line if isinstance(line, tuple) else (line, Tone.PLAIN) for line in lines)
        return cls(tuple((printable(text), tone) for text, tone in pairs))

    @property
    def width(self) -> int:
        """Of its longest line."""
        return max((len(text) for text, _ in self.lines), default=0)


Row = Sequence[Cell]


def plain(text: str, tone: Tone) -> str:
    """No colours."""
    return text


def coloured(text: str, tone: Tone) -> str:
    """The text in its tone."""
    return f"\x1b[{tone}m{text}\x1b[0m" if tone and text else text


def painter(environment: Mapping[str, str] | None = None) -> Paint:
    """Colours where the standard output is a terminal that has them, and nobody asked for none."""
    known = os.environ if environment is None else environment
    able = sys.stdout.isatty() and known.get("TERM") != "dumb"
    return coloured if able and not known.get("NO_COLOR") else plain


def terminal_width() -> int:
    """The columns of the terminal, or 80; ``COLUMNS`` says otherwise."""
    return max(_NARROWEST, shutil.get_terminal_size((80, 24)).columns)


def widths_of(rows: Sequence[Row]) -> list[int]:
    """How wide each column has to be."""
    return [max(row[column].width for row in rows) for column in range(len(rows[0]))]


def fits(rows: Sequence[Row], width: int) -> bool:
    """The table is no wider."""
    widths = widths_of(rows)
    return sum(widths) + len(_GAP) * (len(widths) - 1) <= width


def transposed(rows: Sequence[Row]) -> list[list[Cell]]:
    """Columns become rows."""
    return [list(column) for column in zip(*rows, strict=True)]


def lines_of(rows: Sequence[Row], paint: Paint, *, spaced: bool = False) -> list[str]:
    """The table as lines; ``spaced`` puts an empty one before each row but the first."""
    widths = widths_of(rows)
    lines: list[str] = []
    for number, row in enumerate(rows):
        if spaced and number:
            lines.append("")
        for height in range(max(len(cell.lines) for cell in row)):
            parts = [_part(cell, height, width, paint) for cell, width in zip(row, widths, strict=True)]
            lines.append(_GAP.join(parts).rstrip())
    return lines


def wrapped(head: str, text: str, width: int) -> list[str]:
    """The text behind its head; what does not fit stands below it, in line with where it began."""
    room = max(_NARROWEST // 2, width - len(head))
    pieces = textwrap.wrap(printable(text), room, break_long_words=False, break_on_hyphens=False) or [""]
    return [(head if not number else " " * len(head)) + piece for number, piece in enumerate(pieces)]


def _part(cell: Cell, height: int, width: int, paint: Paint) -> str:
    text, tone = cell.lines[height] if height < len(cell.lines) else ("", Tone.PLAIN)
    return paint(text, tone) + " " * (width - len(text))
