"""The life of a pull request by scenario: draft and ready, whom it goes to, who merges it, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from orchestrator.core.change import Change
from orchestrator.core.delivery import CommitBy, Merge, MergeMethod, Routing, WhileWaiting
from orchestrator.core.errors import Conflict, RemoteError
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.core.trailers import read_trailers
from orchestrator.forges.base import AutoMerge, PullRequest, PullRequestDraft, PullRequestState
from orchestrator.gitops.desk import Desk
from orchestrator.gitops.handoff import hand_off
from orchestrator.gitops.outcome import Opened, Outcome, Superseded, Unchanged, Updated, Waiting
from tests.simulation.town import MAIN, Town
from tests.simulators.forge import SimulatedForge, SimulatedPull
from tests.unit.gitops.changes import API, WORKER, change, pinned

BRANCH = BranchName("hybrid-ci/dev/shop")
ROUTING = Routing(("ada",), ("acme/platform",), ("grace",), ("deploy",))


@pytest.fixture
def town() -> Town:
    return Town()


def only(town: Town) -> PullRequest:
    (pull,) = town.open_pulls()
    return pull


def forge_of(desk: Desk) -> SimulatedForge:
    assert isinstance(desk.forge, SimulatedForge)
    return desk.forge


def writes(desk: Desk) -> set[str]:
    """What a job wrote to Git and to its forge."""
    reads = {"tips", "files", "commits", "commit_info", "commit", "recent", "pull_requests", "paths"}
    calls = [*desk.repository.calls, *forge_of(desk).calls]  # type: ignore[attr-defined]
    return set(calls) - reads


# --- drafts --------------------------------------------------------------------------------------------------------


def test_what_waits_for_a_gate_is_a_draft(town: Town) -> None:
    town.waiting.add("release2")

    outcome = town.hand_off(change(2))

    assert isinstance(outcome, Opened)
    assert (outcome.state, only(town).draft) == ("waiting", True)


def test_a_draft_is_ready_once_its_gates_pass(town: Town) -> None:
    town.waiting.add("release2")
    town.hand_off(change(2))
    town.waiting.clear()

    outcome = town.hand_off(change(2))

    assert (outcome.state, only(town).draft) == ("updated", False)
    assert town.hand_off(change(2)).state == "unchanged"


def test_a_draft_that_still_waits_is_not_written_again(town: Town) -> None:
    town.waiting.add("release2")
    town.hand_off(change(2))
    desk = town.desk()

    outcome = hand_off(desk, change(2))

    assert (outcome.state, writes(desk)) == ("waiting", set())


def test_a_pull_request_is_held_back_before_what_waits_is_pushed_to_it(town: Town) -> None:
    """Nobody, and no auto-merge, gets the chance to merge what a gate does not let pass."""
    town.hand_off(change(2))
    town.waiting.add("release3")
    desk = town.desk()
    held: list[bool] = []

    def before(method: str) -> None:
        if method == "push":
            held.append(only(town).draft)

    desk.repository._before_call = before  # type: ignore[attr-defined]

    outcome = hand_off(desk, change(3))

    assert (outcome.state, held) == ("waiting", [True])
    assert only(town).title == "release3 to dev"


def test_a_newer_release_that_passes_ends_the_draft_of_an_older_one(town: Town) -> None:
    town.waiting.add("release2")
    town.hand_off(change(2))

    outcome = town.hand_off(change(3))

    assert (outcome.state, only(town).draft) == ("updated", False)


def test_a_draft_that_a_person_made_stays_one(town: Town) -> None:
    town.deliver(merge=Merge.AUTO)
    town.forge.rules = lambda pull: "a check is missing"
    town.hand_off(change(2))
    town.forge_client("ada").set_draft(1, True)

    outcome = town.hand_off(change(3))

    assert isinstance(outcome, Updated)
    assert only(town).draft
    assert "somebody made pull request #1 a draft" in outcome.warnings[0]
    assert outcome.merging is None


def test_a_late_older_release_leaves_a_newer_draft_alone(town: Town) -> None:
    town.waiting.add("release3")
    town.hand_off(change(3))

    outcome = hand_off(town.desk(made="release2"), change(2))

    assert isinstance(outcome, Superseded)
    assert (only(town).draft, only(town).title) == (True, "release3 to dev")


def test_where_the_policy_wants_no_draft_nothing_is_written_until_the_gates_pass(town: Town) -> None:
    town.deliver(while_waiting=WhileWaiting.NONE)
    town.waiting.add("release2")

    outcome = town.hand_off(change(2))

    assert isinstance(outcome, Waiting)
    assert (outcome.state, town.git.pushes, town.pulls()) == ("waiting", [], [])
    town.waiting.clear()
    assert isinstance(town.hand_off(change(2)), Opened)


def test_what_waits_without_a_draft_does_not_push_out_what_passed(town: Town) -> None:
    town.deliver(while_waiting=WhileWaiting.NONE)
    town.hand_off(change(2))
    town.waiting.add("release3")

    outcome = town.hand_off(change(3))

    assert isinstance(outcome, Waiting)
    assert (only(town).title, town.pinned(BRANCH.value, API)) == ("release2 to dev", {"2"})


@pytest.mark.parametrize("method", ["set_draft", "update"])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("waits", [True, False])
def test_who_dies_between_draft_and_text_leaves_what_the_next_run_puts_right(
    town: Town, method: str, moment: str, waits: bool
) -> None:
    if not waits:
        town.waiting.add("release2")
    town.hand_off(change(2))
    town.waiting = {"release3"} if waits else set()
    desk = town.desk()
    forge_of(desk).fail(method=method, moment=moment)  # type: ignore[arg-type]

    with pytest.raises(RemoteError):
        hand_off(desk, change(3))
    town.hand_off(change(3))

    assert (only(town).draft, only(town).title) == (waits, "release3 to dev")


# --- whom it goes to -----------------------------------------------------------------------------------------------


def test_a_pull_request_goes_to_whom_the_policy_names(town: Town) -> None:
    town.deliver(routing=ROUTING)

    outcome = town.hand_off(change(2))

    assert isinstance(outcome, Opened)
    assert outcome.warnings == ()
    assert town.forge.pulls[1].routing == ROUTING


def test_label_or_reviewer_call_fails_after_pr(town: Town) -> None:
    town.deliver(routing=ROUTING)
    desk = town.desk()
    forge_of(desk).fail(method="route")

    outcome = hand_off(desk, change(2))

    assert isinstance(outcome, Opened)
    assert outcome.warnings == ("reviewers, assignees or labels were not set: the simulated remote failed",)
    again = town.hand_off(change(2))
    assert isinstance(again, Unchanged)
    assert again.warnings == ()
    assert (len(town.pulls()), town.forge.pulls[1].routing) == (1, ROUTING)


def test_a_reviewer_who_cannot_be_asked_is_a_warning_and_the_others_are_asked(town: Town) -> None:
    town.deliver(routing=ROUTING)
    town.forge.refused["ada"] = "ada is no collaborator"

    outcome = town.hand_off(change(2))

    assert isinstance(outcome, Opened)
    assert outcome.warnings == ("ada is no collaborator",)
    assert town.forge.pulls[1].routing == replace(ROUTING, reviewers=())
    town.forge.refused.clear()
    town.hand_off(change(2))
    assert town.forge.pulls[1].routing == ROUTING


# --- who merges it -------------------------------------------------------------------------------------------------


def test_what_may_be_merged_is_merged_when_the_policy_wants_it(town: Town) -> None:
    town.deliver(merge=Merge.AUTO, delete_branch=True)

    outcome = town.hand_off(change(2))

    assert isinstance(outcome, Opened)
    assert (outcome.state, outcome.merging) == ("merged", AutoMerge.MERGED)
    assert outcome.pull_request.state is PullRequestState.MERGED
    assert town.pinned("main", API) == {"2"}
    assert BRANCH.ref not in town.git.refs
    told = read_trailers(town.git.commits[town.tip(MAIN)].info.message)
    assert told is not None and told.release == "release2"


def test_what_is_not_mergeable_yet_is_merged_by_the_forge_later(town: Town) -> None:
    town.deliver(merge=Merge.AUTO, method=MergeMethod.MERGE)
    town.forge.rules = lambda pull: None if pull.approvals else "an approval is missing"

    outcome = town.hand_off(change(2))

    assert isinstance(outcome, Opened)
    assert (outcome.state, outcome.merging) == ("opened", AutoMerge.ENABLED)
    town.forge.approve(1, "ada")
    town.forge.settle()
    assert town.pinned("main", API) == {"2"}
    assert isinstance(town.hand_off(change(2)), Unchanged)


@pytest.mark.parametrize("moment", ["update", "merge_when_ready"])
def test_a_wish_for_an_older_release_never_merges_a_newer_one(town: Town, moment: str) -> None:
    """GitHub keeps auto-merge through a push of ours: the newer images would land under the older one's trailers."""
    town.deliver(merge=Merge.AUTO)
    town.forge.wishes_outlive_pushes = True
    town.forge.rules = lambda pull: None if pull.approvals else "an approval is missing"
    town.hand_off(change(2))
    desk = town.desk(made="release3")

    def before(method: str) -> None:
        if method == moment:
            town.forge.approve(1, "ada")
            town.forge.settle()

    forge_of(desk)._before_call = before
    outcome = hand_off(desk, change(3))

    assert isinstance(outcome, Updated)
    town.forge.settle()
    told = read_trailers(town.git.commits[town.tip(MAIN)].info.message)
    assert told is not None and told.release == "release3"
    assert town.pinned("main", API) == {"3"}


