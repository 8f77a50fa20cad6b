"""The part of a pull request that is an issue at GitHub: comments, labels, people. And the people of teams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.servers.forge_http import Call, Reply
from tests.servers.github import shapes
from tests.servers.github.answers import refuse
from tests.servers.github.pulls import one, view
from tests.servers.github.referee import skeleton
from tests.servers.github.world import Account, Hosted

if TYPE_CHECKING:
    from tests.servers.github.server import GitHubServer


def comments(server: GitHubServer, account: Account, call: Call, hosted: Hosted, number: str) -> Reply:
    """Oldest first."""
    return server.page(call, [shapes.comment(found, server.api) for found in one(hosted, number).comments])


def comment(server: GitHubServer, account: Account, call: Call, hosted: Hosted, number: str) -> Reply:
    """Every call makes one more."""
    server.last_id += 1
    found = {"id": server.last_id, "body": call.json["body"], "login": account.login, "created": server.now()}
    one(hosted, number).comments.append(found)
    return Reply(201, shapes.comment(found, server.api))


def label(server: GitHubServer, account: Account, call: Call, hosted: Hosted, number: str) -> Reply:
    """Labels that do not exist are made."""
    pull = one(hosted, number)
    for name in call.json["labels"]:
        hosted.labels.add(name)
        if name not in pull.labels:
            pull.labels.append(name)
    return Reply(200, [shapes.label(name, server.api) for name in pull.labels])


def assign(server: GitHubServer, account: Account, call: Call, hosted: Hosted, number: str) -> Reply:
    """Whoever can't be assigned is passed over without a word."""
    pull = one(hosted, number)
    for name in call.json["assignees"]:
        if name in hosted.collaborators and name not in pull.assignees:
            pull.assignees.append(name)
    made = skeleton("issue", server.api)
    made |= {"number": pull.number, "title": pull.title, "state": pull.state, "user": shapes.user(pull.author, "x")}
    return Reply(201, made | {"assignees": [shapes.user(name, server.api) for name in pull.assignees]})


def request_review(server: GitHubServer, account: Account, call: Call, hosted: Hosted, number: str) -> Reply:
    """All or none."""
    pull, asked = one(hosted, number), call.json
    people, teams = asked.get("reviewers", []), asked.get("team_reviewers", [])
    if pull.author in people:
        raise refuse(422, "Review cannot be requested from pull request author.")
    known = {team.partition("/")[2] for team in server.teams}
    if set(people) - hosted.collaborators or set(teams) - known:
        raise refuse(
            422,
            "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not "
            f"a collaborator of the {hosted.full_name} repository.",
        )
    pull.reviewers += [name for name in people if name not in pull.reviewers]
    pull.teams += [name for name in teams if name not in pull.teams]
    return Reply(201, view(server, hosted, pull, simple=True))


def members(server: GitHubServer, account: Account, call: Call, org: str, slug: str) -> Reply:
    """The people of a team."""
    team = server.teams.get(f"{org}/{slug}")
    if team is None:
        raise refuse(404, "Not Found")
    return server.page(call, [shapes.user(login, server.api) | {"role": "member"} for login in sorted(team)])
