"""A release and its id."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrator.core.image import PinnedImage
from orchestrator.core.names import CommitId
from orchestrator.core.release import Release, ReleasedImage, SourceCommit, TestResult

API = ReleasedImage("api", PinnedImage.parse("ghcr.io/acme/api:1@sha256:" + "a1" * 32), "manifest")
WORKER = ReleasedImage("worker", PinnedImage.parse("ghcr.io/acme/worker:1@sha256:" + "b2" * 32), "index")
SOURCE = SourceCommit(CommitId("c" * 40), "main", (), datetime(2026, 3, 1, tzinfo=UTC), "subject", None, False)
RELEASE = Release("shop", (API, WORKER), SOURCE)


def test_the_same_content_has_the_same_id_in_any_order() -> None:
    assert Release("shop", (WORKER, API), SOURCE).id == RELEASE.id
    assert len(RELEASE.id) == 12


def test_what_does_not_belong_to_the_content_does_not_change_the_id() -> None:
    retagged = replace(API, pinned=replace(API.pinned, tag="other"), name="other", kind="index")
    later = replace(SOURCE, branch="other", tags=("v1",), dirty=True)
    tested = (TestResult("api", "smoke", True, 1.0),)
    assert Release("shop", (retagged, WORKER), later, tested).id == RELEASE.id


@pytest.mark.parametrize(
    "other",
    [
        Release("other", (API, WORKER), SOURCE),
        Release("shop", (API,), SOURCE),
        Release("shop", (API, WORKER), None),
        Release("shop", (API, WORKER), replace(SOURCE, id=CommitId("d" * 40))),
        Release("shop", (API, replace(WORKER, pinned=replace(WORKER.pinned, digest=API.pinned.digest))), SOURCE),
    ],
)
def test_other_content_has_another_id(other: Release) -> None:
    assert other.id != RELEASE.id


def test_the_id_is_that_for_good() -> None:
    """Trailers and records of earlier versions hold it."""
    assert RELEASE.id == "2f9c2b3f520a"


def test_the_pins_are_the_images_in_their_order() -> None:
    assert RELEASE.pins == (API.pinned, WORKER.pinned)
