"""Handoffs that lose a race over real git: what the other one did decides, and nothing of it is overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, Conflict
from orchestrator.forges.base import PullRequestState
from orchestrator.gitops.outcome import Committed, Opened, Superseded, Unchanged, Updated
from tests.integration.git.handoffs import Harbour, harbour
from tests.servers.git_repositories import commit_files, git
from tests.unit.gitops.changes import API, DEPLOYMENT, KUSTOMIZATION, WORKER, change

OURS = {"lab": "lab", "dev": "hybrid-ci/dev/shop"}
BY_HAND = KUSTOMIZATION.replace(b'newTag: "1"', b'newTag: "hotfix"')


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Harbour]:
    with harbour(tmp_path) as made:
        yield made


@pytest.mark.scenario(number=9)
def test_push_non_fast_forward_same_image_already_pinned_by_other(port: Harbour) -> None:
    theirs: list[object] = []
    port.before_the_next_push(lambda: theirs.append(port.hand_off(change(2, "lab"), "faster")))

    assert isinstance(port.hand_off(change(2, "lab")), Unchanged)

    assert isinstance(theirs[0], Committed)
    assert port.tip("lab") == theirs[0].commit.value
    assert port.pinned("lab", "apps/shop/lab/kustomization.yaml", API) == {"2"}


@pytest.mark.scenario(number=9)
def test_push_of_a_branch_that_another_run_of_the_release_has_just_made_adds_nothing(port: Harbour) -> None:
    theirs: list[object] = []
    port.before_the_next_push(lambda: theirs.append(port.hand_off(change(2), "faster")))

    assert isinstance(port.hand_off(change(2)), Unchanged)

    assert isinstance(theirs[0], Opened)
    assert port.tip(OURS["dev"]) == theirs[0].commit.value
    assert [pull.number for pull in port.forge.list()] == [theirs[0].pull_request.number]


@pytest.mark.scenario(number=10)
@pytest.mark.parametrize("environment", ["lab", "dev"])
def test_push_non_fast_forward_newer_image_pinned_by_other(port: Harbour, environment: str) -> None:
    """Superseded is a state and no error; nothing is written over the newer one."""
    theirs: list[object] = []
    port.before_the_next_push(lambda: theirs.append(port.hand_off(change(3, environment))))

    outcome = port.hand_off(change(2, environment))

    assert isinstance(outcome, Superseded)
    assert outcome.newer.release == "release3"
    assert isinstance(theirs[0], Committed | Opened)
    assert port.tip(OURS[environment]) == theirs[0].commit.value
    assert [pull.title for pull in port.forge.list()] == ([] if environment == "lab" else ["release3 to dev"])


@pytest.mark.scenario(number=11)
@pytest.mark.parametrize("environment", ["lab", "dev"])
def test_push_non_fast_forward_same_line_human_edit(port: Harbour, environment: str) -> None:
    if environment == "dev":
        port.hand_off(change(2))
    path, theirs = f"apps/shop/{environment}/kustomization.yaml", []
    port.before_the_next_push(lambda: theirs.append(port.by_hand(path, BY_HAND, OURS[environment])))

    with pytest.raises(Conflict) as conflict:
        port.hand_off(change(3, environment))

    assert conflict.value.exit_code == 4
    assert theirs[0].short in (conflict.value.where or "")
    assert port.tip(OURS[environment]) == theirs[0].value
    assert port.pinned(OURS[environment], path, API) == {"hotfix"}


def test_one_of_two_equal_pins_that_a_person_moves_counts(port: Harbour) -> None:
    path = "apps/shop/lab/worker.yaml"
    twice = DEPLOYMENT + b"---\n" + DEPLOYMENT
    port.by_hand(path, twice, "lab")
    port.before_the_next_push(lambda: port.by_hand(path, twice.replace(b"worker:1", b"worker:hotfix", 1), "lab"))

    with pytest.raises(Conflict) as conflict:
        port.hand_off(change(2, "lab"))

    assert conflict.value.details == (path,)
    assert port.pinned("lab", path, WORKER) == {"1", "hotfix"}


def test_a_manifest_that_a_person_adds_meanwhile_is_pinned_like_the_others(port: Harbour) -> None:
    path = "apps/shop/lab/more.yaml"
    port.before_the_next_push(lambda: port.by_hand(path, DEPLOYMENT.replace(b"worker:1", b"worker:new"), "lab"))

    assert isinstance(port.hand_off(change(2, "lab")), Committed)

    assert port.pinned("lab", path, WORKER) == {"2"}


def test_an_edit_by_hand_of_anything_else_is_kept_and_built_upon(port: Harbour) -> None:
    content = b"# a note\n" + KUSTOMIZATION
    path = "apps/shop/lab/kustomization.yaml"
    port.before_the_next_push(lambda: port.by_hand(path, content, "lab"))

    assert isinstance(port.hand_off(change(2, "lab")), Committed)

    assert git(port.world.bare, "show", f"lab:{path}").startswith("# a note\n")
    assert port.pinned("lab", path, API) == {"2"}


def test_a_pin_that_a_handoff_moved_beside_an_unrelated_edit_by_hand_is_no_conflict(port: Harbour) -> None:
    def both() -> None:
        port.by_hand("README.md", b"a note\n", "lab")
        port.hand_off(change(2, "lab"))
        port.by_hand("README.md", b"another note\n", "lab")

    port.before_the_next_push(both)

    assert isinstance(port.hand_off(change(3, "lab")), Committed)

    assert port.pinned("lab", "apps/shop/lab/kustomization.yaml", API) == {"3"}
    assert port.pinned("lab", "apps/shop/lab/worker.yaml", WORKER) == {"3"}
    assert git(port.world.bare, "show", "lab:README.md") == "another note"


@pytest.mark.scenario(number=13)
def test_a_branch_of_ours_that_somebody_rewrites_by_force_is_told_and_never_forced_back(port: Harbour) -> None:
    port.hand_off(change(2))
    theirs: list[str] = []

    def rewrite() -> None:
        ref = f"refs/heads/{OURS['dev']}"
        theirs.append(commit_files(port.world.bare, {"README.md": b"hostile\n"}, ref=ref, parent=port.world.tip.value))

    port.before_the_next_push(rewrite)

    with pytest.raises(Conflict) as conflict:
        port.hand_off(change(3))
    assert conflict.value.exit_code == 4
    assert port.tip(OURS["dev"]) == theirs[0]


@pytest.mark.scenario(number=19)
def test_bot_branch_has_foreign_commit(port: Harbour) -> None:
    port.hand_off(change(2))
    foreign = port.by_hand("apps/shop/dev/notes.txt", b"mine\n", OURS["dev"])
    port.world.server.requests.clear()

    with pytest.raises(Conflict) as conflict:
        port.hand_off(change(3))

    assert conflict.value.exit_code == 4
    assert "A Person <person@example.com>" in (conflict.value.where or "")
    assert port.tip(OURS["dev"]) == foreign.value
    assert port.pushes == 0
    (pull,) = port.forge.list()
    assert (pull.title, pull.state) == ("release2 to dev", PullRequestState.OPEN)


@pytest.mark.scenario(number=19)
def test_a_foreign_commit_that_names_our_committer_is_still_foreign(port: Harbour) -> None:
    """The tree is the proof: a name is only a claim."""
    port.hand_off(change(2))
    message = git(port.world.bare, "log", "-1", "--format=%B", OURS["dev"])
    forged = commit_files(
        port.world.bare,
        {"apps/shop/dev/kustomization.yaml": BY_HAND},
        ref=f"refs/heads/{OURS['dev']}",
        message=message,
        committer="hybrid-ci <ci@acme.example>",
    )

    with pytest.raises(Conflict):
        port.hand_off(change(3))
    assert port.tip(OURS["dev"]) == forged


@pytest.mark.scenario(number=22)
def test_default_branch_renamed(port: Harbour) -> None:
    git(port.world.bare, "branch", "--move", "main", "trunk")
    port.world.server.requests.clear()

    with pytest.raises(ConfigurationError) as error:
        port.hand_off(change(2))

    assert error.value.exit_code == 2
    assert "no branch 'main'" in error.value.message
    assert "'trunk'" in (error.value.hint or "")
    assert port.pushes == 0
    assert port.tip(OURS["dev"]) == ""


def test_an_empty_repository_is_told_with_what_to_do(tmp_path: Path) -> None:
    with harbour(tmp_path) as port:
        for ref in git(port.world.bare, "for-each-ref", "--format=%(refname)").split():
            git(port.world.bare, "update-ref", "-d", ref)
        with pytest.raises(ConfigurationError) as error:
            port.hand_off(change(2))
    assert error.value.exit_code == 2
    assert "push a first commit" in (error.value.hint or "")


def test_a_branch_that_moved_on_under_an_open_pull_request_is_updated_in_place(port: Harbour) -> None:
    port.hand_off(change(2))
    port.by_hand("README.md", b"moved on\n", "main")

    assert isinstance(port.hand_off(change(3)), Updated)

    assert [pull.title for pull in port.forge.list()] == ["release3 to dev"]
    assert git(port.world.bare, "show", f"{OURS['dev']}:README.md") == "moved on"
