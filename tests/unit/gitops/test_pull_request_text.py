"""Our block in a body: put in its place, recognised, and never taken for more than a text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.gitops.pull_request_text import BLOCK_BEGIN, BLOCK_END, LONGEST_BODY, PullRequestText, says_waiting

TEXT = PullRequestText("shop to dev", "abc123", lambda room: "Moves one pin.")


def test_a_body_is_our_block_alone_where_nobody_wrote() -> None:
    body = TEXT.body()
    assert body.startswith(BLOCK_BEGIN)
    assert body.endswith(f"{BLOCK_END}\n")
    assert TEXT.stands_in(body)


@pytest.mark.parametrize(
    "around", ["Ask Kim.\n\n{}\nSeen.\n", "{}Seen.", "Ask Kim.\r\n\r\n{}\r\n", "<!-- hybrid-ci:end -->{}"]
)
def test_what_people_wrote_around_it_stays(around: str) -> None:
    newer = replace(TEXT, release="def456")
    assert newer.body(around.format(TEXT.body().rstrip())) == around.format(newer.body().rstrip())


@pytest.mark.parametrize("text", ["A body of a person.", f"half of one {BLOCK_BEGIN} was deleted"])
def test_a_body_without_our_block_gets_it_at_its_end(text: str) -> None:
    body = TEXT.body(text)
    assert body.startswith(text)
    assert body.endswith(f"{BLOCK_END}\n")


def test_what_people_wrote_stays_where_they_deleted_the_end_of_our_block() -> None:
    half = TEXT.body().partition(BLOCK_END)[0] + "Ask Kim.\n"
    once = replace(TEXT, release="def456").body(half)
    twice = replace(TEXT, release="0a1b2c").body(once)
    assert "Ask Kim." in once
    assert "Ask Kim." in twice
    assert replace(TEXT, release="0a1b2c").stands_in(twice)
    assert twice.count(BLOCK_END) == 1


def test_our_block_is_nowhere_longer_than_a_reviewer_wants_to_read() -> None:
    rooms: list[int] = []
    replace(TEXT, content=lambda room: f"{rooms.append(room)}").body("Ask Kim.", 1_048_576)
    assert rooms == [LONGEST_BODY]


def test_line_ends_and_white_space_that_a_forge_changes_do_not_count() -> None:
    assert TEXT.stands_in(TEXT.body().replace("\n", "\r\n"))
    assert TEXT.stands_in(TEXT.body().replace("\n\n", "\n \n"))


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: body.replace("one pin", "no pin"),
        lambda body: body.replace("seal ", "seal 0"),
        lambda body: body.replace(BLOCK_END, ""),
        lambda body: body.replace("abc123", "def456"),
        lambda body: "",
    ],
)
def test_an_edited_block_is_not_what_should_stand_there(edit: object) -> None:
    assert callable(edit)
    assert not TEXT.stands_in(edit(TEXT.body()))


def test_a_block_for_another_verdict_is_not_what_should_stand_there() -> None:
    waiting = replace(TEXT, waiting=True, gates="0f")
    assert not TEXT.stands_in(waiting.body())
    assert not waiting.stands_in(TEXT.body())
    assert not replace(waiting, gates="1e").stands_in(waiting.body())
    assert waiting.stands_in(waiting.body())
    assert says_waiting(waiting.body())
    assert not says_waiting(TEXT.body())
    assert not says_waiting("<!-- hybrid-ci:release abc123 waiting -->")  # outside of our block


def test_what_was_found_leaves_every_text_for_its_release() -> None:
    richer = replace(TEXT, waiting=True, gates="0f", content=lambda room: "Much more.")
    assert replace(TEXT, found=True).stands_in(richer.body())
    assert not replace(TEXT, found=True, release="def456").stands_in(richer.body())


@pytest.mark.parametrize("around", ["", "x" * 50_000, "x" * 64_000])
def test_a_body_fits_the_forge_together_with_what_people_wrote(around: str) -> None:
    """The content is told how much room there is; a summary always has its own."""
    rooms: list[int] = []

    def content(room: int) -> str:
        rooms.append(room)
        return "y" * (room if room > 4_000 else 100)

    assert len(replace(TEXT, content=content).body(around)) <= 65_536
    assert rooms[0] >= 4_000


@pytest.mark.parametrize("release", ["x-->@everyone", "a b", "", "x" * 500, "<!--", "rélease"])
def test_a_release_that_was_found_is_a_claim_and_acts_nowhere(release: str) -> None:
    hostile = replace(TEXT, release=release, found=True)
    body = hostile.body()
    assert "@everyone" not in body
    assert all(body.count(mark) == TEXT.body().count(mark) for mark in ("<!--", "-->"))
    assert hostile.stands_in(body)
