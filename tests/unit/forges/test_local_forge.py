"""The local forge alone: approvals, what git keeps, half-written and damaged state, hostile repositories."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, Conflict, Refused, RemoteError
from orchestrator.core.names import BranchName, CommitId, RefName
from orchestrator.forges.base import (
    CommitStatus,
    NotMergeable,
    PullRequest,
    PullRequestDraft,
    PullRequestMoved,
    StatusState,
)
from orchestrator.forges.base import PullRequestState as State
from orchestrator.forges.local import LocalForge
from orchestrator.forges.local_records import BrokenRecord, kept_head_ref, open_ref, pull_ref
from orchestrator.forges.local_store import BrokenRef, RefChange, RefStore, StoreFailed
from tests.servers.git_repositories import Content, commit_files, git, make_bare
from tests.simulators.clock import FakeClock

MAIN, BOT = BranchName("main"), BranchName("hybrid-ci/prod/shop")
DRAFT = PullRequestDraft("Release shop", "Body\n", BOT, MAIN)


@dataclass
class Home:
    """A local forge with an open pull request, and what a test looks at with git itself."""

    bare: Path
    pull: PullRequest

    @property
    def head(self) -> CommitId:
        assert self.pull.head_commit is not None
        return self.pull.head_commit

    def forge(self, actor: str = "hybrid-ci") -> LocalForge:
        return LocalForge(self.bare, actor=actor, clock=FakeClock())

    def refs(self) -> dict[str, str]:
        lines = git(self.bare, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split() for line in lines)

    def set_refs(self, refs: dict[str, str]) -> None:
        """Put the repository's refs back to what they were."""
        commands = [f"delete {name}" for name in self.refs() if name not in refs]
        commands += [f"update {name} {value}" for name, value in refs.items()]
        git(self.bare, "update-ref", "--stdin", stdin="".join(f"{line}\n" for line in commands).encode())

    def commit(self, content: bytes = b"newer\n", path: str = "a.yaml", branch: BranchName = BOT) -> CommitId:
        files: dict[str | bytes, Content] = {path: content}
        return CommitId(commit_files(self.bare, files, ref=branch.ref.value))


