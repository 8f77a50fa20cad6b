"""What GitLab can do beyond merge requests: people, drafts, auto-merge, verdicts, comparisons, commits."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, Conflict, Refused, RemoteError
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.forges.base import (
    AutoMerge,
    CommitStatus,
    MergeMethod,
    NotMergeable,
    NotOpen,
    PullRequestState,
    Review,
    ReviewState,
    Routing,
    StatusState,
)
from tests.integration.gitlab.worlds import BOT, MAIN, MERGE_REQUESTS, World, draft, head_of
from tests.servers.forge_http import Reply
from tests.servers.git_repositories import commit_files, git

# --- drafts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("title", ["Release shop", "Draft: Release shop", "[Draft] draft: Release shop"])
def test_a_draft_is_a_mark_in_the_title_that_nobody_sees(world: World, title: str) -> None:
    world.start()
    opened = world.forge.open(draft(title=title))
    assert (opened.title, opened.draft, world.only.title) == ("Release shop", False, "Release shop")
    made = world.forge.set_draft(1, True)
    assert (made.title, made.draft, world.only.title) == ("Release shop", True, "Draft: Release shop")
    assert world.forge.update(1, title="Newer", body="").draft
    ready = world.forge.set_draft(1, False)
    assert (ready.title, ready.draft) == ("Newer", False)
    assert world.forge.set_draft(1, False) == ready


def test_what_has_ended_is_made_no_draft(world: World) -> None:
    opened = world.opened()
    world.forge.close(opened.number, "no")
    with pytest.raises(NotOpen):
        world.forge.set_draft(opened.number, True)


# --- people --------------------------------------------------------------------------------------------------------


def test_people_and_labels_are_added_and_none_taken_away(world: World) -> None:
    opened = world.opened()
    for name in ("alice", "bob", "carol", "dave"):
        world.server.user_id(name)
    world.server.groups["acme/platform"] = ["bob", "carol", "bot"]
    world.only.reviewers, world.only.assignees, world.only.labels = ["dave"], ["dave"], ["mine"]
    wishes = Routing(("alice", "@bob"), ("acme/platform",), ("alice",), ("release", "env: prod"))
    assert world.forge.route(opened.number, wishes) == []
    assert world.only.reviewers == ["dave", "alice", "bob", "carol"]
    assert world.only.assignees == ["dave", "alice"]
    assert world.only.labels == ["mine", "release", "env: prod"]
    assert set(world.project.labels) >= {"release", "env: prod"}
    world.server.calls.clear()
    assert world.forge.route(opened.number, wishes) == []
    assert world.server.called("PUT *") == []


def test_each_wish_that_is_not_granted_is_told(world: World) -> None:
    opened = world.opened()
    world.project.multiple_people = False
    for name in ("alice", "bob"):
        world.server.user_id(name)
    world.server.groups["acme/all"] = [f"person-{number}" for number in range(21)]
    wishes = Routing(("alice", "bob", "nobody"), ("acme/none", "acme/all"), (), ("a,b", "release"))
    told = world.forge.route(opened.number, wishes)
    assert [line for line in told if "comma" in line]
    assert [line for line in told if "acme/none" in line]
    assert [line for line in told if "21 members" in line]
    assert [line for line in told if "'nobody'" in line]
    assert [line for line in told if "bob" in line and "free tier" in line]
    assert len(told) == 5
    assert (world.only.reviewers, world.only.labels) == (["alice"], ["release"])


def test_an_approval_is_of_the_head_that_was_seen(world: World) -> None:
    opened = world.opened()
    world.clock.advance(10)
    world.server.approve(world.project, 1, "alice")
    world.clock.advance(10)
    newer = world.commit(BOT)
    world.forge.show(1)
    world.clock.advance(10)
    world.server.approve(world.project, 1, "bob")
    world.only.changes_requested.append("carol")
    world.server.approve(world.project, 1, "carol")
    assert world.forge.reviews(1) == [
        Review("alice", ReviewState.APPROVED, opened.head_commit),
        Review("bob", ReviewState.APPROVED, newer),
        Review("carol", ReviewState.CHANGES_REQUESTED),
    ]


def test_an_older_gitlab_tells_no_time_and_no_wish_for_changes(world: World) -> None:
    world.opened()
    told = {"approved_by": [{"user": world.server.person("alice")}]}
    world.server.fail(Reply(200, told), f"GET {MERGE_REQUESTS}/1/approvals")
    world.server.fail(Reply(404, {"error": "404 Not Found"}), f"GET {MERGE_REQUESTS}/1/reviewers")
    assert world.forge.reviews(1) == [Review("alice", ReviewState.APPROVED)]


def test_the_members_of_a_group_are_read_to_the_last_page(world: World) -> None:
    world.server.groups["acme/platform/sub"] = [f"person-{number}" for number in range(250)]
    assert len(world.forge.members("acme/platform/sub")) == 250
    with pytest.raises(ConfigurationError, match="no group 'acme/other'"):
        world.forge.members("acme/other")


# --- auto-merge ----------------------------------------------------------------------------------------------------


def test_what_is_mergeable_already_is_merged_with_the_expected_head(world: World) -> None:
    opened = world.opened()
    assert world.forge.merge_when_ready(1, head_of(opened), MergeMethod.MERGE, "Release\n") is AutoMerge.MERGED
    assert world.forge.merge_when_ready(1, head_of(opened), MergeMethod.MERGE) is AutoMerge.MERGED
    assert world.merged_once()


@pytest.mark.parametrize("why", ["pipeline", "approvals"])
def test_what_waits_for_something_is_merged_by_gitlab_later(world: World, why: str) -> None:
    opened = world.opened()
    if why == "pipeline":
        world.project.pipeline_required, world.project.pipeline = True, "running"
    else:
        world.project.approvals_required = 1
    for _ in range(2):
        assert world.forge.merge_when_ready(1, head_of(opened), MergeMethod.MERGE) is AutoMerge.ENABLED
    assert world.only.auto_merge
    assert len(world.server.called(f"PUT {MERGE_REQUESTS}/1/merge")) == 1


@pytest.mark.parametrize("train", [False, True])
def test_what_waits_to_be_merged_is_called_off(world: World, train: bool) -> None:
    opened = world.opened()
    world.project.merge_trains = train
    world.project.approvals_required = 0 if train else 1
    world.forge.merge_when_ready(1, head_of(opened), None)
    assert world.forge.call_off_merge(1)
    assert (world.only.auto_merge, world.project.train) == (False, [])
    assert not world.forge.call_off_merge(1)


def test_a_201_that_calls_nothing_off_is_seen_through(world: World) -> None:
    opened = world.opened()
    world.project.approvals_required, world.project.keeps_auto_merge = 1, True
    world.forge.merge_when_ready(1, head_of(opened), None)
    with pytest.raises(RemoteError, match="keeps the auto-merge of #1"):
        world.forge.call_off_merge(1)


def test_auto_merge_that_gitlab_refuses_is_told_with_what_it_waits_for(world: World) -> None:
    opened = world.opened()
    world.project.pipeline_required, world.project.pipeline = True, "failed"
    with pytest.raises(NotMergeable, match="its pipeline has to pass first"):
        world.forge.merge_when_ready(1, head_of(opened), MergeMethod.MERGE)
    assert not world.only.auto_merge


@pytest.mark.parametrize("change", ["conflict", "draft", "closed"])
def test_what_can_never_be_merged_gets_no_auto_merge(world: World, change: str) -> None:
    opened = world.opened()
    if change == "conflict":
        world.commit(MAIN, content=b"other\n")
    elif change == "draft":
        world.forge.set_draft(1, True)
    else:
        world.forge.close(1, "no")
    with pytest.raises(NotMergeable):
        world.forge.merge_when_ready(1, head_of(opened), MergeMethod.MERGE)
    assert world.only.state != "merged"


@pytest.mark.parametrize(
    ("project", "squash", "method", "problem"),
    [
        ("ff", "default_off", MergeMethod.MERGE, "fast-forward"),
        ("merge", "default_off", MergeMethod.REBASE, "merge commits"),
        ("merge", "never", MergeMethod.SQUASH, "does not allow squashing"),
        ("merge", "always", MergeMethod.MERGE, "requires squashing"),
    ],
)
def test_a_method_that_the_project_has_not_is_told(
    world: World, project: str, squash: str, method: MergeMethod, problem: str
) -> None:
    opened = world.opened()
    world.project.merge_method, world.project.squash_option = project, squash
    with pytest.raises(NotMergeable, match=problem):
        world.forge.merge_when_ready(1, head_of(opened), method)


@pytest.mark.parametrize(
    ("project", "method"),
    [("ff", MergeMethod.REBASE), ("rebase_merge", MergeMethod.MERGE), ("merge", MergeMethod.SQUASH)],
)
def test_each_way_of_merging_tells_the_commit_that_it_left_on_main(
    world: World, project: str, method: MergeMethod
) -> None:
    opened = world.opened()
    world.project.merge_method = project
    assert world.forge.merge_when_ready(1, head_of(opened), method, "Release shop to prod") is AutoMerge.MERGED
    merged = world.forge.show(1)
    assert merged.state is PullRequestState.MERGED
    assert merged.merge_commit == CommitId(str(world.project.repo.tip("main")))


def test_a_fast_forward_that_needs_a_rebase_is_refused(world: World) -> None:
    opened = world.opened()
    world.project.merge_method = "ff"
    world.commit(MAIN, "b.yaml")
    with pytest.raises(NotMergeable, match="moved on"):
        world.forge.merge(1, head_of(opened))


# --- verdicts ------------------------------------------------------------------------------------------------------


def test_statuses_of_all_pages_are_normalised_to_the_newest_of_each_context(world: World) -> None:
    commit = world.start()
    world.forge.set_status(commit, CommitStatus("flux", StatusState.FAILURE))
    first = world.project.statuses[0]
    for number in range(130):
        world.project.statuses.append({**first, "id": 2 + number, "name": f"job/{number % 65:02}", "status": "success"})
    world.project.statuses.insert(0, {**first, "id": 500, "status": "running"})
    found = world.forge.statuses(commit)
    assert len(found) == 66
    assert found[0] == CommitStatus("flux", StatusState.PENDING, "running", creator="bot")
    assert {status.state for status in found[1:]} == {StatusState.SUCCESS}


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ("success", StatusState.SUCCESS),
        ("failed", StatusState.FAILURE),
        ("canceled", StatusState.FAILURE),
        *((name, StatusState.PENDING) for name in ("pending", "running", "created", "manual", "skipped", "brand_new")),
    ],
)
def test_every_state_of_gitlab_s_is_one_of_three(world: World, told: str, state: StatusState) -> None:
    commit = world.start()
    world.forge.set_status(commit, CommitStatus("flux", StatusState.SUCCESS))
    world.project.statuses[0]["status"] = told
    (status,) = world.forge.statuses(commit)
    assert status.state is state


def test_a_status_that_is_there_already_is_as_good(world: World) -> None:
    commit = world.start()
    for _ in range(2):
        world.forge.set_status(commit, CommitStatus("flux", StatusState.SUCCESS, "healthy"))
    world.server.fail("502_after", "POST *statuses*")
    world.forge.set_status(commit, CommitStatus("flux", StatusState.FAILURE))
    assert [status.state for status in world.forge.statuses(commit)] == [StatusState.FAILURE]


def test_deployments_of_the_commit_are_verdicts_too(world: World) -> None:
    commit, other = world.start(), world.start(BranchName("other"), "b.yaml")
    world.project.deployments += [
        _deployment(world, 1, commit, "running"),
        _deployment(world, 2, other, "failed"),
        _deployment(world, 3, commit, "success"),
    ]
    (status,) = world.forge.statuses(commit)
    assert (status.context, status.state) == ("deployment/prod", StatusState.SUCCESS)
    assert (status.creator, status.target_url) == ("alice", "https://shop.example.com")


def test_a_project_without_deployments_still_has_its_statuses(world: World) -> None:
    commit = world.start()
    world.forge.set_status(commit, CommitStatus("flux", StatusState.SUCCESS))
    world.server.fail(Reply(403, {"message": "403 Forbidden"}), "GET *deployments")
    assert [status.context for status in world.forge.statuses(commit)] == ["flux"]


def _deployment(world: World, number: int, commit: CommitId, status: str) -> dict[str, object]:
    return {
        "id": number,
        "iid": number,
        "ref": "main",
        "sha": commit.value,
        "status": status,
        "created_at": "2026-03-02T09:30:00.000Z",
        "updated_at": "2026-03-02T09:31:00.000Z",
        "user": world.server.person("alice"),
        "environment": {"id": 1, "name": "prod", "slug": "prod", "external_url": "https://shop.example.com"},
        "deployable": None,
    }


# --- comparing -----------------------------------------------------------------------------------------------------


def test_what_lies_between_two_commits_is_told_newest_first(world: World) -> None:
    source = world.server.add_project("acme/shop")
    repository = f"{world.server.web}/acme/shop.git"
    first, *later = _commits(source.repo.path, "one", "two", "three")
    found = world.forge.compare(repository, first, later[-1])
    assert found is not None
    assert (found.ahead, found.behind) == (2, 0)
    assert [(one.commit, one.subject, one.author) for one in found.commits] == [
        (later[1], "three", "A Person"),
        (later[0], "two", "A Person"),
    ]
    assert found.commits[0].url == f"{world.server.web}/acme/shop/-/commit/{later[1]}"
    assert found.url.endswith(f"/acme/shop/-/compare/{first}...{later[-1]}")
    back = world.forge.compare(repository, later[-1], first)
    assert back is not None
    assert (back.ahead, back.behind, back.commits) == (0, 2, ())


@pytest.mark.parametrize(
    "repository", ["https://github.com/acme/shop", "http://127.0.0.1:1/acme/shop", "acme/shop", "", "/srv/shop.git"]
)
def test_a_repository_elsewhere_is_not_compared_and_nothing_is_asked(world: World, repository: str) -> None:
    commit = world.start()
    asked = world.forge.api_calls
    assert world.forge.compare(repository, commit, commit) is None
    assert world.forge.api_calls == asked


def test_what_gitlab_does_not_show_is_not_compared(world: World) -> None:
    commit = world.start()
    assert world.forge.compare(f"{world.server.web}/acme/secret", commit, commit) is None
    assert world.forge.compare(f"{world.server.web}/acme/gitops", commit, CommitId("1" * 40)) is None


def _commits(bare: Path, *subjects: str) -> list[CommitId]:
    return [CommitId(commit_files(bare, {"a": subject.encode()}, message=subject)) for subject in subjects]


# --- committing ----------------------------------------------------------------------------------------------------

NEW = BranchName("hybrid-ci/tmp/1")
EDITS = {RepoPath("a.yaml"): b"new\n\xff", RepoPath("apps/new.yaml"): b"made\n"}


@pytest.mark.parametrize("fault", [None, "502_after", "502_before", "reset_after"])
def test_a_commit_by_call_is_one_commit_on_a_new_branch(world: World, fault: str | None) -> None:
    base = world.start()
    if fault:
        world.server.fail(fault, "POST *repository/commits")
    made = world.forge.commit_on(NEW, base, EDITS, "Release shop\n\nHybrid-CI-Action: release\n")
    bare = world.project.repo.path
    assert git(bare, "rev-parse", f"refs/heads/{NEW}", f"{NEW}^").split() == [made.value, base.value]
    assert git(bare, "diff", "--name-only", base.value, made.value).split() == ["a.yaml", "apps/new.yaml"]
    assert git(bare, "show", f"{made}:apps/new.yaml") == "made"


def test_a_branch_with_other_commits_is_a_conflict(world: World) -> None:
    base = world.start()
    world.start(NEW, "b.yaml")
    tip = world.project.repo.tip(NEW.value)
    with pytest.raises(Conflict):
        world.forge.commit_on(NEW, base, EDITS, "Release shop")
    assert world.project.repo.tip(NEW.value) == tip


def test_an_existing_branch_is_left_to_git_s_own_compare_and_swap(world: World) -> None:
    head = world.start()
    with pytest.raises(Refused, match="safely"):
        world.forge.commit_on(BOT, head, EDITS, "Release shop")
    assert world.project.repo.tip(BOT.value) == head.value


def test_a_lost_commit_that_somebody_else_s_branch_hides_is_a_conflict(world: World) -> None:
    base = world.start()
    world.server.before = lambda call: world.start(NEW, "b.yaml") if call.method == "POST" else None
    with pytest.raises(Conflict):
        world.forge.commit_on(NEW, base, EDITS, "Release shop")
