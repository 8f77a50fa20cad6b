"""Pushes over a network that fails, and against a server that says no: what is told is what is true."""

from __future__ import annotations

import ast
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.core.errors import Conflict, Refused, RemoteError
from orchestrator.core.names import CommitId
from orchestrator.engine.clock import Deadline, SystemClock
from orchestrator.engine.retry import Backoff
from orchestrator.gitops.base import Landed, LostRace, UnknownOutcome
from orchestrator.gitops.repository import GitRepository
from tests.integration.git.worlds import API, BOT, MAIN, Served
from tests.servers.git_faults import RECEIVE, RECEIVE_REFS, UPLOAD, UPLOAD_REFS
from tests.servers.git_repositories import commit_files, git


def _new(client: GitRepository, world: Served, content: bytes = b"images: [new]\n") -> CommitId:
    return client.commit(world.tip, {API: content}, "Release api to prod")


@pytest.mark.scenario(number=1)
def test_push_reset_before_server_sees_it(world: Served, client: GitRepository) -> None:
    new = _new(client, world)
    world.server.fail("reset_before", RECEIVE, times=3)  # libcurl re-sends by itself, so one is not enough
    assert client.push(BOT, new, None) in (Landed(new), Landed(new, first_try=False))
    assert world.ref() == new.value


@pytest.mark.scenario(number=2)
def test_push_503_before_processing(world: Served, client: GitRepository) -> None:
    new = _new(client, world)
    world.server.fail("503_before", RECEIVE)
    assert client.push(BOT, new, None) == Landed(new)
    assert world.ref() == new.value


@pytest.mark.parametrize("fault", ["reset_before", "503_before", "429", "truncate"])
def test_push_whose_first_question_fails_is_tried_again(world: Served, client: GitRepository, fault: str) -> None:
    new = _new(client, world)
    world.server.fail(fault, RECEIVE_REFS, times=2)
    assert client.push(BOT, new, None) == Landed(new)
    assert world.commits_on(BOT) == 2


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("reset_after", id="push_landed_then_connection_reset", marks=pytest.mark.scenario(number=3)),
        pytest.param("504_after", id="push_landed_then_504", marks=pytest.mark.scenario(number=4)),
        pytest.param("truncate", id="push_landed_reply_truncated", marks=pytest.mark.scenario(number=5)),
    ],
)
def test_push_landed_but_the_reply_was_lost(world: Served, client: GitRepository, fault: str) -> None:
    new = _new(client, world)
    world.server.fail(fault, RECEIVE)
    assert client.push(BOT, new, None) == Landed(new, first_try=False)
    assert world.ref() == new.value
    assert world.commits_on(BOT) == 2  # no second commit


@pytest.mark.scenario(number=6)
def test_push_landed_but_git_reports_remote_rejected_lock(world: Served, client: GitRepository) -> None:
    """The first POST lands and its reply is lost; git sends it again by itself and is told that the ref exists."""
    client.tips([MAIN])
    new = _new(client, world)
    world.server.fail("reset_after", RECEIVE)
    answer = client._remote.push(BOT, new, None, 20)
    assert not answer.ok
    assert world.ref() == new.value
    assert client.push(BOT, new, None) == Landed(new)


@pytest.mark.scenario(number=7)
def test_push_times_out_unknown_and_ls_remote_also_down(world: Served) -> None:
    with world.client(patience=3.0) as client:
        new = _new(client, world)
        world.server.fail("reset_after", RECEIVE)
        world.server.fail("503_before", UPLOAD_REFS, times=1000)
        with pytest.raises(UnknownOutcome) as unknown:
            client.push(BOT, new, None)
    assert unknown.value.exit_code == 5
    world.server.heal()
    with world.client() as again:  # run again: what landed is found
        assert again.tips([BOT]) == {BOT: new}
        assert again.push(BOT, new, new) == Landed(new)


