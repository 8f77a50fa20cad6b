"""GitHub's limits and slow answers, on a clock that only waiting moves."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from orchestrator.core.errors import ExitCode, RemoteError
from orchestrator.core.secret import Secret
from orchestrator.forges.calls import LimitTooLong, Pace
from orchestrator.forges.exchange import Limits
from orchestrator.forges.github import GitHubForge, GitHubSettings
from orchestrator.forges.github_address import GitHubAddress
from orchestrator.forges.github_login import BearerToken
from tests.integration.github.worlds import CREATE, PULLS, World, draft
from tests.servers.forge_http import Call, Reply
from tests.simulators.clock import FakeClock

SHOW = f"GET {PULLS}/1"
SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}


def slept(world: World) -> float:
    return sum(world.clock.slept)


@pytest.mark.scenario(number=47)
def test_primary_limit_403_reset_in_40s(world: World) -> None:
    world.opened()
    before = slept(world)
    world.server.fail(world.server.limited(40), SHOW)
    assert world.forge.show(1).number == 1
    assert 40 <= slept(world) - before < 50


@pytest.mark.scenario(number=48)
def test_primary_limit_reset_beyond_deadline(world: World) -> None:
    world.opened()
    before = slept(world)
    world.server.fail(world.server.limited(3000), SHOW)
    with pytest.raises(LimitTooLong, match=r"2026-03-02 10:2\d:\d\d UTC") as caught:
        world.forge.show(1)
    assert caught.value.exit_code is ExitCode.REMOTE
    assert slept(world) == before, "at once"


@pytest.mark.scenario(number=49)
def test_secondary_limit_403_retry_after(world: World) -> None:
    world.opened()
    before = slept(world)
    world.server.fail(Reply(403, SECONDARY, {"Retry-After": "75"}), SHOW)
    assert world.forge.show(1).number == 1
    assert 75 <= slept(world) - before < 85


@pytest.mark.scenario(number=49)
@pytest.mark.parametrize("status", [403, 429])
def test_secondary_limit_429_without_retry_after(world: World, status: int) -> None:
    world.opened()
    before = slept(world)
    world.server.fail(Reply(status, SECONDARY), SHOW)
    assert world.forge.show(1).number == 1
    assert 60 <= slept(world) - before < 70


def test_a_limited_write_was_not_made_and_is_made_later(world: World) -> None:
    world.start()
    world.server.fail(Reply(403, SECONDARY, {"Retry-After": "30"}), CREATE)
    assert world.forge.open(draft()).number == world.only.number
    assert len(world.server.called(CREATE)) == 2


@pytest.mark.parametrize(("kind", "left"), [("RATE_LIMITED", "0"), ("RATE_LIMIT", "0"), ("RATE_LIMIT", "17")])
def test_a_limit_told_by_graphql_in_a_200_is_waited_for(world: World, kind: str, left: str) -> None:
    opened = world.opened()
    errors = [{"type": kind, "message": "API rate limit already exceeded for user ID 1."}]
    before, reset = slept(world), int((world.clock.now() + timedelta(seconds=20)).timestamp())
    told = {"X-RateLimit-Remaining": left, "X-RateLimit-Reset": str(reset)}
    world.server.fail(Reply(200, {"errors": errors}, told), "POST /api/graphql")
    assert world.forge.set_draft(opened.number, True).draft
    assert 15 <= slept(world) - before < 40


GRAPHQL = "POST /api/graphql"


@pytest.mark.parametrize("fault", ["graphql_before", "graphql_after"])
def test_a_query_that_graphql_broke_down_over_is_asked_again(world: World, fault: str) -> None:
    opened = world.opened()
    world.server.fail(fault, GRAPHQL, times=2)
    assert world.forge.set_draft(opened.number, True).draft


@pytest.mark.parametrize(("fault", "times"), [("graphql_before", 2), ("graphql_after", 1)])
def test_a_change_that_graphql_broke_down_over_is_looked_for_before_it_is_made_again(
    world: World, fault: str, times: int
) -> None:
    opened = world.opened()

    def after_the_query(call: Call) -> None:
        if call.key == GRAPHQL:
            world.server.before = None
            world.server.fail(fault, GRAPHQL)

    world.server.before = after_the_query
    assert world.forge.set_draft(opened.number, True).draft
    assert (
        len([call for call in world.server.called(GRAPHQL) if "convertPullRequestToDraft" in str(call.json)]) == times
    )


@pytest.mark.scenario(number=50)
@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        (format_datetime(datetime(2026, 3, 2, 9, 32, tzinfo=UTC), usegmt=True), 100, 130),
        ("-5", 60, 70),
        ("soon", 60, 70),
        ("", 60, 70),
        ("1e3", 60, 70),
        ("Mon, 99 Nob 2026 25:61:61 GMT", 60, 70),
    ],
    ids=["http_date", "negative", "garbage", "empty", "float", "broken_date"],
)
def test_retry_after_of_every_kind_is_bounded(world: World, header: str, least: float, most: float) -> None:
    world.opened()
    before = slept(world)
    world.server.fail(Reply(429, SECONDARY, {"Retry-After": header}), SHOW)
    assert world.forge.show(1).number == 1
    assert least <= slept(world) - before < most


@pytest.mark.scenario(number=50)
@pytest.mark.parametrize("header", ["315360000", "9" * 400, "Sun, 06 Nov 2036 08:49:37 GMT"])
def test_retry_after_10_years_ends_at_once(world: World, header: str) -> None:
    world.opened()
    before = slept(world)
    world.server.fail(Reply(429, SECONDARY, {"Retry-After": header}), SHOW)
    with pytest.raises(LimitTooLong):
        world.forge.show(1)
    assert slept(world) == before


@pytest.mark.scenario(number=51)
@pytest.mark.parametrize("skew", [3600.0, -3600.0])
def test_server_clock_skewed_1h_both_ways(world: World, skew: float) -> None:
    world.opened()
    before = slept(world)
    world.server.server_clock_skew = skew
    world.server.fail(world.server.limited(40), SHOW)
    assert world.forge.show(1).number == 1
    assert 40 <= slept(world) - before < 50


@pytest.mark.scenario(number=52)
def test_local_clock_jumps_backwards(world: World) -> None:
    world.opened()
    forge = world.client(patience=30.0)
    world.server.fail("503_before", SHOW, times=1000)
    began = world.clock.monotonic()
    world.server.before = lambda call: world.clock.set_now(world.clock.now() - timedelta(hours=1))
    with pytest.raises(RemoteError):
        forge.show(1)
    world.server.heal()
    assert world.clock.monotonic() - began <= 31


@pytest.mark.scenario(number=53)
def test_content_creation_budget(world: World) -> None:
    """At least a second between writes, so never above 80 a minute."""
    opened = world.opened()
    times: list[float] = []
    world.server.before = lambda call: times.append(world.clock.monotonic()) if call.method == "PATCH" else None
    for number in range(20):
        world.forge.update(opened.number, title=f"Title {number}", body="")
    assert len(times) == 20
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))


def test_the_budget_of_an_hour_ends_at_once_and_tells_when(world: World) -> None:
    opened = world.opened()
    settings = GitHubSettings(world.clock, pace=Pace(per_hour=5))
    forge = GitHubForge(GitHubAddress(world.server.api, "x", "acme", "gitops"), BearerToken(_token()), settings)
    _with_real_token(world, forge)
    for number in range(5):
        forge.update(opened.number, title=f"Title {number}", body="")
    with pytest.raises(LimitTooLong, match="5 changes an hour") as caught:
        forge.update(opened.number, title="One more", body="")
    assert "seconds" in str(caught.value.hint)
    world.clock.advance(3600)
    assert forge.update(opened.number, title="One more", body="").title == "One more"
    forge.close_connections()


@pytest.mark.scenario(number=54)
def test_endless_202_on_get(world: World) -> None:
    world.opened()
    forge = world.client(patience=30.0)
    world.server.fail("202", SHOW, times=1000)
    with pytest.raises(RemoteError, match="still at work") as caught:
        forge.show(1)
    world.server.heal()
    assert caught.value.exit_code is ExitCode.REMOTE


@pytest.mark.scenario(number=55)
def test_server_drips_one_byte_per_second(world: World) -> None:
    world.opened()
    quick = GitHubSettings(world.clock, patience=0.0, limits=Limits(connect=1.0, read=1.0, whole=1.5))
    forge = GitHubForge(GitHubAddress(world.server.api, "x", "acme", "gitops"), BearerToken(_token()), quick)
    world.server.fail("drip", SHOW)
    with pytest.raises(RemoteError, match="in time") as caught:
        _with_real_token(world, forge).show(1)
    forge.close_connections()
    assert caught.value.exit_code is ExitCode.REMOTE


def _with_real_token(world: World, forge: GitHubForge) -> GitHubForge:
    world.server.accounts["t" * 40] = next(iter(world.server.accounts.values()))
    return forge


def test_a_hanging_answer_ends_by_its_time_limit(world: World) -> None:
    world.opened()
    forge = world.client(patience=0.0)
    world.server.fail("hang", SHOW)
    with pytest.raises(RemoteError):
        forge.show(1)


@pytest.mark.scenario(number=56)
def test_connect_blackhole() -> None:
    """A host that takes no connection: its queue is full, so the kernel answers nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        settings = GitHubSettings(FakeClock(), patience=0.0, limits=Limits(connect=0.3, read=0.3, whole=1.0))
        address = GitHubAddress(f"http://127.0.0.1:{port}", "x", "acme", "gitops")
        forge = GitHubForge(address, BearerToken(_token()), settings)
        with pytest.raises(RemoteError) as caught:
            forge.check_access()
        forge.close_connections()
        for one in waiting:
            one.close()
    assert caught.value.exit_code is ExitCode.REMOTE


