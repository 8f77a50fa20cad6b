"""The life of a pull request at GitHubs that nobody here wrote: an emulator, and the real one where it is given.

The emulator knows no commit statuses and no GraphQL, takes any token and lets duplicates through, so nothing of that
is asked of it. The real one needs HYBRID_CI_LIVE_GITHUB_TOKEN and HYBRID_CI_LIVE_GITHUB_REPOSITORY (the https URL of
a repository that is made for this: branches and pull requests are left behind in it).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.core.names import BranchName, CommitId, RemoteURL
from orchestrator.core.secret import Secret
from orchestrator.engine.clock import SystemClock
from orchestrator.forges.base import NotOpen, PullRequestDraft, PullRequestMoved, PullRequestState, Routing
from orchestrator.forges.calls import Pace
from orchestrator.forges.github import GitHubForge, GitHubSettings
from orchestrator.forges.github_address import GitHubAddress
from orchestrator.forges.github_login import BearerToken
from tests.conftest import LIVE

NODE = Path(__file__).resolve().parents[2] / "node"
_RUNTIMES = [NODE / "node_modules" / f"node-linux-{cpu}" / "bin" / "node" for cpu in ("x64", "arm64")]
_REQUIRED = os.environ.get("HYBRID_CI_REQUIRE_NODE", "") not in {"", "0"}  # before a test's environment is cleaned
MAIN = BranchName("main")


@contextmanager
def emulator() -> Iterator[GitHubForge]:
    """npm's ``emulate``, under a Node.js of npm's."""
    runtime = next((path for path in _RUNTIMES if path.is_file()), None)
    if runtime is None or not (NODE / "node_modules" / "emulate").is_dir():
        reason = "the packages of tests/node are not installed: make test installs them"
        if _REQUIRED:
            pytest.fail(reason)
        pytest.skip(reason)
    child = subprocess.Popen(
        [str(runtime), "github_emulator.mjs"], cwd=NODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdin and child.stdout
        base = json.loads(child.stdout.readline())["url"]
        address = GitHubAddress(base, "emulated", "acme", "gitops")
        settings = GitHubSettings(SystemClock(), pace=Pace(seconds=0.0))
        forge = GitHubForge(address, BearerToken(Secret("test-token", "$TEST")), settings)
        yield forge
        forge.close_connections()
        child.stdin.close()
        assert child.wait(timeout=20) == 0


@contextmanager
def live() -> Iterator[GitHubForge]:
    """The real GitHub."""
    token, repository = (LIVE.get(f"HYBRID_CI_LIVE_GITHUB_{name}") for name in ("TOKEN", "REPOSITORY"))
    if not token or not repository:
        pytest.skip("set HYBRID_CI_LIVE_GITHUB_TOKEN and HYBRID_CI_LIVE_GITHUB_REPOSITORY to run this at GitHub itself")
    address = GitHubAddress.of(RemoteURL(repository))
    forge = GitHubForge(address, BearerToken(Secret(token, "$LIVE")), GitHubSettings(SystemClock()))
    yield forge
    forge.close_connections()


def propose(forge: GitHubForge, branch: BranchName) -> CommitId:
    """A branch with one commit, made through GitHub's Git API, since there may be no other way in."""
    client = forge._client
    base = client.get("/git/ref/heads/main")["object"]["sha"]
    tree = client.get(f"/git/commits/{base}")["tree"]["sha"]
    entry = {"path": f"life/{branch.value}.yaml", "mode": "100644", "type": "blob", "content": "newTag: 2\n"}
    made = client.write("POST", "/git/trees", {"base_tree": tree, "tree": [entry]})
    commit = client.write("POST", "/git/commits", {"message": "Release", "tree": made["sha"], "parents": [base]})
    client.write("POST", "/git/refs", {"ref": branch.ref.value, "sha": commit["sha"]})
    return CommitId(commit["sha"])


@pytest.mark.parametrize("place", [emulator, live])
def test_a_pull_request_lives_from_opening_to_merge(place: object) -> None:
    assert callable(place)
    with place() as forge:
        branch = BranchName(f"hybrid-ci/life/{uuid4().hex[:8]}")
        forge.check_access()
        head = propose(forge, branch)
        opened = forge.open(PullRequestDraft("Release shop", "Two images.\n", branch, MAIN))
        assert (opened.state, opened.head_commit, opened.fork) == (PullRequestState.OPEN, head, "")
        assert [pull.number for pull in forge.pull_requests(branch, MAIN)] == [opened.number]
        assert forge.open(PullRequestDraft("Again", "", branch, MAIN)).number == opened.number
        updated = forge.update(opened.number, title="Release shop 2", body="One image.\n")
        assert (updated.title, updated.body.strip()) == ("Release shop 2", "One image.")
        assert forge.route(opened.number, Routing(labels=("hybrid-ci",))) == []
        assert forge.show(opened.number).labels == ("hybrid-ci",)
        assert forge.reviews(opened.number) == []
        with pytest.raises(PullRequestMoved):
            forge.merge(opened.number, CommitId("1" * 40))
        merged = forge.merge(opened.number, head, "Release shop\n\nHybrid-CI-Environment: dev\n")
        assert (merged.state, merged.number) == (PullRequestState.MERGED, opened.number)
        assert forge.merge(opened.number, head) == merged
        with pytest.raises(NotOpen):
            forge.update(opened.number, title="Too late", body="")


@pytest.mark.parametrize("place", [emulator, live])
def test_a_pull_request_is_closed_with_a_reason(place: object) -> None:
    assert callable(place)
    with place() as forge:
        branch = BranchName(f"hybrid-ci/life/{uuid4().hex[:8]}")
        propose(forge, branch)
        opened = forge.open(PullRequestDraft("Release shop", "", branch, MAIN))
        closed = forge.close(opened.number, "A newer release is on its way.")
        assert (closed.state, closed.merge_commit) == (PullRequestState.CLOSED, None)
        assert forge.close(opened.number, "A newer release is on its way.").state is PullRequestState.CLOSED
