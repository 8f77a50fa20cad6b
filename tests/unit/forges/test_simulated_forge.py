"""The simulated forge fails when it is told to, and its lists lag when they are told to."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import RemoteError
from orchestrator.core.names import BranchName
from orchestrator.forges.base import NotMergeable, PullRequestDraft, PullRequestState
from tests.simulators.clock import FakeClock
from tests.simulators.forge import SimulatedForge, SimulatedForgeServer
from tests.simulators.gitops_repository import SimulatedGitServer

MAIN, BOT = BranchName("main"), BranchName("hybrid-ci/prod/shop")
DRAFT = PullRequestDraft("Release", "", BOT, MAIN)


@pytest.fixture
def server() -> SimulatedForgeServer:
    git = SimulatedGitServer()
    main = git.commit_files({"a.yaml": b"old\n"})
    git.commit_files({"a.yaml": b"new\n"}, ref=BOT.ref.value, parent=main.value)
    return SimulatedForgeServer(git, FakeClock())


def test_a_failure_before_the_effect_leaves_nothing(server: SimulatedForgeServer) -> None:
    forge = SimulatedForge(server)
    forge.fail(moment="before", method="open")
    with pytest.raises(RemoteError):
        forge.open(DRAFT)
    assert forge.list() == []


def test_a_failure_after_the_effect_leaves_it(server: SimulatedForgeServer) -> None:
    forge = SimulatedForge(server)
    forge.fail(moment="after", method="open")
    with pytest.raises(RemoteError):
        forge.open(DRAFT)
    (opened,) = forge.list()
    assert forge.open(DRAFT) == opened


def test_the_nth_call_from_now_fails_and_no_other(server: SimulatedForgeServer) -> None:
    forge = SimulatedForge(server)
    forge.list()
    forge.fail(2)
    forge.check_access()
    with pytest.raises(RemoteError):
        forge.check_access()
    forge.check_access()
    assert forge.calls == ["list", "check_access", "check_access", "check_access"]


def test_a_failure_of_a_clients_own_is_not_seen_by_another(server: SimulatedForgeServer) -> None:
    SimulatedForge(server).fail(error=KeyboardInterrupt())
    SimulatedForge(server).check_access()


def test_a_scheduler_is_told_every_call_first(server: SimulatedForgeServer) -> None:
    told: list[str] = []
    forge = SimulatedForge(server, before_call=told.append)
    forge.open(DRAFT)
    forge.pull_requests(BOT, MAIN)
    assert told == ["open", "pull_requests"]


def test_a_list_that_lags_shows_a_new_pull_request_late_but_opening_finds_it(server: SimulatedForgeServer) -> None:
    server.list_lag = 30
    clock = server.clock
    assert isinstance(clock, FakeClock)
    forge = SimulatedForge(server)
    opened = forge.open(DRAFT)
    assert (forge.pull_requests(BOT, MAIN), forge.list()) == ([], [])
    assert forge.open(DRAFT) == opened == forge.show(opened.number)
    clock.advance(30)
    assert forge.pull_requests(BOT, MAIN) == [opened]


def test_rules_of_the_server_stop_a_merge(server: SimulatedForgeServer) -> None:
    server.rules = lambda pull: None if "ada" in pull.approvals else "ada has to approve"
    forge = SimulatedForge(server)
    opened = forge.open(DRAFT)
    assert opened.head_commit is not None
    with pytest.raises(NotMergeable, match="ada has to approve"):
        forge.merge(opened.number, opened.head_commit)
    server.approve(opened.number, "ada")
    assert forge.merge(opened.number, opened.head_commit).state is PullRequestState.MERGED
