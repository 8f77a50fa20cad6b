"""``check`` and ``schema`` as commands."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.unit.cli.conftest import Cli
from tests.unit.config.test_loader import POLICY

CONFIG = """\
version: 1
application: shop
gitops: {repository: ../gitops.git, environment: dev}
images:
  api:
    repository: ghcr.io/acme/api
    tests: [{name: starts, run: "true"}]
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "hybrid-ci.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sound_configuration_is_said_to_be_on_stdout(shop: Path, cli: Cli) -> None:
    ended = cli("check")
    assert (ended.code, ended.out, ended.err) == (0, "hybrid-ci.yaml: valid, 1 image\n", "")


def test_both_files_can_be_checked(shop: Path, cli: Cli) -> None:
    (shop / "environments.yaml").write_text(POLICY)
    ended = cli("check", "--policy", "environments.yaml")
    assert ended.code == 0
    assert ended.out.splitlines()[1] == "environments.yaml: valid, environments dev, prod, edge"


def test_a_broken_file_is_refused_with_every_problem_on_stderr(shop: Path, cli: Cli) -> None:
    (shop / "hybrid-ci.yaml").write_text(CONFIG.replace("version: 1", "version: 2") + "tagg: x\n")
    ended = cli("check")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "error: the configuration has 2 problems\n"
        "  where: hybrid-ci.yaml:1\n"
        "    hybrid-ci.yaml:1: version: expected 1, found 2\n"
        "    hybrid-ci.yaml:8: unknown key 'tagg'; did you mean 'tag'?\n"
        "  fix:   correct these lines; `hybrid-ci schema config|policy` prints the JSON Schema for your editor\n"
    )


@pytest.mark.parametrize("strict", [False, True])
def test_a_warning_fails_only_when_asked_to(strict: bool, shop: Path, cli: Cli) -> None:
    (shop / "hybrid-ci.yaml").write_text(CONFIG.partition("    tests")[0])
    ended = cli("check", *(["--strict"] if strict else []))
    assert ended.code == (2 if strict else 0)
    assert ended.err.startswith("warning: images.api has no tests")


def test_the_file_is_named_by_option_or_variable(shop: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "other.yaml").write_text(CONFIG)
    (shop / "hybrid-ci.yaml").unlink()
    assert cli("check").code == 2
    assert cli("--config", "other.yaml", "check").out == "other.yaml: valid, 1 image\n"
    monkeypatch.setenv("HYBRID_CI_CONFIG", "other.yaml")
    assert cli("check").out == "other.yaml: valid, 1 image\n"


def test_a_missing_file_says_what_to_do(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = cli("check")
    assert ended.code == 2
    assert ended.err == (
        "error: there is no configuration file\n  where: hybrid-ci.yaml\n"
        "  fix:   run `hybrid-ci init` here, or name one with --config\n"
    )


@pytest.mark.parametrize("document", ["config", "policy", "record"])
def test_a_schema_is_printed_for_each_document(document: str, cli: Cli) -> None:
    ended = cli("schema", document)
    assert (ended.code, ended.err) == (0, "")
    jsonschema.Draft202012Validator.check_schema(json.loads(ended.out))


def test_the_schema_of_the_configuration_is_the_default(cli: Cli) -> None:
    assert cli("schema").out == cli("schema", "config").out
