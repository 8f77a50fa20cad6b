"""The fault scenarios of merge requests, by their names: what was sent may have landed, and nothing happens twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.core.errors import ConfigurationError, Refused, RemoteError
from orchestrator.forges.base import (
    AutoMerge,
    MergeMethod,
    NotMergeable,
    PullRequestMoved,
    PullRequestState,
    Routing,
)
from orchestrator.forges.calls import Doubtful, LoginRefused
from tests.integration.gitlab.worlds import BOT, MAIN, MERGE_REQUESTS, World, draft, head_of
from tests.servers.forge_http import Call, Reply
from tests.servers.gitlab import MergeRequest, Token

CREATE = f"POST {MERGE_REQUESTS}"
MERGE = f"PUT {MERGE_REQUESTS}/1/merge"
SHOW = f"GET {MERGE_REQUESTS}/1"


# --- opening -------------------------------------------------------------------------------------------------------


@pytest.mark.scenario(number=23)
@pytest.mark.scenario(number=24)
@pytest.mark.parametrize("fault", ["502_after", "502_before", "reset_after", "reset_before", "truncate"])
def test_pr_create_landed_then_502_or_reset(world: World, fault: str) -> None:
    world.start()
    world.server.fail(fault, CREATE)
    assert world.forge.open(draft()).number == 1
    assert len(world.project.merge_requests) == 1


@pytest.mark.scenario(number=25)
@pytest.mark.parametrize("seconds", [5.0, 30.0, 110.0])
@pytest.mark.parametrize("fault", [None, "502_after"])
def test_pr_list_lags_5s_30s_120s_after_create(world: World, seconds: float, fault: str | None) -> None:
    world.server.list_lag = seconds
    first = world.opened()
    assert world.forge.pull_requests(BOT, MAIN) == []
    if fault:
        world.server.fail(fault, CREATE)
    assert world.forge.open(draft(title="Again")) == first
    assert len(world.project.merge_requests) == 1


def test_the_open_one_is_found_by_its_branches_when_gitlab_does_not_name_it(world: World) -> None:
    world.server.list_lag = 30.0
    first = world.opened()
    world.server.fail(Reply(409, {"message": ["Another open merge request already exists"]}), CREATE)
    assert world.forge.open(draft()) == first


@pytest.mark.scenario(number=26)
def test_pr_list_second_page_holds_ours(world: World) -> None:
    ours = world.opened()
    _many_closed(world)
    before = len(world.server.called(f"GET {MERGE_REQUESTS}"))
    found = world.forge.pull_requests(BOT, MAIN)
    assert found[0].number == 121
    assert [one for one in found if one.state is PullRequestState.OPEN] == [ours]
    assert len(world.server.called(f"GET {MERGE_REQUESTS}")) - before == 2, "however many releases there were"


def test_a_list_with_cursors_is_read_to_its_end(world: World) -> None:
    world.server.keyset = True
    ours = world.opened()
    for number in range(120):
        world.server.open_merge_request(
            world.project, BOT.value, MAIN.value, f"{number}", "", "bot", 1
        ).state = "closed"
    assert world.forge.list()[-1] == ours


def _many_closed(world: World) -> None:
    """More than one page of them, all newer than the open one."""
    now = world.clock.now()
    for number in range(2, 122):
        old = MergeRequest(number, "Old", "", BOT.value, MAIN.value, "bot", now, world.project.id, state="closed")
        old.sha = world.project.merge_requests[1].sha
        world.project.merge_requests[number] = old


def test_a_fork_s_look_alike_is_never_adopted(world: World) -> None:
    fork = world.server.add_project("mallory/gitops")
    head = world.start()
    world.server.open_merge_request(world.project, BOT.value, MAIN.value, "Release shop", "", "mallory", fork.id)
    assert world.forge.pull_requests(BOT, MAIN) == []
    opened = world.forge.open(draft())
    assert (opened.number, opened.head_commit, opened.author) == (2, head, "bot")
    assert [(one.number, one.fork) for one in world.forge.list()] == [(2, ""), (1, f"project {fork.id}")]


def test_a_merge_request_of_a_fork_that_was_deleted_is_shown(world: World) -> None:
    world.server.open_merge_request(world.project, "gone", MAIN.value, "Old", "", "mallory", 99)
    told = world.server.shown(world.project, world.only, single=True)
    told |= {"source_project_id": None, "sha": None}
    world.server.fail(Reply(200, told), SHOW)
    shown = world.forge.show(1)
    assert (shown.fork, shown.head_commit) == ("a project that was deleted", None)


def test_commands_in_texts_are_not_run(world: World) -> None:
    body = "Two images.\n\n/close\n/merge now\n/assign @mallory\n"
    world.start()
    opened = world.forge.open(draft(body=body))
    assert opened.body == body
    assert world.forge.update(opened.number, title="New", body=f"{body}/approve\n").body == f"{body}/approve\n"
    world.forge.close(opened.number, "/merge")
    assert world.only.commands == []


def test_a_title_that_is_too_long_is_cut(world: World) -> None:
    world.start()
    opened = world.forge.open(draft(title="x" * 300))
    assert len(opened.title) == 255
    assert world.forge.update(opened.number, title="x" * 300, body=opened.body) == opened


def test_a_refusal_to_open_is_told_with_gitlab_s_reason(world: World) -> None:
    world.start()
    world.server.fail(Reply(422, {"message": {"base": ["The source project is not a fork"]}}), CREATE)
    with pytest.raises(Refused, match="not a fork"):
        world.forge.open(draft())


# --- talking -------------------------------------------------------------------------------------------------------


@pytest.mark.scenario(number=36)
@pytest.mark.parametrize("fault", ["502_after", "502_before", "reset_after"])
def test_comment_is_idempotent_after_502(world: World, fault: str) -> None:
    opened = world.opened()
    world.server.fail(fault, f"POST {MERGE_REQUESTS}/1/notes")
    world.forge.close(opened.number, "A newer release is on its way.")
    assert len(world.only.notes) == 1
    assert world.only.state == "closed"


def test_a_close_that_broke_after_its_comment_goes_on_from_there(world: World) -> None:
    opened = world.opened()
    world.server.fail(Reply(400, {"message": "not now"}), f"PUT {MERGE_REQUESTS}/1")
    with pytest.raises(RemoteError):
        world.forge.close(opened.number, "A newer release is on its way.")
    assert world.forge.close(opened.number, "A newer release is on its way.").state is PullRequestState.CLOSED
    assert len(world.only.notes) == 1


@pytest.mark.parametrize("fault", ["502_after", "reset_before"])
def test_an_update_that_may_have_landed_is_made_again(world: World, fault: str) -> None:
    opened = world.opened()
    world.server.fail(fault, f"PUT {MERGE_REQUESTS}/1")
    assert world.forge.update(opened.number, title="New", body="text").title == "New"


@pytest.mark.scenario(number=35)
def test_label_or_reviewer_call_fails_after_pr(world: World) -> None:
    opened = world.opened()
    world.server.user_id("alice")
    world.server.fail(Reply(403, {"message": "403 Forbidden"}), f"PUT {MERGE_REQUESTS}/1")
    wishes = Routing(reviewers=("alice",), labels=("release",))
    complaints = world.forge.route(opened.number, wishes)
    assert complaints == ["this token may not set the labels"]
    assert world.only.reviewers == ["alice"]
    assert world.forge.route(opened.number, wishes) == []
    assert world.only.labels == ["release"]
    assert len(world.project.merge_requests) == 1


# --- merging -------------------------------------------------------------------------------------------------------


@pytest.mark.scenario(number=38)
def test_merge_405_method_not_allowed(world: World) -> None:
    opened = world.opened()
    world.project.approvals_required = 1
    with pytest.raises(NotMergeable, match="approvals are missing"):
        world.forge.merge(opened.number, head_of(opened))
    assert world.server.called(MERGE) == []


def test_merge_405_for_ever_is_told_at_last(world: World) -> None:
    opened = world.opened()
    world.server.fail(Reply(405, {"message": "405 Method Not Allowed"}), MERGE, times=3)
    with pytest.raises(NotMergeable, match="405 Method Not Allowed"):
        world.forge.merge(opened.number, head_of(opened))
    assert world.only.state == "opened"


def test_merge_422_that_passes_is_asked_again(world: World) -> None:
    opened = world.opened()
    world.server.fail(Reply(422, {"message": "Branch cannot be merged"}), MERGE)
    assert world.forge.merge(opened.number, head_of(opened)).state is PullRequestState.MERGED


@pytest.mark.scenario(number=39)
def test_merge_409_head_moved(world: World) -> None:
    opened = world.opened()

    def push_first(call: Call) -> None:
        if call.key == MERGE:
            world.server.before = None
            world.commit(BOT)

    world.server.before = push_first
    with pytest.raises(PullRequestMoved):
        world.forge.merge(opened.number, head_of(opened))
    assert world.only.state == "opened"


def test_a_push_that_gitlab_has_not_noticed_yet_is_waited_for(world: World) -> None:
    opened = world.opened()
    world.server.head_lag = 20.0
    head = world.commit(BOT)
    assert world.forge.merge(opened.number, head).head_commit == head
    assert world.merged_once()


@pytest.mark.scenario(number=40)
@pytest.mark.parametrize("fault", ["502_after", "reset_after"])
def test_merge_landed_then_502_then_405(world: World, fault: str) -> None:
    opened = world.opened()
    world.server.fail(fault, MERGE)
    merged = world.forge.merge(opened.number, head_of(opened))
    assert merged.state is PullRequestState.MERGED
    assert world.merged_once()


@pytest.mark.scenario(number=41)
def test_gitlab_405_already_merged(world: World) -> None:
    """Somebody else merges between the look and the call."""
    opened = world.opened()

    def merge_first(call: Call) -> None:
        if call.key == MERGE:
            world.server.before = None
            with_other = world.client()
            with_other.merge(opened.number, head_of(opened))
            with_other.close_connections()

    world.server.before = merge_first
    assert world.forge.merge(opened.number, head_of(opened)).state is PullRequestState.MERGED
    assert world.merged_once()
    assert len(world.server.called(MERGE)) == 2


@pytest.mark.scenario(number=42)
@pytest.mark.parametrize("key", [MERGE, f"PUT {MERGE_REQUESTS}/1"])
def test_gitlab_409_resource_lock(world: World, key: str) -> None:
    opened = world.opened()
    world.server.fail(Reply(409, {"message": "409 Conflict: Resource lock"}), key, times=2)
    world.forge.update(opened.number, title="New", body="")
    assert world.forge.merge(opened.number, head_of(opened)).title == "New"


@pytest.mark.scenario(number=43)
def test_gitlab_merge_status_checking_for_60s(world: World) -> None:
    opened = world.opened()
    world.server.checking_seconds = 60.0
    assert world.forge.merge(opened.number, head_of(opened)).state is PullRequestState.MERGED
    assert 55 < sum(world.clock.slept) < 90


def test_a_merge_status_that_is_never_found_out_ends_with_the_deadline(world: World) -> None:
    opened = world.opened()
    world.server.checking_seconds = 1e6
    with pytest.raises(RemoteError, match="did not find out"):
        world.forge.merge(opened.number, head_of(opened))
    assert sum(world.clock.slept) < 620


@pytest.mark.scenario(number=44)
def test_merge_queue_required(world: World) -> None:
    opened = world.opened()
    world.project.merge_trains = True
    with pytest.raises(NotMergeable, match="merge train"):
        world.forge.merge(opened.number, head_of(opened))
    for _ in range(2):
        world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE)
    assert world.project.train == [opened.number]
    assert world.server.called(MERGE) == []


def test_what_waits_for_an_approval_never_passes_the_train_by(world: World) -> None:
    """GitLab merges at once what its other call asks for, where the approval has come since we looked."""
    opened = world.opened()
    world.project.merge_trains, world.project.approvals_required, world.project.pipeline = True, 1, "success"
    asked = world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE)
    assert asked is AutoMerge.ENABLED
    assert world.only.auto_merge
    assert world.server.called(MERGE) == []


@pytest.mark.parametrize("fault", ["502_after", "502_before"])
def test_a_merge_train_is_joined_once(world: World, fault: str) -> None:
    opened = world.opened()
    world.project.merge_trains = True
    world.server.fail(fault, "POST *merge_trains*")
    world.forge.merge_when_ready(opened.number, head_of(opened), MergeMethod.MERGE)
    assert world.project.train == [opened.number]


# --- what people do ------------------------------------------------------------------------------------------------


def test_a_wrong_token_is_told_as_such(world: World) -> None:
    forge = world.client("glpat-somebody-elses")
    with pytest.raises(LoginRefused, match="refuses the token") as caught:
        forge.check_access()
    assert "$HYBRID_CI_FORGE_TOKEN" in str(caught.value.hint)
    assert "glpat" not in repr(caught.value) + str(caught.value.details)
    forge.close_connections()


@pytest.mark.parametrize(
    ("scopes", "missing"), [({"read_api"}, "`api`"), ({"write_repository"}, "`api` or `read_api`")]
)
def test_a_missing_scope_is_named(world: World, scopes: set[str], missing: str) -> None:
    world.start()
    forge = world.client(world.server.add_token("glpat-too-little", Token("bot", frozenset(scopes))))
    with pytest.raises(LoginRefused) as caught:
        forge.open(draft())
    assert caught.value.message == f"the token lacks the scope {missing}"
    assert caught.value.exit_code == 5
    forge.close_connections()


def test_a_role_that_is_too_low_is_told(world: World) -> None:
    world.start()
    world.project.members = {"alice"}
    with pytest.raises(LoginRefused, match="does not let this token"):
        world.forge.open(draft())


def test_a_renamed_project_is_told_and_its_redirect_not_followed(world: World) -> None:
    world.project.moved_to = "acme/deployments"
    with pytest.raises(ConfigurationError, match="redirects"):
        world.forge.check_access()


def test_an_archived_project_is_refused(world: World) -> None:
    world.project.archived = True
    with pytest.raises(Refused, match="archived"):
        world.forge.check_access()


def test_a_project_that_is_not_there_is_told_by_every_method(world: World) -> None:
    world.opened()
    world.server.projects.clear()
    asks: list[Callable[[], object]] = [
        world.forge.check_access,
        world.forge.list,
        lambda: world.forge.show(1),
        lambda: world.forge.pull_requests(BOT, MAIN),
        lambda: world.forge.open(draft()),
    ]
    for ask in asks:
        with pytest.raises(ConfigurationError, match="no project 'acme/gitops'"):
            ask()


def test_somebody_who_may_not_merge_is_told_that(world: World) -> None:
    opened = world.opened()
    world.project.mergers = {"alice"}
    with pytest.raises(NotMergeable, match="may not merge into 'main'"):
        world.forge.merge(opened.number, head_of(opened))


def test_an_answer_without_its_fields_is_no_merge_request(world: World) -> None:
    world.opened()
    world.server.fail(Reply(200, {"iid": 1}), SHOW)
    with pytest.raises(RemoteError, match="no usable"):
        world.forge.show(1)


def test_an_answer_that_is_no_json_is_told(world: World) -> None:
    world.server.fail("not_json", "*")
    with pytest.raises(RemoteError):
        world.forge.check_access()


def test_a_write_that_stays_in_doubt_says_so(world: World) -> None:
    opened = world.opened()
    world.server.fail("502_before", f"PUT {MERGE_REQUESTS}/1", times=200)
    with pytest.raises(Doubtful, match="not known"):
        world.forge.update(opened.number, title="New", body="")
    world.server.heal()
