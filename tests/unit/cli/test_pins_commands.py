"""``hybrid-ci pins`` and ``hybrid-ci set-image`` as people call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli import pins as pins_command
from orchestrator.cli import set_image as set_image_command
from orchestrator.core.errors import ConfigurationError

MANIFEST = "image: ghcr.io/acme/api:v1 # c\nworker:\n  image: {repository: ghcr.io/acme/worker, tag: v1}\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.yaml").write_text(MANIFEST)
    return tmp_path / "app.yaml"


def pins(*arguments: str) -> Result:
    return CliRunner().invoke(pins_command.app, list(arguments), catch_exceptions=False)


def set_image(*arguments: str) -> Result:
    return CliRunner().invoke(set_image_command.app, list(arguments), catch_exceptions=False)


def test_pins_are_a_table_with_what_could_not_be_resolved_beside(file: Path) -> None:
    (file.parent / "values.yaml").write_text("image: {tag: v1}\n")
    result = pins(".")
    assert result.stdout.splitlines() == [
        "FILE      LINE  FORMAT  PLACE                REFERENCE",
        "app.yaml  1     yaml    doc[0].image         ghcr.io/acme/api:v1",
        "app.yaml  3     yaml    doc[0].worker.image  ghcr.io/acme/worker:v1",
    ]
    assert "unresolved: values.yaml:1: only the tag stands here" in result.stderr
    assert "2 pins in 2 files" in result.stderr


def test_pins_as_json_have_a_stable_schema(file: Path) -> None:
    report = json.loads(pins("app.yaml", "--image", "ghcr.io/acme/api", "--output", "json").stdout)
    assert report["schema"] == 1
    assert report["pins"] == [
        {
            "path": "app.yaml", "line": 1, "format": "yaml", "place": "doc[0].image", "at": "doc[0].image",
            "container": "image", "text": "ghcr.io/acme/api:v1", "image": "ghcr.io/acme/api:v1",
            "repository": "ghcr.io/acme/api", "tag": "v1", "digest": None, "policy": None,
        }
    ]  # fmt: skip
    assert set(report) == {"schema", "pins", "unresolved", "files"}


def test_pins_as_markdown_are_a_table(file: Path) -> None:
    assert (
        "| `app.yaml` | `1` | `yaml` | `doc[0].image` | `ghcr.io/acme/api:v1` |"
        in pins(".", "--output", "markdown").stdout
    )


def test_set_image_writes_and_says_what_it_did(file: Path) -> None:
    result = set_image("ghcr.io/acme/api:1.10", "ghcr.io/acme/worker:1.10", "app.yaml")
    assert file.read_text() == MANIFEST.replace("api:v1", "api:1.10").replace("tag: v1", 'tag: "1.10"')
    assert "1 file changed" in result.stderr
    assert "nothing to do" in set_image("ghcr.io/acme/api:1.10", "app.yaml").stderr


def test_a_dry_run_prints_the_diff_and_writes_nothing(file: Path) -> None:
    result = set_image("ghcr.io/acme/api:v2", ".", "--dry-run")
    assert "-image: ghcr.io/acme/api:v1 # c\n+image: ghcr.io/acme/api:v2 # c\n" in result.stdout
    assert file.read_text() == MANIFEST
    assert result.exit_code == 0


def test_check_ends_with_one_when_something_would_change(file: Path) -> None:
    assert set_image("ghcr.io/acme/api:v2", ".", "--check").exit_code == 1
    assert set_image("ghcr.io/acme/api:v1", ".", "--check").exit_code == 0
    assert file.read_text() == MANIFEST


def test_edits_as_json_hold_the_changes_and_the_diff(file: Path) -> None:
    report = json.loads(set_image("ghcr.io/acme/api:v2", ".", "--output", "json").stdout)
    assert report["changed"] and report["written"]
    assert report["files"] == ["app.yaml"]
    assert report["changes"][0]["before"] == "ghcr.io/acme/api:v1"
    assert report["changes"][0]["after"] == "ghcr.io/acme/api:v2"
    assert report["diff"].startswith("--- a/app.yaml")


def test_a_value_is_set_at_a_place(file: Path) -> None:
    set_image("--set", "worker.image.tag=v9", "app.yaml")
    assert file.read_text() == MANIFEST.replace("tag: v1", "tag: v9")


def test_an_image_that_is_nowhere_is_a_configuration_error(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="no pin of"):
        set_image("ghcr.io/acme/missing:1", ".")
