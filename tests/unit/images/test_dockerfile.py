"""The instructions of a Dockerfile, and where each one stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.images.dockerfile import directives, instruction_line, instructions


def test_continued_lines_are_one_instruction() -> None:
    text = "FROM a\n\nRUN one \\\n  # why\n\n  two \\\n  three\nCMD x\n"
    assert [(i.keyword, i.rest, i.line) for i in instructions(text)] == [
        ("FROM", "a", 1),
        ("RUN", "one two three", 3),
        ("CMD", "x", 8),
    ]


def test_the_escape_directive_changes_the_continuation() -> None:
    text = "# escape=`\nFROM a\nCOPY c:\\ d:\\\nRUN x `\n  y\n"
    assert [i.line for i in instructions(text)] == [2, 3, 4]


def test_a_step_is_found_by_its_number() -> None:
    text = "ARG A\nFROM a\n# x\nRUN one\n"
    assert [instruction_line(text, step) for step in (1, 2, 3, 4)] == [1, 2, 4, None]


def test_a_continued_line_goes_on_where_it_stopped() -> None:
    (found,) = instructions("FROM alp\\\nine:3\n")
    assert (found.keyword, found.rest, found.line, found.last) == ("FROM", "alpine:3", 1, 2)


@pytest.mark.parametrize("text", ["FROM\ta\nRUN\tx\n", "\ufeffFROM a\nRUN x\n", "from a\r\nrun x\r\n"])
def test_a_keyword_is_known_however_it_is_written(text: str) -> None:
    assert [(i.keyword, i.rest) for i in instructions(text)] == [("FROM", "a"), ("RUN", "x")]


def test_only_a_line_feed_ends_a_line() -> None:
    assert [i.line for i in instructions("RUN a\x0cb\x85c\u2028d\nRUN e\n")] == [1, 2]


@pytest.mark.parametrize(
    "document",
    ["RUN <<EOF\nFROM b AS c\nEOF", "RUN sh -e <<-'EOF' >/x\n\tFROM b AS c\n\tEOF", 'COPY <<"A B" <<C /x/\nA B\n\nC',
     "ONBUILD RUN <<EOF\nFROM b\nEOF", "RUN a \\\n <<EOF\nFROM b\nEOF"],
)  # fmt: skip
def test_a_here_document_is_no_instruction(document: str) -> None:
    text = f"FROM a\n{document}\nCMD x\n"
    assert [(i.keyword, i.line) for i in instructions(text)][2:] == [("CMD", text.count("\n"))]


@pytest.mark.parametrize("text", ["RUN <<EOF\nCMD x\n", 'RUN echo "a <<EOF b"\nCMD x\nEOF\n', "LABEL a <<EOF\nCMD x\n"])
def test_what_is_no_here_document_hides_no_instruction(text: str) -> None:
    assert "CMD" in [i.keyword for i in instructions(text)]


def test_directives_stand_at_the_top() -> None:
    text = "# syntax = docker/dockerfile:1 \n# Escape=`\nFROM a\n# syntax=other\n"
    assert directives(text) == {"syntax": "docker/dockerfile:1", "escape": "`"}
    assert directives("\n# syntax=late\n") == {}


@given(st.text(max_size=400))
def test_no_text_breaks_the_reader(text: str) -> None:
    list(instructions(text))
    directives(text)
    assert instruction_line(text, 10_000) is None
