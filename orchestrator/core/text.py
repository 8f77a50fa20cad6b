"""Text from outside, made harmless for a terminal or a log: no control characters, no hidden direction."""

from __future__ import annotations

import re

# C0 and C1 controls but tab and newline, the bidirectional controls of Unicode TR9, characters without a width, line
# separators, tag characters, and the lone surrogates that stand for bytes which are not UTF-8.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def printable(text: str, *, keep_newlines: bool = False) -> str:
    """The text without escape sequences, control and direction characters."""
    text = _ANSI.sub("", text)
    if not keep_newlines:
        text = text.replace("\r\n", " ").replace("\n", " ")
    return _HARMFUL.sub("", text)
