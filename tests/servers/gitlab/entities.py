"""The JSON that GitLab's API answers with, field by field as its documentation shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.servers.forge_repository import Repo
from tests.servers.gitlab.state import MergeRequest, Project, Token

Json = dict[str, Any]


def stamp(when: datetime | None) -> str | None:
    """ISO 8601 with milliseconds."""
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z") if when else None


def user(web: str, username: str, identity: int) -> Json:
    """A user, the short form."""
    return {
        "id": identity,
        "username": username,
        "public_email": "",
        "name": username.title(),
        "state": "active",
        "locked": False,
        "avatar_url": None,
        "web_url": f"{web}/{username}",
    }


def project(web: str, one: Project, role: int = 30) -> Json:
    """A project."""
    group = one.path.rpartition("/")[0]
    return {
        "id": one.id,
        "description": None,
        "name": one.name,
        "name_with_namespace": one.path.replace("/", " / "),
        "path": one.name,
        "path_with_namespace": one.path,
        "created_at": "2026-01-01T00:00:00.000Z",
        "default_branch": "main",
        "ssh_url_to_repo": f"git@127.0.0.1:{one.path}.git",
        "http_url_to_repo": f"{web}/{one.path}.git",
        "web_url": f"{web}/{one.path}",
        "namespace": {"id": 1, "name": group, "path": group, "kind": "group", "full_path": group},
        "visibility": "private",
        "archived": one.archived,
        "merge_requests_enabled": True,
        "merge_method": one.merge_method,
        "squash_option": one.squash_option,
        "squash_commit_template": one.squash_template,
        "merge_trains_enabled": one.merge_trains,
        "merge_pipelines_enabled": one.merge_trains,
        "only_allow_merge_if_pipeline_succeeds": one.pipeline_required,
        "remove_source_branch_after_merge": True,
        "permissions": {"project_access": {"access_level": role, "notification_level": 3}, "group_access": None},
    }


def access_token(token: Token, user_id: int) -> Json:
    """The token that asks, as /personal_access_tokens/self tells it."""
    return {
        "id": 7,
        "name": f"{token.user}'s token",
        "revoked": False,
        "created_at": "2026-01-01T00:00:00.000Z",
        "description": None,
        "scopes": sorted(token.scopes),
        "user_id": user_id,
        "last_used_at": None,
        "active": True,
        "expires_at": token.expires,
    }


def commit(web: str, path: str, repo: Repo, sha: str) -> Json:
    """A commit."""
    info = repo.info(sha)
    author, committer = info["author"], info["committer"]
    return {
        "id": sha,
        "short_id": sha[:8],
        "created_at": committer["date"],
        "parent_ids": info["parents"],
        "title": info["message"].partition("\n")[0],
        "message": info["message"],
        "author_name": author["name"],
        "author_email": author["email"],
        "authored_date": author["date"],
        "committer_name": committer["name"],
        "committer_email": committer["email"],
        "committed_date": committer["date"],
        "trailers": {},
        "extended_trailers": {},
        "web_url": f"{web}/{path}/-/commit/{sha}",
    }


def branch(web: str, one: Project, name: str, sha: str) -> Json:
    """A branch."""
    return {
        "name": name,
        "commit": commit(web, one.path, one.repo, sha),
        "merged": False,
        "protected": name in one.protected,
        "developers_can_push": False,
        "developers_can_merge": False,
        "can_push": name not in one.protected,  # as `allowed to push: no one` has it
        "default": name == "main",
        "web_url": f"{web}/{one.path}/-/tree/{name}",
    }


def merge_request(web: str, one: Project, mr: MergeRequest, people: dict[str, Json], status: str) -> Json:
    """A merge request, as lists and single answers show it."""
    merged, closed = mr.state == "merged", mr.state == "closed"
    by = people[mr.merged_by] if mr.merged_by else None
    return {
        "id": 1000 * one.id + mr.iid,
        "iid": mr.iid,
        "project_id": one.id,
        "title": mr.title,
        "description": mr.description,
        "state": mr.state,
        "created_at": stamp(mr.created),
        "updated_at": stamp(mr.updated or mr.created),
        "merged_by": by,
        "merge_user": by,
        "merged_at": stamp(mr.ended) if merged else None,
        "closed_by": people[mr.author] if closed else None,
        "closed_at": stamp(mr.ended) if closed else None,
        "target_branch": mr.target,
        "source_branch": mr.source,
        "user_notes_count": len(mr.notes),
        "upvotes": 0,
        "downvotes": 0,
        "author": people[mr.author],
        "assignees": [people[name] for name in mr.assignees],
        "assignee": people[mr.assignees[0]] if mr.assignees else None,
        "reviewers": [people[name] for name in mr.reviewers],
        "source_project_id": mr.source_project,
        "target_project_id": one.id,
        "labels": sorted(mr.labels),
        "draft": mr.draft,
        "work_in_progress": mr.draft,
        "milestone": None,
        "merge_when_pipeline_succeeds": mr.auto_merge,
        "merge_status": {"mergeable": "can_be_merged", "checking": "checking"}.get(status, "cannot_be_merged"),
        "detailed_merge_status": status,
        "sha": mr.sha,
        "merge_commit_sha": mr.merge_commit,
        "squash_commit_sha": mr.squash_commit,
        "discussion_locked": None,
        "should_remove_source_branch": None,
        "force_remove_source_branch": False,
        "reference": f"!{mr.iid}",
        "references": {"short": f"!{mr.iid}", "relative": f"!{mr.iid}", "full": f"{one.path}!{mr.iid}"},
        "web_url": f"{web}/{one.path}/-/merge_requests/{mr.iid}",
        "squash": mr.squash,
        "squash_on_merge": mr.squash,
        "has_conflicts": status == "conflict",
        "blocking_discussions_resolved": True,
    }


def more_of_merge_request(mr: MergeRequest, base: str) -> Json:
    """What only the answer for a single merge request has."""
    return {
        "subscribed": True,
        "changes_count": "1",
        "merge_error": None,
        "head_pipeline": None,
        "diff_refs": {"base_sha": base, "head_sha": mr.sha, "start_sha": base},
        "first_contribution": False,
        "user": {"can_merge": True},
    }