def test_a_person_s_wish_is_for_what_stood_there_then(town: Town) -> None:
    town.forge.wishes_outlive_pushes = True
    town.forge.rules = lambda pull: None if pull.approvals else "an approval is missing"
    opened = town.hand_off(change(2))
    assert isinstance(opened, Opened)
    SimulatedForge(town.forge, "ada").merge_when_ready(1, opened.commit, None)

    outcome = town.hand_off(change(3))

    assert isinstance(outcome, Updated)
    assert outcome.warnings == (
        "somebody wanted the pull request to merge by itself; it holds another change now, so ask for that again",
    )
    town.forge.approve(1, "ada")
    town.forge.settle()
    assert town.pinned("main", API) == set()


def test_what_can_not_be_called_off_is_not_pushed_over(town: Town) -> None:
    town.hand_off(change(2))
    desk = town.desk(made="release3")
    forge_of(desk).fail(method="call_off_merge")

    with pytest.raises(RemoteError):
        hand_off(desk, change(3))

    assert town.pinned(BRANCH.value, API) == {"2"}


def test_the_branch_of_what_the_forge_merged_later_is_deleted_by_the_next_run(town: Town) -> None:
    town.deliver(merge=Merge.AUTO, delete_branch=True)
    town.forge.rules = lambda pull: None if pull.approvals else "an approval is missing"
    town.hand_off(change(2))
    town.forge.approve(1, "ada")
    town.forge.settle()

    assert isinstance(town.hand_off(change(2)), Unchanged)
    assert BRANCH.ref not in town.git.refs
    assert isinstance(town.hand_off(change(3)), Opened)


