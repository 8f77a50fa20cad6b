"""What a CI's log obeys: ours gets through, nobody else's does."""

from __future__ import annotations

import io
import re

import pytest

from orchestrator.ci.commands import github_command, github_mask, sections, tame
from orchestrator.ci.redact import RedactingStream
from orchestrator.core.secret import Redactor, Secret, spellings
from tests.hostile import HOSTILE

# As GitHub's runner reads a log: https://github.com/actions/runner, ActionCommand.cs
_LINES = re.compile(r"\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def commands_in(log: str) -> list[str]:
    """The lines that the runner would take for a command."""
    return [line for line in _LINES.split(log) if line.lstrip().startswith("::") or "##[" in line]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["github", "gitlab", "jenkins", "ci"])
def test_text_from_outside_says_nothing_to_the_ci(text: str, name: str) -> None:
    out = io.StringIO()
    stream = RedactingStream(out, Redactor(), tame(name))
    stream.write(f"{text}\n before {text}\n")
    stream.write(text)
    stream.flush()
    log = out.getvalue()
    assert "\x1b" not in log
    assert "\x9b" not in log
    assert "\u202e" not in log
    if name == "github":
        assert commands_in(log) == []


def test_commands_that_are_hostile_are_found_by_the_test_itself() -> None:
    raw = "\n".join(HOSTILE.values())
    assert len(commands_in(raw)) >= 8


def test_harmless_text_stays_as_it_is() -> None:
    text = "a::b c: d\tx\r\n std::vector ✓ ünï #[x] ## heading\n\udcff\n"
    for name in ("github", "gitlab"):
        made = tame(name)
        assert made is not None
        assert made(text) == text


def test_a_person_gets_everything_as_it_is() -> None:
    assert tame(None) is None


def test_our_own_command_goes_past_and_stands_on_a_line_of_its_own() -> None:
    out = io.StringIO()
    stream = RedactingStream(out, Redactor([Secret("hunter2hunter2", "$X")]), tame("github"))
    stream.write("::error::theirs, and no end of line")
    stream.command(github_command("error", "ours, hunter2hunter2"))
    assert commands_in(out.getvalue()) == ["::error::ours, ***"]
    assert len(out.getvalue().splitlines()) == 2


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_neither_a_message_nor_a_property_ends_a_command(text: str) -> None:
    line = github_command("error", text, file=text, line=3, title=text)
    assert line.endswith("\n")
    (only,) = commands_in(line)
    properties, _, _ = only.removeprefix("::error ").partition("::")
    assert [part.partition("=")[0] for part in properties.split(",")] == ["file", "line", "title"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_a_sections_title_stays_a_title(text: str, name: str) -> None:
    folding = sections(name)
    assert folding is not None
    opening, closing = folding.begin(text, 1, 5.9), folding.end(text, 1, 7.0)
    if name == "github":
        assert len(commands_in(opening)) == 1
        assert commands_in(opening)[0].startswith("::group::")
        assert closing == "::endgroup::\n"
        return
    start = re.fullmatch(
        r"\x1b\[0Ksection_start:5:([\w.-]+)\[collapsed=true\]\r\x1b\[0K[^\x1b\r\n]*\n", opening, re.DOTALL
    )
    assert start
    assert closing == f"\x1b[0Ksection_end:7:{start[1]}\r\x1b[0K\n"


def test_where_nothing_folds_there_are_no_sections() -> None:
    assert sections("jenkins") is None
    assert sections(None) is None


def test_a_mask_says_the_value_exactly() -> None:
    assert github_mask("a%b\nc") == "::add-mask::a%25b%0Ac\n"


def test_every_form_of_a_secret_is_masked_before_anything_is_said() -> None:
    out = io.StringIO()
    redact = Redactor()
    stream = RedactingStream(out, redact, tame("github"))
    redact.on_add = stream.mask
    secret = Secret("canary-of-masks-0123456789", "$X")
    redact.add(secret)
    stream.write(f"{secret.reveal()}\n")
    told, said = out.getvalue().splitlines()[:-1], out.getvalue().splitlines()[-1]
    assert said == "***"
    assert {line.removeprefix("::add-mask::") for line in told} == set(spellings(secret.reveal()))