@pytest.mark.scenario(number=8)
def test_push_non_fast_forward_once(world: Served, client: GitRepository) -> None:
    """A lost race: the intent is computed again on the new tip, and both edits stand."""
    theirs: list[str] = []

    def somebody_is_faster(kind: str) -> None:
        if kind == RECEIVE_REFS and not theirs:
            theirs.append(commit_files(world.bare, {"README.md": b"theirs\n"}))

    world.server.before_request = somebody_is_faster
    tip = client.tips([MAIN])[MAIN]
    outcome = client.push(MAIN, client.commit(tip, {API: b"mine\n"}, "Mine"), tip)
    assert outcome == LostRace(CommitId(theirs[0]))
    tip = client.tips([MAIN])[MAIN]
    new = client.commit(tip, {API: b"mine\n"}, "Mine")
    assert client.push(MAIN, new, tip) == Landed(new)
    found = client.files(new, ["README.md", API.value])
    assert {path.value: content for path, content in found.items()} == {"README.md": b"theirs\n", API.value: b"mine\n"}


def test_who_waits_after_a_lost_race_learns_where_the_branch_is_then(world: Served, client: GitRepository) -> None:
    tip = client.tips([MAIN])[MAIN]
    new = client.commit(tip, {API: b"mine\n"}, "Mine")
    commit_files(world.bare, {"README.md": b"theirs\n"})
    world.server.requests.clear()
    later: list[str] = []

    def wait() -> None:
        later.append(commit_files(world.bare, {API.value: b"later\n"}))

    outcome = client.push(MAIN, new, tip, pause=wait)

    assert outcome == LostRace(CommitId(later[0]))
    assert len(later) == 1
    assert client.recent(CommitId(later[0]), 1)[0].parents != (tip,)
    assert [request.kind for request in world.server.requests[:4]] == [RECEIVE_REFS, UPLOAD_REFS, UPLOAD, UPLOAD]


def test_what_is_new_of_a_branch_comes_with_the_lost_race(world: Served, client: GitRepository) -> None:
    tip = client.tips([MAIN])[MAIN]
    client.files(tip, [API.value])
    client.recent(tip, 100)
    commit_files(world.bare, {"README.md": b"theirs\n"})
    outcome = client.push(MAIN, client.commit(tip, {API: b"mine\n"}, "Mine"), tip)
    assert isinstance(outcome, LostRace)
    assert outcome.actual is not None
    world.server.requests.clear()
    assert client.files(outcome.actual, [API.value]) == {API: b"images: []\n"}
    assert [commit.id for commit in client.recent(outcome.actual, 100)] == [outcome.actual, tip]
    assert world.server.requests == []


def test_a_push_that_landed_unseen_is_known_though_others_went_on(world: Served, client: GitRepository) -> None:
    tip = client.tips([MAIN])[MAIN]
    new = client.commit(tip, {API: b"mine\n"}, "Mine")
    world.server.fail("reset_after", RECEIVE)  # it lands; git sends it again by itself, and hears that it is too late

    def others_go_on() -> None:
        for number in range(3):
            commit_files(world.bare, {"README.md": b"%d\n" % number})

    assert client.push(MAIN, new, tip, pause=others_go_on) == Landed(new, first_try=False)
    assert world.ref(MAIN) != new.value


@pytest.mark.scenario(number=14)
def test_branch_deleted_between_fetch_and_push(world: Served, client: GitRepository) -> None:
    old = CommitId(commit_files(world.bare, {"README.md": b"old\n"}, ref=BOT.value, parent=world.tip.value))
    new = _new(client, world)
    git(world.bare, "update-ref", "-d", BOT.value)
    assert client.push(BOT, new, old) == LostRace(None)
    assert client.push(BOT, new, None) == Landed(new)  # from the base, by a lease that it must not exist