@pytest.fixture(params=["sha1"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    bare = make_bare(tmp_path / "gitops.git", object_format=request.param)
    LocalForge.init(bare)
    main = commit_files(bare, {"a.yaml": b"old\n"})
    commit_files(bare, {"a.yaml": b"new\n"}, ref=BOT.ref.value, parent=main)
    return Home(bare, LocalForge(bare, clock=FakeClock()).open(DRAFT))


# --- opening -------------------------------------------------------------------------------------------------------


def test_a_head_that_the_base_has_already_is_not_opened(home: Home) -> None:
    git(home.bare, "update-ref", "refs/heads/same", "main")
    with pytest.raises(Refused, match="nothing that 'main' has not"):
        home.forge().open(PullRequestDraft("t", "", BranchName("same"), MAIN))
    with pytest.raises(Refused, match="nothing"):
        home.forge().open(PullRequestDraft("t", "", MAIN, MAIN))
    assert home.forge().list() == [home.pull]


def test_a_branch_name_is_never_taken_for_a_commit_that_it_looks_like(home: Home) -> None:
    looks_like = BranchName(f"release-1-g{home.head.value[:10]}")  # as git describe writes it
    with pytest.raises(ConfigurationError, match="has no branch"):
        home.forge().open(PullRequestDraft("t", "", looks_like, MAIN))


def test_a_tag_of_the_same_name_is_not_the_branch(home: Home) -> None:
    git(home.bare, "update-ref", "refs/tags/only-a-tag", home.head.value)
    with pytest.raises(ConfigurationError, match="has no branch"):
        home.forge().open(PullRequestDraft("t", "", BranchName("only-a-tag"), MAIN))


@pytest.mark.parametrize("home", ["sha1", "sha256"], indirect=True)
def test_both_object_formats_are_served(home: Home) -> None:
    home.forge("ada").approve(home.pull.number)
    merged = home.forge().merge(home.pull.number, home.head)
    assert merged.approvals == ("ada",)
    assert git(home.bare, "rev-parse", "main") == str(merged.merge_commit)


@pytest.mark.parametrize("actor", ["", " ", "a\nb", "a <b>"])
def test_an_actor_who_cannot_be_a_commits_author_is_refused(tmp_path: Path, actor: str) -> None:
    with pytest.raises(ConfigurationError):
        LocalForge(tmp_path, actor=actor)


# --- approvals -----------------------------------------------------------------------------------------------------


def test_an_approval_is_of_the_head_that_was_seen(home: Home) -> None:
    assert home.forge("ada").approve(home.pull.number).approvals == ("ada",)
    home.commit()
    assert home.forge().show(home.pull.number).approvals == ()
    assert home.forge("ada").approve(home.pull.number).approvals == ("ada",)


def test_approving_twice_counts_once(home: Home) -> None:
    once = home.forge("ada").approve(home.pull.number)
    assert home.forge("ada").approve(home.pull.number) == once


def test_approvals_of_several_people_are_all_there(home: Home) -> None:
    home.forge("ada").approve(home.pull.number)
    assert home.forge("bob").approve(home.pull.number).approvals == ("ada", "bob")


def test_the_author_cannot_approve(home: Home) -> None:
    with pytest.raises(Refused, match="can't approve"):
        home.forge().approve(home.pull.number)
    assert home.forge().show(home.pull.number) == home.pull


def test_a_head_that_moved_is_not_approved(home: Home) -> None:
    home.commit()
    with pytest.raises(Conflict, match="not " + home.head.short):
        home.forge("ada").approve(home.pull.number, home.head)


def test_a_pull_request_without_its_branch_is_not_approved(home: Home) -> None:
    git(home.bare, "update-ref", "-d", BOT.ref.value)
    with pytest.raises(ConfigurationError, match="no branch"):
        home.forge("ada").approve(home.pull.number)


def test_a_merge_waits_for_the_approvals_that_the_repository_wants(home: Home) -> None:
    git(home.bare, "config", "hybrid-ci.requiredApprovals", "2")
    home.forge("ada").approve(home.pull.number)
    main = git(home.bare, "rev-parse", "main")
    with pytest.raises(NotMergeable, match="1 of 2"):
        home.forge().merge(home.pull.number, home.head)
    assert git(home.bare, "rev-parse", "main") == main
    home.forge("bob").approve(home.pull.number)
    assert home.forge().merge(home.pull.number, home.head).state is State.MERGED


def test_approvals_of_an_older_head_do_not_let_a_merge_through(home: Home) -> None:
    git(home.bare, "config", "hybrid-ci.requiredApprovals", "1")
    home.forge("ada").approve(home.pull.number)
    newer = home.commit()
    with pytest.raises(NotMergeable, match="0 of 1"):
        home.forge().merge(home.pull.number, newer)


def test_a_wish_that_was_called_off_is_not_granted(home: Home) -> None:
    git(home.bare, "config", "hybrid-ci.requiredApprovals", "1")
    home.forge().merge_when_ready(home.pull.number, home.head, None)
    assert home.forge().call_off_merge(home.pull.number)
    assert not home.forge().call_off_merge(home.pull.number)
    assert home.forge("ada").approve(home.pull.number).state is State.OPEN


@pytest.mark.parametrize("value", ["many", "-1", "1.5"])
def test_a_setting_that_is_no_number_stops_the_merge(home: Home, value: str) -> None:
    git(home.bare, "config", "hybrid-ci.requiredApprovals", value)
    with pytest.raises(ConfigurationError, match="requiredApprovals"):
        home.forge().merge(home.pull.number, home.head)


# --- merging -------------------------------------------------------------------------------------------------------


def test_a_merge_commit_names_who_merged_and_the_forge(home: Home) -> None:
    merged = home.forge("Ada Lovelace").merge(home.pull.number, home.head)
    shown = git(home.bare, "log", "-1", "--format=%an|%ae|%cn", str(merged.merge_commit))
    assert shown == "Ada Lovelace|Ada-Lovelace@localhost|hybrid-ci local forge"


def test_the_head_branch_is_deleted_when_asked_for(home: Home) -> None:
    home.forge().merge(home.pull.number, home.head, delete_branch=True)
    assert BOT.ref.value not in home.refs()
    assert home.forge().show(home.pull.number).head_commit == home.head


def test_a_head_that_came_into_the_base_by_another_one_is_merged_with_it(home: Home) -> None:
    other = BranchName("stacked")
    git(home.bare, "update-ref", other.ref.value, home.head.value)
    tip = home.commit(b"b\n", "b.yaml", other)
    second = home.forge().open(PullRequestDraft("stacked", "", other, MAIN))
    merged = home.forge().merge(second.number, tip)
    first = home.forge().merge(home.pull.number, home.head)
    assert (first.state, first.merge_commit) == (State.MERGED, merged.merge_commit)
    assert git(home.bare, "rev-parse", "main") == str(merged.merge_commit)


def test_branches_without_a_common_commit_are_not_merged(home: Home) -> None:
    orphan = commit_files(home.bare, {"z": b"z\n"}, ref="refs/heads/orphan", parent=None)
    pull = home.forge().open(PullRequestDraft("t", "", BranchName("orphan"), MAIN))
    with pytest.raises(NotMergeable, match="no commit in common"):
        home.forge().merge(pull.number, CommitId(orphan))
    assert "+z" in str(home.forge().diff(pull.number))


def test_a_conflict_names_the_files(home: Home) -> None:
    home.commit(b"theirs\n", branch=MAIN)
    with pytest.raises(NotMergeable, match="conflict") as caught:
        home.forge().merge(home.pull.number, home.head)
    assert caught.value.details == ("a.yaml",)


def test_the_commits_of_a_closed_pull_request_outlive_its_branch(home: Home) -> None:
    home.forge().close(home.pull.number, "no")
    git(home.bare, "update-ref", "-d", BOT.ref.value)
    git(home.bare, "gc", "--quiet", "--prune=now")
    assert git(home.bare, "cat-file", "-t", home.head.value) == "commit"
    assert "+new" in str(home.forge().diff(home.pull.number))


def test_everything_is_there_after_garbage_collection(home: Home) -> None:
    home.forge("ada").approve(home.pull.number)
    home.forge().set_status(home.head, CommitStatus("flux", StatusState.SUCCESS))
    before = home.forge().show(home.pull.number)
    git(home.bare, "gc", "--quiet", "--prune=now")
    assert home.forge().show(home.pull.number) == before
    assert home.forge().open(DRAFT) == before
    assert [one.context for one in home.forge().statuses(home.head)] == ["flux"]
    assert home.forge().merge(home.pull.number, home.head).state is State.MERGED


# --- looking -------------------------------------------------------------------------------------------------------


def test_the_diff_shows_the_head_against_where_it_left_the_base(home: Home) -> None:
    home.commit(b"unrelated\n", "b.yaml", MAIN)
    diff = str(home.forge().diff(home.pull.number))
    assert "-old\n+new\n" in diff
    assert "b.yaml" not in diff


def test_the_diff_of_a_merged_pull_request_is_what_it_brought(home: Home) -> None:
    before = home.forge().diff(home.pull.number)
    home.forge().merge(home.pull.number, home.head, delete_branch=True)
    home.commit(b"later\n", branch=MAIN)
    assert home.forge().diff(home.pull.number) == before


def test_without_a_branch_there_is_no_diff(home: Home) -> None:
    git(home.bare, "update-ref", "-d", BOT.ref.value)
    assert home.forge().diff(home.pull.number) is None


def test_a_diff_of_bytes_that_are_no_text_does_not_fail(home: Home) -> None:
    home.commit(b"caf\xe9\n")
    assert "+caf\\xe9" in str(home.forge().diff(home.pull.number))


def test_a_commit_is_found_by_id_branch_and_pull_request(home: Home) -> None:
    forge = home.forge()
    assert forge.find_commit(home.head.value) == home.head
    assert forge.find_commit(BOT.value) == home.head
    assert forge.find_commit("#1") == home.head
    merged = forge.merge(1, home.head)
    assert forge.find_commit("#1") == merged.merge_commit
    for unknown in ("missing", "#9", "-x", ""):
        with pytest.raises(ConfigurationError):
            forge.find_commit(unknown)


# --- half-written state: git writes the refs of a transaction one by one -------------------------------------------


def test_a_half_opened_pull_request_is_finished_by_opening_again(home: Home) -> None:
    git(home.bare, "update-ref", "-d", pull_ref(1).value)
    assert home.forge().open(DRAFT) == home.pull
    assert home.forge().list() == [home.pull]


def test_a_half_opened_pull_request_whose_number_is_taken_gets_another(home: Home) -> None:
    git(home.bare, "update-ref", "-d", pull_ref(1).value)
    git(home.bare, "update-ref", "refs/heads/other", home.head.value)
    other = home.forge().open(PullRequestDraft("other", "", BranchName("other"), MAIN))
    again = home.forge().open(DRAFT)
    assert (other.number, again.number) == (1, 2)
    assert home.forge().pull_requests(BOT, MAIN) == [again]


def test_a_half_merged_pull_request_is_finished_by_merging_again(home: Home) -> None:
    before = home.refs()
    merged = home.forge().merge(home.pull.number, home.head)
    home.set_refs(before | {"refs/heads/main": str(merged.merge_commit)})
    assert home.forge().show(home.pull.number).state is State.OPEN
    again = home.forge().merge(home.pull.number, home.head)
    assert (again.state, again.merge_commit) == (State.MERGED, merged.merge_commit)
    assert git(home.bare, "rev-parse", "main") == str(merged.merge_commit)
    assert open_ref(BOT, MAIN).value not in home.refs()


@pytest.mark.parametrize("end", ["merge", "close"])
def test_an_index_that_was_left_behind_does_not_stop_the_next_pull_request(home: Home, end: str) -> None:
    index = open_ref(BOT, MAIN).value
    blob = home.refs()[index]
    if end == "merge":
        home.forge().merge(home.pull.number, home.head)
    else:
        home.forge().close(home.pull.number, "no")
    git(home.bare, "update-ref", index, blob)
    home.commit()
    second = home.forge().open(DRAFT)
    assert (second.number, second.state) == (2, State.OPEN)
    assert home.forge().open(DRAFT) == second
    assert home.forge().close(2, "no").state is State.CLOSED
    assert index not in home.refs()


def test_a_half_closed_pull_request_is_finished_by_closing_again(home: Home) -> None:
    git(home.bare, "update-ref", kept_head_ref(1).value, "main")
    assert home.forge().close(home.pull.number, "no").state is State.CLOSED
    assert home.refs()[kept_head_ref(1).value] == home.head.value


# --- damaged state -------------------------------------------------------------------------------------------------


def blob(home: Home, content: bytes) -> str:
    return git(home.bare, "hash-object", "-w", "--stdin", stdin=content)


ASKS: list[Callable[[LocalForge], object]] = [
    lambda forge: forge.show(1),
    lambda forge: forge.list(),
    lambda forge: forge.pull_requests(BOT, MAIN),
    lambda forge: forge.update(1, title="t", body=""),
    lambda forge: forge.close(1, "no"),
    lambda forge: forge.open(DRAFT),
]


@pytest.mark.parametrize("ask", ASKS)
def test_a_record_that_was_edited_by_hand_is_named(home: Home, ask: Callable[[LocalForge], object]) -> None:
    git(home.bare, "update-ref", pull_ref(1).value, blob(home, b'{"version": 1, "number": '))
    with pytest.raises(BrokenRecord) as caught:
        ask(home.forge())
    assert caught.value.where == pull_ref(1).value


def test_a_record_with_another_number_is_named(home: Home) -> None:
    git(home.bare, "update-ref", pull_ref(2).value, pull_ref(1).value)
    with pytest.raises(BrokenRecord, match="holds pull request #1"):
        home.forge().show(2)


def test_a_broken_record_stops_nobody_who_does_not_need_it(home: Home) -> None:
    git(home.bare, "update-ref", pull_ref(2).value, blob(home, b"nonsense"))
    git(home.bare, "update-ref", "refs/heads/other", home.head.value)
    assert home.forge().show(1) == home.pull
    assert home.forge().open(PullRequestDraft("t", "", BranchName("other"), MAIN)).number == 3


def test_a_broken_status_is_named(home: Home) -> None:
    home.forge().set_status(home.head, CommitStatus("flux", StatusState.SUCCESS))
    (ref,) = (name for name in home.refs() if "/statuses/" in name)
    git(home.bare, "update-ref", ref, blob(home, b"{}"))
    with pytest.raises(BrokenRecord) as caught:
        home.forge().statuses(home.head)
    assert caught.value.where == ref


@pytest.mark.parametrize("content", ["", "garbage\n", "1" * 40 + "\n"])
def test_a_broken_ref_is_named(home: Home, content: str) -> None:
    (home.bare / pull_ref(1).value).write_text(content)
    with pytest.raises(BrokenRef, match=pull_ref(1).value):
        home.forge().show(1)
    with pytest.raises(BrokenRef, match=pull_ref(1).value):
        home.forge().list()


def test_a_pull_ref_that_points_at_a_commit_is_named(home: Home) -> None:
    git(home.bare, "update-ref", pull_ref(1).value, "main")
    with pytest.raises(BrokenRecord):
        home.forge().show(1)


def test_refs_beside_the_pull_requests_are_none(home: Home) -> None:
    for name in ("x", "01", "0", "1a"):
        git(home.bare, "update-ref", f"refs/hybrid-ci/pulls/{name}", "main")
    assert home.forge().list() == [home.pull]


def test_a_record_says_hostile_things_and_they_are_only_text(home: Home) -> None:
    record = json.loads(git(home.bare, "cat-file", "blob", pull_ref(1).value))
    record["base"] = "--output=/x"
    git(home.bare, "update-ref", pull_ref(1).value, blob(home, json.dumps(record).encode()))
    with pytest.raises(BrokenRecord, match="--output=/x"):
        home.forge().merge(1, home.head)


# --- locks, time and failure ---------------------------------------------------------------------------------------


def test_a_lock_that_was_left_behind_is_named_at_the_deadline(home: Home) -> None:
    lock = home.bare / f"{pull_ref(1)}.lock"
    lock.write_text("")
    forge = LocalForge(home.bare, clock=FakeClock(), seconds=0.01)
    with pytest.raises(RemoteError) as caught:
        forge.update(1, title="New", body="")
    assert any(str(lock.name) in line for line in caught.value.details)
    assert ".lock" in str(caught.value.hint)
    lock.unlink()
    assert forge.update(1, title="New", body="").title == "New"


def test_a_write_that_can_never_succeed_is_not_tried_until_the_deadline(home: Home) -> None:
    clock = FakeClock()
    store = RefStore(home.bare)
    with pytest.raises(StoreFailed):
        store.commit([RefChange(RefName("refs/heads/x"), None, "1" * 40)])
    assert clock.slept == ()


def test_a_transaction_is_all_or_nothing(home: Home) -> None:
    store, before = RefStore(home.bare), home.refs()
    lost = store.commit(
        [
            RefChange(RefName("refs/heads/new"), None, home.head.value),
            RefChange(BOT.ref, home.head.value, None),
            RefChange(MAIN.ref, home.head.value, before["refs/heads/main"]),  # it is not there
        ]
    )
    assert lost is not None
    assert home.refs() == before


class Meddling(FakeClock):
    """Somebody else does these things, one at each look at the clock: between our read and our write."""

    def __init__(self, *deeds: Callable[[], object]) -> None:
        super().__init__()
        self._deeds = list(deeds)

    def now(self) -> datetime:
        if self._deeds:
            self._deeds.pop(0)()
        return super().now()


def test_a_write_that_loses_three_races_waits_three_times_and_keeps_what_the_others_wrote(home: Home) -> None:
    clock = Meddling(*(lambda name=name: home.forge(name).approve(1) for name in ("ada", "bob", "cy")))
    updated = LocalForge(home.bare, clock=clock, jitter=random.Random(1)).update(1, title="New", body="")
    assert (updated.title, updated.approvals) == ("New", ("ada", "bob", "cy"))
    assert len(clock.slept) == 3


def test_a_head_that_moves_while_it_is_merged_is_not_merged(home: Home) -> None:
    main = git(home.bare, "rev-parse", "main")
    with pytest.raises(PullRequestMoved):
        LocalForge(home.bare, clock=Meddling(home.commit)).merge(1, home.head)
    assert git(home.bare, "rev-parse", "main") == main
    assert home.forge().show(1).state is State.OPEN


def test_a_base_that_moves_while_it_is_merged_into_keeps_both(home: Home) -> None:
    clock = Meddling(lambda: home.commit(b"b\n", "b.yaml", MAIN))
    LocalForge(home.bare, clock=clock).merge(1, home.head)
    assert git(home.bare, "show", "main:b.yaml") == "b"
    assert git(home.bare, "show", "main:a.yaml") == "new"


def test_a_pull_request_that_is_closed_while_it_is_merged_stays_closed(home: Home) -> None:
    main = git(home.bare, "rev-parse", "main")
    with pytest.raises(NotMergeable, match="closed"):
        LocalForge(home.bare, clock=Meddling(lambda: home.forge().close(1, "no"))).merge(1, home.head)
    assert git(home.bare, "rev-parse", "main") == main


def test_a_reply_that_was_lost_changes_nothing_when_asked_again(home: Home) -> None:
    """What a killed process did, done again by the next one."""
    works: list[Callable[[LocalForge], object]] = [
        lambda forge: forge.update(1, title="New", body="b"),
        lambda forge: forge.merge(1, home.head),
    ]
    for work in works:
        work(home.forge())
        before = home.refs()
        work(home.forge("another"))
        assert home.refs() == before


def test_a_repository_of_another_git_failure_is_a_remote_error(home: Home) -> None:
    (home.bare / "config").write_text("[core\n")
    with pytest.raises(RemoteError):
        home.forge().list()


# --- a hostile repository runs nothing -----------------------------------------------------------------------------


def test_hooks_and_drivers_of_the_repository_are_not_run_by_us(home: Home, tmp_path: Path) -> None:
    canary = tmp_path / "owned"
    script = tmp_path / "own.sh"
    script.write_text(f"#!/bin/sh\ntouch {canary}\n")
    script.chmod(0o755)
    for hook in ("reference-transaction", "post-index-change", "update"):
        (home.bare / "hooks" / hook).symlink_to(script)
    (home.bare / "info").mkdir(exist_ok=True)
    (home.bare / "info/attributes").write_text("* diff=own filter=own\n")
    for key in (
        "diff.external",
        "diff.own.command",
        "diff.own.textconv",
        "core.fsmonitor",
        "core.pager",
        "core.editor",
    ):
        git(home.bare, "config", key, str(script))
    forge = home.forge()
    forge.update(1, title="New", body="")
    assert "+new" in str(forge.diff(1))
    forge.merge(1, home.head)
    assert not canary.exists()


def test_a_merge_driver_in_the_repository_is_refused_and_not_run(home: Home, tmp_path: Path) -> None:
    canary = tmp_path / "owned"
    (home.bare / "info").mkdir(exist_ok=True)
    (home.bare / "info/attributes").write_text("* merge=own\n")
    git(home.bare, "config", "merge.own.driver", f"touch {canary}")
    home.commit(b"theirs\n", branch=MAIN)
    with pytest.raises(ConfigurationError, match="merge driver"):
        home.forge().merge(1, home.head)
    assert not canary.exists()
