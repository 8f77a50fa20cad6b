"""The fake GitLab itself: logins, limits, pages, and what happens when somebody pushes."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from orchestrator.engine.clock import Clock
from tests.servers.forge_http import Call, ForgeServer, Reply
from tests.servers.forge_repository import Repo
from tests.servers.git_repositories import git, make_bare
from tests.servers.gitlab import entities, merging
from tests.servers.gitlab.answers import ROUTES
from tests.servers.gitlab.routes import message, not_found
from tests.servers.gitlab.state import MergeRequest, Project, Token, Version

API = "/api/v4"
# What a job token may ask: https://docs.gitlab.com/ci/jobs/ci_job_token/#job-token-access
_JOB_TOKEN_ROUTES = re.compile(r"GET /projects/[^/]+/(?:deployments|environments|releases|packages).*|GET /job")
_HOOK = """#!/bin/sh
i=0
while [ "$i" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
  eval "printf '%s\\n' \\"\\$GIT_PUSH_OPTION_$i\\"" >> push-options
  i=$((i + 1))
done
while read -r old new ref; do printf '%s\\n' "$ref" >> pushed-refs; done
"""


class FakeGitLab(ForgeServer):
    """A GitLab with projects in real bare repositories below ``root``.

    ``relative`` is its relative root (``/gitlab``). ``list_lag`` is for how many seconds a new merge request is
    missing from lists, ``checking_seconds`` how long mergeability is unknown after a change, ``head_lag`` how long a
    merge request shows its head of before a push. ``keyset`` answers with cursors instead of page numbers.
    """

    def __init__(self, root: Path, *, clock: Clock | None = None, relative: str = "") -> None:
        super().__init__(root, clock=clock)
        self.relative = relative
        self.projects: dict[str, Project] = {}
        self.tokens: dict[str, Token] = {}
        self.users: dict[str, int] = {}
        self.groups: dict[str, list[str]] = {}
        self.list_lag = self.checking_seconds = self.head_lag = 0.0
        self.keyset = False
        self.git_login = False
        self.observers: list[Callable[[Call, Reply], None]] = []

    @property
    def web(self) -> str:
        """GitLab's base URL."""
        return f"{self.url}{self.relative}"

    # --- for tests -----------------------------------------------------------------------------------------------

    def add_project(self, path: str = "acme/gitops") -> Project:
        """A project with an empty repository that takes pushes with options."""
        bare = make_bare(self.root / f"{self.relative.strip('/')}/{path}.git".lstrip("/"))
        git(bare, "config", "receive.advertisePushOptions", "true")
        hook = bare / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(_HOOK)
        hook.chmod(0o755)
        project = Project(len(self.projects) + 1, path, Repo(bare))
        self.projects[path] = project
        return project

    def add_token(self, value: str, token: Token | None = None) -> str:
        """A token that is taken; its user becomes known."""
        self.tokens[value] = token or Token()
        self.user_id(self.tokens[value].user)
        return value

    def user_id(self, username: str) -> int:
        """The user's id; an unknown one becomes known."""
        return self.users.setdefault(username, len(self.users) + 1)

    def person(self, username: str) -> dict[str, Any]:
        """A user as JSON."""
        return entities.user(self.web, username, self.user_id(username))

    def approve(self, project: Project, iid: int, by: str) -> None:
        """A person approves."""
        self.user_id(by)
        project.merge_requests[iid].approvals[by] = self.now()

    # --- HTTP ----------------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> Reply:
        prefix = f"{self.relative}{API}"
        if not call.raw_path.startswith(f"{prefix}/"):
            return Reply(404, {"error": "404 Not Found"})
        path = call.raw_path.removeprefix(prefix)
        token = self._token(call)
        found = ROUTES.find(call.method, path)
        refused = self._refusal(call, token, f"{call.method} {path}")
        if refused is not None:
            reply = refused
        elif found is None:
            reply = Reply(404, {"error": "404 Not Found"})
        else:
            handler, parts = found
            reply = self._in_project(handler, call, parts, token or Token())
        return Reply(reply.status, reply.payload, {**self._limit_headers(), **reply.headers})

    def observe(self, call: Call, reply: Reply) -> None:
        for observer in self.observers:
            observer(call, reply)

    def _token(self, call: Call) -> Token | None:
        bearer = (call.authorization or "").removeprefix("Bearer ")
        found = self.tokens.get(call.headers.get("private-token", bearer))
        if found is not None and not found.job:
            return found
        job = self.tokens.get(call.headers.get("job-token", ""))
        return job if job is not None and job.job else None

    def _refusal(self, call: Call, token: Token | None, key: str) -> Reply | None:
        if token is None:
            return message(401, "401 Unauthorized")
        if token.job:
            if _JOB_TOKEN_ROUTES.fullmatch(key):
                return None
            return not_found("Project") if call.method == "GET" else message(401, "401 Unauthorized")
        enough = {"api"} if call.method != "GET" else {"api", "read_api"}
        if token.scopes & enough:
            return None
        return Reply(
            403,
            {
                "error": "insufficient_scope",
                "error_description": "The request requires higher privileges than provided by the access token.",
                "scope": " ".join(sorted(enough)),
            },
        )

    def _in_project(self, handler: Callable[..., Reply], call: Call, parts: dict[str, str], token: Token) -> Reply:
        if "project" not in parts:
            return handler(self, call, token, **parts)
        name = parts.pop("project")
        project = next((one for one in self.projects.values() if name in (one.path, str(one.id))), None)
        if project is None:
            return not_found("Project")
        if project.moved_to is not None:
            target = call.target.replace(call.raw_path.split("/projects/")[1].split("/")[0], str(project.id), 1)
            return Reply(301, None, {"Location": f"{self.url}{target}"})
        if call.method != "GET":
            if project.archived:
                return message(403, "403 Forbidden")
            if project.members is not None and token.user not in project.members:
                return message(403, "403 Forbidden")
        return handler(self, call, token, project, **parts)

    def _limit_headers(self) -> Mapping[str, str]:
        reset = int(self.now().timestamp()) // 60 * 60 + 60
        return {
            "RateLimit-Limit": "2000",
            "RateLimit-Name": "throttle_authenticated_api",
            "RateLimit-Observed": str(len(self.calls)),
            "RateLimit-Remaining": str(max(0, 2000 - len(self.calls))),
            "RateLimit-Reset": str(reset),
        }

    def page(self, call: Call, items: list[Any], show: Callable[[Any], Any]) -> Reply:
        """One page of a list. The last page is the one that is not full, or has no next one."""
        query = call.query
        size = min(100, int(query.get("per_page") or 20))
        number = int(query.get("cursor" if self.keyset else "page") or 1)
        pages = max(1, -(-len(items) // size))
        shown = [show(one) for one in items[(number - 1) * size : number * size]]
        base = f"{self.url}{urlsplit(call.target).path}"

        def link(to: int, rel: str) -> str:
            wanted = {**query, "per_page": size, "cursor" if self.keyset else "page": to}
            return f'<{base}?{urlencode(wanted)}>; rel="{rel}"'

        links = [link(number + 1, "next")] if number < pages else []
        if self.keyset:
            return Reply(200, shown, {"Link": ", ".join(links)} if links else {})
        headers = {
            "X-Page": str(number),
            "X-Per-Page": str(size),
            "X-Prev-Page": str(number - 1) if number > 1 else "",
            "X-Next-Page": str(number + 1) if number < pages else "",
            "X-Total": str(len(items)),
            "X-Total-Pages": str(pages),
            "Link": ", ".join([*links, link(1, "first"), link(pages, "last")]),
        }
        return Reply(200, shown, headers)

    # --- merge requests ------------------------------------------------------------------------------------------

    def refresh(self, project: Project) -> None:
        """What GitLab's background jobs do after a push: heads follow their branches, late if told so."""
        now = self.now()
        for mr in project.merge_requests.values():
            ours = mr.open and mr.source_project == project.id
            tip = project.repo.tip(mr.source) if ours else None
            if tip is None:
                continue
            if tip != mr.seen_tip:
                mr.seen_tip, mr.moved = tip, now
            late = mr.versions and now - (mr.moved or now) < timedelta(seconds=self.head_lag)
            if mr.sha != tip and not late:
                mr.sha = tip
                self.call_off(project, mr)
                mr.versions.insert(0, Version(tip, now))
                git(project.repo.path, "update-ref", f"refs/merge-requests/{mr.iid}/head", tip)

    def call_off(self, project: Project, mr: MergeRequest) -> None:
        """No auto-merge any more, and no place on the train."""
        mr.auto_merge = False
        project.train[:] = [iid for iid in project.train if iid != mr.iid]

    def status(self, project: Project, mr: MergeRequest) -> str:
        """``detailed_merge_status``, computed in the background."""
        since = self.now() - (mr.moved or mr.created)
        if mr.open and since < timedelta(seconds=self.checking_seconds):
            return "checking"
        return merging.detailed_status(project, mr)

    def shown(self, project: Project, mr: MergeRequest, *, single: bool = False) -> dict[str, Any]:
        """A merge request as JSON."""
        names = {mr.author, mr.merged_by or mr.author, *mr.assignees, *mr.reviewers}
        people = {name: self.person(name) for name in names}
        told = entities.merge_request(self.web, project, mr, people, self.status(project, mr))
        if single:
            told |= entities.more_of_merge_request(mr, project.repo.tip(mr.target) or mr.sha)
        return told

    def open_merge_request(
        self, project: Project, source: str, target: str, title: str, description: str, author: str, source_project: int
    ) -> MergeRequest:
        """Make one."""
        iid, now = len(project.merge_requests) + 1, self.now()
        self.user_id(author)
        mr = MergeRequest(iid, title.strip(), "", source, target, author, now, source_project, updated=now)
        mr.description = mr.obey(description)
        project.merge_requests[iid] = mr
        if source_project == project.id:
            self.refresh(project)
        else:
            mr.sha = next(
                (one.repo.tip(source) or "" for one in self.projects.values() if one.id == source_project), ""
            )
        return mr

    def listed(self, project: Project, mr: MergeRequest) -> bool:
        """Lists show it already."""
        return self.now() - mr.created >= timedelta(seconds=self.list_lag)

    # --- git -----------------------------------------------------------------------------------------------------

    def git_allowed(self, call: Call) -> bool:
        if not self.git_login:
            return True
        kind, _, value = (call.authorization or "").partition(" ")
        password = base64.b64decode(value).decode().partition(":")[2] if kind == "Basic" else ""
        token = self.tokens.get(password)
        return token is not None and (token.job or bool(token.scopes & {"api", "write_repository"}))

    def after_push(self) -> None:
        for project in self.projects.values():
            options = _take_lines(project.repo.path / "push-options")
            refs = _take_lines(project.repo.path / "pushed-refs")
            for ref in refs:
                self._obey_push_options(project, ref.removeprefix("refs/heads/"), options)
            self.refresh(project)

    def _obey_push_options(self, project: Project, branch: str, options: list[str]) -> None:
        """https://docs.gitlab.com/topics/git/commit/#push-options-for-merge-requests"""
        asked = {name: value for name, _, value in (option.partition("=") for option in options)}
        if not any(name.startswith("merge_request.") for name in asked):
            return
        target = asked.get("merge_request.target", "main")
        ours = [mr for mr in project.merge_requests.values() if mr.open and (mr.source, mr.target) == (branch, target)]
        title, text = asked.get("merge_request.title"), asked.get("merge_request.description")
        if not ours and "merge_request.create" in asked:
            subject = project.repo.info(project.repo.tip(branch) or "")["message"].partition("\n")[0]
            ours = [self.open_merge_request(project, branch, target, title or subject, "", "pusher", project.id)]
        for mr in ours:
            mr.title = title or mr.title
            mr.description = mr.obey(text.replace("\\n", "\n")) if text is not None else mr.description


def _take_lines(file: Path) -> list[str]:
    if not file.exists():
        return []
    lines = file.read_text().splitlines()
    file.unlink()
    return lines