@pytest.mark.scenario(number=15)
def test_branch_created_by_other_between_check_and_push(world: Served, client: GitRepository) -> None:
    assert client.tips([BOT]) == {}
    new = _new(client, world)
    other = commit_files(world.bare, {"README.md": b"other\n"}, ref=BOT.value, parent=world.tip.value)
    assert client.push(BOT, new, None) == LostRace(CommitId(other))
    assert world.ref() == other


@pytest.mark.scenario(number=16)
def test_lease_never_used_without_expected_value() -> None:
    """Static: one place says --force-with-lease, always with ref and expected value; nothing says --force."""
    found = [
        (path.as_posix(), node.value)
        for room in ("git", "gitops", "forges")
        for path in sorted(Path("orchestrator", room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("--force")
    ]
    assert found == [("orchestrator/git/remote.py", "--force-with-lease=")]
    source = Path("orchestrator/git/remote.py").read_text()
    assert re.search(r"--force-with-lease=\{ref\}:\{expected or ''\}", source)


@pytest.mark.scenario(number=17)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("push_refused_by_ruleset_GH013", "error: GH013: Repository rule violations found for refs/heads/main."),
        ("protected_branch", "GitLab: You are not allowed to push code to protected branches on this project."),
        ("pre_receive_hook", "policy: images must come from ghcr.io"),
        (
            "workflow_scope",
            "refusing to allow a GitHub App to create or update workflow `.github/x` without `workflows`",
        ),
    ],
)
def test_push_refused_by_rules_is_final(world: Served, client: GitRepository, name: str, said: str) -> None:
    _hook(world, f"cat >/dev/null\ncat >&2 <<'X'\n{said}\nX\nexit 1")
    new = _new(client, world)
    with pytest.raises(Refused) as refusal:
        client.push(BOT, new, None)
    assert refusal.value.exit_code == 3
    assert said in "\n".join(refusal.value.details)
    assert sum(request.kind == RECEIVE for request in world.server.requests) == 1  # no second try
    assert world.ref() == ""


@pytest.mark.scenario(number=18)
def test_push_refused_workflow_scope_timeout(world: Served, client: GitRepository) -> None:
    """It reads like a missing permission, and passes by itself."""
    marker = world.bare / "refused-once"
    _hook(
        world,
        f"cat >/dev/null\n[ -e {marker} ] && exit 0\ntouch {marker}\n"
        "echo 'Unable to determine if workflow can be created or updated due to timeout' >&2; exit 1",
    )
    new = _new(client, world)
    assert client.push(BOT, new, None) == Landed(new)
    assert len(world.clock.slept) == 1


@pytest.mark.scenario(number=20)
def test_base_branch_history_rewritten_during_run(world: Served, client: GitRepository) -> None:
    """The rewritten-away commit does not come back: the lease names what was inspected."""
    secret = CommitId(commit_files(world.bare, {"secret.txt": b"oops\n"}))
    assert client.tips([MAIN]) == {MAIN: secret}
    mine = client.commit(secret, {API: b"mine\n"}, "Mine")
    rewritten = CommitId(commit_files(world.bare, {"README.md": b"clean\n"}, parent=world.tip.value))
    assert client.push(MAIN, mine, secret) == LostRace(rewritten)
    again = client.commit(rewritten, {API: b"mine\n"}, "Mine")
    assert client.push(MAIN, again, rewritten) == Landed(again)
    assert secret.value not in git(world.bare, "rev-list", MAIN.value)


@pytest.mark.scenario(number=21)
def test_shallow_clone_boundary_does_not_break_ancestry_check(world: Served, client: GitRepository) -> None:
    """The branch left the base 40 commits ago, further than the first look at the history reaches."""
    ours = commit_files(world.bare, {"README.md": b"ours\n"}, ref=BOT.value, parent=world.tip.value)
    for number in range(40):
        commit_files(world.bare, {"log": b"%d" % number})
    tips = client.tips([MAIN, BOT])
    assert [info.id.value for info in client.commits(tips[MAIN], tips[BOT])] == [ours]
    assert len(client.commits(tips[BOT], tips[MAIN])) == 40
    assert list(client.commits(tips[MAIN], world.tip)) == []


