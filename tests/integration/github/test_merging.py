"""Merging at GitHub: now, later, through the queue; and what its refusals mean."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import ExitCode, RemoteError
from orchestrator.forges.base import AutoMerge, MergeMethod, NotMergeable, PullRequestMoved, PullRequestState
from tests.integration.github.worlds import BOT, MAIN, PULLS, World, as_draft, draft, head_of
from tests.servers.forge_http import Reply

SHOW = f"GET {PULLS}/1"
MERGE = f"PUT {PULLS}/1/merge"
GRAPHQL = "POST /api/graphql"
MESSAGE = "Release shop\n\nHybrid-CI-Environment: dev\n"


def said(status: int, message: str) -> Reply:
    """A refusal in GitHub's words."""
    return Reply(status, {"message": message, "documentation_url": "https://docs.github.com/rest"})


@pytest.mark.scenario(number=37)
def test_merge_405_base_branch_modified(world: World) -> None:
    opened = world.opened()
    world.server.fail(said(405, "Base branch was modified. Review and try the merge again."), MERGE, times=3)
    assert world.forge.merge(opened.number, head_of(opened)).state is PullRequestState.MERGED
    assert len(world.server.called(MERGE)) == 4


def test_merge_405_base_branch_modified_for_ever_ends_by_the_deadline(world: World) -> None:
    opened = world.opened()
    forge = world.client(seconds=60.0)
    world.server.fail(said(405, "Base branch was modified. Review and try the merge again."), MERGE, times=1000)
    with pytest.raises(RemoteError):
        forge.merge(opened.number, head_of(opened))
    world.server.heal()
    assert sum(world.clock.slept) <= 61


@pytest.mark.scenario(number=38)
def test_merge_405_method_not_allowed(world: World) -> None:
    opened = world.opened()
    world.hosted.rules.methods = frozenset({"squash"})
    with pytest.raises(NotMergeable, match="Merge commits are not allowed") as caught:
        world.forge.merge(opened.number, head_of(opened))
    assert caught.value.exit_code is ExitCode.REFUSED
    assert "merge method" in str(caught.value.hint)
    assert len(world.server.called(MERGE)) == 1, "asking again would change nothing"


@pytest.mark.scenario(number=39)
def test_merge_409_head_moved(world: World) -> None:
    opened = world.opened()
    world.server.before = lambda call: world.commit(BOT) if call.key == MERGE else None
    with pytest.raises(PullRequestMoved) as caught:
        world.forge.merge(opened.number, head_of(opened))
    assert caught.value.exit_code is ExitCode.CONFLICT
    assert world.only.state == "open"


@pytest.mark.scenario(number=40)
@pytest.mark.parametrize("fault", ["502_after", "reset_after"])
def test_merge_landed_then_502_then_405(world: World, fault: str) -> None:
    """The answer is lost, the next look is stale, and the second merge is refused: it was merged all the same."""
    opened = world.opened()
    world.forge.show(opened.number)
    stale = world.server.calls[-1].reply
    assert stale is not None
    world.server.fail(stale, SHOW, times=2)
    world.server.fail(fault, MERGE)
    merged = world.forge.merge(opened.number, head_of(opened), MESSAGE)
    assert merged.merge_commit == world.tip(MAIN)
    assert world.merges() == 1
    assert [call.reply.status for call in world.server.called(MERGE) if call.reply] == [200, 405]


def test_a_405_of_what_is_merged_already_is_success(world: World) -> None:
    opened = world.opened()

    def somebody_merges(call: object) -> None:
        world.server.before = None
        world.client().merge(opened.number, head_of(opened))

    world.server.before = lambda call: somebody_merges(call) if call.key == MERGE else None
    assert world.forge.merge(opened.number, head_of(opened)).state is PullRequestState.MERGED
    assert world.merges() == 1


@pytest.mark.scenario(number=44)
def test_merge_queue_required(world: World) -> None:
    opened = world.opened()
    world.hosted.rules.merge_queue = True
    with pytest.raises(NotMergeable, match="merge queue") as caught:
        world.forge.merge(opened.number, head_of(opened))
    assert "queue" in str(caught.value.hint)
    assert world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE) is AutoMerge.ENABLED
    assert (world.only.queued, world.only.state) == (True, "open")
    assert world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE) is AutoMerge.ENABLED


def test_what_is_mergeable_already_is_merged_at_once(world: World) -> None:
    """GitHub refuses auto-merge on a clean pull request."""
    opened = world.opened()
    done = world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.SQUASH, MESSAGE)
    assert done is AutoMerge.MERGED
    assert world.hosted.repo.info(str(world.tip(MAIN)))["message"] == MESSAGE.strip()


def test_what_waits_for_a_check_is_merged_by_github_later(world: World) -> None:
    world.hosted.rules.checks = ("policy",)
    opened = world.opened()
    done = world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE, MESSAGE)
    assert (done, world.only.state) == (AutoMerge.ENABLED, "open")
    again = world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE, MESSAGE)
    assert again is AutoMerge.ENABLED
    found = {"context": "policy", "state": "success", "login": "ci", "created": world.clock.now()}
    world.hosted.statuses[str(head_of(opened))] = [found]
    world.forge.check_access()  # any call lets the fake get on with it
    assert world.only.merged is not None
    assert world.hosted.repo.info(str(world.tip(MAIN)))["message"] == MESSAGE.strip()


