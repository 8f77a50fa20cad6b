"""To whom a pull request goes, what they said, and whom a team holds."""

from __future__ import annotations

from itertools import pairwise

import pytest

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.names import BranchName
from orchestrator.forges.base import Review, ReviewState, Routing
from tests.integration.github.worlds import PULLS, World, head_of
from tests.servers.github.world import Account

LABEL = "POST /api/v3/repos/acme/gitops/issues/1/labels"
REVIEWERS = f"POST {PULLS}/1/requested_reviewers"
WISHES = Routing(reviewers=("ada",), teams=("acme/platform",), assignees=("grace",), labels=("release", "dev"))


def said(world: World, login: str, state: str) -> None:
    commit = world.only.head_sha
    world.only.reviews.append({"login": login, "state": state, "commit": commit})


def test_a_pull_request_goes_where_policy_wants_it(world: World) -> None:
    world.server.teams["acme/platform"] = {"ada"}
    opened = world.opened()
    assert world.forge.route(opened.number, WISHES) == []
    only = world.only
    assert (only.reviewers, only.teams, only.assignees) == (["ada"], ["platform"], ["grace"])
    assert only.labels == ["release", "dev"]
    assert world.hosted.labels == {"release", "dev"}, "made when missing"


def test_what_is_there_already_is_not_asked_for_again(world: World) -> None:
    world.server.teams["acme/platform"] = {"ada"}
    opened = world.opened()
    world.forge.route(opened.number, WISHES)
    writes = len([call for call in world.server.calls if call.method == "POST"])
    assert world.forge.route(opened.number, WISHES) == []
    assert len([call for call in world.server.calls if call.method == "POST"]) == writes


def test_whom_github_does_not_take_is_told_and_the_others_are_asked(world: World) -> None:
    opened = world.opened()
    wishes = Routing(reviewers=("ada", "nobody"), teams=("acme/nothing",), assignees=("grace", "stranger"))
    told = world.forge.route(opened.number, wishes)
    assert world.only.reviewers == ["ada"]
    assert world.only.assignees == ["grace"]
    assert sorted(sentence.split(":")[0] for sentence in told) == [
        "GitHub does not ask nobody for a review",
        "GitHub does not ask nothing for a review",
        "GitHub does not assign stranger",
    ]


def test_the_author_and_who_has_reviewed_are_not_asked_again(world: World) -> None:
    opened = world.opened()
    said(world, "ada", "APPROVED")
    assert world.forge.route(opened.number, Routing(reviewers=("ada", opened.author))) == []
    assert world.server.called(REVIEWERS) == []


@pytest.mark.scenario(number=35)
@pytest.mark.parametrize("fault", ["502_after", "502_before", "reset_after"])
def test_label_or_reviewer_call_fails_after_pr(world: World, fault: str) -> None:
    opened = world.opened()
    world.server.fail(fault, LABEL)
    world.server.fail(fault, REVIEWERS)
    assert world.forge.route(opened.number, Routing(reviewers=("ada",), labels=("dev",))) == []
    assert (world.only.labels, world.only.reviewers) == (["dev"], ["ada"])
    assert len(world.hosted.pulls) == 1


def test_a_token_without_the_right_is_a_warning_and_not_the_end(world: World) -> None:
    opened = world.opened()
    rights = {"pull_requests": "read", "contents": "write", "metadata": "read"}
    world.server.accounts["ghp_reader"] = Account("reader", permissions=rights)
    told = world.client(token="ghp_reader").route(opened.number, Routing(labels=("dev",)))
    assert len(told) == 1
    assert "pull_requests: write" in told[0]


def test_the_newest_verdict_of_each_person_stands(world: World) -> None:
    opened = world.opened()
    for login, state in (
        ("ada", "CHANGES_REQUESTED"),
        ("grace", "APPROVED"),
        ("ada", "APPROVED"),
        ("ada", "COMMENTED"),
        ("linus", "COMMENTED"),
        ("grace", "DISMISSED"),
    ):
        said(world, login, state)
    assert world.forge.reviews(opened.number) == [Review("ada", ReviewState.APPROVED, head_of(opened))]


def test_reviews_are_read_to_the_last_page(world: World) -> None:
    opened = world.opened()
    for number in range(150):
        said(world, f"person{number}", "APPROVED")
    said(world, "person0", "CHANGES_REQUESTED")
    reviews = {review.author: review.state for review in world.forge.reviews(opened.number)}
    assert len(reviews) == 150
    assert reviews["person0"] is ReviewState.CHANGES_REQUESTED


def test_the_members_of_a_team_are_read_to_the_last_page(world: World) -> None:
    everybody = {f"person{number}" for number in range(130)}
    world.server.teams["acme/everybody"] = everybody
    assert world.forge.members("acme/everybody") == everybody
    assert world.forge.members("everybody") == everybody, "of the repository's owner"


def test_a_team_that_is_not_there_is_told(world: World) -> None:
    with pytest.raises(ConfigurationError, match="no team 'acme/nobody'"):
        world.forge.members("acme/nobody")


def test_a_missing_right_to_read_teams_is_named(world: World) -> None:
    world.server.teams["acme/platform"] = {"ada"}
    world.server.accounts["ghp_narrow"] = Account("narrow", permissions={"metadata": "read"})
    with pytest.raises(RemoteError, match="members: read"):
        world.client(token="ghp_narrow").members("acme/platform")


def test_calls_that_route_keep_their_distance(world: World) -> None:
    world.server.teams["acme/platform"] = {"ada"}
    opened = world.opened()
    times: list[float] = []
    world.server.before = lambda call: times.append(world.clock.monotonic()) if call.method == "POST" else None
    world.forge.route(opened.number, WISHES)
    assert len(times) == 3
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    ("rulesets", "protected", "answer"),
    [
        ({}, False, True),
        ({1: "never"}, False, False),
        ({1: "always"}, False, True),
        ({1: "always", 2: "never"}, False, False),
        ({1: "pull_requests_only"}, False, False),
        ({}, True, None),
    ],
)
def test_rules_tell_who_may_push(world: World, rulesets: dict[int, str], protected: bool, answer: bool | None) -> None:
    from tests.integration.github.worlds import MAIN

    world.hosted.rules.rulesets, world.hosted.rules.protected = rulesets, protected
    assert world.forge.can_push(MAIN) is answer


def test_a_branch_is_asked_about_by_its_whole_name(world: World) -> None:
    world.start(BranchName("release#1"))
    assert world.forge.can_push(BranchName("release#1")) is True
    assert [call for call in world.server.calls if "release%231" in call.target]