def test_a_draft_is_not_merged_by_itself(town: Town) -> None:
    town.deliver(merge=Merge.AUTO)
    town.waiting.add("release2")

    outcome = town.hand_off(change(2))

    assert (outcome.state, town.pinned("main", API)) == ("waiting", set())


def test_auto_merge_that_is_switched_off_is_a_warning(town: Town) -> None:
    town.deliver(merge=Merge.AUTO)
    town.forge.rules, town.forge.auto_merge = (lambda pull: "an approval is missing"), False

    outcome = town.hand_off(change(2))

    assert isinstance(outcome, Opened)
    assert outcome.warnings == ("it does not merge by itself: auto-merge is switched off in this repository",)
    assert only(town).number == 1


def test_a_head_that_moved_before_the_merge_is_looked_at_again(town: Town) -> None:
    """A newer release came in between: the older one is superseded, and never merged."""
    town.deliver(merge=Merge.AUTO)
    town.forge.rules = lambda pull: None if "release3" in pull.title else "not yet"
    desk = town.desk(made="release2")
    newer: list[Outcome] = []

    def before(method: str) -> None:
        if method == "merge_when_ready" and not newer:
            newer.append(town.hand_off(change(3)))

    forge_of(desk)._before_call = before

    outcome = hand_off(desk, change(2))

    assert isinstance(outcome, Superseded | Unchanged)
    assert town.pinned("main", API) == {"3"}


def test_a_person_who_merges_in_between_is_no_error(town: Town) -> None:
    town.hand_off(change(2))
    desk = town.desk()
    done: list[str] = []

    def before(method: str) -> None:
        if method == "update" and not done:
            done.append(method)
            town.merge(1)

    forge_of(desk)._before_call = before

    outcome = hand_off(desk, change(3))

    assert not isinstance(outcome, Superseded)
    assert town.pinned("main", API) in ({"2"}, {"3"})
    assert town.hand_off(change(3)).state == "unchanged"


# --- whose it is ---------------------------------------------------------------------------------------------------


