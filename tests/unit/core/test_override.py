"""What was set aside in writing: it survives the trailers, and follows the images that it was written for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.change import Action, Change
from orchestrator.core.image import PinnedImage
from orchestrator.core.names import InvalidName
from orchestrator.core.override import Override, OverrideKind
from orchestrator.core.trailers import read_trailers, trailers

SKIP = Override(OverrideKind.SKIP, "hotfix for incident 42", "prod/eu-1")
ALLOW = Override(OverrideKind.UNKNOWN_ORDER, "first release by hand")
API = PinnedImage.parse("ghcr.io/acme/shop/api:2@sha256:" + "b" * 64)
WORKER = PinnedImage.parse("ghcr.io/acme/shop/worker:1@sha256:" + "a" * 64)
CHANGE = Change(Action.PROMOTE, "prod", "shop", (API,), "c0ffee", overrides=(SKIP, ALLOW))


def test_overrides_survive_their_trailers() -> None:
    lines = list(trailers(CHANGE))
    assert "Hybrid-CI-Skip: prod/eu-1 hotfix for incident 42" in lines
    assert "Hybrid-CI-Allow-Unknown-Order: first release by hand" in lines
    assert read_trailers("\n".join(["Promote shop", "", *lines, ""])) == CHANGE


@pytest.mark.parametrize("line", ["Hybrid-CI-Skip: staging", "Hybrid-CI-Skip: ", "Hybrid-CI-Allow-Unknown-Order: "])
def test_an_override_without_a_reason_makes_the_trailers_damaged(line: str) -> None:
    plain = replace(CHANGE, overrides=())
    assert read_trailers("\n".join(["Promote shop", "", *trailers(plain), line, ""])) is None


@pytest.mark.parametrize(
    ("kind", "reason", "environment"),
    [
        (OverrideKind.SKIP, "", "staging"),
        (OverrideKind.SKIP, " ", "staging"),
        (OverrideKind.SKIP, "two\nHybrid-CI-Pin: x", "staging"),
        (OverrideKind.SKIP, "hotfix", None),
        (OverrideKind.SKIP, "hotfix", ""),
        (OverrideKind.UNKNOWN_ORDER, "x", "staging"),
    ],
)
def test_an_impossible_override_is_refused(kind: OverrideKind, reason: str, environment: str | None) -> None:
    with pytest.raises(InvalidName):
        Override(kind, reason, environment)


def test_an_override_stays_with_the_image_that_is_carried_on() -> None:
    waiting = Change(Action.PROMOTE, "prod", "shop", (WORKER,), "f00", overrides=(SKIP,))
    newer = replace(CHANGE, overrides=(ALLOW,))
    gathered = newer.on_top_of(waiting, carry=True)
    assert gathered is not None
    assert gathered.overrides == (ALLOW, SKIP)


def test_an_override_ends_with_the_images_that_it_was_written_for() -> None:
    waiting = Change(Action.PROMOTE, "prod", "shop", (API,), "f00", overrides=(SKIP,))
    for carry in (True, False):
        replaced = replace(CHANGE, overrides=()).on_top_of(waiting, carry=carry)
        assert replaced is not None
        assert replaced.overrides == ()
