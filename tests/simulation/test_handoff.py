"""The handoff by scenario: what the world can look like, and what it leaves behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.config.loader import load_policy
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.errors import ConfigurationError, Conflict, Refused, RemoteError
from orchestrator.core.names import BranchName, RepoPath
from orchestrator.core.trailers import read_trailers
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Committed, Opened, Superseded, Unchanged, Updated
from tests.simulation.town import IDENTITY, MAIN, Town
from tests.simulators.forge import SimulatedForge
from tests.unit.gitops.changes import API, POLICY, WORKER, change, pinned

BRANCH = "hybrid-ci/dev/shop"


@pytest.fixture
def town() -> Town:
    return Town()


def test_the_first_release_opens_one_pull_request_on_the_stable_branch(town: Town) -> None:
    outcome = town.hand_off(change(2))

    assert isinstance(outcome, Opened)
    (pull,) = town.open_pulls()
    assert (str(pull.head), str(pull.base), pull.title) == (BRANCH, "main", "release2 to dev")
    assert town.pinned(BRANCH, API) == {"2"}
    assert town.pinned("main", API) == set()


def test_already_released_means_zero_writes_and_few_reads(town: Town) -> None:
    town.hand_off(change(2))
    pushes = len(town.git.pushes)
    desk = town.desk()

    outcome = hand_off(desk, change(2))

    assert isinstance(outcome, Unchanged)
    assert len(town.git.pushes) == pushes
    calls = [*desk.repository.calls, *desk.forge.calls]  # type: ignore[attr-defined, union-attr]
    assert not {"push", "open", "update", "close"} & set(calls)
    assert len([call for call in calls if call not in ("commit", "commit_info")]) <= 6


def test_older_open_pr_is_updated_in_place(town: Town) -> None:
    town.hand_off(change(2))

    outcome = town.hand_off(change(3))

    assert isinstance(outcome, Updated)
    (pull,) = town.open_pulls()
    assert (pull.number, pull.title) == (1, "release3 to dev")
    assert town.pinned(BRANCH, API) == {"3"}


def test_older_release_arrives_after_newer(town: Town) -> None:
    town.hand_off(change(3))

    outcome = town.hand_off(change(2))

    assert isinstance(outcome, Superseded)
    assert outcome.newer.release == "release3"
    assert (town.open_pulls()[0].title, town.pinned(BRANCH, API)) == ("release3 to dev", {"3"})


def test_an_older_release_does_not_move_an_environment_back_after_the_merge(town: Town) -> None:
    town.hand_off(change(3))
    town.merge(1)

    outcome = town.hand_off(change(2))

    assert isinstance(outcome, Superseded)
    assert (town.pinned("main", API), town.open_pulls()) == ({"3"}, [])


def test_merged_pr_for_same_release(town: Town) -> None:
    town.hand_off(change(2))
    town.merge(1)

    outcome = town.hand_off(change(2))

    assert isinstance(outcome, Unchanged)
    assert len(town.pulls()) == 1


def test_the_next_release_after_a_merge_opens_a_new_pull_request(town: Town) -> None:
    town.hand_off(change(2))
    town.merge(1)

    outcome = town.hand_off(change(3))

    assert isinstance(outcome, Opened)
    assert [pull.number for pull in town.open_pulls()] == [2]


def test_a_merged_branch_that_the_forge_deleted_changes_nothing(town: Town) -> None:
    town.hand_off(change(2))
    town.merge(1)
    town.git.refs.pop(BranchName(BRANCH).ref, None)

    assert isinstance(town.hand_off(change(2)), Unchanged)


def test_closed_unmerged_pr_for_same_release(town: Town) -> None:
    town.hand_off(change(2))
    SimulatedForge(town.forge).close(1, "no")

    with pytest.raises(Refused, match="closed without a merge"):
        town.hand_off(change(2))
    assert isinstance(hand_off(town.desk(reopen=True), change(2)), Opened)


def test_a_newer_release_is_proposed_after_a_person_closed_an_older_one(town: Town) -> None:
    town.hand_off(change(2))
    SimulatedForge(town.forge).close(1, "no")

    assert isinstance(town.hand_off(change(3)), Opened)


def test_bot_branch_has_foreign_commit(town: Town) -> None:
    town.hand_off(change(2))
    foreign = town.git.commit_files({"apps/shop/dev/extra.yaml": b"x: 1\n"}, ref=f"refs/heads/{BRANCH}")

    with pytest.raises(Conflict, match="hybrid-ci did not make"):
        town.hand_off(change(3))
    assert town.tip(BranchName(BRANCH)) == foreign


def test_a_forged_message_does_not_make_a_foreign_tree_ours(town: Town) -> None:
    """Somebody who copies our trailers and our address still does not get another tree taken for this release."""
    town.hand_off(change(2))
    message = town.git.commits[town.tip(BranchName(BRANCH))].info.message
    town.git.refs[BranchName(BRANCH).ref] = town.tip(MAIN)
    forged = town.git.commit_files(
        {"apps/shop/prod/secret.yaml": b"planted: true\n"},
        ref=f"refs/heads/{BRANCH}",
        message=message,
        committer=f"x <{IDENTITY}>",
    )

    with pytest.raises(Conflict, match="more, or other, than release release2"):
        town.hand_off(change(2))
    assert town.tip(BranchName(BRANCH)) == forged


def test_a_foreign_commit_counts_also_where_it_leaves_the_tree_as_it_was(town: Town) -> None:
    """Somebody tried something and took it back: it is their work, and no push goes over it."""
    town.hand_off(change(2))
    ref, path = f"refs/heads/{BRANCH}", "apps/shop/dev/extra.yaml"
    ours = town.git.commits[town.tip(BranchName(BRANCH))].info
    town.git.commit_files({path: b"x: 1\n"}, ref=ref)
    foreign = town.git.commit_files({path: None}, ref=ref, message=ours.message)
    assert town.git.commits[foreign].info.tree == ours.tree

    with pytest.raises(Conflict, match="none of the policy's writers"):
        town.hand_off(change(3))
    assert town.tip(BranchName(BRANCH)) == foreign


@pytest.mark.parametrize("button", ["update branch", "rebase"])
def test_the_forge_s_own_buttons_do_no_harm(town: Town, button: str) -> None:
    """The base moved, and a person pressed a button that brought the branch up to date: it is still ours."""
    town.hand_off(change(2))
    ours = town.tip(BranchName(BRANCH))
    moved = town.git.commit_files({"README.md": b"moved on\n"})
    stored = town.git.commits[ours]
    files = {**stored.files, RepoPath("README.md"): b"moved on\n"}
    parents = (ours, moved) if button == "update branch" else (moved,)
    message = "Merge branch 'main'" if button == "update branch" else stored.info.message
    pressed = town.git.store(files, parents, f"Forge <{IDENTITY}>", message, town.clock.now())
    town.git.refs[BranchName(BRANCH).ref] = pressed

    assert isinstance(town.hand_off(change(2)), Unchanged)
    assert town.tip(BranchName(BRANCH)) == pressed
    assert isinstance(town.hand_off(change(3)), Updated)
    assert town.pinned(BRANCH, API) == {"3"}


def test_push_non_fast_forward_once(town: Town) -> None:
    """The base moves while we work: the change is computed again on what it holds now."""
    town.hand_off(change(2))
    text = b"images:\n- name: api\n  newName: ghcr.io/acme/shop/api\n  newTag: '1'  # moved by a person\n"
    town.git.commit_files({"apps/shop/dev/kustomization.yaml": text})

    town.hand_off(change(3))

    content = town.git.commits[town.tip(BranchName(BRANCH))].files
    (kustomization,) = [c for p, c in content.items() if str(p) == "apps/shop/dev/kustomization.yaml"]
    assert isinstance(kustomization, bytes)
    assert b"moved by a person" in kustomization
    assert b"newTag: '3'" in kustomization


def test_what_reviewers_wrote_around_our_block_stays(town: Town) -> None:
    town.hand_off(change(2))
    body = town.open_pulls()[0].body
    SimulatedForge(town.forge).update(1, title="Please wait", body=f"Ask Kim first.\n\n{body}\nSeen.\n")

    town.hand_off(change(3))

    (pull,) = town.open_pulls()
    assert pull.body.startswith("Ask Kim first.\n\n")
    assert pull.body.rstrip().endswith("Seen.")
    assert "release release3" in pull.body
    assert "release release2" not in pull.body


def test_an_image_that_still_waits_is_not_dropped_by_a_handoff_of_another_one(town: Town) -> None:
    town.hand_off(change(3))

    outcome = town.hand_off(change(4, "dev", pinned(API, 4)))

    assert isinstance(outcome, Updated)
    assert (town.pinned(BRANCH, API), town.pinned(BRANCH, WORKER)) == ({"4"}, {"3"})
    assert isinstance(town.hand_off(change(4, "dev", pinned(API, 4))), Unchanged)


def test_handoffs_of_single_images_gather_in_one_pull_request_whatever_their_order(town: Town) -> None:
    town.hand_off(change(4, "dev", pinned(API, 4)))

    late = town.hand_off(change(3, "dev", pinned(WORKER, 3)))  # older, but of an image that 4 does not hold

    assert isinstance(late, Updated)
    assert (town.pinned(BRANCH, API), town.pinned(BRANCH, WORKER)) == ({"4"}, {"3"})
    assert len(town.pulls()) == 1
    assert isinstance(town.hand_off(change(3, "dev", pinned(API, 3))), Superseded)
    newer = town.hand_off(change(5))
    assert isinstance(newer, Updated)
    assert (town.pinned(BRANCH, API), town.pinned(BRANCH, WORKER)) == ({"5"}, {"5"})


def test_what_is_merged_is_not_carried_along(town: Town) -> None:
    town.hand_off(change(3, "dev", pinned(WORKER, 3)))
    town.merge(1)

    town.hand_off(change(4, "dev", pinned(API, 4)))

    carried = read_trailers(town.git.commits[town.tip(BranchName(BRANCH))].info.message)
    assert carried is not None
    assert [str(pin.repository) for pin in carried.pins] == [str(API)]


def test_a_policy_that_changed_while_a_pull_request_was_open_blocks_nobody(town: Town) -> None:
    town.hand_off(change(3))
    wider = POLICY.replace(b"apps/{application}/dev/**", b"apps/{application}/*/**")
    town.git.commit_files({POLICY_PATH: wider})
    town.policy = load_policy(wider, "the policy", MAIN)

    outcome = town.hand_off(change(4))

    assert isinstance(outcome, Updated)
    assert town.pinned(BRANCH, API) == {"4"}


def test_an_older_release_does_not_come_back_after_the_forge_deleted_the_merged_branch(town: Town) -> None:
    town.hand_off(change(4))
    town.merge(1)
    town.git.refs.pop(BranchName(BRANCH).ref, None)

    assert isinstance(town.hand_off(change(3)), Superseded)
    assert town.open_pulls() == []


def test_a_no_counts_after_the_branch_was_deleted_too(town: Town) -> None:
    town.hand_off(change(4))
    SimulatedForge(town.forge).close(1, "no")
    town.git.refs.pop(BranchName(BRANCH).ref)

    with pytest.raises(Refused, match="closed without a merge"):
        town.hand_off(change(4))


def test_a_rejected_newer_release_does_not_stand_in_the_way_of_an_older_one(town: Town) -> None:
    town.hand_off(change(5))
    SimulatedForge(town.forge).close(1, "no")

    outcome = town.hand_off(change(4))

    assert isinstance(outcome, Opened)
    assert town.pinned(BRANCH, API) == {"4"}


def test_a_newer_release_that_died_before_its_pull_request_gets_one_from_the_older(town: Town) -> None:
    desk = town.desk()
    desk.forge.fail(method="open")  # type: ignore[union-attr, attr-defined]
    with pytest.raises(RemoteError):
        hand_off(desk, change(5))

    outcome = town.hand_off(change(4))

    assert isinstance(outcome, Superseded)
    (pull,) = town.open_pulls()
    assert "release release5" in pull.body


def test_an_environment_that_is_committed_to_does_not_move_back(town: Town) -> None:
    town.hand_off(change(5, "lab"))
    town.git.commit_files({"README.md": b"somebody else\n"}, ref="refs/heads/lab")

    outcome = town.hand_off(change(4, "lab"))

    assert isinstance(outcome, Superseded)
    assert town.pinned("lab", API) == {"5"}


def test_environments_that_are_committed_to_move_their_own_branch(town: Town) -> None:
    outcome = town.hand_off(change(2, "lab"))

    assert isinstance(outcome, Committed)
    assert town.pinned("lab", API) == {"2"}
    assert (town.open_pulls(), town.pinned("main", API)) == ([], set())
    assert isinstance(town.hand_off(change(2, "lab")), Unchanged)


@pytest.mark.parametrize("method", ["tips", "files", "commit", "push"])
def test_a_git_failure_is_told_and_the_next_run_finishes(town: Town, method: str) -> None:
    desk = town.desk()
    desk.repository.fail(method=method)  # type: ignore[attr-defined]

    with pytest.raises(RemoteError):
        hand_off(desk, change(2))

    assert isinstance(town.hand_off(change(2)), Opened)
    assert len(town.pulls()) == 1


def test_pr_create_landed_then_502(town: Town) -> None:
    desk = town.desk()
    desk.forge.fail(method="open", moment="after")  # type: ignore[union-attr, attr-defined]

    with pytest.raises(RemoteError):
        hand_off(desk, change(2))

    assert isinstance(town.hand_off(change(2)), Unchanged)
    assert len(town.pulls()) == 1


@pytest.mark.parametrize("lag", [5, 30, 120])
def test_pr_list_lags_after_create(town: Town, lag: int) -> None:
    town.forge.list_lag = lag
    town.hand_off(change(2))

    town.hand_off(change(2))
    town.hand_off(change(3))

    (pull,) = town.open_pulls()
    assert "release release3" in pull.body


def test_an_image_that_is_not_there_writes_nothing(town: Town) -> None:
    wanted = change(2, "dev", pinned(API), pinned(type(WORKER)("ghcr.io", "acme/shop/web")))

    with pytest.raises(ConfigurationError):
        town.hand_off(wanted)

    assert (town.git.pushes, town.pulls()) == ([], [])


def test_a_missing_base_branch_is_named(town: Town) -> None:
    del town.git.refs[MAIN.ref]

    with pytest.raises(ConfigurationError, match="no branch 'main'"):
        town.hand_off(change(2))


def test_a_missing_branch_of_an_environment_is_named_with_how_to_make_it(town: Town) -> None:
    del town.git.refs[BranchName("lab").ref]

    with pytest.raises(ConfigurationError, match="no branch 'lab'") as caught:
        town.hand_off(change(2, "lab"))

    assert "git push origin main:refs/heads/lab" in str(caught.value.hint)


def test_a_race_that_is_lost_until_the_deadline_ends_safely(town: Town) -> None:
    """Somebody moves our branch before every push of ours: it ends in an error that says: run again."""
    desk = town.desk()
    others = iter(range(3, 10_000))

    def before(method: str) -> None:
        if method == "push":
            town.hand_off(change(next(others)))
            town.clock.advance(1)

    desk.repository._before_call = before  # type: ignore[attr-defined]

    with pytest.raises(RemoteError, match="other writers were faster"):
        hand_off(desk, change(1_000_000), seconds=60)


@pytest.mark.parametrize("others", [5, 150, 3000])
def test_a_late_job_is_behind_however_many_commits_of_others_came_between(town: Town, others: int) -> None:
    town.hand_off(change(3, "lab"))
    for number in range(others):
        town.git.commit_files({"README.md": b"%d" % number}, ref="refs/heads/lab")

    outcome = town.hand_off(change(2, "lab"))

    assert isinstance(outcome, Superseded)
    assert outcome.newer.release == "release3"


def test_no_history_is_read_for_images_of_which_nobody_knows_where_they_stand(town: Town) -> None:
    calls: list[str] = []
    desk = town.desk(lambda port, method: calls.append(method))

    assert isinstance(hand_off(desk, replace(change(2, "lab"), position=None)), Committed)

    assert "recent" not in calls
