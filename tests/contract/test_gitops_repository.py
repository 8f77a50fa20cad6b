"""What every GitOpsRepository does: the simulator, and real git over a path and over smart HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from orchestrator.core.errors import Conflict, Refused, RemoteError
from orchestrator.core.image import Repository
from orchestrator.core.names import CommitId, RefName, RemoteURL, RepoPath
from orchestrator.gitops.base import GitOpsRepository, Landed, LostRace, Naming, Unreadable
from orchestrator.gitops.repository import GitRepository
from tests.servers.git_http import serving
from tests.servers.git_repositories import Content, Executable, Link, Submodule, commit_files, git, make_bare
from tests.simulators.gitops_repository import SimulatedGitOps, SimulatedGitServer

MAIN = RefName("refs/heads/main")
BOT = RefName("refs/heads/hybrid-ci/prod/api")
API = RepoPath("apps/api/prod/kustomization.yaml")
FILES: dict[str, Content] = {
    "README.md": b"read me\n",
    "apps/api/prod/kustomization.yaml": b"images: []\n",
    "apps/api/prod/patches/replicas.yaml": b"replicas: 2\n",
    "apps/api/dev/kustomization.yaml": b"dev\n",
    "apps/api-worker/prod/kustomization.yaml": b"worker\n",
    "apps/api/run.sh": Executable(b"#!/bin/sh\n"),
}


@dataclass
class World:
    """A repository, as the test prepares it and as the port shows it."""

    port: GitOpsRepository
    seed: Callable[..., CommitId]
    another: Callable[[], GitOpsRepository]
    protect: Callable[[RefName], None]
    modes: Callable[[CommitId], Mapping[str, str]]


@pytest.fixture(params=["simulator", "file", "http", "http sha256", "http without filters", "http protocol v0"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "simulator":
        yield _simulated()
        return
    with ExitStack() as stack:
        yield _real(request.param, tmp_path, stack)


def _simulated() -> World:
    server = SimulatedGitServer()

    def modes(commit: CommitId) -> Mapping[str, str]:
        kinds = {bytes: "100644", Executable: "100755", Link: "120000", Submodule: "160000"}
        return {path.value: kinds[type(content)] for path, content in server.commits[commit].files.items()}

    return World(
        port=SimulatedGitOps(server),
        seed=lambda files, **options: server.commit_files(files, **options),
        another=lambda: SimulatedGitOps(server),
        protect=server.protected.add,
        modes=modes,
    )


def _real(kind: str, folder: Path, stack: ExitStack) -> World:
    bare = make_bare(
        folder / "gitops.git",
        filters="without filters" not in kind,
        object_format="sha256" if "sha256" in kind else "sha1",
    )
    url = str(bare)
    if kind.startswith("http"):
        server = stack.enter_context(serving(folder, protocol_v2="v0" not in kind))
        url = server.url("gitops.git")

    def another() -> GitOpsRepository:
        return stack.enter_context(GitRepository(RemoteURL(url), patience=10, workdir=folder))

    def seed(files: Mapping[str, Content], **options: str) -> CommitId:
        return CommitId(commit_files(bare, dict(files), **options))

    def protect(ref: RefName) -> None:
        hook = bare / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(
            f'#!/bin/sh\nwhile read -r old new ref; do [ "$ref" = {ref} ] || continue\n'
            'echo "GH006: Protected branch update failed" >&2; exit 1; done\n'
        )
        hook.chmod(0o755)

    def modes(commit: CommitId) -> Mapping[str, str]:
        lines = git(bare, "ls-tree", "-r", "-z", commit.value).split("\0")
        return {line.partition("\t")[2]: line[:6] for line in lines if line}

    return World(another(), seed, another, protect, modes)


# --- tips ----------------------------------------------------------------------------------------------------------


def test_the_tips_of_the_refs_that_exist_are_given(world: World) -> None:
    tip = world.seed(FILES)
    assert world.port.tips([MAIN, BOT]) == {MAIN: tip}


def test_an_empty_repository_has_no_tips(world: World) -> None:
    assert world.port.tips([MAIN, BOT]) == {}


def test_a_ref_that_only_ends_like_ours_is_not_ours(world: World) -> None:
    world.seed(FILES, ref="refs/heads/old/refs/heads/main")
    world.seed(FILES, ref="refs/heads/feature/main")
    assert world.port.tips([MAIN]) == {}


def test_a_tag_with_the_branchs_name_is_not_the_branch(world: World) -> None:
    tip = world.seed(FILES)
    world.seed({"README.md": b"other\n"}, ref="refs/tags/main", parent=None)
    assert world.port.tips([MAIN]) == {MAIN: tip}


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["README.md"], {"README.md"}),
        (["apps/api/prod"], {"apps/api/prod/kustomization.yaml", "apps/api/prod/patches/replicas.yaml"}),
        (["apps/api/*/kustomization.yaml"], {"apps/api/prod/kustomization.yaml", "apps/api/dev/kustomization.yaml"}),
        (["apps/api/prod/**/*.yaml"], {"apps/api/prod/kustomization.yaml", "apps/api/prod/patches/replicas.yaml"}),
        (["**/replicas.yaml", "README.md"], {"apps/api/prod/patches/replicas.yaml", "README.md"}),
        (["apps/*/prod/*.yaml"], {"apps/api/prod/kustomization.yaml", "apps/api-worker/prod/kustomization.yaml"}),
        (["apps/ap?/run.sh"], {"apps/api/run.sh"}),
        (["nowhere/**"], set()),
        ([], set()),
    ],
)
def test_the_files_that_a_pattern_names_are_read(world: World, patterns: list[str], expected: set[str]) -> None:
    tip = world.seed(FILES)
    assert {path.value for path in world.port.files(tip, patterns)} == expected


def test_the_bytes_of_a_file_are_exact(world: World) -> None:
    content = b"\xef\xbb\xbfa: 1\r\nb: \xff\x00 \n\nno end"
    tip = world.seed({"odd.yaml": content})
    assert world.port.files(tip, ["odd.yaml"]) == {RepoPath("odd.yaml"): content}


def test_names_with_newlines_and_other_encodings_are_read(world: World) -> None:
    names = ["a\nb.yaml", "tab\there.yaml", 'quo"te.yaml', "caf\udce9.yaml", "日本.yaml"]
    tip = world.seed({f"odd/{name}": name.encode("utf-8", "surrogateescape") for name in names})
    found = world.port.files(tip, ["odd/*.yaml"])
    assert {path.name: content for path, content in found.items()} == {
        name: name.encode("utf-8", "surrogateescape") for name in names
    }


def test_files_that_may_name_an_image_are_never_left_out(world: World) -> None:
    named = {f"apps/{name}.yaml": b"image: ghcr.io/acme/my-api:1\n" for name in ("a", "b")}
    tip = world.seed({**FILES, **named, "charts/values.yaml": b"tag: '1'\n"})
    naming = Naming(frozenset([Repository.parse("ghcr.io/acme/my-api")]), ("charts/*.yaml",))
    found = {path.value for path in world.port.files(tip, ["**/*.yaml"], naming)}
    assert found >= {*named, "charts/values.yaml"}
    assert found <= {path.value for path in world.port.files(tip, ["**/*.yaml"])}


def test_files_of_an_older_commit_are_read_too(world: World) -> None:
    first = world.seed(FILES)
    world.seed({"README.md": b"second\n"})
    assert world.port.tips([MAIN])[MAIN] != first
    assert world.port.files(first, ["README.md"]) == {RepoPath("README.md"): b"read me\n"}


def test_paths_are_those_of_the_files_without_their_bytes(world: World) -> None:
    tip = world.seed({**FILES, "apps/api/prod/link.yaml": Link("kustomization.yaml")})
    for patterns in (["apps/*/prod"], ["**"], ["apps/api/prod/*.yaml", "README.md"], ["nothing/*"]):
        assert list(world.port.paths(tip, patterns)) == sorted(world.port.files(tip, patterns))


def test_a_commit_that_does_not_exist_is_a_remote_error(world: World) -> None:
    tip = world.seed(FILES)
    with pytest.raises(RemoteError):
        world.port.files(CommitId("1" * len(tip.value)), ["README.md"])


@pytest.mark.parametrize("hostile", [Link("../../etc/passwd"), Submodule()])
def test_a_manifest_that_is_no_file_is_refused_when_it_is_named(world: World, hostile: Content) -> None:
    tip = world.seed({**FILES, "apps/web/k.yaml": hostile} if isinstance(hostile, Link) else _with_submodule(world))
    with pytest.raises(Unreadable):
        world.port.files(tip, ["apps/web/k.yaml"])


def test_a_symlinked_parent_is_refused_when_it_is_named(world: World) -> None:
    tip = world.seed({**FILES, "apps/current": Link("api")})
    with pytest.raises(Unreadable):
        world.port.files(tip, ["apps/current/prod/*.yaml"])


def test_a_symlink_that_only_a_wildcard_meets_is_left_out(world: World) -> None:
    tip = world.seed({**FILES, "apps/api/prod/latest.yaml": Link("kustomization.yaml"), "apps/zzz": Link("/etc")})
    found = world.port.files(tip, ["apps/api/prod/*.yaml", "apps/*/prod/kustomization.yaml"])
    assert {path.value for path in found} == {
        "apps/api/prod/kustomization.yaml",
        "apps/api-worker/prod/kustomization.yaml",
    }


def _with_submodule(world: World) -> dict[str, Content]:
    sha = world.seed(FILES, ref="refs/heads/other").value
    return {**FILES, "apps/web/k.yaml": Submodule(sha)}


# --- commit --------------------------------------------------------------------------------------------------------


def test_a_commit_replaces_exactly_the_edited_files(world: World) -> None:
    tip = world.seed(FILES)
    new = world.port.commit(tip, {API: b"images: [new]\n"}, "Release api\n\nbody\n")
    assert world.port.push(BOT, new, None) == Landed(new)
    before = world.port.files(tip, ["**"])
    after = world.another().files(new, ["**"])
    assert {path for path in before if before[path] != after[path]} == {API}
    assert after[API] == b"images: [new]\n"
    assert before.keys() == after.keys()


def test_file_modes_are_kept_and_new_files_are_plain(world: World) -> None:
    tip = world.seed(FILES)
    edits = {RepoPath("apps/api/run.sh"): b"#!/bin/dash\n", RepoPath(".hybrid-ci/holds/prod/api.yaml"): b"why: x\n"}
    new = world.port.commit(tip, edits, "Change a script")
    world.port.push(BOT, new, None)
    modes = world.modes(new)
    assert modes["apps/api/run.sh"] == "100755"
    assert modes[".hybrid-ci/holds/prod/api.yaml"] == "100644"
    assert set(modes) == {*FILES, ".hybrid-ci/holds/prod/api.yaml"}


def test_a_file_is_removed_with_the_folders_that_it_leaves_empty(world: World) -> None:
    tip = world.seed({**FILES, ".hybrid-ci/holds/prod/api.yaml": b"why: x\n"})
    new = world.port.commit(tip, {RepoPath(".hybrid-ci/holds/prod/api.yaml"): None}, "Lift a hold")
    world.port.push(BOT, new, None)
    assert set(world.modes(new)) == set(FILES)
    assert world.another().files(new, [".hybrid-ci"]) == {}


def test_removing_what_is_not_there_changes_nothing(world: World) -> None:
    tip = world.seed(FILES)
    new = world.port.commit(tip, {RepoPath(".hybrid-ci/holds/prod/api.yaml"): None}, "Lift a hold")
    assert world.port.commit_info(new).tree == world.port.commit_info(tip).tree


def test_names_sort_as_git_sorts_them(world: World) -> None:
    tip = world.seed({"a/x": b"1", "a-b": b"2", "a.b/c": b"3", "a0": b"4"})
    edits = {RepoPath("a.a"): b"5", RepoPath("a/b/c"): b"6", RepoPath("a0b/z"): b"7", RepoPath("a-"): b"8"}
    new = world.port.commit(tip, edits, "Add names between the others")
    assert world.port.push(BOT, new, None) == Landed(new)  # a real server checks the order (fsck)
    assert len(world.another().files(new, ["**"])) == 8


@pytest.mark.parametrize("where", ["apps/web/k.yaml", "apps/web/k.yaml/below"])
def test_a_symlink_is_never_written_or_followed(world: World, where: str) -> None:
    tip = world.seed({**FILES, "apps/web/k.yaml": Link("../api")})
    with pytest.raises(Unreadable):
        world.port.commit(tip, {RepoPath(where): b"x"}, "Try")


def test_a_folder_and_a_file_are_never_exchanged(world: World) -> None:
    tip = world.seed(FILES)
    for path in ("apps/api", "README.md/below"):
        with pytest.raises(Unreadable):
            world.port.commit(tip, {RepoPath(path): b"x"}, "Try")


def test_the_same_commit_is_made_twice(world: World) -> None:
    tip = world.seed(FILES)
    when = datetime(2026, 5, 4, 3, 2, 1, tzinfo=timezone(timedelta(hours=2)))
    first = world.port.commit(tip, {API: b"new\n"}, "Release", when)
    assert world.another().commit(tip, {API: b"new\n"}, "Release", when) == first
    assert world.port.commit(tip, {API: b"new\n"}, "Release", when + timedelta(seconds=1)) != first


def test_the_commit_says_who_made_it_and_why(world: World) -> None:
    tip = world.seed(FILES)
    message = "Release api to prod\n\nGrüße — what and why\n\nHybrid-CI-Action: release\n"
    new = world.port.commit(tip, {API: b"new\n"}, message, datetime(2026, 5, 4, tzinfo=UTC))
    world.port.push(BOT, new, None)
    (info,) = world.another().commits(tip, new)
    assert (info.id, info.parents, info.message) == (new, (tip,), message)
    assert info.author == info.committer == "hybrid-ci <hybrid-ci@localhost>"


# --- push ----------------------------------------------------------------------------------------------------------


def test_a_branch_is_made_only_when_it_does_not_exist(world: World) -> None:
    tip = world.seed(FILES)
    mine = world.port.commit(tip, {API: b"mine\n"}, "Mine")
    other = world.seed({"README.md": b"theirs\n"}, ref=BOT.value, parent=tip.value)
    assert world.port.push(BOT, mine, None) == LostRace(other)
    assert world.port.tips([BOT]) == {BOT: other}


def test_a_ref_that_moved_is_a_lost_race_and_stays_as_it_is(world: World) -> None:
    tip = world.seed(FILES)
    mine = world.port.commit(tip, {API: b"mine\n"}, "Mine")
    theirs = world.seed({"README.md": b"theirs\n"})
    assert world.port.push(MAIN, mine, tip) == LostRace(theirs)
    assert world.port.tips([MAIN]) == {MAIN: theirs}


def test_a_ref_that_is_gone_is_a_lost_race(world: World) -> None:
    tip = world.seed(FILES)
    mine = world.port.commit(tip, {API: b"mine\n"}, "Mine")
    assert world.port.push(BOT, mine, tip) == LostRace(None)
    assert world.port.tips([BOT]) == {}


def test_pushing_what_is_there_changes_nothing(world: World) -> None:
    tip = world.seed(FILES)
    mine = world.port.commit(tip, {API: b"mine\n"}, "Mine")
    assert world.port.push(BOT, mine, None) == Landed(mine)
    assert world.port.push(BOT, mine, None) == Landed(mine)
    assert world.another().push(BOT, mine, mine) == Landed(mine)


def test_our_branch_can_be_moved_to_a_commit_that_does_not_follow(world: World) -> None:
    first = world.seed(FILES)
    older = world.port.commit(first, {API: b"1\n"}, "One")
    world.port.push(BOT, older, None)
    second = world.seed({"README.md": b"moved on\n"})
    newer = world.port.commit(second, {API: b"2\n"}, "Two")
    assert world.port.push(BOT, newer, older) == Landed(newer)


def test_a_protected_branch_is_refused_with_the_servers_reason(world: World) -> None:
    tip = world.seed(FILES)
    world.protect(MAIN)
    mine = world.port.commit(tip, {API: b"mine\n"}, "Mine")
    with pytest.raises(Refused) as refusal:
        world.port.push(MAIN, mine, tip)
    assert refusal.value.where == world.port.url
    assert world.port.tips([MAIN]) == {MAIN: tip}


@pytest.mark.parametrize("standing", ["refs/heads/hybrid-ci/prod", "refs/heads/hybrid-ci/prod/api/x"])
def test_directory_file_ref_clash_is_explained(world: World, standing: str) -> None:
    tip = world.seed(FILES)
    world.seed({"README.md": b"x\n"}, ref=standing, parent=tip.value)
    mine = world.port.commit(tip, {API: b"mine\n"}, "Mine")
    with pytest.raises(Conflict) as clash:
        world.port.push(BOT, mine, None)
    assert "in the way" in f"{clash.value.message} {clash.value.hint}"


# --- commits -------------------------------------------------------------------------------------------------------


def test_the_commits_between_two_points_are_given_newest_first(world: World) -> None:
    base = world.seed(FILES)
    first = world.seed({"README.md": b"1\n"}, ref=BOT.value, parent=base.value, message="One")
    second = world.seed({"README.md": b"2\n"}, ref=BOT.value, message="Two\n\nbody")
    world.seed({"README.md": b"3\n"}, message="Base moves on")
    tips = world.port.tips([MAIN, BOT])
    found = world.port.commits(tips[MAIN], tips[BOT])
    assert [(info.id, info.message) for info in found] == [(second, "Two\n\nbody\n"), (first, "One\n")]
    assert [info.parents for info in found] == [(first,), (base,)]
    assert found[0].committer == "A Person <person@example.com>"


def test_what_the_base_has_is_not_listed(world: World) -> None:
    base = world.seed(FILES)
    ahead = world.seed({"README.md": b"1\n"})
    assert list(world.port.commits(ahead, base)) == []
    assert list(world.port.commits(base, base)) == []


def test_a_commit_that_is_not_pushed_yet_can_be_read(world: World) -> None:
    tip = world.seed(FILES)
    new = world.port.commit(tip, {API: b"new\n"}, "Release")
    assert world.port.files(new, [API.value]) == {API: b"new\n"}


def test_writing_is_allowed_here(world: World) -> None:
    tip = world.seed(FILES)
    world.port.check_push(MAIN)
    assert world.port.tips([MAIN]) == {MAIN: tip}


def test_one_commit_is_told_whether_it_is_pushed_or_only_ours(world: World) -> None:
    base = world.seed(FILES, message="Seed it")
    made = world.port.commit(base, {API: b"images: [new]\n"}, "Change\n\nHybrid-CI-Action: pin\n")

    assert world.port.commit_info(base).message.startswith("Seed it")
    ours = world.port.commit_info(made)
    assert (ours.id, ours.parents) == (made, (base,))
    assert "Hybrid-CI-Action: pin" in ours.message
    with pytest.raises(RemoteError):
        world.port.commit_info(CommitId("12" * (len(base.value) // 2)))


def test_a_commit_tells_when_it_was_made(world: World) -> None:
    base = world.seed(FILES)
    when = datetime(2026, 3, 1, 12, 30, 5, tzinfo=timezone(timedelta(hours=2)))
    new = world.port.commit(base, {API: b"images: [new]\n"}, "Change", when)
    assert world.port.push(BOT, new, None) == Landed(new)
    assert world.port.commit_info(new).committed == when
    assert world.another().recent(new, 2)[0].committed == when


def test_the_default_branch_is_told(world: World) -> None:
    world.seed(FILES)

    assert world.port.default_branch() == MAIN.branch


def test_recent_commits_are_those_behind_by_first_parents(world: World) -> None:
    for number in range(4):
        tip = world.seed({"README.md": f"{number}\n".encode()}, message=f"Change {number}")

    subjects = [commit.message.partition("\n")[0] for commit in world.port.recent(tip, 3)]

    assert subjects == ["Change 3", "Change 2", "Change 1"]
    assert len(world.port.recent(tip, 100)) == 4


# --- deleting ------------------------------------------------------------------------------------------------------


def _pushed(world: World) -> CommitId:
    """A commit of ours on the bot's branch."""
    commit = world.port.commit(world.seed(FILES), {API: b"images: [ours]\n"}, "Change it")
    assert isinstance(world.port.push(BOT, commit, None), Landed)
    return commit


def test_a_branch_is_deleted_where_it_is_expected(world: World) -> None:
    commit = _pushed(world)
    world.port.delete(BOT, commit)
    assert BOT not in world.port.tips([MAIN, BOT])
    assert isinstance(world.port.push(BOT, commit, None), Landed)


def test_a_branch_that_moved_on_is_not_deleted(world: World) -> None:
    commit = _pushed(world)
    newer = world.seed({"README.md": b"newer\n"}, ref=BOT.value)
    world.port.delete(BOT, commit)
    assert world.another().tips([BOT]) == {BOT: newer}


def test_deleting_what_is_not_there_changes_nothing(world: World) -> None:
    commit = _pushed(world)
    world.port.delete(BOT, commit)
    world.port.delete(BOT, commit)
    assert set(world.another().tips([MAIN, BOT])) == {MAIN}
