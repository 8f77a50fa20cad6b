"""What GitHub tells of our login and of a repository's settings, for whoever looks before a release.

Headers tell the scopes of a classic token (https://docs.github.com/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps)
and when a token ends. Of a fine-grained token or an installation nobody tells the rights, so the one that matters most
is tried by a read that only an administrator may do.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from orchestrator.core.names import BranchName
from orchestrator.forges.base import ForgeFacts, LoginFacts, MergeMethod, TokenKind
from orchestrator.forges.calls import Login, LoginRefused
from orchestrator.forges.exchange import Answer
from orchestrator.forges.github_client import GitHubClient
from orchestrator.forges.github_login import AppLogin
from orchestrator.forges.github_rules import GitHubRules
from orchestrator.forges.limits import server_time

_PREFIXES = {
    "ghp_": TokenKind.PERSONAL,
    "gho_": TokenKind.PERSONAL,
    "ghu_": TokenKind.PERSONAL,
    "github_pat_": TokenKind.FINE_GRAINED,
    "ghs_": TokenKind.INSTALLATION,
}
_NEEDED_SCOPES = frozenset({"repo", "public_repo"})
_KNOWN_SCOPES = _NEEDED_SCOPES | {"repo:status", "repo_deployment", "read:org", "read:user", "user:email"}
_METHODS = {
    "allow_merge_commit": MergeMethod.MERGE,
    "allow_squash_merge": MergeMethod.SQUASH,
    "allow_rebase_merge": MergeMethod.REBASE,
}
_NEEDLESS_OF_APP = ("administration", "workflows", "actions", "secrets", "members", "organization_administration")


class GitHubInspecting:
    """Asks about one repository. Methods raise as Inspecting says."""

    def __init__(self, client: GitHubClient, login: Login) -> None:
        self._client, self._login, self._rules = client, login, GitHubRules(client)

    def facts(self, base: BranchName) -> ForgeFacts:
        """Four or five reads, besides what the login itself takes."""
        self._client.check_access()
        answer = self._client.calls.send("GET", self._client.root)
        told = answer.json()
        settings: Mapping[str, Any] = told if isinstance(told, dict) else {}
        rules = self._rules.about(base)
        methods = {method for name, method in _METHODS.items() if settings.get(name) is True}
        return ForgeFacts(
            login=self._login_facts(answer, base),
            clock=server_time(answer.headers, self._client.calls.clock.now()) if "Date" in answer.headers else None,
            protected=rules.protected if rules is not None else None,
            can_push=rules.can_push if rules is not None else None,
            auto_merge=_flag(settings, "allow_auto_merge"),
            merge_queue="merge_queue" in rules.kinds if rules is not None else None,
            methods=frozenset(methods) if any(name in settings for name in _METHODS) else None,
            squash_keeps=_squash_keeps(settings),
            default_branch=str(settings["default_branch"]) if settings.get("default_branch") else None,
        )

    def _login_facts(self, answer: Answer, base: BranchName) -> LoginFacts:
        kind, expires = self._kind(), _moment(answer.headers.get("github-authentication-token-expiration"))
        if isinstance(self._login, AppLogin):
            needless = [
                f"{name}: {self._login.granted[name]}" for name in _NEEDLESS_OF_APP if name in self._login.granted
            ]
            return LoginFacts(TokenKind.APP, needless=tuple(needless))
        header = answer.headers.get("X-OAuth-Scopes")
        if header is not None:
            scopes = tuple(sorted(scope.strip() for scope in header.split(",") if scope.strip()))
            lacking = () if _NEEDED_SCOPES & set(scopes) else ("repo",)
            needless = [scope for scope in scopes if scope not in _KNOWN_SCOPES]
            return LoginFacts(kind, None, scopes, lacking, tuple(needless), expires)
        needless = ["administration"] if self._administers(base) else []
        return LoginFacts(kind, needless=tuple(needless), expires=expires)

    def _kind(self) -> TokenKind:
        """By the prefix that GitHub gives its tokens; no other character of it is looked at."""
        value = self._login.authorization()
        token = value.reveal().removeprefix("Bearer ") if value is not None else ""
        return next((kind for prefix, kind in _PREFIXES.items() if token.startswith(prefix)), TokenKind.UNKNOWN)

    def _administers(self, base: BranchName) -> bool:
        """The details of a branch's protection are shown to administrators alone: 403 to all others, and 404 to them
        where there is none."""
        try:
            answer = self._client.calls.send("GET", f"{self._client.root}/branches/{quote(base.value)}/protection")
        except LoginRefused:
            return False
        return answer.status == 200 or (answer.status == 404 and "not protected" in answer.message.lower())


def _flag(settings: Mapping[str, Any], name: str) -> bool | None:
    value = settings.get(name)
    return value if isinstance(value, bool) else None


def _squash_keeps(settings: Mapping[str, Any]) -> bool | None:
    """The text that a squashed commit gets unless somebody types another: with those of the commits, or without."""
    text = settings.get("squash_merge_commit_message")
    if settings.get("allow_squash_merge") is False or not isinstance(text, str):
        return None
    return text == "COMMIT_MESSAGES"


def _moment(text: str | None) -> datetime | None:
    """``2026-12-31 23:59:59 UTC``, or with an offset in place of the name."""
    for form in ("%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M:%S %z"):
        try:
            found = datetime.strptime(text or "", form)
        except ValueError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None
