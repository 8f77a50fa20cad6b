"""What landed changes say of an image: its origin, what was proven, and which environments were left out."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core.change import Action, Change, ImageOrigin, Position
from orchestrator.core.facts import Run
from orchestrator.core.image import Digest, PinnedImage
from orchestrator.core.names import CommitId
from orchestrator.core.override import Override, OverrideKind
from orchestrator.core.release import RecordReference, Tested
from orchestrator.gitops.base import CommitInfo
from orchestrator.gitops.ledger import Landed
from orchestrator.gitops.provenance import Known, known_of, skipped_in, still_open
from tests.unit.gitops.changes import API, WORKER, change, pinned

INFO = CommitInfo(CommitId("a" * 40), (), CommitId("b" * 40), "", "", "")
ONE, OTHER = pinned(API, 2), pinned(WORKER, 2)
KEY = ONE.repository, ONE.digest
TESTED = Tested(API, ONE.digest, "c1" * 32, "d2" * 32)
RECORD = RecordReference(API, Digest("sha256:" + "e5" * 32))
SKIP = Override(OverrideKind.SKIP, "outage", "staging")


def landed(made: Change) -> Landed:
    return Landed(INFO, INFO, made)


def promoted(*images: PinnedImage, **parts: object) -> Change:
    made = Change(Action.PROMOTE, "prod", "shop", images, "p", taken_from="dev", overrides=(SKIP,))
    return replace(made, **parts)  # type: ignore[arg-type]


def test_the_newest_word_counts_and_silence_leaves_it_to_older_ones() -> None:
    released = replace(change(2), tested=(TESTED,), records=(RECORD,))
    found = known_of([landed(promoted(ONE)), landed(released)], {KEY})
    origin = ImageOrigin(API, CommitId(f"{2:040x}"), Position("main", 2))
    assert found == {KEY: Known(origin, (TESTED,), (RECORD,))}


def test_other_digests_and_other_images_say_nothing() -> None:
    assert known_of([landed(change(3)), landed(promoted(OTHER))], {KEY}) == {}


def test_a_carried_image_is_known_too() -> None:
    made = change(3, "dev", pinned(WORKER, 3)).on_top_of(change(2), carry=True)
    assert made is not None
    assert known_of([landed(made)], {KEY})[KEY].origin.position == Position("main", 2)


def run(environment: str, image: PinnedImage) -> Run:
    return Run(environment, image.repository, image.digest)


def test_a_skip_is_open_while_one_runs_it_and_the_other_does_not() -> None:
    (skip,) = skipped_in([landed(promoted(ONE, OTHER)), landed(change(2))])
    assert (skip.environment, skip.left_out, skip.reason) == ("prod", "staging", "outage")
    runs = [run("prod", ONE), run("prod", OTHER), run("staging", OTHER)]
    (left,) = still_open([skip], runs)
    assert left.images == (ONE,)
    assert still_open([skip], [*runs, run("staging", ONE)]) == ()
    assert still_open([skip], [run("prod", pinned(API, 3))]) == ()