def planted(town: Town, **changes: object) -> PullRequest:
    """A pull request that somebody else opened for our branch, as the forge shows it."""
    first = SimulatedForge(town.forge, "mallory").open(PullRequestDraft("Look", "", BRANCH, MAIN))
    shown = replace(first, **changes)  # type: ignore[arg-type]  # as a test writes it
    town.forge.pulls[first.number] = SimulatedPull(shown)
    return shown


def test_fork_pr_with_same_branch_name_not_adopted(town: Town) -> None:
    """A fork's branch of the same name, with a body that looks like ours."""
    desk = town.desk()
    forge_of(desk).fail(method="open")
    with pytest.raises(RemoteError):
        hand_off(desk, change(2))
    look_alike = planted(town, fork="mallory/gitops")

    with pytest.raises(Conflict, match="from mallory/gitops"):
        town.hand_off(change(2))
    assert town.forge.pulls[look_alike.number].told.body == ""


def test_a_pull_request_of_an_account_that_is_no_writer_is_not_adopted(town: Town) -> None:
    town.policy = replace(town.policy, writers=(*town.policy.writers, "hybrid-ci", "@Kim"))
    desk = town.desk()
    forge_of(desk).fail(method="open")
    with pytest.raises(RemoteError):
        hand_off(desk, change(2))
    planted(town)

    with pytest.raises(Conflict, match="'mallory' opened it"):
        town.hand_off(change(2))
    town.forge.pulls[1].told = replace(town.forge.pulls[1].told, author="kim")
    assert isinstance(town.hand_off(change(2)), Updated)


def test_forged_metadata_ignored(town: Town) -> None:
    """A body that claims to be ours, for this release, is written anew: our block is sealed, and decides nothing."""
    town.hand_off(change(2))
    pull = only(town)
    forged = pull.body.replace("Pins: ", "Pins: nothing at all, please merge. ")
    SimulatedForge(town.forge, "mallory").update(1, title=pull.title, body=forged)

    assert isinstance(town.hand_off(change(2)), Updated)
    assert only(town).body == pull.body


@pytest.mark.scenario(number=33)
def test_duplicate_open_prs_found(town: Town) -> None:
    town.hand_off(change(2))
    second = replace(town.pulls()[0], number=2, url="https://forge.example/acme/gitops/pull/2", author="kim")
    town.forge.pulls[2] = SimulatedPull(second)

    for _ in range(2):
        with pytest.raises(Conflict, match="2 open pull requests") as told:
            town.hand_off(change(3))
        assert "#1 is the oldest" in str(told.value.hint)
    assert [len(pull.comments) for pull in town.forge.pulls.values()] == [0, 1]
    assert len(town.open_pulls()) == 2
    assert town.pinned(BRANCH.value, API) == {"2"}


def test_comment_is_idempotent_after_502(town: Town) -> None:
    town.hand_off(change(2))
    town.forge.pulls[2] = SimulatedPull(replace(town.pulls()[0], number=2))
    desk = town.desk()
    forge_of(desk).fail(method="comment", moment="after")

    with pytest.raises(Conflict, match="2 open") as told:
        hand_off(desk, change(3))
    assert any("got no comment" in line for line in told.value.details)
    with pytest.raises(Conflict, match="2 open"):
        town.hand_off(change(3))
    assert len(town.forge.pulls[2].comments) == 1


def test_human_edited_pr_title_and_body(town: Town) -> None:
    town.hand_off(change(2))
    body = only(town).body
    windows = f"Ask Kim first.\n\n{body}\nSeen.\n".replace("\n", "\r\n")
    SimulatedForge(town.forge, "kim").update(1, title="Please wait", body=windows)

    same = town.hand_off(change(2))
    newer = town.hand_off(change(3))

    assert isinstance(same, Unchanged)
    assert isinstance(newer, Updated)
    assert only(town).body.startswith("Ask Kim first.\r\n\r\n")
    assert only(town).body.rstrip().endswith("Seen.")
    assert "release release3" in only(town).body and "release release2" not in only(town).body


def test_pr_create_landed_then_reset(town: Town) -> None:
    """The connection broke, and so did the next one: the run after that finds what landed."""
    for moment in ("after", "before"):
        desk = town.desk()
        forge_of(desk).fail(method="open" if moment == "after" else "pull_requests", moment=moment)  # type: ignore[arg-type]
        with pytest.raises(RemoteError):
            hand_off(desk, change(2))

    assert isinstance(town.hand_off(change(2)), Unchanged)
    assert len(town.pulls()) == 1


