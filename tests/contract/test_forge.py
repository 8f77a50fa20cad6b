"""What every Forge does: the simulator, and real ones over real git. A new forge joins as a world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, HybridCIError
from orchestrator.core.names import BranchName, CommitId
from orchestrator.forges.base import (
    CommitStatus,
    NotMergeable,
    NotOpen,
    PullRequest,
    PullRequestDraft,
    PullRequestMoved,
    PullRequestState,
    StatusState,
)
from tests.contract.forges import BOT, MAIN, STABLE, WORLDS, World, draft, head_of

NOWHERE = CommitId("1" * 40)


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with WORLDS[request.param](tmp_path) as world:
        world.commit({"a.yaml": b"old\n", "b.yaml": b"old\n"}, MAIN)
        yield world


# --- opening -------------------------------------------------------------------------------------------------------


def test_the_forge_can_be_reached(world: World) -> None:
    world.forge.check_access()


def test_an_opened_pull_request_tells_what_was_asked_for(world: World) -> None:
    head = world.start(BOT)
    opened = world.forge.open(draft(title="Release shop 1.2.0", body="Two images.\n\n- api\n- worker\n"))
    assert (opened.title, opened.body) == ("Release shop 1.2.0", "Two images.\n\n- api\n- worker\n")
    assert (opened.head, opened.base, opened.head_commit) == (BOT, MAIN, head)
    assert (opened.state, opened.draft, opened.merge_commit) == (PullRequestState.OPEN, False, None)
    assert opened.author
    assert opened.url
    assert opened.created is not None


def test_an_opened_pull_request_is_found_by_its_branches(world: World) -> None:
    opened = world.opened()
    assert world.forge.pull_requests(BOT, MAIN) == [opened]


def test_no_pull_request_is_found_for_other_branches(world: World) -> None:
    world.opened()
    assert world.forge.pull_requests(MAIN, BOT) == []
    assert world.forge.pull_requests(BranchName("hybrid-ci/prod"), MAIN) == []


def test_opening_the_same_pair_again_gives_back_the_open_one(world: World) -> None:
    opened = world.opened()
    assert world.forge.open(draft(title="Another title")) == opened
    assert world.forge.list() == [opened]


def test_one_head_may_have_a_pull_request_into_each_of_two_bases(world: World) -> None:
    world.branch(STABLE, world.tip(MAIN))
    first = world.opened()
    second = world.forge.open(draft(base=STABLE))
    assert first.number != second.number
    assert world.forge.pull_requests(BOT, STABLE) == [second]
    assert world.forge.pull_requests(BOT, MAIN) == [first]


def test_numbers_are_never_given_twice(world: World) -> None:
    first = world.opened(BranchName("one"))
    world.forge.close(first.number, "no")
    second = world.opened(BranchName("two"))
    third = world.opened(BranchName("three"))
    assert first.number < second.number < third.number


def test_a_branch_that_does_not_exist_cannot_be_proposed(world: World) -> None:
    with pytest.raises(ConfigurationError, match="missing"):
        world.forge.open(draft(BranchName("missing")))


def test_a_branch_that_does_not_exist_cannot_be_the_base(world: World) -> None:
    world.start(BOT)
    with pytest.raises(ConfigurationError, match="missing"):
        world.forge.open(draft(base=BranchName("missing")))


@pytest.mark.parametrize(
    "name",
    [
        "$(touch${IFS}owned)",
        "a;b&c|d",
        "'quoted\"",
        "größe/ß",
        "hybrid-ci/prod_2feu-1/shop",
        "a`b`",
        "%s%n",
        "x{y,z}",
        "#1",
    ],
)
def test_a_hostile_branch_name_is_only_a_name(world: World, name: str) -> None:
    opened = world.opened(BranchName(name))
    assert world.forge.pull_requests(BranchName(name), MAIN) == [opened]
    assert world.forge.merge(opened.number, head_of(opened)).state is PullRequestState.MERGED


def test_a_branch_may_take_the_place_of_a_folder_of_an_earlier_one(world: World) -> None:
    first = world.opened(BranchName("prod/eu-1"))
    world.forge.merge(first.number, head_of(first))
    world.branch(BranchName("prod/eu-1"), None)
    assert world.opened(BranchName("prod"), "b.yaml").state is PullRequestState.OPEN


@pytest.mark.parametrize("text", ["ünïcode 🚀", "quotes \" ' ` \\", "<b>&amp;</b>", "{}[]$HOME %s", "  leading"])
def test_texts_come_back_as_they_were_given(world: World, text: str) -> None:
    world.start(BOT)
    number = world.forge.open(draft(title=f"x{text}", body=f"one\n\n{text}\n")).number
    shown = world.forge.show(number)
    assert (shown.title, shown.body) == (f"x{text}", f"one\n\n{text}\n")


# --- looking -------------------------------------------------------------------------------------------------------


def test_the_head_commit_of_an_open_pull_request_follows_its_branch(world: World) -> None:
    opened = world.opened()
    newer = world.commit({"a.yaml": b"newer\n"}, BOT)
    assert world.forge.show(opened.number).head_commit == newer


def test_an_open_pull_request_without_its_branch_has_no_head_commit(world: World) -> None:
    opened = world.opened()
    world.branch(BOT, None)
    shown = world.forge.show(opened.number)
    if world.closes_without_branch:
        assert (shown.state, shown.head_commit) == (PullRequestState.CLOSED, opened.head_commit)
    else:
        assert (shown.state, shown.head_commit) == (PullRequestState.OPEN, None)


def test_lists_are_newest_first_and_by_state(world: World) -> None:
    one, two, three = (world.opened(BranchName(f"b{n}"), f"{n}.yaml") for n in range(3))
    merged = world.forge.merge(one.number, head_of(one))
    closed = world.forge.close(two.number, "no")
    assert world.forge.list() == [three, closed, merged]
    assert world.forge.list(PullRequestState.OPEN) == [three]
    assert world.forge.list(PullRequestState.MERGED) == [merged]
    assert world.forge.list(PullRequestState.CLOSED) == [closed]


@pytest.mark.parametrize("number", [0, -1, 7])
def test_a_number_that_was_never_given_is_an_error(world: World, number: int) -> None:
    asks: list[Callable[[], object]] = [
        lambda: world.forge.show(number),
        lambda: world.forge.update(number, title="t", body="b"),
        lambda: world.forge.close(number, "no"),
        lambda: world.forge.merge(number, NOWHERE),
    ]
    for ask in asks:
        with pytest.raises(ConfigurationError, match=f"#{number}"):
            ask()


# --- updating and closing ------------------------------------------------------------------------------------------


def test_an_update_replaces_title_and_body_and_nothing_else(world: World) -> None:
    opened = world.opened()
    world.clock.advance(60)
    updated = world.forge.update(opened.number, title="New title", body="New body")
    assert (updated.title, updated.body) == ("New title", "New body")
    assert world.forge.show(opened.number) == updated
    assert (updated.number, updated.head_commit, updated.author) == (opened.number, opened.head_commit, opened.author)
    assert updated.created == opened.created


def test_an_update_to_what_is_there_changes_nothing(world: World) -> None:
    opened = world.opened()
    world.clock.advance(60)
    assert world.forge.update(opened.number, title=opened.title, body=opened.body) == opened


@pytest.mark.parametrize("end", ["merge", "close"])
def test_a_pull_request_that_has_ended_is_not_updated(world: World, end: str) -> None:
    opened = world.opened()
    ended = _end(world, opened, end)
    with pytest.raises(NotOpen, match=str(ended.state)):
        world.forge.update(opened.number, title="New", body="")
    assert world.forge.show(opened.number) == ended


def test_a_closed_pull_request_left_the_base_alone(world: World) -> None:
    opened = world.opened()
    before = world.tip(MAIN)
    closed = world.forge.close(opened.number, "A newer release is on its way.")
    assert (closed.state, closed.merge_commit) == (PullRequestState.CLOSED, None)
    assert world.tip(MAIN) == before


def test_closing_a_closed_pull_request_changes_nothing(world: World) -> None:
    opened = world.opened()
    closed = world.forge.close(opened.number, "no")
    world.clock.advance(60)
    assert world.forge.close(opened.number, "really not") == closed


def test_a_merged_pull_request_cannot_be_closed(world: World) -> None:
    opened = world.opened()
    merged = world.forge.merge(opened.number, head_of(opened))
    with pytest.raises(NotOpen, match="merged"):
        world.forge.close(opened.number, "too late")
    assert world.forge.show(opened.number) == merged


def test_after_a_closed_one_the_same_pair_can_be_opened_again(world: World) -> None:
    first = world.opened()
    closed = world.forge.close(first.number, "no")
    second = world.forge.open(draft(title="Again"))
    assert second.number != first.number
    assert world.forge.pull_requests(BOT, MAIN) == [second, closed]


def test_after_a_merged_one_the_same_pair_can_be_opened_again(world: World) -> None:
    first = world.opened()
    merged = world.forge.merge(first.number, head_of(first))
    world.commit({"a.yaml": b"newer\n"}, BOT)
    second = world.forge.open(draft(title="Again"))
    assert world.forge.pull_requests(BOT, MAIN) == [second, merged]


@pytest.mark.parametrize("end", ["merge", "close"])
@pytest.mark.parametrize("gone", [False, True])
def test_the_head_commit_stays_what_it_was_at_the_end(world: World, end: str, gone: bool) -> None:
    opened = world.opened()
    _end(world, opened, end)
    if gone:
        world.branch(BOT, None)
    else:
        world.commit({"a.yaml": b"newer\n"}, BOT)
    assert world.forge.show(opened.number).head_commit == opened.head_commit


def test_a_pull_request_without_its_branch_can_be_closed(world: World) -> None:
    opened = world.opened()
    world.branch(BOT, None)
    assert world.forge.close(opened.number, "gone").state is PullRequestState.CLOSED


# --- merging -------------------------------------------------------------------------------------------------------


def test_a_merge_is_a_merge_commit_on_the_base(world: World) -> None:
    opened = world.opened()
    base = world.tip(MAIN)
    merged = world.forge.merge(opened.number, head_of(opened))
    assert (merged.state, merged.merge_commit) == (PullRequestState.MERGED, world.tip(MAIN))
    assert merged.merge_commit is not None
    assert world.parents(merged.merge_commit) == [base, opened.head_commit]
    assert world.file(merged.merge_commit, "a.yaml") == b"new\n"
    assert world.file(merged.merge_commit, "b.yaml") == b"old\n"


def test_a_merge_carries_the_message_that_was_given(world: World) -> None:
    opened = world.opened()
    message = "Release shop to prod\n\nHybrid-CI-Action: release\nHybrid-CI-Environment: prod\n"
    merged = world.forge.merge(opened.number, head_of(opened), message)
    assert merged.merge_commit is not None
    assert world.message(merged.merge_commit).rstrip("\n") == message.rstrip("\n")


def test_a_merge_without_a_message_names_number_and_title(world: World) -> None:
    opened = world.opened()
    merged = world.forge.merge(opened.number, head_of(opened))
    assert merged.merge_commit is not None
    message = world.message(merged.merge_commit)
    assert f"#{opened.number}" in message or f"!{opened.number}" in message  # GitLab writes !1
    assert opened.title in message


def test_a_merge_keeps_what_landed_on_the_base_in_between(world: World) -> None:
    first, second = world.opened(BranchName("one"), "a.yaml"), world.opened(BranchName("two"), "b.yaml")
    world.forge.merge(first.number, head_of(first))
    merged = world.forge.merge(second.number, head_of(second))
    assert merged.merge_commit is not None
    assert world.file(merged.merge_commit, "a.yaml") == b"new\n"
    assert world.file(merged.merge_commit, "b.yaml") == b"new\n"


def test_a_merge_keeps_the_head_branch(world: World) -> None:
    opened = world.opened()
    world.forge.merge(opened.number, head_of(opened))
    assert world.tip(BOT) == opened.head_commit


def test_merging_again_changes_nothing(world: World) -> None:
    opened = world.opened()
    merged = world.forge.merge(opened.number, head_of(opened))
    tip = world.tip(MAIN)
    assert world.forge.merge(opened.number, head_of(opened)) == merged
    assert world.tip(MAIN) == tip


def test_a_head_that_moved_is_not_merged(world: World) -> None:
    opened = world.opened()
    world.commit({"a.yaml": b"sneaked in\n"}, BOT)
    _assert_stays_open(world, opened.number, head_of(opened), PullRequestMoved)


def test_a_merged_pull_request_was_not_merged_with_another_head(world: World) -> None:
    opened = world.opened()
    world.forge.merge(opened.number, head_of(opened))
    with pytest.raises(PullRequestMoved):
        world.forge.merge(opened.number, NOWHERE)


def test_a_conflict_is_not_merged(world: World) -> None:
    opened = world.opened()
    world.commit({"a.yaml": b"somebody else's\n"}, MAIN)
    _assert_stays_open(world, opened.number, head_of(opened), NotMergeable)


def test_a_draft_is_not_merged(world: World) -> None:
    head = world.start(BOT)
    opened = world.forge.open(PullRequestDraft("Later", "", BOT, MAIN, draft=True))
    assert opened.draft
    _assert_stays_open(world, opened.number, head, NotMergeable)


def test_a_closed_pull_request_is_not_merged(world: World) -> None:
    opened = world.opened()
    world.forge.close(opened.number, "no")
    before = world.tip(MAIN)
    with pytest.raises(NotMergeable):
        world.forge.merge(opened.number, head_of(opened))
    assert world.tip(MAIN) == before


@pytest.mark.parametrize("branch", [BOT, MAIN])
def test_a_pull_request_that_lost_a_branch_is_not_merged(world: World, branch: BranchName) -> None:
    opened = world.opened()
    world.branch(branch, None)
    with pytest.raises(NotMergeable):
        world.forge.merge(opened.number, head_of(opened))
    left = PullRequestState.CLOSED if world.closes_without_branch else PullRequestState.OPEN
    assert world.forge.show(opened.number).state is left


# --- statuses ------------------------------------------------------------------------------------------------------


def test_a_commit_without_statuses_has_none(world: World) -> None:
    assert world.forge.statuses(world.start(BOT)) == []


def test_the_newest_status_of_each_context_is_told(world: World) -> None:
    commit = world.start(BOT)
    world.forge.set_status(commit, CommitStatus("kustomization/apps", StatusState.PENDING, "progressing"))
    world.forge.set_status(
        commit, CommitStatus("argocd/shop", StatusState.FAILURE, "degraded", "https://argo.example/1")
    )
    world.clock.advance(5)
    world.forge.set_status(commit, CommitStatus("kustomization/apps", StatusState.SUCCESS, "healthy"))
    argo, flux = world.forge.statuses(commit)
    assert (argo.context, argo.state, argo.description) == ("argocd/shop", StatusState.FAILURE, "degraded")
    assert argo.target_url == "https://argo.example/1"
    assert (flux.context, flux.state, flux.description) == ("kustomization/apps", StatusState.SUCCESS, "healthy")
    assert flux.creator
    assert flux.created is not None


def test_a_status_belongs_to_its_commit_alone(world: World) -> None:
    commit = world.start(BOT)
    world.forge.set_status(commit, CommitStatus("flux", StatusState.SUCCESS))
    assert world.forge.statuses(world.commit({"c.yaml": b"1\n"}, BOT)) == []


def test_a_commit_that_does_not_exist_gets_no_status(world: World) -> None:
    with pytest.raises(ConfigurationError, match=NOWHERE.value):
        world.forge.set_status(NOWHERE, CommitStatus("flux", StatusState.SUCCESS))


# --- helpers -------------------------------------------------------------------------------------------------------


def _end(world: World, pull: PullRequest, how: str) -> PullRequest:
    if how == "merge":
        return world.forge.merge(pull.number, head_of(pull))
    return world.forge.close(pull.number, "no")


def _assert_stays_open(world: World, number: int, expected: CommitId, error: type[HybridCIError]) -> None:
    """The merge raises ``error``, and nothing has moved."""
    before = world.tip(MAIN)
    with pytest.raises(error):
        world.forge.merge(number, expected)
    assert world.tip(MAIN) == before
    assert world.forge.show(number).state is PullRequestState.OPEN
