"""Verdicts on commits, comparisons, and commits that GitHub makes and signs."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import ConfigurationError, Conflict, RemoteError
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.forges.base import CommitStatus, StatusState
from tests.integration.github.worlds import BOT, MAIN, World
from tests.servers.git_repositories import commit_files, git
from tests.servers.github.world import Account

GRAPHQL = "POST /api/graphql"
EDITS = {RepoPath("apps/shop/kustomization.yaml"): b"newTag: 2\n", RepoPath("a.yaml"): "größe\n".encode()}
MESSAGE = "Release shop to dev\n\napi 1 -> 2\n\nHybrid-CI-Environment: dev\n"


def verdicts(world: World, commit: CommitId) -> dict[str, tuple[StatusState, str]]:
    return {one.context: (one.state, one.creator) for one in world.forge.statuses(commit)}


def test_statuses_check_runs_and_deployments_are_one_type(world: World) -> None:
    commit, now = world.start(), world.clock.now()
    sha = str(commit)
    world.forge.set_status(commit, CommitStatus("kustomization/apps", StatusState.SUCCESS, "healthy"))
    world.hosted.check_runs[sha] = [
        {"name": "argocd/shop", "conclusion": "failure", "created": now, "title": "Degraded", "url": "https://argo/1"},
        {"name": "slow", "created": now},
        {"name": "skipped", "conclusion": "skipped", "created": now, "app": "actions"},
        {"name": "cancelled", "conclusion": "cancelled", "created": now},
    ]
    statuses = [{"state": "in_progress", "created": now}, {"state": "success", "created": now, "url": "https://shop"}]
    old = {"id": 1, "sha": sha, "environment": "dev", "login": "flux[bot]", "created": now}
    world.hosted.deployments = [
        old | {"statuses": [{"state": "failure", "created": now}]},
        old | {"id": 2, "statuses": statuses},
        old | {"id": 3, "environment": "prod", "statuses": []},
        old | {"id": 4, "sha": "1" * 40, "environment": "lab", "statuses": statuses},
    ]
    assert verdicts(world, commit) == {
        "kustomization/apps": (StatusState.SUCCESS, "hybrid-ci-bot"),
        "argocd/shop": (StatusState.FAILURE, "argocd"),
        "slow": (StatusState.PENDING, "argocd"),
        "skipped": (StatusState.SUCCESS, "actions"),
        "cancelled": (StatusState.FAILURE, "argocd"),
        "deployment/dev": (StatusState.SUCCESS, "flux[bot]"),
        "deployment/prod": (StatusState.PENDING, "flux[bot]"),
    }
    by_context = {one.context: one for one in world.forge.statuses(commit)}
    assert by_context["deployment/dev"].target_url == "https://shop"
    assert (by_context["argocd/shop"].description, by_context["argocd/shop"].target_url) == (
        "Degraded",
        "https://argo/1",
    )


def test_the_verdict_that_counts_may_be_on_the_last_page(world: World) -> None:
    commit = world.start()
    made = [
        {"context": f"check{number}", "state": "success", "login": "x", "created": world.clock.now()}
        for number in range(250)
    ]
    world.hosted.statuses[str(commit)] = made
    assert len(world.forge.statuses(commit)) == 250
    world.hosted.check_runs[str(commit)] = [
        {"name": f"run{number}", "conclusion": "success", "created": world.clock.now()} for number in range(120)
    ]
    assert len(world.forge.statuses(commit)) == 370


def test_an_error_is_a_failure(world: World) -> None:
    commit = world.start()
    found = {"context": "flux", "state": "error", "login": "flux", "created": world.clock.now()}
    world.hosted.statuses[str(commit)] = [found]
    assert verdicts(world, commit) == {"flux": (StatusState.FAILURE, "flux")}


def test_a_description_is_cut_to_what_github_takes(world: World) -> None:
    commit = world.start()
    world.forge.set_status(commit, CommitStatus("flux", StatusState.SUCCESS, "x" * 500))
    assert len(world.forge.statuses(commit)[0].description) == 140


def test_a_token_that_may_not_read_verdicts_is_told_what_it_lacks(world: World) -> None:
    commit = world.start()
    rights = {"contents": "write", "pull_requests": "write", "statuses": "read"}
    world.server.accounts["ghp_narrow"] = Account("narrow", permissions=rights)
    with pytest.raises(RemoteError, match="checks: read"):
        world.client(token="ghp_narrow").statuses(commit)


# --- comparing -----------------------------------------------------------------------------------------------------


def test_a_comparison_holds_the_newest_commits_first(world: World) -> None:
    base = world.tip(MAIN)
    world.start()
    shas = [world.commit(BOT, content=str(number).encode()) for number in range(3)]
    found = world.forge.compare(world.server.repository_url(), base, shas[-1])
    assert found is not None
    assert (found.ahead, found.behind) == (4, 0)
    assert [one.commit for one in found.commits][:3] == shas[::-1]
    assert found.commits[0].subject == "Change files"
    assert found.commits[0].url.endswith(f"/commit/{shas[-1]}")
    assert str(base) in found.url


def test_a_long_comparison_is_read_from_its_end(world: World) -> None:
    base = world.tip(MAIN)
    world.start()
    for number in range(230):
        last = world.commit(BOT, content=str(number).encode())
    found = world.forge.compare(world.server.repository_url(), base, last)
    assert found is not None
    assert (found.ahead, len(found.commits), found.commits[0].commit) == (231, 100, last)
    assert len(world.server.called("GET /api/v3/repos/acme/gitops/compare/*")) == 3


def test_a_commit_without_the_other_s_history_is_behind(world: World) -> None:
    world.start()
    ahead = world.commit(MAIN, "b.yaml")
    found = world.forge.compare(world.server.repository_url(), ahead, world.tip(BOT))
    assert found is not None
    assert (found.ahead, found.behind) == (1, 1)


@pytest.mark.parametrize(
    "repository",
    ["https://gitlab.com/acme/shop", "/srv/git/shop", "not a url", "https://127.0.0.1/acme/gitops", "git@x.y:a/b.git"],
)
def test_a_repository_on_another_host_is_not_asked_about(world: World, repository: str) -> None:
    base = world.tip(MAIN)
    calls = world.forge.api_calls
    assert world.forge.compare(repository, base, base) is None
    assert world.forge.api_calls == calls


def test_a_repository_that_is_not_ours_to_read_has_no_comparison(world: World) -> None:
    base = world.tip(MAIN)
    assert world.forge.compare(world.server.repository_url("acme/secret"), base, base) is None
    assert world.forge.compare(world.server.repository_url(), base, CommitId("1" * 40)) is None


# --- commits by call -----------------------------------------------------------------------------------------------


def test_a_commit_by_call_holds_the_files_and_the_message(world: World) -> None:
    start = world.start()
    made = world.forge.commit_on(BOT, start, EDITS, MESSAGE)
    bare = world.hosted.repo.path
    assert made == world.tip(BOT)
    assert world.hosted.repo.info(str(made))["parents"] == [str(start)]
    assert git(bare, "log", "-1", "--format=%B", str(made)).strip() == MESSAGE.strip()
    for path, content in EDITS.items():
        assert git(bare, "cat-file", "blob", f"{made}:{path}").encode() == content.strip()


def test_a_commit_by_call_is_a_compare_and_swap(world: World) -> None:
    start = world.start()
    world.commit(BOT)
    with pytest.raises(Conflict, match="not at"):
        world.forge.commit_on(BOT, start, EDITS, MESSAGE)


def test_a_commit_by_call_needs_its_branch(world: World) -> None:
    with pytest.raises(ConfigurationError, match="no branch 'missing'"):
        world.forge.commit_on(BranchName("missing"), world.tip(MAIN), EDITS, MESSAGE)


@pytest.mark.parametrize("fault", ["502_after", "reset_after", "truncate"])
def test_a_commit_whose_answer_is_lost_is_read_back(world: World, fault: str) -> None:
    start = world.start()
    world.server.fail(fault, GRAPHQL)
    made = world.forge.commit_on(BOT, start, EDITS, MESSAGE)
    assert made == world.tip(BOT)
    assert world.hosted.repo.count(str(start), str(made)) == 1
    assert len(world.server.called(GRAPHQL)) == 1


@pytest.mark.parametrize("fault", ["502_before", "reset_before"])
def test_a_commit_that_did_not_land_is_made_again(world: World, fault: str) -> None:
    start = world.start()
    world.server.fail(fault, GRAPHQL)
    assert world.forge.commit_on(BOT, start, EDITS, MESSAGE) == world.tip(BOT)
    assert world.hosted.repo.count(str(start), str(world.tip(BOT))) == 1


def test_somebody_else_s_commit_is_never_taken_for_ours(world: World) -> None:
    start = world.start()

    def sneak(call: object) -> None:
        world.server.before = None
        files: dict[str | bytes, bytes | None] = {str(path): content for path, content in EDITS.items()}
        commit_files(world.hosted.repo.path, {**files, "backdoor.yaml": b"x\n"}, ref=BOT.ref.value)

    world.server.before = sneak
    world.server.fail("502_before", GRAPHQL)
    with pytest.raises(Conflict, match="moved"):
        world.forge.commit_on(BOT, start, EDITS, MESSAGE)


def test_a_commit_by_call_that_the_token_may_not_make_is_exit_5(world: World) -> None:
    start = world.start()
    world.server.accounts["ghp_reader"] = Account("reader", permissions={"contents": "read"})
    with pytest.raises(RemoteError, match="does not let this token") as caught:
        world.client(token="ghp_reader").commit_on(BOT, start, EDITS, MESSAGE)
    assert caught.value.exit_code == 5
    assert world.tip(BOT) == start