def test_merged_pr_branch_deleted_by_forge(town: Town) -> None:
    town.hand_off(change(2))
    town.merge(1)
    town.git.refs.pop(BRANCH.ref)

    assert isinstance(town.hand_off(change(2)), Unchanged)
    assert len(town.pulls()) == 1


def test_what_the_base_runs_already_is_closed_with_a_link_to_what_brought_it(town: Town) -> None:
    town.hand_off(change(3))
    town.merge(1)
    town.git.refs[BRANCH.ref] = _older_branch(town, change(2))
    SimulatedForge(town.forge).open(PullRequestDraft("release2 to dev", "", BRANCH, MAIN))

    outcome = town.hand_off(change(3))

    assert isinstance(outcome, Unchanged)
    (comment,) = town.forge.pulls[2].comments
    assert "already runs release release3" in comment
    assert "https://forge.example/acme/gitops/pull/1" in comment
    assert town.open_pulls() == []


def _older_branch(town: Town, older: Change) -> CommitId:
    """A handoff of an older release that was pushed by a job which nobody stopped."""
    desk = town.desk()
    plan = desk.plan(town.policy.environment("dev"), older, town.tip(MAIN))
    return desk.commit(plan)


# --- commits by call -----------------------------------------------------------------------------------------------


def signed(town: Town) -> Mapping[RepoPath, object]:
    """The files at the tip of our branch, which the forge committed."""
    commit = town.git.commits[town.tip(BRANCH)]
    assert commit.info.committer == "GitHub <noreply@github.com>"
    return commit.files


def test_a_commit_by_call_becomes_the_tip_of_the_stable_branch(town: Town) -> None:
    town.deliver(commit=CommitBy.API)

    assert isinstance(town.hand_off(change(2)), Opened)

    assert signed(town)
    assert (town.pinned(BRANCH.value, API), town.pinned(BRANCH.value, WORKER)) == ({"2"}, {"2"})
    assert {ref.branch for ref in town.git.refs} == {MAIN, BranchName("lab"), BRANCH}
    assert isinstance(town.hand_off(change(2)), Unchanged)
    assert isinstance(town.hand_off(change(3)), Updated)
    assert town.pinned(BRANCH.value, API) == {"3"}
    assert len(town.pulls()) == 1


@pytest.mark.parametrize("method", ["commit_on", "push", "open"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_by_call_whose_run_died_is_found_again(town: Town, method: str, moment: str) -> None:
    town.deliver(commit=CommitBy.API)
    desk = town.desk()
    failing = desk.repository if method == "push" else forge_of(desk)
    which = 2 if method == "commit_on" else 1  # the first one finds no branch, as GitHub makes none
    failing.fail(which, method=method, moment=moment)  # type: ignore[union-attr, attr-defined, arg-type]
    with pytest.raises(RemoteError):
        hand_off(desk, change(2))

    assert isinstance(town.hand_off(change(2)), Opened | Unchanged | Updated)
    assert town.pinned(BRANCH.value, API) == {"2"}
    assert len(town.pulls()) == 1


def test_a_forge_that_commits_something_else_is_not_followed(town: Town) -> None:
    town.deliver(commit=CommitBy.API)
    desk = town.desk()
    forge = forge_of(desk)
    honest = forge.commit_on

    def more(branch: BranchName, expected: CommitId, edits: Mapping[RepoPath, bytes], message: str) -> CommitId:
        return honest(branch, expected, {**edits, RepoPath("apps/shop/prod/planted.yaml"): b"x: 1\n"}, message)

    forge.commit_on = more  # type: ignore[method-assign]

    with pytest.raises(Conflict, match="another commit than hybrid-ci asked for"):
        hand_off(desk, change(2))
    assert (BRANCH.ref in town.git.refs, town.pulls()) == (False, [])


def test_a_person_s_edit_in_github_s_pages_is_still_foreign(town: Town) -> None:
    """GitHub commits for people too: then the author is who asked."""
    town.hand_off(change(2))
    tip = town.tip(BRANCH)
    files = {**town.git.commits[tip].files, RepoPath("README.md"): b"by hand\n"}
    edited = town.git.store(
        files, (tip,), "GitHub <noreply@github.com>", "Update README", town.clock.now(), "Kim <kim@acme.example>"
    )
    town.git.refs[BRANCH.ref] = edited

    with pytest.raises(Conflict, match="hybrid-ci did not make"):
        town.hand_off(change(3, "dev", pinned(API, 3)))
    assert town.tip(BRANCH) == edited
