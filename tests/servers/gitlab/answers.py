"""What the fake GitLab answers to each call of its API; the texts of errors are GitLab's own."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.forge_http import Call, Reply
from tests.servers.git_repositories import commit_files, git
from tests.servers.gitlab import entities, merging
from tests.servers.gitlab.routes import Routes, fields, message, not_found, truth
from tests.servers.gitlab.state import MergeRequest, Project, Token

if TYPE_CHECKING:
    from tests.servers.gitlab.server import FakeGitLab

ROUTES = Routes()
route = ROUTES.add
_MR = "/projects/:project/merge_requests"
_RUNNING = {"pending", "running"}


# --- projects and people ---------------------------------------------------------------------------------------------


@route("GET /projects/:project")
def project_(server: FakeGitLab, call: Call, token: Token, project: Project) -> Reply:
    return Reply(200, entities.project(server.web, project, token.role))


@route("GET /version")
def version(server: FakeGitLab, call: Call, token: Token) -> Reply:
    return Reply(200, {"version": "18.2.1", "revision": "a1b2c3d4e5f"})


@route("GET /personal_access_tokens/self")
def own_token(server: FakeGitLab, call: Call, token: Token) -> Reply:
    return Reply(200, entities.access_token(token, server.user_id(token.user)))


@route("GET /users")
def users(server: FakeGitLab, call: Call, token: Token) -> Reply:
    wanted = call.query.get("username")
    return server.page(call, [name for name in server.users if wanted in (None, name)], server.person)


@route("GET /groups/:group/members/all")
def members(server: FakeGitLab, call: Call, token: Token, group: str) -> Reply:
    if group not in server.groups:
        return not_found("Group")
    return server.page(
        call,
        server.groups[group],
        lambda name: {**server.person(name), "access_level": 30, "created_at": "2026-01-01T00:00:00.000Z"},
    )


# --- merge requests --------------------------------------------------------------------------------------------------


@route(f"GET {_MR}")
def merge_requests(server: FakeGitLab, call: Call, token: Token, project: Project) -> Reply:
    server.refresh(project)
    query = call.query
    found = [
        mr
        for mr in project.merge_requests.values()
        if query.get("state", "all") in ("all", mr.state)
        and query.get("source_branch") in (None, mr.source)
        and query.get("target_branch") in (None, mr.target)
        and (query.get("scope") == "all" or query.get("scope") is None or mr.author == token.user)
        and server.listed(project, mr)
    ]
    found.sort(key=lambda mr: (mr.created, mr.iid), reverse=query.get("sort", "desc") == "desc")
    return server.page(call, found, lambda mr: server.shown(project, mr))


@route(f"GET {_MR}/:iid")
def merge_request(server: FakeGitLab, call: Call, token: Token, project: Project, iid: str) -> Reply:
    server.refresh(project)
    mr = _find(project, iid)
    return Reply(200, server.shown(project, mr, single=True)) if mr else message(404, "404 Not found")


def _find(project: Project, iid: str) -> MergeRequest | None:
    return project.merge_requests.get(int(iid)) if iid.isdigit() else None


@route(f"POST {_MR}")
def create_merge_request(server: FakeGitLab, call: Call, token: Token, project: Project) -> Reply:
    asked = fields(call)
    for name in ("source_branch", "target_branch", "title"):
        if not asked.get(name):
            return Reply(400, {"error": f"{name} is missing"})
    source, target = asked["source_branch"], asked["target_branch"]
    if source == target:
        return message(422, ["You can't use same project/branch for source and target"])
    if len(asked["title"]) > 255:
        return message(400, {"title": ["is too long (maximum is 255 characters)"]})
    for mr in project.merge_requests.values():
        if mr.open and (mr.source, mr.target, mr.source_project) == (source, target, project.id):
            return message(409, [f"Another open merge request already exists for this source branch: !{mr.iid}"])
    mr = server.open_merge_request(
        project, source, target, asked["title"], asked.get("description") or "", token.user, project.id
    )
    return Reply(201, server.shown(project, mr, single=True))


@route(f"PUT {_MR}/:iid")
def update_merge_request(server: FakeGitLab, call: Call, token: Token, project: Project, iid: str) -> Reply:
    server.refresh(project)
    mr = _find(project, iid)
    if mr is None:
        return message(404, "404 Not found")
    asked = fields(call)
    if "title" in asked:
        mr.title = asked["title"].strip()
    if "description" in asked:
        mr.description = mr.obey(asked["description"])
    if asked.get("state_event") == "close" and mr.open:
        mr.state, mr.ended = "closed", server.now()
    if asked.get("add_labels"):
        wanted = asked["add_labels"]
        for name in wanted.split(",") if isinstance(wanted, str) else wanted:
            project.labels.setdefault(name, len(project.labels) + 1)
            mr.labels = [*dict.fromkeys([*mr.labels, name])]
    for field in ("reviewer_ids", "assignee_ids"):
        if field in asked:
            known = {identity: name for name, identity in server.users.items()}
            people = [known[int(identity)] for identity in asked[field] if int(identity) in known]
            people = people if project.multiple_people else people[:1]
            setattr(mr, "reviewers" if field == "reviewer_ids" else "assignees", people)
    mr.updated = server.now()
    return Reply(200, server.shown(project, mr, single=True))


@route(f"PUT {_MR}/:iid/merge")
def merge(server: FakeGitLab, call: Call, token: Token, project: Project, iid: str) -> Reply:
    server.refresh(project)
    mr = _find(project, iid)
    if mr is None:
        return message(404, "404 Not found")
    if project.mergers is not None and token.user not in project.mergers:
        return message(401, "401 Unauthorized")
    asked = fields(call)
    auto = truth(asked.get("auto_merge")) or truth(asked.get("merge_when_pipeline_succeeds"))
    status = server.status(project, mr)
    waits = status in {"ci_still_running", "not_approved"} and auto
    if status != "mergeable" and not waits:
        if status == "conflict":
            return message(422, "Branch cannot be merged")
        return message(405, "405 Method Not Allowed")
    if auto and status == "mergeable" and project.pipeline is None:
        return message(405, "405 Method Not Allowed")  # there is nothing that a merge could wait for
    if asked.get("sha") and asked["sha"] != mr.sha:
        return message(409, f"SHA does not match HEAD of source branch: {mr.sha}")
    mr.squash = truth(asked.get("squash")) or mr.squash
    if waits:
        mr.auto_merge = True
    else:
        text = asked.get("squash_commit_message") if mr.squash else asked.get("merge_commit_message")
        merging.merge(project, mr, token.user, text, server.now(), server.web)
    return Reply(200, server.shown(project, mr, single=True))


@route(f"POST {_MR}/:iid/cancel_merge_when_pipeline_succeeds")
def cancel_auto_merge(server: FakeGitLab, call: Call, token: Token, project: Project, iid: str) -> Reply:
    """It gives no merge request, and 201 also where it refuses (gitlab-org/gitlab!255704)."""
    server.refresh(project)
    mr = _find(project, iid)
    if mr is None:
        return message(404, "404 Not found")
    if not mr.auto_merge or project.keeps_auto_merge:
        told = {"message": "Can't cancel the automatic merge", "status": "error", "http_status": 406}
        return Reply(201, told)
    server.call_off(project, mr)
    return Reply(201, {"status": "success"})


@route("POST /projects/:project/merge_trains/merge_requests/:iid")
def add_to_train(server: FakeGitLab, call: Call, token: Token, project: Project, iid: str) -> Reply:
    server.refresh(project)
    mr, asked = _find(project, iid), fields(call)
    if not project.merge_trains or mr is None:
        return message(404, "404 Not found")
    if asked.get("sha") and asked["sha"] != mr.sha:
        return message(409, f"SHA does not match HEAD of source branch: {mr.sha}")
    status = server.status(project, mr)
    waits = status in {"ci_still_running", "not_approved"} and truth(
        asked.get("auto_merge") or asked.get("when_pipeline_succeeds")
    )
    if status != "mergeable" and not waits:
        return message(400, "Failed to add the merge request to the merge train")
    if waits:
        mr.auto_merge = True
        return Reply(202, [])
    project.train.append(mr.iid)
    mr.auto_merge = True
    shown = {"id": len(project.train), "status": "idle", "target_branch": mr.target, "merge_request": {"iid": mr.iid}}
    return Reply(201, [shown])


@route("GET /projects/:project/merge_trains/merge_requests/:iid")
def train_car(server: FakeGitLab, call: Call, token: Token, project: Project, iid: str) -> Reply:
    if int(iid) not in project.train:
        return message(404, "404 Not found")
    return Reply(200, {"id": 1, "status": "idle", "merge_request": {"iid": int(iid)}})


@route(f"GET {_MR}/:iid/approvals")
def approvals(server: FakeGitLab, call: Call, token: Token, project: Project, iid: str) -> Reply:
    mr = _find(project, iid)
    if mr is None:
        return message(404, "404 Not found")
    given = [{"user": server.person(name), "approved_at": entities.stamp(when)} for name, when in mr.approvals.items()]
    return Reply(200, {"approved": len(given) >= project.approvals_required, "approved_by": given})


@route(f"GET {_MR}/:iid/reviewers")
def reviewers(server: FakeGitLab, call: Call, token: Token, project: Project, iid: str) -> Reply:
    mr = _find(project, iid)
    if mr is None:
        return message(404, "404 Not found")

    def state(name: str) -> str:
        if name in mr.changes_requested:
            return "requested_changes"
        return "approved" if name in mr.approvals else "unreviewed"

    names = [*dict.fromkeys([*mr.reviewers, *mr.changes_requested])]
    created = entities.stamp(mr.created)
    return server.page(
        call, names, lambda name: {"user": server.person(name), "state": state(name), "created_at": created}
    )


@route(f"GET {_MR}/:iid/versions")
def versions(server: FakeGitLab, call: Call, token: Token, project: Project, iid: str) -> Reply:
    mr = _find(project, iid)
    if mr is None:
        return message(404, "404 Not found")
    return server.page(
        call,
        list(enumerate(mr.versions)),
        lambda one: {
            "id": len(mr.versions) - one[0],
            "head_commit_sha": one[1].sha,
            "base_commit_sha": one[1].sha,
            "start_commit_sha": one[1].sha,
            "created_at": entities.stamp(one[1].created),
            "merge_request_id": mr.iid,
            "state": "collected",
            "real_size": "1",
            "patch_id_sha": one[1].sha,
        },
    )


@route(f"GET {_MR}/:iid/notes")
def notes(server: FakeGitLab, call: Call, token: Token, project: Project, iid: str) -> Reply:
    mr = _find(project, iid)
    if mr is None:
        return message(404, "404 Not found")
    return server.page(call, list(reversed(mr.notes)), lambda note: note)


@route(f"POST {_MR}/:iid/notes")
def comment(server: FakeGitLab, call: Call, token: Token, project: Project, iid: str) -> Reply:
    mr = _find(project, iid)
    if mr is None:
        return message(404, "404 Not found")
    text = mr.obey(fields(call)["body"])
    note = {
        "id": 100 * mr.iid + len(mr.notes) + 1,
        "type": None,
        "body": text,
        "author": server.person(token.user),
        "created_at": entities.stamp(server.now()),
        "updated_at": entities.stamp(server.now()),
        "system": False,
        "noteable_id": mr.iid,
        "noteable_type": "MergeRequest",
        "noteable_iid": mr.iid,
        "project_id": project.id,
        "resolvable": False,
    }
    mr.notes.append(note)
    return Reply(201, note)


# --- repository ------------------------------------------------------------------------------------------------------


@route("GET /projects/:project/repository/branches")
def branches(server: FakeGitLab, call: Call, token: Token, project: Project) -> Reply:
    listed = git(project.repo.path, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/").splitlines()
    found = [(line.partition(" refs/heads/")[2], line.partition(" ")[0]) for line in listed]
    return server.page(call, found, lambda one: entities.branch(server.web, project, *one))


@route("GET /projects/:project/repository/branches/:name")
def branch(server: FakeGitLab, call: Call, token: Token, project: Project, name: str) -> Reply:
    tip = project.repo.tip(name)
    return Reply(200, entities.branch(server.web, project, name, tip)) if tip else not_found("Branch")


@route("GET /projects/:project/repository/compare")
def compare(server: FakeGitLab, call: Call, token: Token, project: Project) -> Reply:
    start, end = call.query["from"], call.query["to"]
    if not project.repo.has(start) or not project.repo.has(end):
        return not_found("Ref")
    commits = git(project.repo.path, "rev-list", "--reverse", f"{start}..{end}").split()
    shown = [entities.commit(server.web, project.path, project.repo, sha) for sha in commits]
    return Reply(
        200,
        {
            "commit": shown[-1] if shown else None,
            "commits": shown,
            "diffs": [],
            "compare_timeout": False,
            "compare_same_ref": start == end,
            "web_url": f"{server.web}/{project.path}/-/compare/{start}...{end}",
        },
    )


@route("GET /projects/:project/repository/merge_base")
def merge_base(server: FakeGitLab, call: Call, token: Token, project: Project) -> Reply:
    one, two = parse_qs(urlsplit(call.target).query)["refs[]"]
    try:
        found = git(project.repo.path, "merge-base", one, two)
    except AssertionError:
        return not_found("Merge Base")
    return Reply(200, entities.commit(server.web, project.path, project.repo, found))


@route("GET /projects/:project/repository/commits/:sha")
def commit(server: FakeGitLab, call: Call, token: Token, project: Project, sha: str) -> Reply:
    if not project.repo.has(sha):
        return not_found("Commit")
    return Reply(200, entities.commit(server.web, project.path, project.repo, sha))


@route("POST /projects/:project/repository/commits")
def create_commit(server: FakeGitLab, call: Call, token: Token, project: Project) -> Reply:
    asked = fields(call)
    name, start = asked["branch"], asked.get("start_sha")
    if project.repo.tip(name) is not None and start:
        text = f"A branch called '{name}' already exists. Switch to that branch in order to make changes"
        return message(400, text)
    if name in project.protected:
        return message(403, "403 Forbidden - You are not allowed to push into this branch")
    parent = start or project.repo.tip(name)
    if parent is None or not project.repo.has(parent):
        return message(400, "You can only create or edit files when you are on a branch")
    there = set(git(project.repo.path, "ls-tree", "-r", "--name-only", "-z", parent).split("\0"))
    files: dict[str | bytes, Any] = {}
    for action in asked["actions"]:
        path = action["file_path"]
        if action["action"] == "update" and path not in there:
            return message(400, "A file with this name doesn't exist")
        if action["action"] == "create" and path in there:
            return message(400, "A file with this name already exists")
        content = action["content"]
        files[path] = base64.b64decode(content) if action.get("encoding") == "base64" else content.encode()
    made = commit_files(
        project.repo.path, files, f"refs/heads/{name}", asked["commit_message"], f"{token.user} <b@x.example>", parent
    )
    return Reply(201, entities.commit(server.web, project.path, project.repo, made))


@route("HEAD /projects/:project/repository/files/:path")
def file_head(server: FakeGitLab, call: Call, token: Token, project: Project, path: str) -> Reply:
    there = git(project.repo.path, "ls-tree", "--name-only", call.query["ref"], "--", path)
    return Reply(200 if there else 404, None)


# --- statuses --------------------------------------------------------------------------------------------------------


@route("GET /projects/:project/repository/commits/:sha/statuses")
def statuses(server: FakeGitLab, call: Call, token: Token, project: Project, sha: str) -> Reply:
    if not project.repo.has(sha):
        return not_found("Commit")
    return server.page(call, [one for one in project.statuses if one["sha"] == sha], lambda one: one)


@route("POST /projects/:project/statuses/:sha")
def set_status(server: FakeGitLab, call: Call, token: Token, project: Project, sha: str) -> Reply:
    if not project.repo.has(sha):
        return not_found("Commit")
    asked = fields(call)
    name, state = asked.get("name") or asked.get("context") or "default", asked["state"]
    newest = next((one for one in reversed(project.statuses) if (one["sha"], one["name"]) == (sha, name)), None)
    if newest is not None and newest["status"] == state:
        event = {"success": "succeed", "failed": "drop", "pending": "enqueue", "running": "run"}[state]
        reason = f"Cannot transition status via :{event} from :{state} (Reason(s): Status cannot transition via "
        return message(400, f'{reason}"{event}")')
    now = entities.stamp(server.now())
    told = {
        "sha": sha,
        "name": name,
        "status": state,
        "description": asked.get("description"),
        "target_url": asked.get("target_url"),
        "finished_at": None if state in _RUNNING else now,
        "started_at": None,
    }
    if newest is not None and newest["status"] in _RUNNING:  # the same job goes on
        newest.update(told)
        return Reply(201, newest)
    status = {
        **told,
        "id": len(project.statuses) + 1,
        "ref": "main",
        "created_at": now,
        "allow_failure": False,
        "coverage": None,
        "author": server.person(token.user),
    }
    project.statuses.append(status)
    return Reply(201, status)


@route("GET /projects/:project/deployments")
def deployments(server: FakeGitLab, call: Call, token: Token, project: Project) -> Reply:
    return server.page(call, list(reversed(project.deployments)), lambda one: one)
