"""The fake GitHub: routes, logins, limits, pages. What a pull request does stands in ``pulls.py``."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt

from orchestrator.engine.clock import Clock
from tests.servers.forge_http import Call, ForgeServer, Reply
from tests.servers.forge_repository import Repo
from tests.servers.git_repositories import make_bare
from tests.servers.github import commits, graphql, issues, pulls, referee, shapes
from tests.servers.github.answers import Refusal, not_found, refuse
from tests.servers.github.world import Account, Hosted, Rules

TOKEN = "ghp_" + "t0k3nOfTheReleaseBot0123456789abcdef"
BOT = "hybrid-ci-bot"
PREFIX = "/api/v3"

Route = tuple[str, re.Pattern[str], Callable[..., Reply], str | None]
_R = r"/repos/(?P<owner>[^/]+)/(?P<name>[^/]+)"
_N = r"(?P<number>-?\d+)"

# Method, path, who answers, and the permission of a fine-grained token that it takes.
ROUTES: Sequence[Route] = [
    (method, re.compile(pattern), answer, permission)
    for method, pattern, answer, permission in (
        ("GET", _R, commits.show_repository, "metadata=read"),
        ("GET", _R + "/pulls", pulls.listed, "pull_requests=read"),
        ("POST", _R + "/pulls", pulls.create, "pull_requests=write"),
        ("GET", _R + f"/pulls/{_N}", pulls.show, "pull_requests=read"),
        ("PATCH", _R + f"/pulls/{_N}", pulls.edit, "pull_requests=write"),
        ("PUT", _R + f"/pulls/{_N}/merge", pulls.merge, "contents=write"),
        ("GET", _R + f"/pulls/{_N}/reviews", pulls.reviews, "pull_requests=read"),
        ("POST", _R + f"/pulls/{_N}/requested_reviewers", issues.request_review, "pull_requests=write"),
        ("GET", _R + f"/issues/{_N}/comments", issues.comments, "pull_requests=read"),
        ("POST", _R + f"/issues/{_N}/comments", issues.comment, "pull_requests=write"),
        ("POST", _R + f"/issues/{_N}/labels", issues.label, "pull_requests=write"),
        ("POST", _R + f"/issues/{_N}/assignees", issues.assign, "pull_requests=write"),
        ("GET", _R + r"/commits/(?P<ref>.+)/statuses", commits.statuses, "statuses=read"),
        ("GET", _R + r"/commits/(?P<ref>.+)/check-runs", commits.check_runs, "checks=read"),
        ("GET", _R + r"/commits/(?P<ref>.+)", commits.show_commit, "contents=read"),
        ("POST", _R + r"/statuses/(?P<sha>[^/]+)", commits.create_status, "statuses=write"),
        ("GET", _R + "/deployments", commits.deployments, "deployments=read"),
        ("GET", _R + r"/deployments/(?P<number>\d+)/statuses", commits.deployment_statuses, "deployments=read"),
        ("GET", _R + r"/compare/(?P<base>[^.]+)\.\.\.(?P<head>.+)", commits.compare, "contents=read"),
        ("GET", _R + r"/git/ref/heads/(?P<branch>.+)", commits.show_ref, "contents=read"),
        ("GET", _R + r"/branches/(?P<branch>.+)/protection", commits.show_protection, None),
        ("GET", _R + r"/branches/(?P<branch>.+)", commits.show_branch, "contents=read"),
        ("GET", _R + r"/rules/branches/(?P<branch>.+)", commits.branch_rules, "metadata=read"),
        ("GET", _R + r"/rulesets/(?P<number>\d+)", commits.show_ruleset, "metadata=read"),
        ("GET", r"/orgs/(?P<org>[^/]+)/teams/(?P<slug>[^/]+)/members", issues.members, "members=read"),
    )
]


class GitHubServer(ForgeServer):
    """A GitHub with repositories, accounts and rules that a test sets. ``violations`` must be empty at its end."""

    def __init__(self, root: Path, *, clock: Clock | None = None) -> None:
        super().__init__(root, clock=clock)
        self.accounts: dict[str, Account] = {TOKEN: Account(BOT)}
        self.repositories: dict[str, Hosted] = {}
        self.teams: dict[str, set[str]] = {}
        self.violations: list[str] = []
        self.list_lag = 0.0
        self.mergeability_lag = 0.0
        self.app: tuple[str, str] | None = None  # its id, and its public key
        self.app_permissions = {"contents": "write", "pull_requests": "write", "metadata": "read", "statuses": "read"}
        self.token_seconds = 3600.0
        self.git_login = False
        self.last_id = 100

    # --- for tests -----------------------------------------------------------------------------------------------

    def host(self, full_name: str = "acme/gitops", rules: Rules | None = None) -> Hosted:
        """A new, empty repository."""
        owner, _, name = full_name.partition("/")
        repo = Repo(make_bare(self.root / f"{full_name}.git"))
        self.repositories[full_name.lower()] = hosted = Hosted(owner, name, repo, rules or Rules())
        return hosted

    def repository_url(self, full_name: str = "acme/gitops") -> str:
        """Where git finds it."""
        return f"{self.url}/{full_name}.git"

    @property
    def api(self) -> str:
        """The base of the API, as an Enterprise server has it."""
        return self.url + PREFIX

    def limited(self, seconds: float) -> Reply:
        """The answer of a primary limit that ends then."""
        reset = int((self.now() + timedelta(seconds=seconds)).timestamp())
        headers = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
        return Reply(403, {"message": "API rate limit exceeded for user ID 1.", "documentation_url": "x"}, headers)

    # --- ForgeServer ---------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> Reply:
        """One request, by its token's rights."""
        for hosted in self.repositories.values():
            pulls.sync(self, hosted)
        try:
            reply = self._answer(call)
        except Refusal as refusal:
            reply = refusal.reply
        for hosted in self.repositories.values():
            pulls.finish_auto_merges(self, hosted)
        return reply

    def observe(self, call: Call, reply: Reply) -> None:
        """Held against GitHub's own description; GraphQL has a referee of its own."""
        if not call.path.endswith("/graphql"):
            self.violations += referee.check(call, self._path(call), reply)

    def git_allowed(self, call: Call) -> bool:
        """With ``git_login``, git has to bring a token that is good now, as its password."""
        if not self.git_login:
            return True
        scheme, _, text = (call.authorization or "").partition(" ")
        token = base64.b64decode(text).decode().partition(":")[2] if scheme == "Basic" else ""
        account = self.accounts.get(token)
        return account is not None and (account.expires is None or self.now() < account.expires)

    def after_push(self) -> None:
        """Pull requests follow their branches."""
        for hosted in self.repositories.values():
            pulls.sync(self, hosted)

    def _path(self, call: Call) -> str:
        return call.path.removeprefix(PREFIX)

    def _answer(self, call: Call) -> Reply:
        path = self._path(call)
        if path.startswith("/app/") or path.endswith("/installation"):
            return self._answer_app(call, path)
        account = self._login(call)
        if call.path in ("/api/graphql", "/graphql"):
            return graphql.answer(self, account, call)
        for method, pattern, answer, permission in ROUTES:
            if method == call.method and (match := pattern.fullmatch(path)):
                return self._routed(call, account, answer, match.groupdict(), permission)
        return not_found()

    def _routed(
        self, call: Call, account: Account, answer: Callable[..., Reply], names: dict[str, str], permission: str | None
    ) -> Reply:
        arguments: dict[str, Any] = {key: value for key, value in names.items() if key not in ("owner", "name")}
        if "owner" not in names:
            self.permit(account, permission)
            return answer(self, account, call, **arguments)
        hosted = self.repository(f"{names['owner']}/{names['name']}")
        if hosted.renamed_to and call.method == "GET":
            location = f"{self.api}/repositories/1"
            raise refuse(301, "Moved Permanently", headers={"Location": location}, url=location)
        if hosted.archived and call.method != "GET":
            raise refuse(403, "Repository was archived so is read-only.")
        self.permit(account, permission)
        return answer(self, account, call, hosted, **arguments)

    def repository(self, full_name: str) -> Hosted:
        """One of them. Raises Refusal (404)."""
        hosted = self.repositories.get(full_name.lower())
        if hosted is None:
            raise refuse(404, "Not Found")
        return hosted

    def permit(self, account: Account, permission: str | None) -> None:
        """Raises Refusal (403), with the headers that name what is missing."""
        if permission is None:
            return
        name, _, level = permission.partition("=")
        if account.permissions is not None:
            has = account.permissions.get(name, "read" if name == "metadata" else "")
            if has != "write" and has != level:
                headers = {"X-Accepted-GitHub-Permissions": permission}
                raise refuse(403, "Resource not accessible by personal access token", headers=headers)
        if account.scopes is not None and level == "write" and "repo" not in account.scopes:
            headers = {"X-OAuth-Scopes": account.scopes, "X-Accepted-OAuth-Scopes": "repo"}
            raise refuse(403, "Resource not accessible by token", headers=headers)

    def _login(self, call: Call) -> Account:
        scheme, _, token = (call.authorization or "").partition(" ")
        account = self.accounts.get(token) if scheme == "Bearer" else None
        if account is None or (account.expires is not None and self.now() >= account.expires):
            raise refuse(401, "Bad credentials")
        return account

    # --- a GitHub App ----------------------------------------------------------------------------------------------

    def _answer_app(self, call: Call, path: str) -> Reply:
        app, public_key = self.app or ("", "")
        _, _, claim = (call.authorization or "").partition(" ")
        try:
            issuer = jwt.decode(claim, public_key, algorithms=["RS256"])["iss"]
        except (jwt.PyJWTError, ValueError, KeyError):
            raise refuse(401, "A JSON web token could not be decoded") from None
        if str(issuer) != app:
            raise refuse(401, "'Issuer' claim ('iss') must be an Integer")
        if call.method == "GET":
            self.repository(path.removeprefix("/repos/").removesuffix("/installation"))
            made = referee.skeleton("installation", self.api)
            return Reply(200, made | {"id": 7, "permissions": self.app_permissions})
        self.last_id += 1
        token = f"ghs_installation{self.last_id:024}"
        expires = self.now() + timedelta(seconds=self.token_seconds)
        permissions = dict((call.json or {}).get("permissions") or self.app_permissions)
        self.accounts[token] = Account("hybrid-ci[bot]", permissions=permissions, expires=expires)
        return Reply(201, {"token": token, "expires_at": shapes.moment(expires), "permissions": permissions})

    # --- pages -----------------------------------------------------------------------------------------------------

    def page(self, call: Call, items: Sequence[Any], wrap: str | None = None) -> Reply:
        """The page that was asked for, with the ``Link`` header that leads to the next."""
        size, number = min(100, int(call.query.get("per_page", 30))), int(call.query.get("page", 1))
        shown = list(items[(number - 1) * size : number * size])
        last = max(1, -(-len(items) // size))
        links = []
        for rel, target, there in (("next", number + 1, number < last), ("last", last, number < last)):
            if there:
                query = urlencode({**call.query, "page": target})
                links.append(f'<{self.url}{call.raw_path}?{query}>; rel="{rel}"')
        payload = {"total_count": len(items), wrap: shown} if wrap else shown
        return Reply(200, payload, {"Link": ", ".join(links)} if links else {})
