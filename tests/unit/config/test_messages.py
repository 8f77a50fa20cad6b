"""What people read when a configuration file is broken: one golden text for each broken file."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.boundary import describe
from orchestrator.config.loader import load_policy, parse_application
from orchestrator.core.errors import ConfigurationError
from tests.golden import FOLDER, assert_golden

FILES = sorted(file.name for file in (FOLDER / "config").glob("*.yaml"))


def verdict(name: str) -> str:
    content = (FOLDER / "config" / name).read_bytes()
    try:
        if name.startswith("policy-"):
            load_policy(content, name, None)
        else:
            parse_application(content, Path(name))
    except ConfigurationError as error:
        return describe(error) + "\n"
    return "valid\n"


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_judged_in_these_words(name: str) -> None:
    text = verdict(name)
    assert_golden(f"config/{name.removesuffix('.yaml')}.txt", text)
    assert "canary" not in text
    if text != "valid\n":
        assert f"where: {name}:" in text
        assert text.startswith("error: ")


def test_every_golden_text_belongs_to_a_file() -> None:
    texts = {file.stem for file in (FOLDER / "config").glob("*.txt")}
    assert texts == {name.removesuffix(".yaml") for name in FILES}
