"""Whole handoffs to GitLab: git over smart HTTP and merge requests on the same server, by calls and by pushes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config.loader import load_policy
from orchestrator.core.change import Change
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.errors import Refused
from orchestrator.core.names import RemoteURL
from orchestrator.core.secret import Secret
from orchestrator.forges.base import Forge, PullRequestState
from orchestrator.forges.gitlab_address import locate
from orchestrator.forges.gitlab_push import GitLabByPush
from orchestrator.git.credentials import GitCredentials
from orchestrator.git.identity import Identity
from orchestrator.gitops.desk import Desk
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Opened, Outcome, Superseded, Unchanged, Updated
from orchestrator.gitops.repository import GitRepository
from tests.integration.gitlab.worlds import MERGE_REQUESTS, TOKEN, World, gitlab, head_of
from tests.servers.git_repositories import commit_files, git
from tests.simulation.town import IDENTITY, describe
from tests.unit.gitops.changes import FILES, MAIN, POLICY, change

CREATE = f"POST {MERGE_REQUESTS}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with gitlab(tmp_path) as world:
        files = {POLICY_PATH: POLICY, **{path.value: content for path, content in FILES.items()}}
        commit_files(world.project.repo.path, dict(files))
        world.server.git_login = True
        yield world


def run(world: World, wanted: Change, *, by_push: bool = False, reopen: bool = False) -> Outcome:
    """One job from its beginning to its end, with clients of its own."""
    url = RemoteURL(f"{world.server.web}/acme/gitops.git")
    login = GitCredentials(Secret(TOKEN, "$TOKEN"))
    calls = world.client()
    with GitRepository(
        url, credentials=login, identity=Identity("hybrid-ci", IDENTITY), clock=world.clock
    ) as repository:
        forge: Forge = calls
        if by_push:
            forge = GitLabByPush(locate(url), repository.matching, calls, world.clock)
        policy = load_policy(POLICY, "the policy", MAIN)
        try:
            return hand_off(Desk(repository, forge, policy, world.clock, describe, IDENTITY, reopen=reopen), wanted)
        finally:
            calls.close_connections()


@pytest.mark.scenario(number=28)
@pytest.mark.scenario(number=30)
@pytest.mark.scenario(number=31)
def test_a_release_is_opened_updated_in_place_merged_and_then_done(world: World) -> None:
    opened = run(world, change(2))
    assert isinstance(opened, Opened)
    assert isinstance(run(world, change(2)), Unchanged)
    updated = run(world, change(3))
    assert isinstance(updated, Updated)
    assert updated.pull_request.number == opened.pull_request.number == 1
    assert isinstance(run(world, change(2)), Superseded)
    assert world.only.title == "release3 to dev"
    there = world.forge.show(1)
    world.forge.merge(1, head_of(there))
    assert isinstance(run(world, change(3)), Unchanged)
    assert len(world.project.merge_requests) == 1


@pytest.mark.parametrize("fault", ["502_after", "502_before", "reset_after"])
def test_a_release_whose_opening_got_lost_has_one_merge_request(world: World, fault: str) -> None:
    world.server.list_lag = 30.0
    world.server.fail(fault, CREATE)
    assert isinstance(run(world, change(2)), Opened)
    assert len(world.project.merge_requests) == 1
    run(world, change(2))
    assert len(world.project.merge_requests) == 1


@pytest.mark.scenario(number=27)
def test_closed_unmerged_pr_for_same_release(world: World) -> None:
    run(world, change(2))
    world.forge.close(1, "no")
    with pytest.raises(Refused, match="closed without a merge"):
        run(world, change(2))
    again = run(world, change(2), reopen=True)
    assert isinstance(again, Opened)
    assert again.pull_request.number == 2


@pytest.mark.scenario(number=34)
def test_human_edited_pr_title_and_body(world: World) -> None:
    run(world, change(2))
    world.only.title = "My title"
    world.only.description = f"Mind the database!\n\n{world.only.description}\nThanks."
    run(world, change(3))
    assert world.only.description.startswith("Mind the database!\n\n")
    assert world.only.description.endswith("\nThanks.")
    assert "release3" in world.only.title


@pytest.mark.scenario(number=29)
def test_merged_pr_branch_deleted_by_forge(world: World) -> None:
    opened = run(world, change(2))
    assert isinstance(opened, Opened)
    world.forge.merge(1, head_of(world.forge.show(1)))
    git(world.project.repo.path, "update-ref", "-d", change(2).branch.ref.value)
    assert isinstance(run(world, change(2)), Unchanged)
    assert world.forge.show(1).state is PullRequestState.MERGED


def test_the_same_story_by_pushes_alone(world: World) -> None:
    opened = run(world, change(2), by_push=True)
    assert isinstance(opened, Opened)
    assert (opened.pull_request.number, world.only.title) == (1, "release2 to dev")
    updated = run(world, change(3), by_push=True)
    assert isinstance(updated, Updated)
    assert (updated.pull_request.number, world.only.title) == (1, "release3 to dev")
    assert world.server.called("P*") == []
