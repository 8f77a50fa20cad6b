"""The record of one image: what it says, and that a damaged one is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from orchestrator.core.image import Digest, PinnedImage, Platform
from orchestrator.core.names import CommitId
from orchestrator.core.release import CaseCounts, ReleasedImage, SourceCommit, TestResult
from orchestrator.reports.claims import ImageClaim, image_claim, read_claim

PINNED = PinnedImage.parse("ghcr.io/acme/api:1.4.2@sha256:" + "a1" * 32)
SOURCE = SourceCommit(
    CommitId("c0" * 20), "main", (), datetime(2026, 1, 1, tzinfo=UTC), "Fix", "https://x.example/a", False
)
IMAGE = ReleasedImage("api", PINNED, "manifest", Digest("sha256:" + "b2" * 32), (Platform("linux", "amd64"),))
TESTS = (TestResult("api", "unit", True, 1.23456, CaseCounts(3)), TestResult("worker", "unit", True, 1.0))


def claim(image: ReleasedImage = IMAGE) -> ImageClaim:
    return image_claim("shop", SOURCE, image, TESTS, content="c3" * 32, definition="d4" * 32)


def test_a_record_is_read_back_as_it_was_written() -> None:
    assert read_claim(claim().to_bytes()) == claim()


def test_it_holds_the_tests_of_its_own_image_alone() -> None:
    assert [(test.name, test.seconds) for test in claim().tests] == [("unit", 1.235)]


def test_it_names_the_commit_whose_content_the_image_is() -> None:
    assert claim().built_from == str(SOURCE.id)
    older = ReleasedImage("api", PINNED, "manifest", built_from=CommitId("0d" * 20))
    assert claim(older).built_from == "0d" * 20


def test_two_runs_that_say_the_same_have_the_same_annotations() -> None:
    later = image_claim("shop", SOURCE, IMAGE, (), content="c3" * 32, definition="d4" * 32)
    assert later.annotations == claim().annotations


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record | {"schema": "hybrid-ci.image/v2"},
        lambda record: record | {"unknown": 1},
        lambda record: {key: value for key, value in record.items() if key != "tests"},
        lambda record: record | {"tests": [{"name": "unit", "passed": "yes", "seconds": 1}]},
    ],
)
def test_a_damaged_record_is_none(damage: object) -> None:
    record = json.loads(claim().to_bytes())
    assert read_claim(json.dumps(damage(record)).encode()) is None  # type: ignore[operator]
    assert read_claim(b"[]") is None
    assert read_claim(b"\xff") is None
