"""Which images a Dockerfile takes from, and how those of this run get into it."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import Digest, Platform
from orchestrator.images.base import BuiltImage
from orchestrator.images.bases import local_reference, registries, with_local_bases

BASE = BuiltImage("base", Digest.of(b"base"), Platform("linux", "amd64"))
NAME = "ghcr.io/acme/base:1"
LOCAL = str(local_reference(BASE))


def replaced(text: str) -> str:
    return with_local_bases(text.encode(), {NAME: BASE}, {}).decode()


@pytest.mark.parametrize(
    "text",
    [
        "FROM {} AS b\nFROM debian\n",
        "FROM debian\nCOPY --from={} /a /b\n",
        "FROM debian\nRUN --mount=from={},target=/b \\\n --mount=from={},target=/c true\n",
        "FROM debian\nRUN --mount=type=cache,target=/c \\\n --mount=from={},target=/b \\\n true\n",
        "# a\x0cb\n\nFROM {}\n",
    ],
)
def test_a_base_of_this_run_gets_its_own_name_wherever_it_stands(text: str) -> None:
    assert replaced(text.replace("{}", NAME)) == text.replace("{}", LOCAL)


def test_what_a_here_document_writes_stays_as_it_is() -> None:
    text = f"FROM debian\nCOPY <<EOF /Dockerfile\nFROM {NAME}\nEOF\n"
    assert replaced(text) == text


def test_a_name_over_several_lines_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigurationError) as caught:
        replaced("FROM debian\nFROM ghcr.io/acme/\\\nbase:1\n")
    assert caught.value.where == "Dockerfile:2"


def test_the_registries_of_a_build_are_those_that_it_names_with_variables_filled_in() -> None:
    text = (
        b"# syntax=front.example/dockerfile:1\nARG HOST=unused.example\nFROM $HOST/base AS one\nFROM one\n"
        b"COPY --from=copy.example/tool /t /t\nRUN --mount=from=mount.example/x,target=/x true\nFROM $NOBODY/x\n"
    )
    assert registries(text, {"HOST": "private.example"}) == (
        "copy.example",
        "front.example",
        "mount.example",
        "private.example",
    )


def test_a_dockerfile_that_names_none_needs_no_login() -> None:
    assert registries(b"FROM scratch\nFROM UPPER/CASE\n", {}) == ()
