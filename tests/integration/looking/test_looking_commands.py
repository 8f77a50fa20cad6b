"""The commands that only look, as a user runs them: over real git and the embedded local forge, without an engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.golden import assert_golden
from tests.integration.looking.worlds import API, PROXY, WORKER, World, overlay
from tests.servers.git_repositories import git

ROOT = Path(__file__).resolve().parents[3]
Done = subprocess.CompletedProcess[str]


def run(world: World, *arguments: str, folder: Path | None = None, **environment: str) -> Done:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments],
        cwd=folder or world.app,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HYBRID_CI_PATIENCE": "0", **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def data(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refs(world: World) -> str:
    return git(world.gitops, "for-each-ref")


# --- status --------------------------------------------------------------------------------------------------------


def test_status_tells_the_story_from_an_applications_checkout(told: World) -> None:
    found = data(run(told, "status", "--output", "json"))

    assert found["schema"] == "hybrid-ci.status/v1"
    assert found["images"] == [str(API), str(WORKER)]
    cells = {(cell["environment"], cell["image"]): cell for cell in found["cells"]}
    assert [cells[name, str(API)]["versions"][0]["tag"] for name in found["environments"]] == [
        "1.5.0", "1.2.0", "1.2.0",
    ]  # fmt: skip
    assert cells["staging", str(API)]["behind"] == {
        "environment": "dev", "commits": 3, "told_by": "position", "reason": None,
    }  # fmt: skip
    assert cells["prod", str(API)]["since"] == "2026-03-01T18:00:00Z"
    assert [pull["number"] for pull in found["pull_requests"]] == [1]


def test_status_works_by_the_repositorys_address_alone(told: World, tmp_path: Path) -> None:
    done = run(told, "status", "--gitops", str(told.gitops), "--output", "json", folder=tmp_path)

    assert data(done)["environments"] == ["dev", "staging", "prod"]


def test_status_needs_no_right_to_write(own: World) -> None:
    for folder, folders, files in os.walk(own.gitops):
        for name in (*folders, *files):
            path = Path(folder, name)
            path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    before = refs(own)

    for arguments in (["status"], ["history", "--env", "prod"], ["diff", "dev", "prod", "--pins-only"]):
        assert run(own, *arguments).returncode == 0
    assert refs(own) == before


def test_verbose_tells_how_often_git_and_the_forge_were_asked(told: World) -> None:
    done = run(told, "--verbose", "status")

    assert "calls: 1 to the forge (list 1); 6 to git (files 4, tips 1, trail 1)" in done.stderr
    assert "calls" not in run(told, "status").stderr


@pytest.mark.parametrize("name", ["status-80", "status-45", "status-40"])
def test_status_fits_the_terminal(told: World, name: str) -> None:
    width = name.partition("-")[2]
    done = run(told, "status", COLUMNS=width)

    assert all(len(line) <= int(width) for line in done.stdout.splitlines())
    assert_golden(f"cli/{name}.txt", _without_ages(done.stdout))


def _without_ages(text: str) -> str:
    """Without the days between the story and today, and without the room that they take."""
    return re.sub(r" +", " ", re.sub(r"\b\d+d\b", "Nd", text)).replace(" \n", "\n")


def test_every_example_of_the_manual_is_what_happens(own: World) -> None:
    manual = (ROOT / "docs/looking.md").read_text()
    own.commit({"apps/shop/overlays/dev/proxy.yaml": b"image: nginx:1.27\n"}, "Add a proxy")
    examples = re.findall(r"^```\n\$ hybrid-ci (.+)\n((?:.*\n)*?)```$", manual, re.MULTILINE)
    assert len(examples) >= 4
    for line, expected in examples:
        done = run(own, *line.split())
        assert _without_ages(done.stdout) == _without_ages(expected), line


def test_no_colour_reaches_a_pipe(told: World) -> None:
    for arguments in (["status"], ["diff", "dev", "prod"], ["history", "--env", "dev"]):
        assert "\x1b" not in run(told, *arguments).stdout


# --- diff ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "name"), [((), "diff.txt"), (("--output", "markdown"), "diff.md")])
def test_diff_shows_pins_side_by_side(told: World, arguments: tuple[str, ...], name: str) -> None:
    done = run(told, "diff", "dev", "prod", "--pins-only", *arguments)

    assert done.returncode == 0
    assert_golden(f"cli/{name}", done.stdout)


def test_diff_checks(told: World) -> None:
    assert run(told, "diff", "dev", "prod", "--pins-only", "--check").returncode == 1
    assert run(told, "diff", "staging", "prod", "--pins-only", "--check", "--image", "api").returncode == 0
    assert run(told, "diff", "--pr", "1", "--pins-only", "--check").returncode == 1


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here to render with")
def test_diff_renders_and_masks_secrets(told: World) -> None:
    found = data(run(told, "diff", "dev", "prod", "--output", "json"))

    (one,) = found["rendered"]
    assert one["resource"] == "apps/v1 Deployment api"
    assert "-        - image: ghcr.io/acme/shop/api:1.5.0@sha256:" in one["diff"] or "api:1.5.0@sha256:" in one["diff"]
    assert "hunter2" not in json.dumps(found)


def test_diff_shows_what_a_pull_request_changes(told: World) -> None:
    found = data(run(told, "diff", "--pr", "1", "--pins-only", "--output", "json"))

    (move,) = found["pins"]
    assert move["environments"] == ["staging"]
    assert move["where"].startswith(overlay("staging"))
    assert ("1.2.0" in move["before"], "1.5.0" in move["after"]) == (True, True)
    assert found["others"] == []


def test_diff_of_a_pull_request_does_not_count_what_its_base_did_meanwhile(own: World) -> None:
    own.commit({"other.yaml": b"image: docker.io/library/nginx:1\n"}, "Meanwhile")
    moves = data(run(own, "diff", "--pr", "1", "--pins-only", "--output", "json"))

    assert len(moves["pins"]) == 1
    assert moves["others"] == []


def test_diff_of_a_merged_pull_request_shows_what_it_brought(own: World) -> None:
    from orchestrator.forges.local import LocalForge

    forge = LocalForge(own.gitops, actor="Mary")
    pull = forge.show(1)
    assert pull.head_commit is not None
    forge.merge(1, pull.head_commit)
    own.commit({"other.yaml": b"image: docker.io/library/nginx:1\n"}, "Afterwards")

    found = data(run(own, "diff", "--pr", "1", "--pins-only", "--output", "json"))

    assert found["pull_request"]["state"] == "merged"
    assert len(found["pins"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["dev"], ["dev", "prod", "--pr", "1"], ["--pr", "1", "--image", "api"], ["dev", "prodd"], ["--pr", "99"]],
)
def test_diff_refuses_what_it_cannot_compare(told: World, arguments: list[str]) -> None:
    done = run(told, "diff", *arguments)

    assert done.returncode == 2
    assert "fix:" in done.stderr


# --- drift ---------------------------------------------------------------------------------------------------------


def test_drift_ends_with_0_and_with_1_by_what_it_finds(own: World) -> None:
    based = run(own, "drift", "--only", "plaintext-secret")
    assert (based.returncode, "apps/shop/base/token.yaml:4" in based.stdout) == (1, True)
    quiet = run(own, "drift", "--ignore", "moved-tag", "--ignore", "plaintext-secret")
    assert (quiet.returncode, quiet.stdout) == (0, "nothing found in 3 environments\n")

    own.commit({"apps/shop/overlays/dev/proxy.yaml": b"image: nginx:1.27\n"}, "Add a proxy")
    own.commit({"apps/shop/overlays/dev/db.yaml": b"kind: Secret\nstringData: {password: hunter2}\n"}, "Add a login")
    done = run(own, "drift", "--all", "--ignore", "moved-tag")

    assert done.returncode == 1
    assert_golden("cli/drift.txt", done.stdout)
    assert "hunter2" not in done.stdout
    assert_golden("cli/drift.md", run(own, "drift", "--all", "--ignore", "moved-tag", "--output", "markdown").stdout)


def test_drift_that_nobody_answers_is_not_clean(told: World) -> None:
    done = run(told, "drift", "--only", "moved-tag", "--image", "worker", HTTPS_PROXY="http://127.0.0.1:9")

    assert done.returncode == 5
    assert "not everybody answered" in done.stdout


def test_drift_by_the_address_alone_looks_at_the_whole_repository(told: World, tmp_path: Path) -> None:
    done = run(
        told, "drift", "--ignore", "moved-tag", "--gitops", str(told.gitops), "--output", "json", folder=tmp_path
    )

    assert done.returncode == 1
    assert {one["kind"] for one in json.loads(done.stdout)["findings"]} == {"plaintext-secret"}


# --- history -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("--env", "dev"), "history.txt"),
        (("--env", "prod", "--output", "markdown"), "history.md"),
        (("--env", "dev", "--image", "api", "--limit", "1"), "history-limited.txt"),
    ],
)
def test_history_tells_what_ran(told: World, arguments: tuple[str, ...], name: str) -> None:
    done = run(told, "history", *arguments)

    assert done.returncode == 0, done.stderr
    assert_golden(f"cli/{name}", done.stdout)


def test_history_since_a_day_leaves_out_what_was_before(told: World) -> None:
    assert data(run(told, "history", "--env", "dev", "--since", "2026-03-02", "--output", "json"))["entries"] == []
    assert run(told, "history", "--env", "dev", "--since", "yesterday").returncode == 2


# --- without a policy ----------------------------------------------------------------------------------------------


def test_without_a_policy_each_of_them_says_what_it_found(own: World) -> None:
    own.commit({".hybrid-ci/environments.yaml": None}, "Drop the policy")

    for arguments in (["status"], ["history", "--env", "prod"], ["diff", "dev", "prod", "--pins-only"]):
        done = run(own, *arguments)
        assert done.returncode == 0, done.stderr
        assert "the environments are those that the layout suggests" in done.stderr


def test_hostile_titles_and_tags_do_nothing_to_a_terminal_or_a_page(own: World) -> None:
    hostile = f"image: {PROXY}:1\n# \x1b[31m\n".encode()
    own.commit({"apps/shop/overlays/dev/p.yaml": hostile}, "Merge pull request #1 from \x1b[31mred\u202e\n\n@everybody")

    for arguments in (["history", "--env", "dev", "--all"], ["status", "--all", "--output", "markdown"]):
        done = run(own, *arguments)
        assert done.returncode == 0, done.stderr
        assert not set(done.stdout) & set("\x1b\u202e")
