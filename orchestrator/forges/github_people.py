"""Whom a GitHub pull request goes to, and what they said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from github.GithubException import GithubException
from github.NamedUser import NamedUser
from github.PullRequestReview import PullRequestReview

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import CommitId
from orchestrator.forges.base import Review, ReviewState, Routing
from orchestrator.forges.calls import LoginRefused
from orchestrator.forges.github_client import GitHubClient
from orchestrator.forges.github_errors import reasons

_VERDICTS = {"APPROVED": ReviewState.APPROVED, "CHANGES_REQUESTED": ReviewState.CHANGES_REQUESTED, "DISMISSED": None}


class GitHubPeople:
    """Reviewers, teams, assignees, labels. Methods raise as RoutesPullRequests and Reviewing say."""

    def __init__(self, client: GitHubClient) -> None:
        self._client = client

    def route(self, number: int, routing: Routing) -> Sequence[str]:
        """Add what is missing. Adding what is there already changes nothing at GitHub, so a doubtful call is
        simply made again. Labels that do not exist are made by GitHub itself."""
        pull = self._client.pull(number)
        labels = _without(routing.labels, (label.name for label in pull.labels or ()))
        assignees = _without(routing.assignees, (user.login for user in pull.assignees or ()))
        author = pull.user.login if pull.user else ""
        asked = [user.login for user in pull.requested_reviewers or ()]
        reviewers = _without(routing.reviewers, [*asked, author, *(one.author for one in self.reviews(number))])
        teams = _without(map(_slug, routing.teams), (team.slug for team in pull.requested_teams or ()))
        refused: list[str] = []
        if labels:
            refused += self._try(f"/issues/{number}/labels", {"labels": labels}, f"label it {', '.join(labels)}")
        if assignees:
            refused += self._assign(number, assignees)
        if reviewers or teams:
            refused += self._request(number, reviewers, teams)
        return refused

    def reviews(self, number: int) -> Sequence[Review]:
        """The standing verdicts. A verdict that was dismissed takes the person's earlier ones with it."""
        last: dict[str, Review | None] = {}
        path = f"{self._client.root}/pulls/{number}/reviews"
        for review in self._client.pages(PullRequestReview, path):
            if review.state in _VERDICTS and review.user is not None:
                state = _VERDICTS[review.state]
                commit = CommitId(review.commit_id) if review.commit_id else None
                last[review.user.login] = Review(review.user.login, state, commit) if state else None
        return [review for review in last.values() if review is not None]

    def members(self, team: str) -> frozenset[str]:
        """The people of ``organisation/team``; a team without one is of the repository's owner."""
        organisation, _, slug = team.rpartition("/")
        path = (
            f"/orgs/{quote(organisation or self._client.address.owner, safe='')}/teams/{quote(slug, safe='')}/members"
        )
        try:
            return frozenset(user.login for user in self._client.pages(NamedUser, path))
        except GithubException as error:
            if error.status != 404:
                raise
            raise ConfigurationError(
                f"GitHub shows no team {team!r} to this token",
                where=self._client.where,
                hint="check its name (organisation/team); reading a team takes the right 'Members: read'",
            ) from None

    def _request(self, number: int, reviewers: list[str], teams: list[str]) -> list[str]:
        """GitHub takes all or none, so a refusal is narrowed down to those whom it does not take."""
        path = f"/pulls/{number}/requested_reviewers"
        payload = {"reviewers": reviewers, "team_reviewers": teams}
        wish = f"ask {', '.join([*reviewers, *teams])} for a review"
        refused = self._try(path, {key: names for key, names in payload.items() if names}, wish)
        if not refused or len(reviewers) + len(teams) == 1:
            return refused
        singles = [("reviewers", name) for name in reviewers] + [("team_reviewers", name) for name in teams]
        return [
            sentence for key, name in singles for sentence in self._try(path, {key: [name]}, f"ask {name} for a review")
        ]

    def _assign(self, number: int, assignees: list[str]) -> list[str]:
        """GitHub passes over whom it can't assign, without a word, so its answer is compared."""
        path = f"/issues/{number}/assignees"
        try:
            told = self._write(path, {"assignees": assignees})
        except (GithubException, LoginRefused) as error:
            return [_sentence(f"assign {', '.join(assignees)}", error)]
        listed = told.get("assignees", []) if isinstance(told, dict) else []
        there = [str(one.get("login")) for one in listed if isinstance(one, dict)]
        return [f"GitHub does not assign {name}: not a collaborator" for name in _without(assignees, there)]

    def _try(self, path: str, payload: dict[str, list[str]], wish: str) -> list[str]:
        try:
            self._write(path, payload)
        except (GithubException, LoginRefused) as error:
            return [_sentence(wish, error)]
        return []

    def _write(self, path: str, payload: dict[str, list[str]]) -> object:
        """These calls add to a set, so one whose answer got lost is made again, without a look."""
        return self._client.calls.settle(lambda: self._client.write("POST", path, payload), lambda: None)


def _sentence(wish: str, error: GithubException | LoginRefused) -> str:
    if isinstance(error, LoginRefused):
        return f"GitHub does not let this token {wish}: {error.message}"
    return f"GitHub does not {wish}: {'; '.join(reasons(error)) or error.status}"


def _without(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    """What is wanted and not there, each once; GitHub's names have no case."""
    known = {name.lower() for name in there}
    return [name for name in dict.fromkeys(wanted) if name.lower() not in known]


def _slug(team: str) -> str:
    return team.rpartition("/")[2]
