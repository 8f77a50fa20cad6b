"""Text from outside, made harmless."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.text import printable

# Bidi_Control of Unicode's PropList.txt
BIDI = ["\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))]
HIDDEN = ["\u00ad", "\u180e", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\U000e0001", "\U000e0041"]


@pytest.mark.parametrize("character", BIDI + HIDDEN, ids=ascii)
def test_characters_that_turn_or_hide_text_are_taken_out(character: str) -> None:
    assert printable(f"a{character}b") == "ab"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünï 日本 🎉", "plain ünï 日本 🎉"),
        ("tab\there", "tab\there"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b\x1b[0m[31mnested", "[31mnested"),
        ("over\rwritten", "overwritten"),
        ("back\x08space", "backspace"),
        ("bell\x07", "bell"),
        ("one\ntwo", "one two"),
        ("one\r\ntwo", "one two"),
        ("nul\0", "nul"),
        ("c1 \x9b31m", "c1 31m"),
        ("line\u2028para\u2029", "linepara"),
        ("bytes \udcff\udc80", "bytes "),
        ("", ""),
    ],
    ids=ascii,
)
def test_what_could_act_on_a_terminal_is_taken_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_newlines_stay_where_they_are_wanted() -> None:
    assert printable("one\r\ntwo\n\x1b[1mthree\n", keep_newlines=True) == "one\ntwo\nthree\n"


@given(st.text() | st.text("\x1b[]0;m\x07\\\n\r\u202e\x9b", max_size=20))
def test_nothing_harmful_is_left_whatever_comes(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    assert all(c == "\t" or unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    assert not set(shown) & {*BIDI, *HIDDEN}
    assert shown.splitlines() in ([], [shown])
