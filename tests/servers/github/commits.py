"""Repositories, commits and what is said about them, at the fake GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.servers.forge_http import Call, Reply
from tests.servers.git_repositories import git
from tests.servers.github import shapes
from tests.servers.github.answers import refuse
from tests.servers.github.referee import skeleton
from tests.servers.github.world import Account, Hosted

if TYPE_CHECKING:
    from tests.servers.github.server import GitHubServer


def show_repository(server: GitHubServer, account: Account, call: Call, hosted: Hosted) -> Reply:
    """With what the login may do."""
    may_write = hosted.writable and (account.permissions is None or account.permissions.get("contents") == "write")
    permissions = {"admin": False, "push": may_write, "pull": True}
    headers = {"X-OAuth-Scopes": account.scopes} if account.scopes is not None else {}
    if account.expires is not None:
        headers["github-authentication-token-expiration"] = account.expires.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Reply(200, shapes.repository(hosted, server.api, full=True, permissions=permissions), headers)


def show_ref(server: GitHubServer, account: Account, call: Call, hosted: Hosted, branch: str) -> Reply:
    """A branch."""
    tip = hosted.repo.tip(branch)
    if tip is None:
        raise refuse(404, "Not Found")
    made = skeleton("git-ref", server.api)
    return Reply(
        200, made | {"ref": f"refs/heads/{branch}", "object": {"type": "commit", "sha": tip, "url": server.api}}
    )


def show_branch(server: GitHubServer, account: Account, call: Call, hosted: Hosted, branch: str) -> Reply:
    """A branch, and whether something protects it."""
    tip = hosted.repo.tip(branch)
    if tip is None:
        raise refuse(404, "Branch not found")
    made = skeleton("branch-with-protection", server.api)
    made |= {"name": branch, "commit": shapes.commit(hosted, tip, server.api)}
    return Reply(200, made | {"protected": hosted.rules.protected or bool(hosted.rules.rulesets)})


def show_protection(server: GitHubServer, account: Account, call: Call, hosted: Hosted, branch: str) -> Reply:
    """The older protection in detail, for administrators alone."""
    if account.permissions is not None and "administration" not in account.permissions:
        raise refuse(403, "Resource not accessible by personal access token")
    if not hosted.rules.protected:
        raise refuse(404, "Branch not protected")
    return Reply(200, {"url": f"{server.api}/repos/{hosted.full_name}/branches/{branch}/protection"})


def branch_rules(server: GitHubServer, account: Account, call: Call, hosted: Hosted, branch: str) -> Reply:
    """The active rules of every ruleset."""
    rules = []
    for number in hosted.rules.rulesets:
        told = {"ruleset_source_type": "Repository", "ruleset_source": hosted.full_name, "ruleset_id": number}
        rules += [{"type": "deletion"} | told, {"type": "pull_request"} | told]
        rules += [{"type": "merge_queue"} | told] if hosted.rules.merge_queue else []
    return Reply(200, rules)


def show_ruleset(server: GitHubServer, account: Account, call: Call, hosted: Hosted, number: str) -> Reply:
    """One of them, with what it lets the login do."""
    bypass = hosted.rules.rulesets.get(int(number))
    if bypass is None:
        raise refuse(404, "Not Found")
    made = skeleton("repository-ruleset", server.api)
    return Reply(200, made | {"id": int(number), "enforcement": "active", "current_user_can_bypass": bypass})


def show_commit(server: GitHubServer, account: Account, call: Call, hosted: Hosted, ref: str) -> Reply:
    """With the files that it changes."""
    sha = _known(hosted, ref)
    raw = git(hosted.repo.path, "diff-tree", "-r", "--no-commit-id", "--root", "-z", sha).split("\0")
    files = []
    for meta, path in zip(raw[0::2], raw[1::2], strict=False):
        blob, letter = meta.split()[3], meta.split()[4]
        kind = {"A": "added", "D": "removed"}.get(letter, "modified")
        entry = skeleton("diff-entry", server.api)
        files.append(entry | {"filename": path, "sha": blob, "status": kind})
    return Reply(200, shapes.commit(hosted, sha, server.api, files=files))


def compare(server: GitHubServer, account: Account, call: Call, hosted: Hosted, base: str, head: str) -> Reply:
    """Commits oldest first, in pages."""
    if not hosted.repo.has(base) or not hosted.repo.has(head):
        raise refuse(404, "Not Found")
    shas = git(hosted.repo.path, "rev-list", "--reverse", f"{base}..{head}").split()
    behind = hosted.repo.count(head, base)
    size, number = int(call.query.get("per_page", 250)), int(call.query.get("page", 1))
    shown = shas[(number - 1) * size : number * size]
    made = skeleton("commit-comparison", server.api)
    made |= {
        "status": "diverged" if behind and shas else "behind" if behind else "ahead" if shas else "identical",
        "ahead_by": len(shas),
        "behind_by": behind,
        "total_commits": len(shas),
        "commits": [shapes.commit(hosted, sha, server.api) for sha in shown],
        "base_commit": shapes.commit(hosted, base, server.api),
        "merge_base_commit": shapes.commit(hosted, base, server.api),
        "html_url": f"{server.url}/{hosted.full_name}/compare/{base}...{head}",
    }
    return Reply(200, made)


def statuses(server: GitHubServer, account: Account, call: Call, hosted: Hosted, ref: str) -> Reply:
    """Newest first."""
    found = reversed(hosted.statuses.get(ref, []))
    return server.page(call, [shapes.status(one, server.api) for one in found])


def create_status(server: GitHubServer, account: Account, call: Call, hosted: Hosted, sha: str) -> Reply:
    """One more."""
    if not hosted.repo.has(sha):
        raise refuse(422, f"No commit found for SHA: {sha}")
    asked = call.json
    if len(asked.get("description") or "") > 140:
        raise refuse(422, "Validation Failed", "description is too long (maximum is 140 characters)")
    found = {**asked, "context": asked.get("context", "default"), "login": account.login, "created": server.now()}
    hosted.statuses.setdefault(sha, []).append(found)
    return Reply(201, shapes.status(found, server.api))


def check_runs(server: GitHubServer, account: Account, call: Call, hosted: Hosted, ref: str) -> Reply:
    """The latest of each name."""
    latest = {run["name"]: run for run in hosted.check_runs.get(ref, [])}
    return server.page(call, [shapes.check_run(run, ref, server.api) for run in latest.values()], "check_runs")


def deployments(server: GitHubServer, account: Account, call: Call, hosted: Hosted) -> Reply:
    """Newest first, of one commit."""
    wanted = [one for one in reversed(hosted.deployments) if call.query.get("sha") in (None, one["sha"])]
    return server.page(call, [_deployment(server, one) for one in wanted])


def _deployment(server: GitHubServer, found: dict[str, Any]) -> dict[str, Any]:
    made = skeleton("deployment", server.api)
    made |= {key: found[key] for key in ("id", "sha", "environment")}
    created = shapes.moment(found["created"])
    return made | {"creator": shapes.user(found["login"], server.api), "created_at": created, "updated_at": created}


def deployment_statuses(server: GitHubServer, account: Account, call: Call, hosted: Hosted, number: str) -> Reply:
    """Newest first."""
    deployment = next((one for one in hosted.deployments if one["id"] == int(number)), None)
    if deployment is None:
        raise refuse(404, "Not Found")
    made = []
    for one in reversed(deployment["statuses"]):
        created = shapes.moment(one["created"])
        made.append(
            skeleton("deployment-status", server.api)
            | {"state": one["state"], "description": one.get("description", ""), "created_at": created}
            | {"environment_url": one.get("url", "")}
        )
    return server.page(call, made)


def _known(hosted: Hosted, ref: str) -> str:
    sha = hosted.repo.tip(ref) or ref
    if not hosted.repo.has(sha):
        raise refuse(422, f"No commit found for SHA: {ref}")
    return sha
