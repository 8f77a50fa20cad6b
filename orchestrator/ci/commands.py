"""The language in which a log speaks to its CI: sections, annotations, masks. And how other text is kept from it.

GitHub's runner obeys a line that begins with ``::``, and ``##[…]`` wherever it stands in a line, on stdout and stderr
alike (https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands). GitLab's obeys escape
sequences (https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.core.text import printable

GITHUB, GITLAB = "github", "gitlab"
# Where .NET, which reads GitHub's log, sees a line begin; then blanks of any kind.
_GITHUB_LINE = re.compile(r"((?:^|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029])[^\S\r\n]*):(?=:)")
_GITHUB_INLINE = re.compile(r"##(?=\[)")
# C0 but tab and ends of lines, DEL and C1; the bidirectional controls of Unicode TR9. Surrogates stay: stdout writes
# them as the bytes they stand for.
_ACTING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NOT_A_SECTION = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_MESSAGE = 4000


def tame(name: str | None) -> Callable[[str], str] | None:
    """What makes text that is not ours harmless in the log of this CI; None where the reader is a person."""
    if name is None:
        return None
    return _tame_for_github if name == GITHUB else _without_controls


def _without_controls(text: str) -> str:
    return _ACTING.sub("", text)


def _tame_for_github(text: str) -> str:
    return _GITHUB_INLINE.sub("# #", _GITHUB_LINE.sub(r"\1: ", _without_controls(text)))


@dataclass(frozen=True, slots=True)
class Sections:
    """How the log of a CI is folded. ``moment`` is seconds since the epoch; ``number`` makes a name unique."""

    name: str

    def begin(self, title: str, number: int, moment: float) -> str:
        """The line that opens a section."""
        if self.name == GITHUB:
            return github_command("group", title)
        section = self._section(title, number)
        return f"\x1b[0Ksection_start:{int(moment)}:{section}[collapsed=true]\r\x1b[0K{printable(title)}\n"

    def end(self, title: str, number: int, moment: float) -> str:
        """The line that closes it; what comes next stands outside."""
        if self.name == GITHUB:
            return github_command("endgroup", "")
        return f"\x1b[0Ksection_end:{int(moment)}:{self._section(title, number)}\r\x1b[0K\n"

    @staticmethod
    def _section(title: str, number: int) -> str:
        return f"{_NOT_A_SECTION.sub('_', printable(title))[:60]}_{number}"


def sections(name: str | None) -> Sections | None:
    """How this CI folds its log; None where it does not."""
    return Sections(name) if name in (GITHUB, GITLAB) else None


def github_command(command: str, message: str, **properties: str | int | None) -> str:
    """One workflow command as a line. Neither the message nor a property can end it."""
    told = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items() if value is not None)
    return (
        f"::{command}{' ' if told else ''}{told}::{_data(printable(message, keep_newlines=True)[:_LONGEST_MESSAGE])}\n"
    )


def github_mask(value: str) -> str:
    """The command by which GitHub's log hides this value from now on, exactly as it is."""
    return f"::add-mask::{_data(value)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")
