"""GitHub's JSON: the mould of each schema, filled with what the fake knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.servers.github.referee import skeleton
from tests.servers.github.world import Hosted, Pull

NODE = "MDQ6"  # ids are opaque; nobody may read meaning into them


def moment(when: datetime | None) -> str | None:
    """A time as GitHub writes it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None


def user(login: str, base: str) -> dict[str, Any]:
    """A ``simple-user``."""
    kind = "Bot" if login.endswith("[bot]") else "User"
    return skeleton("simple-user", base) | {"login": login, "type": kind, "url": f"{base}/users/{login}"}


def repository(hosted: Hosted, base: str, *, full: bool = False, permissions: dict[str, bool] | None = None) -> Any:
    """A ``repository``, or the ``full-repository`` of its own page."""
    made = skeleton("full-repository" if full else "repository", base)
    return made | {
        "full_name": hosted.full_name,
        "name": hosted.name,
        "owner": user(hosted.owner, base),
        "archived": hosted.archived,
        "default_branch": "main",
        "allow_auto_merge": hosted.rules.auto_merge,
        "allow_merge_commit": "merge" in hosted.rules.methods,
        "allow_squash_merge": "squash" in hosted.rules.methods,
        "allow_rebase_merge": "rebase" in hosted.rules.methods,
        **({"squash_merge_commit_message": hosted.rules.squash_message} if full else {}),
        "url": f"{base}/repos/{hosted.full_name}",
        "permissions": permissions or {"admin": False, "push": hosted.writable, "pull": True},
    }


def pull_request(hosted: Hosted, pull: Pull, base: str, fork: Hosted | None, *, simple: bool = False) -> Any:
    """A ``pull-request``, or the ``pull-request-simple`` of lists."""
    path = f"{base}/repos/{hosted.full_name}/pulls/{pull.number}"
    head_home = fork or hosted
    made = skeleton("pull-request-simple" if simple else "pull-request", base)
    made |= {
        "number": pull.number,
        "node_id": pull.node,
        "url": path,
        "html_url": f"{base.removesuffix('/api/v3')}/{hosted.full_name}/pull/{pull.number}",
        "title": pull.title,
        "body": pull.body,
        "state": pull.state,
        "draft": pull.draft,
        "user": user(pull.author, base),
        "created_at": moment(pull.created),
        "updated_at": moment(pull.updated),
        "closed_at": moment(pull.closed),
        "merged_at": moment(pull.merged),
        "merge_commit_sha": pull.merge_commit,
        "labels": [label(name, base) for name in pull.labels],
        "assignees": [user(name, base) for name in pull.assignees],
        "requested_reviewers": [user(name, base) for name in pull.reviewers],
        "requested_teams": [team(name, base) for name in pull.teams],
        "head": made["head"] | part(head_home, pull.head, pull.head_sha, base),
        "base": made["base"] | part(hosted, pull.base, pull.base_sha, base),
    }
    if not simple:
        made |= {"merged": pull.merged is not None, "comments": len(pull.comments)}
    return made


def part(home: Hosted, branch: str, sha: str, base: str) -> dict[str, Any]:
    """The head or base of a pull request."""
    return {
        "label": f"{home.owner}:{branch}",
        "ref": branch,
        "sha": sha,
        "user": user(home.owner, base),
        "repo": repository(home, base),
    }


def label(name: str, base: str) -> dict[str, Any]:
    """A ``label``."""
    return skeleton("label", base) | {"name": name, "color": "ededed", "description": ""}


def team(slug: str, base: str) -> dict[str, Any]:
    """A ``team``."""
    return skeleton("team", base) | {"slug": slug, "name": slug}


def comment(found: dict[str, Any], base: str) -> dict[str, Any]:
    """An ``issue-comment``."""
    return skeleton("issue-comment", base) | {
        "id": found["id"],
        "body": found["body"],
        "user": user(found["login"], base),
        "created_at": moment(found["created"]),
        "updated_at": moment(found["created"]),
    }


def review(found: dict[str, Any], base: str) -> dict[str, Any]:
    """A ``pull-request-review``."""
    return skeleton("pull-request-review", base) | {
        "state": found["state"],
        "user": user(found["login"], base),
        "commit_id": found["commit"],
        "body": found.get("body", ""),
    }


def status(found: dict[str, Any], base: str) -> dict[str, Any]:
    """A ``status``."""
    return skeleton("status", base) | {
        "state": found["state"],
        "context": found["context"],
        "description": found.get("description"),
        "target_url": found.get("target_url"),
        "creator": user(found["login"], base),
        "created_at": moment(found["created"]),
        "updated_at": moment(found["created"]),
    }


def check_run(found: dict[str, Any], sha: str, base: str) -> dict[str, Any]:
    """A ``check-run``."""
    app = skeleton("integration", base) | {"slug": found.get("app", "argocd"), "name": found.get("app", "argocd")}
    made = skeleton("check-run", base)
    done = found.get("conclusion") is not None
    return made | {
        "name": found["name"],
        "head_sha": sha,
        "status": "completed" if done else "in_progress",
        "conclusion": found.get("conclusion"),
        "started_at": moment(found["created"]),
        "completed_at": moment(found["created"]) if done else None,
        "details_url": found.get("url"),
        "output": made["output"] | {"title": found.get("title")},
        "app": app,
    }


def commit(hosted: Hosted, sha: str, base: str, *, files: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A ``commit``."""
    info = hosted.repo.info(sha)
    made = skeleton("commit", base)
    inner = made["commit"] | {
        "message": info["message"],
        "author": info["author"],
        "committer": info["committer"],
        "tree": {"sha": info["tree"], "url": f"{base}/git/trees/{info['tree']}"},
    }
    parents = [
        {"sha": parent, "url": f"{base}/repos/{hosted.full_name}/commits/{parent}"} for parent in info["parents"]
    ]
    made |= {"sha": sha, "commit": inner, "parents": parents, "author": None, "committer": None}
    made["html_url"] = f"{base.removesuffix('/api/v3')}/{hosted.full_name}/commit/{sha}"
    return made if files is None else made | {"files": files}
