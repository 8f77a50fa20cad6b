"""GitLab's limits and slow answers, on a clock that only waiting moves."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import RemoteError
from orchestrator.forges.base import PullRequestState
from orchestrator.forges.calls import LimitTooLong
from tests.integration.gitlab.worlds import MERGE_REQUESTS, World, draft, head_of
from tests.servers.forge_http import Reply

SHOW = f"GET {MERGE_REQUESTS}/1"
CREATE = f"POST {MERGE_REQUESTS}"
TEXT = {"message": "429 Too Many Requests"}


def limited(world: World, seconds: float, **headers: str) -> Reply:
    """GitLab's answer above a limit, which ends in so many seconds of its own clock."""
    reset = int(world.server.now().timestamp() + seconds)
    told = {"RateLimit-Remaining": "0", "RateLimit-Reset": str(reset), "Retry-After": str(int(seconds))}
    return Reply(429, TEXT, {name: value for name, value in {**told, **headers}.items() if value})


@pytest.mark.scenario(number=47)
def test_a_429_of_40_seconds_is_waited_for(world: World) -> None:
    world.opened()
    world.server.fail(limited(world, 40), SHOW)
    assert world.forge.show(1).number == 1
    assert 40 <= sum(world.clock.slept) < 50


def test_a_429_is_waited_for_by_its_reset_alone(world: World) -> None:
    world.opened()
    world.server.fail(limited(world, 40, **{"Retry-After": ""}), SHOW)
    assert world.forge.show(1).number == 1
    assert 40 <= sum(world.clock.slept) < 50


def test_a_limited_write_was_not_made_and_is_made_later(world: World) -> None:
    world.start()
    world.server.fail(limited(world, 30), CREATE)
    assert world.forge.open(draft()).number == 1
    assert len(world.project.merge_requests) == 1


@pytest.mark.scenario(number=48)
def test_a_limit_beyond_the_deadline_ends_at_once_and_tells_when(world: World) -> None:
    world.opened()
    world.server.fail(limited(world, 3000), SHOW)
    with pytest.raises(LimitTooLong, match="2026-03-02 10:20") as caught:
        world.forge.show(1)
    assert caught.value.exit_code == 5
    assert sum(world.clock.slept) < 1


@pytest.mark.scenario(number=50)
@pytest.mark.parametrize("value", ["Mon, 02 Mar 2026 09:30:30 GMT", "-5", "soon", ""])
def test_a_retry_after_of_any_kind_is_bounded(world: World, value: str) -> None:
    world.opened()
    world.server.fail(limited(world, 20, **{"Retry-After": value}), SHOW)
    assert world.forge.show(1).number == 1
    assert sum(world.clock.slept) < 70


@pytest.mark.scenario(number=50)
def test_a_retry_after_of_ten_years_ends_at_once(world: World) -> None:
    world.opened()
    world.server.fail(limited(world, 20, **{"Retry-After": "315360000"}), SHOW)
    with pytest.raises(LimitTooLong):
        world.forge.show(1)


@pytest.mark.scenario(number=51)
@pytest.mark.parametrize("skew", [3600.0, -3600.0])
def test_waits_follow_the_server_s_clock(world: World, skew: float) -> None:
    world.opened()
    world.server.server_clock_skew = skew
    world.server.fail(limited(world, 40, **{"Retry-After": ""}), SHOW)
    assert world.forge.show(1).number == 1
    assert 40 <= sum(world.clock.slept) < 50


@pytest.mark.scenario(number=53)
def test_writes_keep_their_distance(world: World) -> None:
    opened = world.opened()
    for number in range(3):
        world.forge.update(opened.number, title=f"Title {number}", body="")
    assert sum(world.clock.slept) >= 3


@pytest.mark.parametrize("fault", ["502_before", "reset_before", "truncate"])
def test_a_read_is_asked_again(world: World, fault: str) -> None:
    world.opened()
    world.server.fail(fault, SHOW, times=2)
    assert world.forge.show(1).state is PullRequestState.OPEN


@pytest.mark.parametrize("fault", ["202", "502_before"])
def test_endless_refusals_end_with_patience(world: World, fault: str) -> None:
    world.opened()
    world.server.fail(fault, SHOW, times=500)
    with pytest.raises(RemoteError):
        world.forge.show(1)
    assert sum(world.clock.slept) < 120
    world.server.heal()


@pytest.mark.scenario(number=55)
@pytest.mark.parametrize("fault", ["drip", "hang"])
def test_a_server_that_drips_or_hangs_is_given_up(world: World, fault: str) -> None:
    world.opened()
    world.server.fail(fault, SHOW)
    assert world.forge.show(1).number == 1  # asked again


def test_the_library_adds_no_request_of_its_own(world: World) -> None:
    opened = world.opened()
    before = world.forge.api_calls
    world.server.calls.clear()
    world.forge.merge(opened.number, head_of(opened))
    assert [call.key.replace("/api/v4/projects/acme/gitops", "") for call in world.server.calls] == [
        "GET ",
        "GET /merge_requests/1",
        "GET /repository/branches/hybrid-ci/prod/shop",
        "PUT /merge_requests/1/merge",
    ]
    assert world.forge.api_calls - before == 4
