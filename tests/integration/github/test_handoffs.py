"""Handoffs with real Git over HTTP and a GitHub that behaves as GitHub does: what a second run finds, and leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.errors import ExitCode, Refused
from orchestrator.gitops.outcome import Opened, Superseded, Unchanged, Updated
from tests.integration.github.offices import Office
from tests.integration.github.worlds import BOT, CREATE, LIST, MAIN, PULLS, World
from tests.servers.git_repositories import git
from tests.servers.github.world import Account
from tests.unit.gitops.changes import change


@pytest.fixture
def office(world: World, tmp_path: Path) -> Office:
    return Office(world, tmp_path / "job")


def only_number(office: Office) -> int:
    (one,) = office.open_pulls
    return one.number


def test_a_second_run_changes_nothing(office: Office) -> None:
    first = office.hand_off(change(2))
    assert isinstance(first, Opened)
    tip, writes = office.world.tip(BOT), _writes(office)
    assert isinstance(office.hand_off(change(2)), Unchanged)
    assert (office.world.tip(BOT), _writes(office)) == (tip, writes)


@pytest.mark.scenario(number=23)
@pytest.mark.scenario(number=24)
@pytest.mark.parametrize("fault", ["502_after", "reset_after"])
@pytest.mark.parametrize("lag", [0, 30])
def test_pr_create_landed_then_lost_is_one_pull_request(office: Office, fault: str, lag: int) -> None:
    office.world.server.list_lag = lag
    office.world.server.fail(fault, CREATE)
    assert isinstance(office.hand_off(change(2)), Opened)
    office.world.server.list_lag = 0
    assert isinstance(office.hand_off(change(2)), Unchanged)
    assert len(office.world.hosted.pulls) == 1


@pytest.mark.scenario(number=25)
def test_a_run_that_looks_while_the_list_lags_opens_no_second_one(office: Office) -> None:
    office.hand_off(change(2))
    office.world.only.created = office.world.clock.now()
    office.world.server.list_lag = 20
    assert isinstance(office.hand_off(change(2)), (Opened, Unchanged))
    assert len(office.world.hosted.pulls) == 1


@pytest.mark.scenario(number=27)
def test_closed_unmerged_pr_for_same_release(office: Office) -> None:
    office.hand_off(change(2))
    office.world.client().close(1, "")
    with pytest.raises(Refused, match="closed without a merge") as caught:
        office.hand_off(change(2))
    assert caught.value.exit_code is ExitCode.REFUSED
    assert "--reopen" in str(caught.value.hint)
    assert isinstance(office.hand_off(change(2), reopen=True), Opened)
    assert only_number(office) == 2


@pytest.mark.scenario(number=28)
def test_merged_pr_for_same_release(office: Office) -> None:
    office.hand_off(change(2))
    office.world.forge.merge(1, office.world.tip(BOT))
    assert isinstance(office.hand_off(change(2)), Unchanged)
    assert office.open_pulls == []


@pytest.mark.scenario(number=29)
def test_merged_pr_branch_deleted_by_forge(office: Office) -> None:
    office.hand_off(change(2))
    office.world.forge.merge(1, office.world.tip(BOT))
    git(office.world.hosted.repo.path, "update-ref", "-d", BOT.ref.value)
    assert isinstance(office.hand_off(change(2)), Unchanged)
    assert isinstance(office.hand_off(change(3)), Opened)
    assert only_number(office) == 2


@pytest.mark.scenario(number=30)
def test_older_open_pr_is_updated_in_place(office: Office) -> None:
    office.hand_off(change(2))
    assert isinstance(office.hand_off(change(3)), Updated)
    assert (only_number(office), len(office.world.hosted.pulls)) == (1, 1)
    assert "release3" in office.open_pulls[0].title
    assert 'newTag: "3"' in office.file(BOT)


@pytest.mark.scenario(number=31)
def test_older_release_arrives_after_newer(office: Office) -> None:
    office.hand_off(change(3))
    before = (office.world.tip(BOT), office.open_pulls[0].title, office.open_pulls[0].body)
    assert isinstance(office.hand_off(change(2)), Superseded)
    assert (office.world.tip(BOT), office.open_pulls[0].title, office.open_pulls[0].body) == before


@pytest.mark.scenario(number=32)
@pytest.mark.parametrize("moment", [CREATE, LIST])
def test_two_releases_race_to_create(office: Office, moment: str, tmp_path: Path) -> None:
    """The newer one's whole job runs while the older one's request is on its way."""

    def race(call: object) -> None:
        if call.key == moment:  # type: ignore[attr-defined]
            office.world.server.before = None
            office.hand_off(change(3), forge=office.world.client(), folder=tmp_path / "other")

    office.world.server.before = race
    office.hand_off(change(2))
    assert (only_number(office), len(office.world.hosted.pulls)) == (1, 1)
    assert 'newTag: "3"' in office.file(BOT)
    assert "release3" in office.open_pulls[0].title


@pytest.mark.scenario(number=34)
def test_human_edited_pr_title_and_body(office: Office) -> None:
    office.hand_off(change(2))
    pull = office.open_pulls[0]
    pull.title, pull.body = "URGENT", f"Please look at line 3.\n\n{pull.body}\n\n- [x] looked"
    office.hand_off(change(3))
    assert "release3" in str(pull.body)
    assert "release2" not in str(pull.body)
    assert str(pull.body).startswith("Please look at line 3.")
    assert str(pull.body).endswith("- [x] looked")


def test_a_look_alike_from_a_fork_is_not_adopted(office: Office) -> None:
    world = office.world
    fork = world.server.host("mallory/gitops")
    world.start()
    git(world.hosted.repo.path, "push", "--quiet", str(fork.repo.path), f"{BOT.ref}:{BOT.ref}")
    git(world.hosted.repo.path, "update-ref", "-d", BOT.ref.value)
    world.server.accounts["ghp_mallory"] = Account("mallory")
    text = {"title": "x", "body": "<!-- release release2 -->", "head": f"mallory:{BOT}", "base": MAIN.value}
    world.client(token="ghp_mallory")._client.write("POST", "/pulls", text)
    assert isinstance(office.hand_off(change(2)), Opened)
    assert [pull.head_repository for pull in world.hosted.pulls] == ["mallory/gitops", "acme/gitops"]
    assert world.hosted.pulls[0].title == "x"


def test_a_pull_request_whose_branch_was_deleted_counts_as_closed_by_a_person(office: Office) -> None:
    """GitHub closes it with its branch."""
    office.hand_off(change(2))
    git(office.world.hosted.repo.path, "update-ref", "-d", BOT.ref.value)
    with pytest.raises(Refused, match="closed without a merge"):
        office.hand_off(change(2))
    assert isinstance(office.hand_off(change(3)), Opened)


def _writes(office: Office) -> int:
    return len([call for call in office.world.server.calls if call.method != "GET" and PULLS in call.path])
