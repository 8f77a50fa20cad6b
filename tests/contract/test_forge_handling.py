"""What every forge does with an open pull request short of its end: drafts, labels, remarks, merges by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.delivery import Routing
from orchestrator.core.errors import ConfigurationError
from orchestrator.forges.base import AutoMerge, NotMergeable, NotOpen, PullRequestMoved, PullRequestState
from tests.contract.forges import BOT, MAIN, WORLDS, World, head_of


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with WORLDS[request.param](tmp_path) as world:
        world.commit({"a.yaml": b"old\n", "b.yaml": b"old\n"}, MAIN)
        yield world


# --- drafts --------------------------------------------------------------------------------------------------------


def test_a_pull_request_becomes_a_draft_and_ready_again(world: World) -> None:
    opened = world.opened()
    drafted = world.forge.set_draft(opened.number, True)
    assert (drafted.draft, drafted.title, drafted.body) == (True, opened.title, opened.body)
    assert world.forge.show(opened.number).draft
    assert not world.forge.set_draft(opened.number, False).draft
    assert world.forge.show(opened.number).title == opened.title


@pytest.mark.parametrize("draft", [True, False])
def test_a_draft_set_twice_is_a_draft(world: World, draft: bool) -> None:
    opened = world.opened()
    first = world.forge.set_draft(opened.number, draft)
    assert world.forge.set_draft(opened.number, draft).draft == first.draft == draft


def test_a_draft_stays_one_when_its_text_changes(world: World) -> None:
    opened = world.opened()
    world.forge.set_draft(opened.number, True)
    updated = world.forge.update(opened.number, title="Another title", body="Another body")
    assert (updated.draft, updated.title) == (True, "Another title")


def test_a_pull_request_that_has_ended_is_no_draft_any_more(world: World) -> None:
    opened = world.opened()
    world.forge.close(opened.number, "no")
    with pytest.raises(NotOpen):
        world.forge.set_draft(opened.number, True)


# --- labels and remarks --------------------------------------------------------------------------------------------


def test_labels_are_added_and_none_is_taken_away(world: World) -> None:
    opened = world.opened()
    assert world.forge.route(opened.number, Routing(labels=("deploy", "prod"))) == []
    assert world.forge.route(opened.number, Routing(labels=("prod", "shop"))) == []
    assert set(world.forge.show(opened.number).labels) == {"deploy", "prod", "shop"}


def test_the_same_remark_can_be_made_again(world: World) -> None:
    opened = world.opened()
    world.forge.comment(opened.number, "There is a second one.")
    world.forge.comment(opened.number, "There is a second one.")
    assert world.forge.show(opened.number).state is PullRequestState.OPEN


def test_a_remark_needs_a_pull_request(world: World) -> None:
    with pytest.raises(ConfigurationError, match="#7"):
        world.forge.comment(7, "hello")


# --- merging by itself ---------------------------------------------------------------------------------------------


def test_what_may_be_merged_is_merged_at_once(world: World) -> None:
    opened = world.opened()
    assert world.forge.merge_when_ready(opened.number, head_of(opened), None, "Release shop\n") is AutoMerge.MERGED
    merged = world.forge.show(opened.number)
    assert (merged.state, merged.merge_commit) == (PullRequestState.MERGED, world.tip(MAIN))
    assert merged.merge_commit is not None
    assert world.message(merged.merge_commit).strip() == "Release shop"


def test_asking_again_for_what_is_merged_changes_nothing(world: World) -> None:
    opened = world.opened()
    world.forge.merge_when_ready(opened.number, head_of(opened), None)
    tip = world.tip(MAIN)
    assert world.forge.merge_when_ready(opened.number, head_of(opened), None) is AutoMerge.MERGED
    assert world.tip(MAIN) == tip


def test_a_head_that_moved_is_not_merged_by_itself(world: World) -> None:
    opened = world.opened()
    world.commit({"a.yaml": b"sneaked in\n"}, BOT)
    before = world.tip(MAIN)
    with pytest.raises(PullRequestMoved):
        world.forge.merge_when_ready(opened.number, head_of(opened), None)
    assert world.tip(MAIN) == before


def test_without_a_wish_there_is_none_to_call_off(world: World) -> None:
    opened = world.opened()
    assert world.forge.call_off_merge(opened.number) is False
    assert world.forge.show(opened.number).state is PullRequestState.OPEN


def test_what_is_merged_can_not_be_called_off(world: World) -> None:
    opened = world.opened()
    world.forge.merge_when_ready(opened.number, head_of(opened), None)
    with pytest.raises(NotOpen):
        world.forge.call_off_merge(opened.number)


def test_a_draft_is_not_merged_by_itself(world: World) -> None:
    opened = world.opened()
    world.forge.set_draft(opened.number, True)
    before = world.tip(MAIN)
    with pytest.raises(NotMergeable):
        world.forge.merge_when_ready(opened.number, head_of(opened), None)
    assert world.tip(MAIN) == before
