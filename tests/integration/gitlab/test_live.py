"""One life of a merge request, the same on the fake and on a real GitLab that the environment names.

``HYBRID_CI_LIVE_GITLAB_TOKEN`` (scope ``api``, role Maintainer) and ``HYBRID_CI_LIVE_GITLAB_PROJECT`` (its URL, such as
``https://gitlab.com/acme/scratch``): a project for nothing else, with a first commit on ``main``.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.names import BranchName, CommitId, RemoteURL, RepoPath
from orchestrator.core.secret import Secret
from orchestrator.engine.clock import SystemClock
from orchestrator.forges.base import (
    CommitStatus,
    NotMergeable,
    NotOpen,
    PullRequestDraft,
    PullRequestMoved,
    PullRequestState,
    Routing,
    StatusState,
)
from orchestrator.forges.gitlab import GitLabForge, GitLabSettings
from orchestrator.forges.gitlab_address import locate
from orchestrator.forges.gitlab_api import TokenLogin
from orchestrator.git.credentials import GitCredentials
from orchestrator.gitops.base import Landed
from orchestrator.gitops.repository import GitRepository
from tests.integration.gitlab.worlds import TOKEN, gitlab

# Read before a test's environment is cleaned.
_TOKEN = os.environ.get("HYBRID_CI_LIVE_GITLAB_TOKEN", "")
_PROJECT = os.environ.get("HYBRID_CI_LIVE_GITLAB_PROJECT", "")
MAIN = BranchName("main")


@pytest.fixture(params=["fake", "live"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Where, and the token."""
    if request.param == "fake":
        with gitlab(tmp_path) as world:
            yield f"{world.server.web}/acme/gitops.git", TOKEN
    elif not (_TOKEN and _PROJECT):
        pytest.skip("HYBRID_CI_LIVE_GITLAB_TOKEN and HYBRID_CI_LIVE_GITLAB_PROJECT name no real GitLab")
    else:
        yield _PROJECT, _TOKEN


@pytest.mark.timeout(600)
def test_a_merge_request_lives_its_life(place: tuple[str, str]) -> None:
    url, token = RemoteURL(place[0]), Secret(place[1], "$TOKEN")
    forge = GitLabForge(locate(url), TokenLogin(token), GitLabSettings(SystemClock()))
    with GitRepository(url, credentials=GitCredentials(token, "oauth2")) as repository:
        try:
            _live(forge, repository, BranchName(f"hybrid-ci/live/{uuid.uuid4().hex[:12]}"))
        finally:
            forge.close_connections()


def _live(forge: GitLabForge, repository: GitRepository, head: BranchName) -> None:
    forge.check_access()
    commit = _push(repository, head, b"one\n")
    body = "Two images.\n\n/close\n<!-- kept -->\n"
    opened = forge.open(PullRequestDraft("Release shop", body, head, MAIN))
    assert (opened.body, opened.head_commit, opened.state) == (body, commit, PullRequestState.OPEN)
    assert forge.open(PullRequestDraft("Again", "", head, MAIN)).number == opened.number
    assert [one.number for one in forge.pull_requests(head, MAIN)] == [opened.number]
    assert forge.route(opened.number, Routing(labels=("hybrid-ci-live",))) == []
    assert forge.set_draft(opened.number, True).draft
    with pytest.raises(NotMergeable):
        forge.merge(opened.number, commit)
    assert forge.set_draft(opened.number, False).title == "Release shop"
    assert forge.update(opened.number, title="Newer", body="text").title == "Newer"
    forge.set_status(commit, CommitStatus("hybrid-ci/live", StatusState.SUCCESS, "healthy"))
    assert forge.statuses(commit)[-1].state is StatusState.SUCCESS
    newer = _push(repository, head, b"two\n")
    with pytest.raises(PullRequestMoved):
        forge.merge(opened.number, commit)
    merged = forge.merge(opened.number, newer)
    assert (merged.state, merged.head_commit) == (PullRequestState.MERGED, newer)
    assert forge.merge(opened.number, newer).merge_commit == merged.merge_commit
    with pytest.raises(NotOpen):
        forge.close(opened.number, "too late")
    _push(repository, head, b"three\n")
    second = forge.open(PullRequestDraft("Second", "", head, MAIN))
    assert forge.close(second.number, "A newer release is on its way.").state is PullRequestState.CLOSED


def _push(repository: GitRepository, head: BranchName, content: bytes) -> CommitId:
    """A commit on main's tip, on our branch."""
    tips = repository.tips([MAIN.ref, head.ref])
    text = f"{time.time_ns()} ".encode() + content
    commit = repository.commit(tips[MAIN.ref], {RepoPath("live.txt"): text}, "Live")
    assert isinstance(repository.push(head.ref, commit, tips.get(head.ref)), Landed)
    return commit
