"""The whole story on GitHub and GitLab: release, look, merge, release again, pin; real Git and calls over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.forges.base import AutoMerge, PullRequestState
from orchestrator.gitops.outcome import Opened, Superseded, Unchanged, Updated
from orchestrator.reports.records import calls_line
from pipelines.counting import Tally
from pipelines.record import record_of
from pipelines.release import ReleaseOptions, release
from tests.integration.places import BRANCH, PLACES, RUN, SUBJECTS, Place
from tests.servers.git_repositories import git


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with PLACES[request.param](tmp_path) as made:
        yield made


def test_the_story_of_a_release_and_the_next_one(place: Place) -> None:
    first = place.release(0)
    assert isinstance(first.outcome, Opened)
    assert "nobody-here" in " ".join(first.outcome.warnings)
    assert "nobody-here" in str(place.reporter.warnings)
    assert (place.open.labels, place.open.draft) == (("deploy",), False)
    body = place.open.body
    assert "Moves **2** image pins of `dev`" in body
    assert "2 tests of these images passed" in body
    assert f"[CI run](<{RUN}>)" in body
    assert isinstance(place.release(0).outcome, Unchanged)
    assert place.open.body == body
    place.merge()
    assert isinstance(place.release(0).outcome, Unchanged)

    second = place.release(1)
    assert isinstance(second.outcome, Opened)
    running = place.commits[0].short
    assert f"Brings 1 commit since `{running}`, which `api`, `worker` run now" in place.open.body
    assert f"`{SUBJECTS[1]}`" in place.open.body

    third = place.release(2)
    assert isinstance(third.outcome, Updated)
    assert third.outcome.pull_request.number == second.outcome.pull_request.number
    assert f"Brings 2 commits since `{running}`" in place.open.body
    assert f"`{SUBJECTS[2]}`" in place.open.body

    late = place.release(1)
    assert isinstance(late.outcome, Superseded)
    assert late.outcome.newer.release == third.release.id
    assert f"Brings 2 commits since `{running}`" in place.open.body

    place.merge()
    assert isinstance(place.release(1).outcome, Superseded)
    assert str(third.release.pins[1].digest) in place.pinned("main")
    assert place.pulls(PullRequestState.OPEN) == []


def test_every_request_to_the_forge_is_counted_and_in_the_record(place: Place) -> None:
    tally = Tally()
    with place.ports() as ports:
        result = release(tally.counted(ports), place.job(), ReleaseOptions())
    record = record_of(result, place.clock.now(), tally.counts())
    assert record.calls["api"] == {place.kind: place.requests()}
    assert record.calls["forge"]["open"] == record.calls["git"]["push"] == 1
    assert f"api {place.requests()} ({place.kind} {place.requests()})" in calls_line(record.calls)


def test_a_pin_joins_the_open_pull_request_of_a_release(place: Place) -> None:
    first = place.release(0)
    place.merge()
    place.release(1)
    number, earlier = place.open.number, first.release.pins[0]

    result = place.pin(f"api=@{earlier.digest}")

    assert isinstance(result.outcome, Unchanged | Updated)
    assert [pull.number for pull in place.pulls(PullRequestState.OPEN)] == [number]
    again = place.pin(f"api=@{earlier.digest}")
    assert isinstance(again.outcome, Unchanged)


def test_a_pin_alone_opens_a_pull_request(place: Place) -> None:
    released = place.release(0)
    place.merge()
    place.release(1)
    place.merge()

    result = place.pin(f"worker=@{released.release.pins[1].digest}")

    assert isinstance(result.outcome, Opened)
    assert "These images were built elsewhere" in place.open.body
    assert str(released.release.pins[1].digest) in place.pinned(BRANCH.value)


def test_what_the_policy_wants_merged_is_merged_by_the_forge(place: Place) -> None:
    place.policy(b", merge: auto, delete-branch: true")

    result = place.release(0)

    assert isinstance(result.outcome, Opened)
    assert (result.outcome.state, result.outcome.merging) == ("merged", AutoMerge.MERGED)
    assert str(result.release.pins[1].digest) in place.pinned("main")
    assert git(place.gitops, "for-each-ref", BRANCH.ref.value) == ""
    assert isinstance(place.release(0).outcome, Unchanged)
    message = git(place.gitops, "log", "-1", "--format=%B", "refs/heads/main")
    assert f"Hybrid-CI-Release: {result.release.id}" in message


def test_a_commit_that_the_forge_makes_is_the_tip_of_the_stable_branch(place: Place) -> None:
    place.policy(b", commit: api", place.by_call)

    first = place.release(0)
    assert isinstance(first.outcome, Opened)
    assert isinstance(place.release(0).outcome, Unchanged)
    second = place.release(1)

    assert isinstance(second.outcome, Updated)
    assert str(second.release.pins[1].digest) in place.pinned(BRANCH.value)
    branches = git(place.gitops, "for-each-ref", "--format=%(refname)", "refs/heads/hybrid-ci/").split()
    assert branches == [BRANCH.ref.value]
    assert len(place.pulls()) == 1
