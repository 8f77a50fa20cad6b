"""Who is asked, who said what, who belongs to a group.

https://docs.gitlab.com/api/merge_request_approvals/, ``merge_requests/#list-all-reviewers``, ``group_members/``
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from urllib.parse import quote

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import CommitId
from orchestrator.forges import gitlab_shapes as shapes
from orchestrator.forges.base import Review, ReviewState, Routing
from orchestrator.forges.calls import LoginRefused
from orchestrator.forges.gitlab_api import Declined, GitLabApi
from orchestrator.forges.gitlab_requests import MergeRequests
from orchestrator.forges.gitlab_shapes import Json

_LARGEST_TEAM = 20  # a group of more people is not asked one by one


class People:
    """Reviewers, assignees, labels and groups."""

    def __init__(self, api: GitLabApi, requests: MergeRequests) -> None:
        self._api, self._requests = api, requests

    # --- sending to people ---------------------------------------------------------------------------------------

    def route(self, number: int, routing: Routing) -> Sequence[str]:
        """Add what is missing; gives the wishes that were not granted."""
        there = self._requests.data(number)
        complaints: list[str] = []
        reviewers = [*routing.reviewers, *self._of_teams(routing.teams, there, complaints)]
        self._label(number, there, routing.labels, complaints)
        self._add(number, there, "reviewers", reviewers, complaints)
        self._add(number, there, "assignees", routing.assignees, complaints)
        return complaints

    def _label(self, number: int, there: Json, wanted: Sequence[str], complaints: list[str]) -> None:
        """GitLab makes a label that the project has not."""
        complaints += [f"GitLab takes no comma in a label: {name!r}" for name in wanted if "," in name]
        missing = [name for name in dict.fromkeys(wanted) if name not in shapes.labels(there) and "," not in name]
        if not missing:
            return
        answer = self._change(number, {"add_labels": ",".join(missing)}, "the labels", complaints)
        if answer is not None:
            lost = [name for name in missing if name not in shapes.labels(answer)]
            complaints += [f"GitLab did not set the label {name!r}" for name in lost]

    def _add(self, number: int, there: Json, what: str, wanted: Iterable[str], complaints: list[str]) -> None:
        have = {shapes.text(one, "username").lower(): shapes.number(one, "id") for one in shapes.children(there, what)}
        missing: dict[str, int] = {}
        for name in dict.fromkeys(name.removeprefix("@") for name in wanted):
            if name.lower() in have:
                continue
            identity = self._user_id(name)
            if identity is None:
                complaints.append(f"GitLab has no user {name!r} that this token can see")
            else:
                missing[name] = identity
        if not missing:
            return
        ids = [*have.values(), *missing.values()]
        answer = self._change(number, {f"{what[:-1]}_ids": ids}, f"the {what}", complaints)
        if answer is None:
            return
        now = {shapes.number(one, "id") for one in shapes.children(answer, what)}
        left_out = [name for name, identity in missing.items() if identity not in now]
        if left_out:
            complaints.append(
                f"GitLab did not take {', '.join(left_out)} among the {what}: not a member, "
                f"or its free tier, which takes one only"
            )

    def _change(self, number: int, fields: Json, what: str, complaints: list[str]) -> Json | None:
        try:
            return self._requests.write(number, fields)
        except Declined as declined:
            complaints.append(f"GitLab did not set {what}: {declined.reason or declined.status}")
        except LoginRefused as refused:
            if refused.status != 403:
                raise
            complaints.append(f"this token may not set {what}")
        return None

    def _of_teams(self, teams: Sequence[str], there: Json, complaints: list[str]) -> list[str]:
        """GitLab asks people, not groups: the members, but for the author."""
        author = shapes.text(shapes.child(there, "author"), "username")
        names: list[str] = []
        for team in teams:
            try:
                members = self.members(team)
            except (ConfigurationError, LoginRefused) as error:
                complaints.append(f"the group {team!r} was not asked: {error.message}")
                continue
            if len(members) > _LARGEST_TEAM:
                complaints.append(f"the group {team!r} has {len(members)} members; at most {_LARGEST_TEAM} are asked")
            else:
                names += sorted(members - {author})
        return names

    def _user_id(self, name: str) -> int | None:
        found = self._api.pages("/users", {"username": name})
        return next(
            (shapes.number(one, "id") for one in found if shapes.text(one, "username").lower() == name.lower()), None
        )

    # --- what they said ------------------------------------------------------------------------------------------

    def members(self, team: str) -> frozenset[str]:
        """The active members of a group, inherited ones included."""
        try:
            found = self._api.pages(f"/groups/{quote(team.removeprefix('@'), safe='')}/members/all")
        except Declined as declined:
            if declined.status != 404:
                raise
            raise ConfigurationError(
                f"GitLab has no group {team!r} that this token can see",
                where=self._api.address.base,
                hint="write its full path, such as acme/platform; a project token sees its own project's groups only",
            ) from None
        return frozenset(shapes.text(one, "username") for one in found if one.get("state") == "active")

    def reviews(self, number: int) -> Sequence[Review]:
        """Approvals, and wishes for changes, which outweigh them. By author."""
        path = f"{self._requests.path}/{number}"
        try:
            approved = shapes.children(self._api.get(f"{path}/approvals"), "approved_by")
        except Declined as declined:
            raise self._requests.missing(declined, number) from None
        heads = self._heads(path) if any(shapes.moment(one, "approved_at") for one in approved) else []
        found = {
            author: Review(author, ReviewState.APPROVED, _seen(shapes.moment(one, "approved_at"), heads))
            for one in approved
            if (author := shapes.text(shapes.child(one, "user"), "username"))
        }
        for author in self._against(path):
            found[author] = Review(author, ReviewState.CHANGES_REQUESTED)
        return [found[author] for author in sorted(found)]

    def _against(self, path: str) -> list[str]:
        """Who asked for changes; nobody on a GitLab that has no such thing yet."""
        try:
            reviewers = self._api.pages(f"{path}/reviewers")
        except Declined as declined:
            if declined.status != 404:
                raise
            return []
        return [
            shapes.text(shapes.child(one, "user"), "username")
            for one in reviewers
            if one.get("state") == "requested_changes"
        ]

    def _heads(self, path: str) -> list[tuple[datetime, CommitId]]:
        """Every head that the merge request had and since when, newest first."""
        versions = self._api.pages(f"{path}/versions")
        told = [(shapes.moment(one, "created_at"), shapes.commit(one, "head_commit_sha")) for one in versions]
        return sorted(((when, head) for when, head in told if when is not None), key=lambda one: one[0], reverse=True)


def _seen(when: datetime | None, heads: Sequence[tuple[datetime, CommitId]]) -> CommitId | None:
    """The head that somebody saw at this moment; None when GitLab does not tell."""
    return next((head for since, head in heads if since <= when), None) if when is not None else None
