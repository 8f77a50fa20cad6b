"""The JSON Schemas: editors and the loader agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from orchestrator.config.loader import load_policy, parse_application
from orchestrator.config.schema import application_schema, policy_schema
from orchestrator.core.errors import ConfigurationError
from tests.golden import FOLDER
from tests.unit.config.test_loader import APPLICATION, POLICY

SCHEMAS = {"application": application_schema(), "policy": policy_schema()}
GOLDEN = sorted((FOLDER / "config").glob("*.yaml"))

ACCEPTED = [
    APPLICATION,
    POLICY,
    APPLICATION.replace("timeout: 90", "timeout: 1.5"),
    APPLICATION.replace("run: pytest -q", 'run: [pytest, "-q"]'),
    APPLICATION.replace(
        "run: pytest -q", "run: pytest -q, network: true, user: nobody, junit: /out, environment: {A: b}"
    ),
    APPLICATION.replace("context", "x") + "    context: a\n    dockerfile: b\n    args: {A: b}\n    target: t\n",
    APPLICATION + "    labels: {a: b}\n    platform: linux/arm/v7\n    tag: v{version}\ntag: '{branch}-{sha}'\n",
    POLICY.replace("guard: {", "base: main\nguard: {"),
]


def kind(text: str) -> str:
    return "policy" if "environments:" in text else "application"


def loads(name: str, content: bytes) -> bool:
    try:
        if name == "policy":
            load_policy(content, "x", None)
        else:
            parse_application(content, Path("x"))
    except ConfigurationError:
        return False
    return True


def fits(name: str, data: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMAS[name]).is_valid(data))


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("text", ACCEPTED, ids=range(len(ACCEPTED)))
def test_what_the_loader_takes_fits_the_schema(text: str) -> None:
    assert loads(kind(text), text.encode())
    assert fits(kind(text), yaml.safe_load(text))


@pytest.mark.parametrize("file", GOLDEN, ids=[file.stem for file in GOLDEN])
def test_the_schema_takes_all_that_the_loader_takes(file: Path) -> None:
    name, content = file.stem.partition("-")[0], file.read_bytes()
    try:
        data = yaml.safe_load(content.decode("utf-8-sig"))
    except (ValueError, KeyError, yaml.YAMLError):
        return  # no editor validates what does not parse
    if loads(name, content):
        assert fits(name, data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "version: 2"),
        ("version: 1\n", ""),
        ("application: shop", "aplication: shop"),
        ("port: 8080", "port: 99999"),
        ("port: 8080", 'port: "8080"'),
        ("name: smoke, ", ""),
        ("repository: ghcr.io/acme/api", "repository: 5"),
        ("run: pytest -q", "run: []"),
        ("run: pytest -q", "run: {}"),
        ("timeout: 5m", "timeout: []"),
        ("memory: 1Gi", "memory: 1000"),
        ("images:", "images: {}\nx:"),
    ],
)
def test_an_editor_sees_the_common_mistakes_too(old: str, new: str) -> None:
    text = APPLICATION.replace(old, new)
    assert not loads("application", text.encode())
    assert not fits("application", yaml.safe_load(text))


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_says_what_it_is_for(name: str) -> None:
    schema = SCHEMAS[name]
    for part in [schema, *schema["$defs"].values()]:
        assert part["additionalProperties"] is False
        for key, entry in part["properties"].items():
            described = entry | schema["$defs"].get(entry.get("$ref", "").rpartition("/")[2], {})
            assert described.get("description"), f"{part['title']}.{key}"