def test_tag_with_same_name_as_branch(world: Served, client: GitRepository) -> None:
    git(world.bare, "update-ref", f"refs/tags/{BOT.branch}", world.tip.value)
    new = _new(client, world)
    assert client.push(BOT, new, None) == Landed(new)
    assert world.ref() == new.value
    assert git(world.bare, "rev-parse", f"refs/tags/{BOT.branch}") == world.tip.value


@pytest.mark.parametrize(("status", "kind"), [("401", RemoteError), ("403", RemoteError), ("404", RemoteError)])
def test_push_that_the_server_does_not_allow_is_not_tried_again(
    world: Served, client: GitRepository, status: str, kind: type[Exception]
) -> None:
    new = _new(client, world)
    world.server.fail(status, RECEIVE_REFS, times=50)
    with pytest.raises(kind) as error:
        client.push(BOT, new, None)
    assert getattr(error.value, "exit_code", None) == 5
    assert world.clock.slept == []


@pytest.mark.scenario(number=55)
@pytest.mark.parametrize("on", [UPLOAD_REFS, UPLOAD])
def test_server_drips_one_byte_per_second(world: Served, on: str) -> None:
    _given_up(world, "drip", on)


@pytest.mark.parametrize("fault", ["hang", "hang_after"])
@pytest.mark.parametrize("on", [UPLOAD_REFS, UPLOAD])
def test_server_that_hangs_is_given_up(world: Served, fault: str, on: str) -> None:
    _given_up(world, fault, on)


def _given_up(world: Served, fault: str, on: str) -> None:
    """Files are asked for, of a commit that is known: the fault meets the listing or the fetch."""
    with world.client(patience=3.0, stall_seconds=1) as client:
        world.server.fail(fault, on, times=50)
        begin = time.monotonic()
        with pytest.raises(RemoteError) as error:
            client.files(world.tip, ["README.md"])
        assert time.monotonic() - begin < 20
    assert error.value.exit_code == 5
    assert any(request.fault == fault for request in world.server.requests)


@pytest.mark.scenario(number=57)
def test_deadline_reached_mid_push(world: Served) -> None:
    """It landed, but the server never says so; git is stopped at the deadline, and the ref is read back."""
    with world.client(patience=1.0, stall_seconds=60) as client:
        new = _new(client, world)
        world.server.fail("hang_after", RECEIVE)
        assert client.push(BOT, new, None) == Landed(new, first_try=False)
    assert world.ref() == new.value


def test_push_that_stalls_is_tried_again(world: Served) -> None:
    with world.client(patience=30.0, stall_seconds=1) as client:
        new = _new(client, world)
        world.server.fail("hang", RECEIVE)
        assert client.push(BOT, new, None) == Landed(new)
    assert world.ref() == new.value


def test_connect_refused_is_a_remote_error(world: Served) -> None:
    with world.client(patience=1.0) as client:
        world.server.stop()
        with pytest.raises(RemoteError) as error:
            client.tips([MAIN])
    assert error.value.exit_code == 5


# --- many writers --------------------------------------------------------------------------------------------------


def _append_until_landed(world: Served, number: int, seed: int) -> int:
    """One writer: its own line in one shared file, on whatever the tip is. Gives the number of tries."""
    rng, clock = random.Random(seed * 1000 + number), SystemClock()
    backoff = Backoff(clock, Deadline(clock, 200), rng)
    line = b"writer %d\n" % number
    with GitRepository(world.url, patience=60, workdir=world.bare.parent, rng=rng, clock=clock) as client:
        tip: CommitId | None = client.tips([MAIN])[MAIN]
        while tip is not None and not backoff.over:
            [(path, content)] = client.files(tip, ["log.txt"]).items()
            if line in content:  # it landed, and where the network failed again nobody could tell
                return backoff.races + 1
            new = client.commit(tip, {path: content + line}, f"Writer {number}")
            outcome = client.push(MAIN, new, tip, pause=backoff.wait)
            if isinstance(outcome, Landed):
                return backoff.races + 1
            tip = outcome.actual
    raise AssertionError("the deadline was reached")


