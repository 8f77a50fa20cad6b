"""Where a step stands in a Dockerfile, and which bases it names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.images.dockerfile import base_images, instruction_line, instructions


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM nginx:1", ["docker.io/library/nginx:1"]),
        ("from --platform=$BUILDPLATFORM ghcr.io/acme/base:1 as build", ["ghcr.io/acme/base:1"]),
        ("FROM a AS one\nFROM one\nFROM ONE AS two\nCOPY --from=two /a /a", ["docker.io/library/a"]),
        ("FROM scratch\nCOPY --from=ghcr.io/acme/tool:2 /t /t\nCOPY --from=0 /a /a", ["ghcr.io/acme/tool:2"]),
        ("ARG BASE=x\nFROM $BASE", []),
        ("FROM ${BASE:-x}", []),
        ("FROM UPPER/CASE", []),
        ("FROM", []),
        ("", []),
    ],
)
def test_the_bases_that_are_named_outright_are_found(text: str, expected: list[str]) -> None:
    assert [str(image) for image in base_images(text)] == expected


@given(st.text(max_size=400))
def test_no_text_breaks_the_reader(text: str) -> None:
    list(instructions(text))
    base_images(text)
    assert instruction_line(text, 10_000) is None
