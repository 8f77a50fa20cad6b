"""The fake GitLab before judges that nobody here wrote: another client, and the schemas of a third one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.names import BranchName, RepoPath
from orchestrator.forges.base import CommitStatus, MergeMethod, Routing, StatusState
from tests.integration.gitlab.worlds import MAIN, TOKEN, World, draft, head_of
from tests.servers.forge_http import Call, Reply

NODE = Path(__file__).resolve().parents[2] / "node"
_REQUIRED = os.environ.get("HYBRID_CI_REQUIRE_NODE", "") not in {"", "0"}  # before a test's environment is cleaned

# Which schema an answer has to fit, by the call that it answers.
SCHEMAS = {
    r"GET .*/projects/[^/]+/[^/]+": "Project",
    r"(?:GET|POST|PUT) .*/merge_requests(?:/\d+(?:/merge)?)?": "MergeRequest",
    r"(?:GET|POST) .*/notes": "DiscussionNote",
    r"GET .*/merge_requests/\d+/approvals": "MergeRequestApprovalsResponse",
    r"GET .*/merge_requests/\d+/versions": "MergeRequestVersion",
    r"GET .*/repository/branches(?:/.*)?": "Branch",
    r"GET .*/repository/compare": "CompareResult",
    r"(?:GET .*/repository/(?:merge_base|commits/\w+)|POST .*/repository/commits)": "Commit",
    r"(?:GET .*/commits/\w+/statuses|POST .*/statuses/\w+)": "CommitStatus",
    r"GET .*/deployments": "Deployment",
    r"GET .*/users": "User",
    r"GET .*/groups/.*/members/all": "ProjectMember",
}


def node(script: str, *arguments: str, stdin: str = "") -> Any:
    """What a script prints, as JSON."""
    if not (NODE / "node_modules" / "@gitbeaker").is_dir() or shutil.which("node") is None:
        if _REQUIRED:
            pytest.fail("the packages of tests/node are not installed")
        pytest.skip("the packages of tests/node are not installed: run npm install there")
    done = subprocess.run(
        ["node", script, *arguments], cwd=NODE, input=stdin, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_independent_client_lives_a_merge_request_s_life(world: World) -> None:
    head = world.start()
    told = node("gitlab_life.mjs", world.server.web, TOKEN, "acme/gitops")
    assert told == {
        "project": "acme/gitops",
        "branches": ["hybrid-ci/prod/shop", "main"],
        "draft": True,
        "second": {
            "status": 409,
            "description": '["Another open merge request already exists for this source branch: !1"]',
        },
        "labels": ["release"],
        "title": "Release",
        "found": [1],
        "notes": ["Looks good."],
        "statuses": [["flux", "success"]],
        "compared": [head.value],
        "state": "merged",
        "mergeCommit": world.project.repo.tip("main"),
        "missing": 404,
    }


def test_every_answer_fits_the_schemas_of_another_client(world: World) -> None:
    answers: list[dict[str, Any]] = []

    def note(call: Call, reply: Reply) -> None:
        if reply.status in (200, 201):
            schema = next((name for key, name in SCHEMAS.items() if re.fullmatch(key, call.key)), None)
            if schema is not None:
                answers.append({"schema": schema, "place": call.key, "value": reply.payload})

    world.server.observers.append(note)
    _use_everything(world)
    assert {answer["schema"] for answer in answers} >= set(SCHEMAS.values())
    judged = node("gitlab_shapes.mjs", stdin=json.dumps(answers))
    assert judged["wrong"] == []
    assert judged["checked"] == len(answers) > 30


def test_the_judge_sees_what_is_wrong(world: World) -> None:
    world.opened()
    told = world.server.shown(world.project, world.only)
    broken = [{"schema": "MergeRequest", "place": "here", "value": told | {"source_branch": None}}]
    assert [one["place"] for one in node("gitlab_shapes.mjs", stdin=json.dumps(broken))["wrong"]] == ["here"]


def _use_everything(world: World) -> None:
    """Each call that the forge knows, at least once."""
    forge = world.forge
    world.server.groups["acme/platform"] = ["alice"]
    forge.check_access()
    first = world.opened()
    forge.close(first.number, "A newer release is on its way.")
    opened = forge.open(draft(title="Again"))
    forge.route(opened.number, Routing(("alice",), ("acme/platform",), ("alice",), ("release",)))
    forge.set_draft(opened.number, True)
    forge.set_draft(opened.number, False)
    forge.update(opened.number, title="Newer", body="text")
    world.server.approve(world.project, opened.number, "alice")
    forge.reviews(opened.number)
    head = head_of(opened)
    world.project.deployments.append(_deployment(head.value))
    forge.set_status(head, CommitStatus("flux", StatusState.SUCCESS, "healthy", "https://flux.example/1"))
    forge.statuses(head)
    tip = world.commit(MAIN, "c.yaml")
    forge.compare(f"{world.server.web}/acme/gitops.git", tip, head)
    forge.list()
    world.server.fail("502_after", "POST *repository/commits")
    forge.commit_on(BranchName("tmp/1"), tip, {RepoPath("d.yaml"): b"new\n"}, "Add a file")
    forge.merge_when_ready(opened.number, head, MergeMethod.MERGE)
    forge.list()


def _deployment(sha: str) -> dict[str, object]:
    return {
        "id": 1,
        "iid": 1,
        "ref": "main",
        "sha": sha,
        "status": "success",
        "created_at": "2026-03-02T09:30:00.000Z",
        "updated_at": "2026-03-02T09:31:00.000Z",
        "environment": {"id": 1, "name": "prod", "slug": "prod", "external_url": None},
        "deployable": None,
    }