def _check_nothing_lost(world: Served, writers: int) -> None:
    lines = git(world.bare, "show", f"{MAIN}:log.txt").splitlines()
    assert sorted(lines) == sorted(f"writer {number}" for number in range(writers))
    assert world.commits_on(MAIN) == writers + 2
    git(world.bare, "fsck", "--strict")


@pytest.mark.scenario(number=12)
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_thirty_two_writers_one_branch(world: Served) -> None:
    commit_files(world.bare, {"log.txt": b""})
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda number: _append_until_landed(world, number, 1), range(32)))
    _check_nothing_lost(world, 32)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_sixteen_writers_over_a_network_that_fails(world: Served) -> None:
    commit_files(world.bare, {"log.txt": b""})
    world.server.fail_by_chance(7, reset_before=0.10, reset_after=0.05)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: _append_until_landed(world, number, 2), range(16)))
    _check_nothing_lost(world, 16)


@pytest.mark.scenario(number=13)
def test_writers_with_one_hostile_force_pusher(world: Served, client: GitRepository) -> None:
    """A foreign rewrite is a lost race like any other; we never answer with force."""
    mine = _new(client, world, b"1\n")
    client.push(BOT, mine, None)
    hostile = commit_files(world.bare, {"README.md": b"hostile\n"}, ref=BOT.value, parent=None)
    next_one = _new(client, world, b"2\n")
    assert client.push(BOT, next_one, mine) == LostRace(CommitId(hostile))
    assert world.ref() == hostile


@pytest.mark.parametrize("standing", ["refs/heads/hybrid-ci", "refs/heads/hybrid-ci/prod/api/more"])
def test_directory_file_ref_clash_is_explained(world: Served, client: GitRepository, standing: str) -> None:
    git(world.bare, "update-ref", standing, world.tip.value)
    with pytest.raises(Conflict) as clash:
        client.push(BOT, _new(client, world), None)
    assert clash.value.exit_code == 4
    assert "stands" in clash.value.message
    assert any("hybrid-ci" in line for line in clash.value.details)


def _hook(world: Served, script: str) -> None:
    hook = world.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)


def test_a_new_branch_lands_though_what_it_stands_on_is_no_tip_any_more(world: Served) -> None:
    """The base moves on between the look and the push; what it was at is not here, but for a few files."""
    with world.client() as client:
        tip = client.tips([MAIN])[MAIN]
        new = client.commit(tip, {API: b"new\n"}, "Release api to prod")
        commit_files(world.bare, {"README.md": b"somebody else's\n"})
        assert client.push(BOT, new, None) == Landed(new)
    assert world.clock.slept == []
    assert git(world.bare, "rev-parse", f"{BOT}^") == tip.value
    git(world.bare, "fsck", "--strict")


def test_a_branch_of_ours_moves_to_what_is_no_tip_any_more(world: Served) -> None:
    with world.client() as client:
        tip = client.tips([MAIN])[MAIN]
        old = client.commit(tip, {API: b"old\n"}, "Release api to prod")
        assert client.push(BOT, old, None) == Landed(old)
    commit_files(world.bare, {"README.md": b"somebody else's\n"})
    with world.client() as client:
        tip = client.tips([MAIN, BOT])[MAIN]
        new = client.commit(tip, {API: b"new\n"}, "Release api to prod")
        commit_files(world.bare, {"README.md": b"somebody else's again\n"})
        assert client.push(BOT, new, old) == Landed(new)
    assert git(world.bare, "rev-parse", f"{BOT}^") == tip.value
