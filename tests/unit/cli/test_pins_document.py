"""docs/pins.md tells of the commands what is so: their keys in JSON, and their examples."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import pins as pins_command
from orchestrator.cli import set_image as set_image_command

DOCUMENT = Path(__file__).parents[3] / "docs/pins.md"
COMMANDS = {"pins": pins_command.app, "set-image": set_image_command.app}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "overlays/prod").mkdir(parents=True)
    (tmp_path / "overlays/prod/kustomization.yaml").write_text(
        "images:\n- name: ghcr.io/acme/api\n  newTag: v1\n- name: x\n  newTag: ${TAG}\n"
    )
    (tmp_path / "release.yaml").write_text("spec: {chart: {spec: {version: 1.0.0}}}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def section(name: str) -> str:
    return DOCUMENT.read_text().partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def documented(command: str) -> dict[str, set[str]]:
    """The keys that the table names: of the report (``""``), and of each of its lists."""
    keys: dict[str, set[str]] = {"": set()}
    current = ""
    for row in section("JSON").splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) != 3 or cells[0] in ("command", "---"):
            continue
        current = cells[0].strip("`") or current
        if current == command:
            named = [key.strip("`").removesuffix("[]") for key in cells[1].split(", ")]
            keys[""] |= set(named)
            if cells[1].endswith("[]`"):
                keys[named[-1]] = set(re.findall(r"`([a-z]+)`", cells[2]))
    return keys


def test_the_keys_of_the_json_are_those_of_the_document(repository: Path) -> None:
    listed = json.loads(CliRunner().invoke(COMMANDS["pins"], [".", "--output", "json"]).stdout)
    keys = documented("pins")
    assert set(listed) == keys[""]
    assert set(listed["pins"][0]) == keys["pins"]
    assert set(listed["unresolved"][0]) == keys["unresolved"]
    arguments = ["ghcr.io/acme/api:v2", "--set", "images[0].newTag=v3", "overlays", "--output", "json"]
    report = json.loads(CliRunner().invoke(COMMANDS["set-image"], arguments).stdout)
    keys = documented("set-image")
    assert set(report) == keys[""]
    assert set(report["changes"][0]) == keys["changes"]
    assert set(report["changes"][0]["pin"]) == set(listed["pins"][0])
    assert set(report["values"][0]) == keys["values"]


def examples() -> list[str]:
    text = DOCUMENT.read_text().partition("```\n")[2].partition("```")[0]
    return [line.partition("#")[0].strip() for line in text.splitlines()]


@pytest.mark.parametrize("line", examples())
def test_each_example_of_the_document_works(line: str, repository: Path) -> None:
    words = shlex.split(line.rpartition("| ")[2].replace("…", "ab" * 32))
    assert words[0] == "hybrid-ci"
    ended = CliRunner().invoke(COMMANDS[words[1]], words[2:], input="image: ghcr.io/acme/api:v1\n")
    assert ended.exit_code == (1 if "--check" in words else 0), ended.output