def test_an_unstable_pull_request_is_merged_at_once(world: World) -> None:
    """A check that no rule asks for is red: GitHub refuses auto-merge, and lets the merge through."""
    opened = world.opened()
    red = {"context": "coverage", "state": "failure", "login": "ci", "created": world.clock.now()}
    world.hosted.statuses[str(head_of(opened))] = [red]
    assert world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE) is AutoMerge.MERGED


@pytest.mark.parametrize("lag", [0, 5, 45])
def test_mergeability_is_asked_for_until_it_is_computed(world: World, lag: int) -> None:
    opened = world.opened()
    world.server.mergeability_lag = lag
    assert world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE) is AutoMerge.MERGED
    assert sum(world.clock.slept) >= lag


def test_a_merge_conflict_is_told_and_nothing_is_lost(world: World) -> None:
    opened = world.opened()
    world.commit(MAIN, content=b"theirs\n")
    with pytest.raises(NotMergeable, match="conflicts"):
        world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE)
    assert world.only.state == "open"


def test_auto_merge_that_is_off_for_the_repository_is_told_with_a_way_out(world: World) -> None:
    world.hosted.rules.approvals = 1
    world.hosted.rules.auto_merge = False
    opened = world.opened()
    with pytest.raises(NotMergeable, match="not allowed for this repository") as caught:
        world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE)
    assert "Allow auto-merge" in str(caught.value.hint)


def test_auto_merge_is_never_asked_for_with_another_head(world: World) -> None:
    world.hosted.rules.approvals = 1
    opened = world.opened()
    world.commit(BOT)
    with pytest.raises(PullRequestMoved):
        world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE)
    assert world.only.auto_merge is None


@pytest.mark.parametrize("fault", ["502_after", "reset_after", "502_before"])
def test_auto_merge_whose_answer_is_lost_is_read_back(world: World, fault: str) -> None:
    world.hosted.rules.approvals = 1
    opened = world.opened()
    world.server.fail(fault, GRAPHQL, times=2)  # the query that comes first is a read, and simply asked again
    assert world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE) is AutoMerge.ENABLED
    assert world.only.auto_merge is not None


def test_a_push_of_ours_keeps_what_was_asked_for_so_it_is_called_off(world: World) -> None:
    world.hosted.rules.approvals = 1
    opened = world.opened()
    world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE, MESSAGE)
    world.commit(BOT)
    world.forge.check_access()
    assert world.only.auto_merge is not None
    assert world.forge.call_off_merge(opened.number)
    assert world.only.auto_merge is None
    assert not world.forge.call_off_merge(opened.number)


@pytest.mark.parametrize("fault", ["502_after", "reset_after", "502_before"])
def test_a_wish_is_called_off_once_whatever_happens_to_the_answer(world: World, fault: str) -> None:
    world.hosted.rules.approvals = 1
    opened = world.opened()
    world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE, MESSAGE)
    world.server.fail(fault, GRAPHQL, times=2)
    assert world.forge.call_off_merge(opened.number)
    assert world.only.auto_merge is None


def test_what_is_called_off_leaves_the_queue(world: World) -> None:
    world.hosted.rules.merge_queue = True
    opened = world.opened()
    world.forge.merge_when_ready(opened.number, head_of(opened), None)
    assert world.only.queued
    assert world.forge.call_off_merge(opened.number)
    assert not world.only.queued


@pytest.mark.parametrize("method", [MergeMethod.MERGE, MergeMethod.SQUASH])
def test_another_wish_replaces_the_one_that_there_is(world: World, method: MergeMethod) -> None:
    """GitHub itself leaves the first one as it was."""
    world.hosted.rules.approvals = 1
    opened = world.opened()
    world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE, MESSAGE)
    other = MESSAGE if method is MergeMethod.SQUASH else MESSAGE.replace("dev", "prod")
    assert world.forge.merge_when_ready(opened.number, head_of(opened), method, other) is AutoMerge.ENABLED
    asked = world.only.auto_merge
    assert asked is not None
    assert (asked["method"], asked["title"], asked["body"].split()) == (method.value, "Release shop", other.split()[2:])


def test_a_draft_is_made_and_unmade(world: World) -> None:
    world.start()
    opened = world.forge.open(as_draft(draft()))
    assert opened.draft
    assert not world.forge.set_draft(opened.number, False).draft
    assert world.forge.set_draft(opened.number, True).draft
    calls = world.forge.api_calls
    assert world.forge.set_draft(opened.number, True).draft
    assert world.forge.api_calls == calls + 1, "what is so already is only looked at"


def test_an_approval_is_never_given_and_no_rule_is_passed_by(world: World) -> None:
    world.hosted.rules.approvals = 1
    opened = world.opened()
    with pytest.raises(NotMergeable, match="approving review is required"):
        world.forge.merge(opened.number, head_of(opened))
    assert not [call for call in world.server.calls if "approve" in call.body.decode().lower()]
