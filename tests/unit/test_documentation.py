"""The documents name what there is: every option, key and variable. And their links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from orchestrator.cli.commands import COMMANDS
from orchestrator.config.application import ApplicationConfig
from orchestrator.config.policy import PolicyConfig
from tests.unit.test_layers import ROOMS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)
INSIDE = {"HYBRID_CI_COMPLETE", "HYBRID_CI_MASK"}  # between our own parts: completion scripts, the action


def named(word: str, text: str = TEXT) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def options() -> Iterator[str]:
    """Every option of every command, by its longest name."""
    for name, (module, _) in COMMANDS.items():
        group: Any = typer.main.get_command(import_module(module).app)
        commands = getattr(group, "commands", {name: group})
        for command in commands.values():
            for parameter in command.params:
                if parameter.param_type_name == "option":
                    yield max(parameter.opts, key=len)


def keys(model: type[ApplicationConfig | PolicyConfig]) -> set[str]:
    schema = model.model_json_schema(by_alias=True)
    parts = [schema, *schema["$defs"].values()]
    return {key for part in parts for key in part.get("properties", {})}


def anchors(page: Path) -> set[str]:
    """The names that forges give to headings."""
    heads = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_option_is_in_the_documents() -> None:
    found = set(options())
    assert "--from-stage" in found
    assert [option for option in sorted(found) if not named(option)] == []


@pytest.mark.parametrize("model", [ApplicationConfig, PolicyConfig])
def test_every_key_of_a_configuration_file_is_in_the_documents(model: type[ApplicationConfig | PolicyConfig]) -> None:
    found = keys(model)
    assert "version" in found
    assert [key for key in sorted(found) if not named(key)] == []


def test_every_variable_of_ours_is_in_the_documents() -> None:
    files = [*ROOT.glob("orchestrator/**/*.py"), *ROOT.glob("pipelines/**/*.py"), ROOT / "action.yml"]
    found = {one for file in files for one in re.findall(r"HYBRID_CI_[A-Z0-9_]*[A-Z0-9]", file.read_text("utf-8"))}
    told = {one.removesuffix("_FILE") for one in found - INSIDE}
    assert "HYBRID_CI_PATIENCE" in told
    assert [one for one in sorted(told) if one not in TEXT] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_what_there_is(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_rooms_may_use_what_the_architecture_says() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    table = text.partition("| room | holds |")[2].partition("\n\n")[0]
    told: dict[str, set[str]] = {}
    for row in table.splitlines()[2:]:
        room, _, uses, _ = (cell.strip() for cell in row.strip("|").split("|"))
        name = room.strip("`").removeprefix("orchestrator/")
        everything = uses.startswith("all of the above")
        told[name] = set(told) if everything else set(filter(None, uses.split(", ")))
    assert told == {name: uses for name, uses in ROOMS.items() if name != "version"}
