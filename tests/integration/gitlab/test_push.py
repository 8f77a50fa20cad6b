"""Merge requests by pushes alone: what a CI job token can do, over real git."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.core.errors import RemoteError
from orchestrator.core.names import CommitId, RemoteURL, RepoPath
from orchestrator.core.secret import Secret
from orchestrator.forges.base import CommitStatus, OpensByPush, PullRequestState, StatusState
from orchestrator.forges.calls import LoginRefused
from orchestrator.forges.gitlab_address import locate
from orchestrator.forges.gitlab_api import TokenKind
from orchestrator.forges.gitlab_push import GitLabByPush
from orchestrator.git.credentials import GitCredentials
from orchestrator.gitops.base import Landed
from orchestrator.gitops.pull_request_text import PullRequestText
from orchestrator.gitops.pushing import push_options
from orchestrator.gitops.repository import GitRepository
from tests.integration.gitlab.worlds import BOT, MAIN, World, draft
from tests.servers.forge_http import Reply
from tests.servers.gitlab import Token
from tests.simulators.forge import SimulatedForge, SimulatedForgeServer
from tests.simulators.gitops_repository import SimulatedGitServer

JOB_TOKEN = "glcbt-canary-64_7c2a9d0e"
BODY = "Two images.\n\n- api \\new\n/merge\n"


@pytest.fixture
def repository(world: World) -> Iterator[GitRepository]:
    world.server.add_token(JOB_TOKEN, Token("runner", job=True))
    world.server.git_login = True
    url = RemoteURL(f"{world.server.web}/acme/gitops.git")
    login = GitCredentials(Secret(JOB_TOKEN, "$CI_JOB_TOKEN"), "gitlab-ci-token")
    with GitRepository(url, credentials=login, clock=world.clock) as repository:
        yield repository


@pytest.fixture
def forge(world: World, repository: GitRepository) -> Iterator[GitLabByPush]:
    calls = world.client(JOB_TOKEN, TokenKind.JOB)
    yield GitLabByPush(locate(RemoteURL(repository.url)), repository.matching, calls, world.clock)
    calls.close_connections()


def push(
    world: World, repository: GitRepository, forge: GitLabByPush, content: bytes = b"new\n", title: str = "Release"
) -> CommitId:
    """What a handoff does: a commit on main's tip, pushed with what the forge wants to be told."""
    tips = repository.tips([MAIN.ref, BOT.ref])
    commit = repository.commit(tips[MAIN.ref], {RepoPath("a.yaml"): content}, "Release shop", world.clock.now())
    options = forge.push_options(draft(title=title, body=BODY))
    assert isinstance(repository.push(BOT.ref, commit, tips.get(BOT.ref), options), Landed)
    return commit


def test_a_push_opens_the_merge_request(world: World, repository: GitRepository, forge: GitLabByPush) -> None:
    forge.check_access()
    assert forge.pull_requests(BOT, MAIN) == []
    commit = push(world, repository, forge)
    opened = forge.open(draft(title="Release", body=BODY))
    assert (opened.number, opened.state, opened.head_commit) == (1, PullRequestState.OPEN, commit)
    assert opened.url == f"{world.server.web}/acme/gitops/-/merge_requests/1"
    assert (world.only.title, world.only.target) == ("Release", "main")
    assert world.only.description == BODY.replace("\n/merge", "\n\\/merge").replace("\\new", "&#92;new")
    assert world.only.commands == []
    assert world.server.calls == []


def test_a_newer_release_rewrites_the_same_one(world: World, repository: GitRepository, forge: GitLabByPush) -> None:
    push(world, repository, forge)
    (there,) = forge.pull_requests(BOT, MAIN)
    newer = push(world, repository, forge, b"newer\n", "Release 2")
    updated = forge.update(there.number, title="Release 2", body=BODY)
    assert (updated.number, updated.head_commit, updated.title) == (1, newer, "Release 2")
    assert world.only.title == "Release 2"


def test_after_one_that_was_closed_the_push_opens_another(
    world: World, repository: GitRepository, forge: GitLabByPush
) -> None:
    push(world, repository, forge)
    (there,) = forge.pull_requests(BOT, MAIN)
    world.only.state = "closed"
    push(world, repository, forge, b"newer\n")
    assert forge.update(there.number, title="Release", body=BODY).number == 2


def test_a_branch_that_was_pushed_without_options_is_told(
    world: World, repository: GitRepository, forge: GitLabByPush
) -> None:
    world.start()
    with pytest.raises(RemoteError, match="opened no merge request"):
        forge.open(draft())
    assert sum(world.clock.slept) <= 60


def test_what_no_push_can_do_says_so(forge: GitLabByPush) -> None:
    with pytest.raises(LoginRefused, match="can't close") as caught:
        forge.close(1, "no")
    assert "HYBRID_CI_FORGE_TOKEN" in str(caught.value.hint)


def test_what_the_job_may_not_read_is_done_without_or_told(world: World, forge: GitLabByPush) -> None:
    head = world.start()
    assert forge.compare(f"{world.server.web}/acme/gitops", head, head) is None
    world.server.fail(Reply(401, {"message": "401 Unauthorized"}), "GET *", times=2)
    assert forge.compare(f"{world.server.web}/acme/gitops", head, head) is None
    with pytest.raises(LoginRefused, match="CI job token"):
        forge.statuses(head)
    with pytest.raises(LoginRefused, match="CI job token"):
        forge.set_status(head, CommitStatus("flux", StatusState.SUCCESS))


def test_a_job_token_that_calls_is_told_what_to_use(world: World) -> None:
    opened = world.opened()
    world.server.add_token(JOB_TOKEN, Token("runner", job=True))
    world.server.fail(Reply(401, {"message": "401 Unauthorized"}), "GET *")
    forge = world.client(JOB_TOKEN, TokenKind.JOB)
    with pytest.raises(LoginRefused, match="CI job token") as caught:
        forge.show(opened.number)
    assert "project access token" in str(caught.value.hint)
    forge.close_connections()


def test_a_very_long_text_fits_into_a_push(world: World, repository: GitRepository, forge: GitLabByPush) -> None:
    options = forge.push_options(draft(title="Release", body="ü\n" * 60_000))
    assert max(len(option.encode()) for option in options) < 65_000
    assert not any("\n" in option for option in options)


def test_a_forge_that_is_called_wants_no_options() -> None:
    called = SimulatedForge(SimulatedForgeServer(SimulatedGitServer()))
    assert not isinstance(called, OpensByPush)

    def content(room: int) -> str:
        raise AssertionError(f"no text is made for it, in {room} characters")

    assert push_options(called, BOT, MAIN, PullRequestText("Release", "one", content)) == ()


def test_a_forge_that_is_pushed_to_gets_the_whole_text(forge: GitLabByPush) -> None:
    text = PullRequestText("Release", "one", lambda room: BODY)
    assert push_options(forge, BOT, MAIN, text) == forge.push_options(draft(title="Release", body=text.body()))