def test_a_server_that_is_not_there_is_asked_until_patience_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    clock = FakeClock()
    address = GitHubAddress(f"http://127.0.0.1:{port}", "x", "acme", "gitops")
    forge = GitHubForge(address, BearerToken(_token()), GitHubSettings(clock, patience=20.0))
    with pytest.raises(RemoteError, match="does not answer") as caught:
        forge.open(draft())
    forge.close_connections()
    assert "not known" not in caught.value.message, "a request that was never sent left nothing in doubt"
    assert 1 < sum(clock.slept) <= 20


def test_an_answer_without_end_is_cut_off(world: World) -> None:
    world.opened()
    small = GitHubSettings(world.clock, limits=Limits(connect=1.0, read=1.0, whole=5.0, body=1000))
    forge = GitHubForge(GitHubAddress(world.server.api, "x", "acme", "gitops"), BearerToken(_token()), small)
    _with_real_token(world, forge)
    with pytest.raises(RemoteError, match="larger than 1000 bytes"):
        forge.show(1)
    forge.close_connections()


def test_every_call_is_counted(world: World) -> None:
    opened = world.opened()
    before = world.forge.api_calls
    world.forge.show(opened.number)
    assert world.forge.api_calls == before + 1
    assert world.forge.api_calls == len(world.server.calls)


def test_two_threads_share_one_client(world: World) -> None:
    world.opened()
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(world.forge.show(1).number)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 8


def _token() -> Secret:
    return Secret("t" * 40, "$T")
