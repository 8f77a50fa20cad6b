"""What GitLab tells of our login and of a project's settings, for whoever looks before a release.

https://docs.gitlab.com/api/personal_access_tokens/#self-inform (any access token, a project's too),
https://docs.gitlab.com/api/projects/ and https://docs.gitlab.com/api/protected_branches/
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from orchestrator.core.names import BranchName
from orchestrator.forges.base import ForgeFacts, LoginFacts, MergeMethod, TokenKind
from orchestrator.forges.calls import LoginRefused
from orchestrator.forges.gitlab_api import Declined, GitLabApi, TokenLogin, require_project
from orchestrator.forges.gitlab_api import TokenKind as Header
from orchestrator.forges.gitlab_shapes import Json, role
from orchestrator.forges.limits import server_time

_KNOWN_SCOPES = frozenset({"api", "read_api", "read_repository", "write_repository", "read_user", "self_rotate"})
_DEVELOPER, _MAINTAINER = 30, 40
_KEEPS = ("%{all_commits}", "%{first_multiline_commit}", "%{first_multiline_commit_description}")


class GitLabInspecting:
    """Asks about one project. Methods raise as Inspecting says."""

    def __init__(self, api: GitLabApi, login: TokenLogin) -> None:
        self._api, self._login = api, login

    def facts(self, base: BranchName) -> ForgeFacts:
        """Four reads."""
        project = require_project(self._api)
        answer = self._api.calls.send("GET", "/api/v4/version")
        branch = self._branch(base)
        train = project.get("merge_trains_enabled")
        can_push = branch.get("can_push")
        protected = branch.get("protected")
        return ForgeFacts(
            login=self._login_facts(project),
            clock=server_time(answer.headers, self._api.calls.clock.now()) if "Date" in answer.headers else None,
            protected=protected if isinstance(protected, bool) else None,
            can_push=can_push if isinstance(can_push, bool) else None,
            auto_merge=True,  # every project has it
            merge_queue=train if isinstance(train, bool) else None,
            methods=_methods(project),
            squash_keeps=_squash_keeps(project),
            default_branch=str(project["default_branch"]) if project.get("default_branch") else None,
        )

    def _branch(self, name: BranchName) -> Json:
        try:
            return self._api.get(f"{self._api.path}/repository/branches/{quote(name.value, safe='')}")
        except Declined as declined:
            if declined.status != 404:
                raise
            return {}

    def _login_facts(self, project: Json) -> LoginFacts:
        if self._login.kind is Header.JOB:
            return LoginFacts(TokenKind.JOB)
        try:
            token = self._api.get("/personal_access_tokens/self")
        except (Declined, LoginRefused):  # an OAuth token, a deploy token: they may not ask about themselves
            return LoginFacts(TokenKind.UNKNOWN, lacking=_lacking_role(project), needless=_needless_role(project))
        scopes = token.get("scopes")
        told = tuple(sorted(map(str, scopes))) if isinstance(scopes, list) else None
        return LoginFacts(
            TokenKind.PROJECT,
            str(token["name"]) if token.get("name") else None,
            told,
            (*(() if told is None or "api" in told else ("api",)), *_lacking_role(project)),
            (*(scope for scope in told or () if scope not in _KNOWN_SCOPES), *_needless_role(project)),
            _day(token.get("expires_at")),
        )


def _lacking_role(project: Json) -> tuple[str, ...]:
    level = role(project)
    return ("the role Developer",) if level is not None and level < _DEVELOPER else ()


def _needless_role(project: Json) -> tuple[str, ...]:
    level = role(project)
    return ("the role Maintainer or Owner",) if level is not None and level >= _MAINTAINER else ()


def _methods(project: Json) -> frozenset[MergeMethod] | None:
    own = {"merge": MergeMethod.MERGE, "rebase_merge": MergeMethod.MERGE, "ff": MergeMethod.REBASE}
    method = own.get(str(project.get("merge_method")))
    if method is None:
        return None
    squash = {MergeMethod.SQUASH} if project.get("squash_option") != "never" else set()
    return frozenset({method} | squash)


def _squash_keeps(project: Json) -> bool | None:
    """The template of squashed commits holds those that are squashed. Without one it is the title alone."""
    if project.get("squash_option") == "never" or "squash_commit_template" not in project:
        return None
    template = str(project.get("squash_commit_template") or "")
    return any(variable in template for variable in _KEEPS)


def _day(text: object) -> datetime | None:
    """``2026-12-31``: a token ends at midnight UTC."""
    try:
        return datetime.strptime(str(text), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
