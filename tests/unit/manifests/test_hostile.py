"""Hostile files: bounded in time, no death by a signal, and reported with a reason."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import RepoPath
from orchestrator.engine.process import Limits, run
from orchestrator.manifests.document import nesting
from orchestrator.manifests.pins import ScanOptions, find_pins, set_image
from tests.unit.manifests.hostile import IMAGE, NAMES, files

ROOT = Path(__file__).parents[3]
SECONDS = 1.0


def test_yaml_bomb_corpus_bounded() -> None:
    done = run([sys.executable, "-m", "tests.unit.manifests.hostile"], directory=ROOT, limits=Limits(seconds=110))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"it ended with {done.returncode} after {lines[-1:]}: {done.error_text[-300:]}"
    assert len(lines) == len(files()) * len(NAMES)
    assert [line for line in lines if line["seconds"] > SECONDS] == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("brackets", "nested deeper than 100 levels"),
        ("brackets on lines", "nested deeper than 100 levels"),
        ("one-line block lists", "nested deeper than 100 levels"),
        ("complex keys", "nested deeper than 100 levels"),
        ("indented mappings", "nested deeper than 100 levels"),
        ("flat list of numbers", "more than 200000 values"),
        ("images", "more than 3000 image references"),
        ("named images", "more than 3000 image references"),
        ("too large", "more than the limit of 1048576"),
        ("not UTF-8", "not UTF-8"),
        ("UTF-16", "encoded as UTF-16"),
        ("UTF-32", "encoded as UTF-32"),
        ("control character", "not allowed"),
    ],
)
def test_a_hostile_file_is_reported_with_its_reason(name: str, reason: str) -> None:
    findings = find_pins(RepoPath("a.yaml"), files()[name])
    assert findings.pins == ()
    assert reason in findings.unresolved[0].reason


def test_a_hostile_target_is_an_error_and_not_silently_left_out() -> None:
    content = b"image: ghcr.io/acme/api:v1\nx: " + b"[" * 2000
    with pytest.raises(ConfigurationError, match="nested deeper") as failure:
        set_image(RepoPath("a.yaml"), content, IMAGE)
    assert failure.value.where == "a.yaml:1:1"


def test_a_file_above_the_limit_can_be_allowed() -> None:
    content = b"image: ghcr.io/acme/api:v1\n" + b"# x\n" * 300_000
    assert find_pins(RepoPath("a.yaml"), content).pins == ()
    assert len(find_pins(RepoPath("a.yaml"), content, ScanOptions(size=2 * 1024 * 1024)).pins) == 1


def test_open_brackets_in_texts_are_not_nesting() -> None:
    colours = b"script: |\n" + b"  echo -e '\\033[0;31m red'\n" * 300 + b"image: ghcr.io/acme/api:v1\n"
    assert nesting(colours) == 300
    assert len(find_pins(RepoPath("a.yaml"), colours).pins) == 1
