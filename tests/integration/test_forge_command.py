"""``hybrid-ci forge`` as a person uses it: a process, its two streams, its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.names import BranchName
from orchestrator.forges.base import PullRequestDraft
from orchestrator.forges.local import LocalForge
from tests.servers.git_repositories import commit_files, git

ROOT = Path(__file__).resolve().parents[2]
BOT = "hybrid-ci/prod/shop"
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def forge(tmp_path: Path) -> Command:
    """``forge(words…)`` runs the command in the folder that holds gitops.git, a forge with one pull request."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "orchestrator", "forge", *words],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "LOGNAME": "ada"} | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    bare = tmp_path / "gitops.git"
    LocalForge.init(bare, required_approvals=1)
    main = commit_files(bare, {"a.yaml": b"old\n"})
    commit_files(bare, {"a.yaml": b"new \x1b[31mred\n"}, ref=f"refs/heads/{BOT}", parent=main)
    title = "Release shop \x1b[2J1.2.0"
    LocalForge(bare).open(PullRequestDraft(title, "Two images.\n", BranchName(BOT), BranchName("main")))
    return run


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_forge_is_made_and_said_to_be_there(forge: Command, tmp_path: Path) -> None:
    done = forge("init", "another.git", "--base", "trunk", "--required-approvals", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"local forge at {tmp_path}/another.git; trunk only changes by pull request" in done.stdout
    assert LocalForge(tmp_path / "another.git").required_approvals() == 2


def test_a_pull_request_goes_from_list_to_merge(forge: Command, tmp_path: Path) -> None:
    listed = forge("list", "gitops.git")
    assert listed.stdout.splitlines()[1].split()[:2] == ["1", "open"]

    shown = forge("show", "gitops.git", "1")
    assert "-old" in shown.stdout
    assert "approvals  nobody (1 needed; the local forge does not check who anybody is)" in shown.stdout

    refused = forge("merge", "gitops.git", "1")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "approvals of its current head: 0 of 1" in refused.stderr

    approved = forge("approve", "gitops.git", "1")
    assert approved.stdout.startswith("ada approves #1 at ")
    assert "does not check who anybody is" in approved.stdout

    merged = forge("merge", "gitops.git", "#1", "--delete-branch", "-m", "Ship it")
    assert merged.stdout.startswith("pull request #1 is merged into main as ")
    bare = tmp_path / "gitops.git"
    assert git(bare, "log", "-1", "--format=%an %s", "main") == "ada Ship it"
    assert git(bare, "for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/main"


def test_json_tells_everything_under_a_versioned_schema(forge: Command) -> None:
    forge("approve", "gitops.git", "1", "--as", "bob")
    shown = answer(forge("show", "gitops.git", "1", "--output", "json"))
    assert (shown["schema"], shown["approvers_authenticated"]) == ("hybrid-ci.forge/v1", False)
    assert shown["pull_request"]["state"] == "open"
    assert shown["pull_request"]["title"] == "Release shop \x1b[2J1.2.0"
    assert [one["by"] for one in shown["approvals"]] == ["bob"]
    assert shown["diff"].endswith("-old\n+new \x1b[31mred\n")
    listed = answer(forge("list", "gitops.git", "--state", "open", "--output", "json"))
    assert listed["pull_requests"] == [shown["pull_request"]]
    assert answer(forge("list", "gitops.git", "--state", "merged", "--output", "json"))["pull_requests"] == []


@pytest.mark.parametrize("output", ["table", "markdown"])
def test_no_escape_sequence_of_a_title_or_a_file_reaches_the_terminal(forge: Command, output: str) -> None:
    for words in (("list", "gitops.git"), ("show", "gitops.git", "1")):
        done = forge(*words, "--output", output)
        assert done.returncode == 0
        assert "\x1b" not in done.stdout
        assert "Release shop 1.2.0" in done.stdout


def test_closing_says_why_and_the_reason_is_shown(forge: Command) -> None:
    closed = forge("close", "gitops.git", "1", "--comment", "not before the holidays")
    assert closed.stdout == "pull request #1 is closed, not merged\n"
    shown = forge("show", "gitops.git", "1").stdout
    assert "state      closed by ada" in shown
    assert "not before the holidays" in shown
    assert forge("merge", "gitops.git", "1").returncode == 3


def test_statuses_are_written_and_shown(forge: Command) -> None:
    assert forge("status", "gitops.git", "#1").stdout.startswith("no statuses of ")
    words = ("--set", "failure", "--context", "flux/apps", "--description", "degraded", "--as", "flux")
    assert "degraded" in forge("status", "gitops.git", BOT, *words).stdout
    (status,) = answer(forge("status", "gitops.git", "#1", "--output", "json"))["statuses"]
    assert (status["context"], status["state"], status["creator"]) == ("flux/apps", "failure", "flux")


def test_the_path_can_be_an_option_or_come_from_the_configuration(forge: Command, tmp_path: Path) -> None:
    assert forge("show", "1", "--repository", "gitops.git").returncode == 0
    assert forge("list", "--repository", "gitops.git").returncode == 0
    without = forge("list")
    assert without.returncode == 2
    assert "hybrid-ci.yaml" in without.stderr
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "hybrid-ci.yaml").write_text(
        "version: 1\napplication: shop\n"
        "gitops: {repository: 'https://git.example/gitops.git', environment: dev, forge: ./gitops.git}\n"
        "images: {api: {repository: ghcr.io/acme/api, context: .}}\n"
    )
    listed = forge("list")
    assert "Release shop" in listed.stdout, listed.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("show", "gitops.git", "7"), 2, "there is no pull request #7"),
        (("show", "gitops.git", "one"), 2, "'one' is not a pull request's number"),
        (("show", "gitops.git"), 2, "'gitops.git' is not a pull request's number"),
        (("list", "missing.git"), 2, "there is no local forge here"),
        (("merge", "gitops.git", "1", "--head", "1" * 40), 4, "not 1111111"),
        (("merge", "gitops.git", "1", "--head", "abc"), 2, "'abc' is not a full commit id"),
        (("approve", "gitops.git", "1", "--as", "hybrid-ci"), 3, "can't approve it"),
        (("approve", "gitops.git", "1", "--as", "a<b>"), 2, "author"),
        (("status", "gitops.git", "missing"), 2, "no branch 'missing'"),
        (("init", "gitops.git", "--base", "-x"), 2, "'-x' is not a branch name"),
        (("list", "gitops.git", "--state", "asleep"), 2, "asleep"),
    ],
)
def test_a_mistake_is_one_message_and_an_exit_code(
    forge: Command, words: tuple[str, ...], code: int, text: str
) -> None:
    done = forge(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr
