"""Pull requests at a GitHub that fails, lags and refuses: one comes of it, and it is ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.errors import ConfigurationError, ExitCode, Refused, RemoteError
from orchestrator.core.names import BranchName
from orchestrator.forges.base import NotOpen, PullRequestState
from tests.integration.github.worlds import BOT, CREATE, LIST, MAIN, PULLS, World, as_draft, draft
from tests.servers.forge_http import Reply

EDIT = f"PATCH {PULLS}/1"
COMMENT = "POST /api/v3/repos/acme/gitops/issues/1/comments"


@pytest.mark.scenario(number=23)
@pytest.mark.scenario(number=24)
@pytest.mark.parametrize("fault", ["502_after", "reset_after", "truncate"])
def test_pr_create_landed_then_502_or_reset(world: World, fault: str) -> None:
    world.start()
    world.server.fail(fault, CREATE)
    opened = world.forge.open(draft())
    assert opened.number == world.only.number
    assert len(world.server.called(CREATE)) == 1, "it was found, not asked for again"


@pytest.mark.parametrize("fault", ["502_before", "503_before", "reset_before"])
def test_pr_create_failed_before_it_landed(world: World, fault: str) -> None:
    world.start()
    world.server.fail(fault, CREATE)
    assert world.forge.open(draft()).number == world.only.number
    assert len(world.server.called(CREATE)) == 2


@pytest.mark.scenario(number=25)
@pytest.mark.parametrize("lag", [5, 30, 120])
@pytest.mark.parametrize("fault", ["502_after", "reset_after"])
def test_pr_list_lags_after_create_that_was_lost(world: World, lag: int, fault: str) -> None:
    world.start()
    world.server.list_lag = lag
    world.server.fail(fault, CREATE)
    opened = world.forge.open(draft())
    assert opened.number == world.only.number
    refusals = [call.reply.status for call in world.server.called(CREATE) if call.reply]
    assert set(refusals[1:]) <= {422}


@pytest.mark.parametrize("lag", [5, 30, 120])
def test_pr_list_lags_after_somebody_else_created_it(world: World, lag: int) -> None:
    first = world.opened()
    world.server.list_lag = lag
    world.only.created = world.clock.now()
    assert world.forge.pull_requests(BOT, MAIN) == []
    assert world.forge.open(draft(title="Another")).number == first.number
    assert len(world.hosted.pulls) == 1


def test_a_pull_request_that_never_shows_is_an_error_that_says_so(world: World) -> None:
    world.opened()
    world.server.list_lag = 1e6
    with pytest.raises(RemoteError, match="do not show it") as caught:
        world.forge.open(draft())
    assert caught.value.exit_code is ExitCode.REMOTE


@pytest.mark.scenario(number=26)
def test_pr_list_second_page_holds_ours(world: World) -> None:
    """One that a person reopened may be older than everything that the first page holds."""
    ours = world.opened()
    _many_ended(world, 120)
    before = len(world.server.called(LIST))
    found = world.forge.pull_requests(BOT, MAIN)
    assert [pull.number for pull in found if pull.state is PullRequestState.OPEN] == [ours.number]
    assert found[0].number == 121
    assert len(world.server.called(LIST)) - before == 2, "however many releases there were"


def test_a_list_that_ends_early_is_asked_for_once(world: World) -> None:
    ours = world.opened()
    _many_ended(world, 20)
    before = len(world.server.called(LIST))
    assert [pull.number for pull in world.forge.pull_requests(BOT, MAIN)] == list(range(21, 0, -1))
    assert world.forge.open(draft()).number == ours.number
    assert len(world.server.called(LIST)) - before == 2


def _many_ended(world: World, count: int) -> None:
    """Pull requests of the same branch that are newer than the open one, and closed."""
    for number in range(2, count + 2):
        pulls = world.hosted.pulls
        pulls.append(replace(pulls[0], number=number, state="closed", closed=world.server.now()))
    world.hosted.last_number = count + 1


def test_a_look_alike_of_a_fork_is_never_adopted(world: World) -> None:
    world.start()
    fork = world.server.host("mallory/gitops")
    world.server.git_requests.clear()
    _copy_branch(world, fork.repo.path, BOT)
    theirs = world.hosted.repo.path
    assert theirs != fork.repo.path
    world.server.accounts["ghp_mallory"] = type(world.server.accounts[next(iter(world.server.accounts))])("mallory")
    _open_from_fork(world)
    assert world.only.head_repository == "mallory/gitops"
    assert world.forge.pull_requests(BOT, MAIN) == []
    ours = world.forge.open(draft())
    assert (ours.number, ours.fork) == (2, "")
    assert [pull.fork for pull in world.forge.list()] == ["", "mallory/gitops"]


def test_a_look_alike_in_a_fork_of_the_same_owner_is_never_adopted(world: World) -> None:
    """An organisation may fork its own repository: ``owner:branch`` is then the same for both."""
    world.start()
    fork = world.server.host("acme/gitops-copy")
    _copy_branch(world, fork.repo.path, BOT)
    ours = world.forge.open(draft())
    world.only.head_repository = "acme/gitops-copy"
    assert world.forge.pull_requests(BOT, MAIN) == []
    assert world.forge.open(draft()).number != ours.number


def test_a_missing_branch_is_told_apart_from_a_missing_base(world: World) -> None:
    with pytest.raises(ConfigurationError, match=r"no branch 'hybrid-ci/dev/shop' to open a pull request from"):
        world.forge.open(draft())
    world.start()
    with pytest.raises(ConfigurationError, match=r"no branch 'gone' to open a pull request into"):
        world.forge.open(type(draft())("t", "b", BOT, BranchName("gone")))


def test_a_branch_without_commits_of_its_own_is_refused(world: World) -> None:
    world.start()
    _copy_branch(world, world.hosted.repo.path, MAIN, BOT)
    with pytest.raises(Refused, match="has nothing that"):
        world.forge.open(draft())


def test_drafts_that_the_plan_does_not_know_are_refused_with_a_way_out(world: World) -> None:
    world.start()
    world.hosted.rules.drafts = False
    with pytest.raises(Refused, match="no draft pull requests") as caught:
        world.forge.open(as_draft(draft()))
    assert "draft: true" in str(caught.value.hint)


def test_a_body_that_is_too_long_is_refused_and_told(world: World) -> None:
    opened = world.opened()
    with pytest.raises(Refused) as caught:
        world.forge.update(opened.number, title="t", body="x" * 65537)
    assert "65536" in f"{caught.value.details}{caught.value.hint}"
    assert world.only.body == opened.body


@pytest.mark.parametrize("fault", ["502_after", "502_before", "reset_after", "reset_before"])
def test_an_update_whose_answer_is_lost_is_read_back(world: World, fault: str) -> None:
    opened = world.opened()
    world.server.fail(fault, EDIT)
    updated = world.forge.update(opened.number, title="New", body="Text\n")
    assert (updated.title, world.only.title, world.only.body) == ("New", "New", "Text\n")
    assert len(world.server.called(EDIT)) == (1 if fault.endswith("after") else 2)


def test_a_pull_request_that_a_person_closed_is_not_updated(world: World) -> None:
    opened = world.opened()
    world.only.state = "closed"
    with pytest.raises(NotOpen, match="closed"):
        world.forge.update(opened.number, title="New", body="")


@pytest.mark.scenario(number=36)
@pytest.mark.parametrize("fault", ["502_after", "502_before", "reset_after"])
def test_comment_is_idempotent_after_502(world: World, fault: str) -> None:
    opened = world.opened()
    world.server.fail(fault, COMMENT)
    closed = world.forge.close(opened.number, "A newer release is on its way.")
    assert closed.state is PullRequestState.CLOSED
    assert [one["body"].partition("\n")[0] for one in world.only.comments] == ["A newer release is on its way."]


def test_a_comment_is_not_made_again_by_a_second_run(world: World) -> None:
    opened = world.opened()
    world.server.fail(Reply(422, {"message": "Validation Failed", "documentation_url": "x"}), EDIT)
    with pytest.raises(Refused):
        world.forge.close(opened.number, "Superseded.")
    world.forge.close(opened.number, "Superseded.")
    assert len(world.only.comments) == 1


def test_a_422_for_haste_is_a_limit_and_not_a_refusal(world: World) -> None:
    world.start()
    errors = [{"resource": "PullRequest", "code": "custom", "message": "was submitted too quickly"}]
    world.server.fail(Reply(422, {"message": "Validation Failed", "errors": errors, "documentation_url": "x"}), CREATE)
    assert world.forge.open(draft()).number == world.only.number
    assert sum(world.clock.slept) >= 60


def test_a_renamed_repository_is_told_and_nothing_is_sent_after_it(world: World) -> None:
    world.hosted.renamed_to = "acme/deployments"
    with pytest.raises(ConfigurationError, match="redirects") as caught:
        world.forge.check_access()
    assert "renamed" in str(caught.value.hint)
    assert len(world.server.calls) == 1


def test_an_archived_repository_is_told_before_and_after(world: World) -> None:
    world.start()
    world.hosted.archived = True
    with pytest.raises(ConfigurationError, match="archived"):
        world.forge.check_access()
    with pytest.raises(Refused, match="archived"):
        world.forge.open(draft())


def test_a_repository_that_is_not_there_is_told(world: World) -> None:
    with pytest.raises(ConfigurationError, match="no such thing"):
        world.client(repository="acme/nothing").check_access()


def test_a_repository_that_may_only_be_read_is_told_in_preflight(world: World) -> None:
    world.hosted.writable = False
    with pytest.raises(RemoteError, match="not write") as caught:
        world.forge.check_access()
    assert caught.value.exit_code is ExitCode.REMOTE


def test_an_answer_that_is_no_json_is_malformed_and_not_a_crash(world: World) -> None:
    world.server.fail("not_json", "GET /api/v3/repos/acme/gitops")
    with pytest.raises(RemoteError, match="not JSON") as caught:
        world.forge.check_access()
    assert caught.value.exit_code is ExitCode.REMOTE


@pytest.mark.parametrize("payload", [{}, {"number": 1}, [], {"number": "x", "state": "open"}])
def test_an_answer_that_lacks_what_it_should_hold_is_malformed(world: World, payload: object) -> None:
    world.opened()
    world.server.fail(Reply(200, payload), f"GET {PULLS}/1")
    with pytest.raises(RemoteError, match=r"lacks|form"):
        world.forge.show(1)


def test_pages_that_lead_to_another_host_are_not_followed(world: World) -> None:
    world.opened()
    elsewhere = {"Link": '<http://127.0.0.1:9/api/v3/repos/acme/gitops/pulls?page=2>; rel="next"'}
    listed = world.server.make_reply(world.server.called(LIST)[0])
    world.server.fail(Reply(200, listed.payload, elsewhere), LIST)
    with pytest.raises(RemoteError, match="not its own") as caught:
        world.forge.list()
    assert "base URL" in str(caught.value.hint)


def _copy_branch(world: World, target: object, source: BranchName, to: BranchName | None = None) -> None:
    from tests.servers.git_repositories import git

    tip = str(world.tip(source))
    git(world.hosted.repo.path, "push", "--quiet", "--force", str(target), f"{tip}:{(to or source).ref}")


def _open_from_fork(world: World) -> None:
    client = world.client(token="ghp_mallory")
    client._client.write(  # a person's own tool
        "POST", "/pulls", {"title": "Release shop", "body": "", "head": f"mallory:{BOT}", "base": "main"}
    )
