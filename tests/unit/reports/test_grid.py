"""Tables of cells with several lines: laid out plainly, painted afterwards."""

from __future__ import annotations

import pytest

from orchestrator.reports.grid import Cell, Tone, coloured, fits, lines_of, painter, plain, transposed, wrapped

ROWS = [
    [Cell.of(""), Cell.of(("dev", Tone.HEAD)), Cell.of(("production", Tone.HEAD))],
    [Cell.of("api"), Cell.of("1.2", ("2h", Tone.FAINT)), Cell.of("1.1")],
]


def test_columns_are_as_wide_as_their_longest_line_and_nothing_trails() -> None:
    assert lines_of(ROWS, plain, spaced=True) == ["     dev  production", "", "api  1.2  1.1", "     2h"]


def test_a_table_fits_up_to_its_very_width() -> None:
    width = max(map(len, lines_of(ROWS, plain)))
    assert fits(ROWS, width)
    assert not fits(ROWS, width - 1)


def test_transposing_twice_changes_nothing() -> None:
    assert transposed(transposed(ROWS)) == ROWS
    assert lines_of(transposed(ROWS), plain)[0] == "            api"


def test_colours_do_not_move_the_columns() -> None:
    told = lines_of(ROWS, coloured)
    assert "\x1b[1mdev\x1b[0m" in told[0]
    bare = [line.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[2m", "") for line in told]
    assert bare == lines_of(ROWS, plain)


def test_what_does_not_fit_stands_below_where_it_began() -> None:
    assert wrapped("  why: ", "one two three four five six seven eight", 30) == [
        "  why: one two three four five",
        "       six seven eight",
    ]
    assert wrapped("x ", "", 80) == ["x "]


def test_nothing_in_a_cell_or_a_text_acts_on_a_terminal() -> None:
    hostile = "\x1b[31mred\x1b[0m\u202e\x07\nnext"
    cell = Cell.of(hostile)
    told = "".join([*lines_of([[cell]], plain), *wrapped("", hostile, 80)])
    assert not set(told) & set("\x1b\u202e\x07\n")


class Terminal:
    """A stream that says what it is."""

    def __init__(self, tty: bool) -> None:
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("tty", "environment", "expected"),
    [
        (True, {"TERM": "xterm"}, coloured),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, plain),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, coloured),
        (True, {"TERM": "dumb"}, plain),
        (False, {"TERM": "xterm"}, plain),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    tty: bool, environment: dict[str, str], expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", Terminal(tty))
    assert painter(environment) is expected
