"""PyGithub over our own calls: its objects, its pages and its GraphQL, but not its HTTP, retries or waits.

PyGithub asks again after a failed POST, follows redirects with the token and answers a wrong host with an
AssertionError; so its requester is replaced where everything passes, and the rest of the library is used as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from github.GithubException import BadAttributeException, GithubException
from github.GithubObject import GithubObject
from github.PaginatedList import PaginatedList
from github.PullRequest import PullRequest as ApiPullRequest
from github.Requester import Requester

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.forges.calls import Calls, LoginRefused
from orchestrator.forges.github_address import GitHubAddress
from orchestrator.forges.github_errors import forbidden, general, reasons

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
Thing = TypeVar("Thing", bound=GithubObject)


class _Requester(Requester):
    """Where PyGithub's objects send everything: to our calls."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(
            auth=None,
            base_url=calls.address.base,
            timeout=30,
            user_agent="hybrid-ci",
            per_page=100,
            verify=True,
            retry=None,
            pool_size=None,
        )
        self._calls = calls

    def requestJsonAndCheck(  # PyGithub's name
        self,
        verb: str,
        url: str,
        parameters: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        input: Any | None = None,
        follow_302_redirect: bool = False,
    ) -> tuple[dict[str, Any], Any]:
        """One call; headers in lower case, and the JSON. Raises GithubException for 4xx, and as ``Calls.send``."""
        reads = None
        if url == self.graphql_url and isinstance(input, dict):
            reads = not str(input.get("query", "")).lstrip().startswith("mutation")
        query = {name: _text(value) for name, value in (parameters or {}).items()}
        answer = self._calls.send(verb, url, query, input, reads=reads)
        told = {name.lower(): value for name, value in answer.headers.items()}
        data = answer.json()
        if answer.status >= 400:
            wellformed = isinstance(data, dict) and isinstance(data.get("message", ""), str)
            raise self.createException(answer.status, told, data if wellformed else {})
        if not isinstance(data, (dict, list)) and answer.body:
            raise RemoteError("GitHub's answer has not the form that it should have", where=answer.place)
        return told, data


class GitHubClient:
    """A repository's API: what the parts of the adapter share."""

    def __init__(self, calls: Calls, address: GitHubAddress) -> None:
        self.calls, self.address = calls, address
        self.requester = _Requester(calls)

    @property
    def root(self) -> str:
        """The path of the repository."""
        return f"/repos/{self.address.owner}/{self.address.name}"

    @property
    def where(self) -> str:
        """The repository, for messages."""
        return f"{self.address.full_name} on {self.calls.address.host}"

    @contextmanager
    def operation(self) -> Iterator[None]:
        """One deadline for everything inside, and errors of ours for what PyGithub raises."""
        try:
            with self.calls.operation():
                yield
        except GithubException as error:
            raise general(error, self.where) from None
        except BadAttributeException as error:
            raise _malformed(self.where, str(error)) from None

    def check_access(self) -> None:
        """One request. Raises ConfigurationError when the repository is not there under this name, or archived;
        RemoteError when the token may not write to it."""
        data = self.get("")
        told = str(data.get("full_name", "")) if isinstance(data, dict) else ""
        if told.lower() != self.address.full_name.lower():
            raise ConfigurationError(
                "the repository has another name by now, or this is not GitHub's API",
                where=self.where,
                details=[f"it says: {told}"] if told else [],
                hint="use its new address in gitops.repository",
            )
        if data.get("archived"):
            raise ConfigurationError(
                "the repository is archived, so nothing can be written to it",
                where=self.where,
                hint="unarchive it in its settings, or hand off to another repository",
            )
        permissions = data.get("permissions")
        if isinstance(permissions, dict) and permissions.get("push") is False:
            raise RemoteError(
                "this token may read the repository, but not write to it",
                where=self.where,
                hint="it needs 'Contents: write' and 'Pull requests: write' on this repository",
            )

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The JSON of a GET below the repository. Raises GithubException and as ``Calls.send``."""
        return self.requester.requestJsonAndCheck("GET", self.root + path, dict(parameters or {}))[1]

    def details(self, path: str) -> Mapping[str, Any]:
        """The same, where it has to be an object. Raises RemoteError when it is something else."""
        data = self.get(path)
        if not isinstance(data, dict):
            raise _malformed(self.where, "no object")
        return data

    def write(self, verb: str, path: str, payload: Mapping[str, Any]) -> Any:
        """The JSON that a change below the repository gives. Raises GithubException and as ``Calls.send``."""
        return self.requester.requestJsonAndCheck(verb, self.root + path, input=dict(payload))[1]

    def pages(
        self, kind: type[Thing], path: str, parameters: Mapping[str, Any] | None = None, *, items: str = "items"
    ) -> Iterator[Thing]:
        """Every page of a list, read as it is asked for. ``items`` names the list where an object is around it.

        Raises GithubException and as ``Calls.send``; RemoteError when an answer is no such list.
        """
        with self.well_formed():
            yield from PaginatedList(kind, self.requester, path, dict(parameters or {}), list_item=items)

    def pull(self, number: int) -> ApiPullRequest:
        """One pull request, as it is now. Raises ConfigurationError when there is none."""
        try:
            return self.as_pull(self.get(f"/pulls/{number}"))
        except GithubException as error:
            if error.status != 404:
                raise
            raise ConfigurationError(
                f"there is no pull request #{number}", where=self.where, hint="look at the repository's list"
            ) from None

    def as_pull(self, data: Any) -> ApiPullRequest:
        """An answer as a pull request. Raises RemoteError when it is something else."""
        if not isinstance(data, dict):
            raise _malformed(self.where, "no pull request")
        with self.well_formed():
            return ApiPullRequest(self.requester, {}, data, completed=True)

    def mutate(self, name: str, values: Mapping[str, Any], wanted: str) -> dict[str, Any]:
        """A GraphQL mutation's payload. Raises GithubException when GitHub refuses it, and as ``Calls.send``."""
        with self._graphql():
            payload = self.requester.graphql_named_mutation(name, dict(values), wanted)[1]
        if not isinstance(payload, dict):
            raise _malformed(self.where, f"no payload of {name}")
        return payload

    def query(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data of a GraphQL query. Raises GithubException and as ``Calls.send``."""
        with self._graphql():
            data = self.requester.graphql_query(document, dict(variables))[1].get("data")
        if not isinstance(data, dict):
            raise _malformed(self.where, "no data")
        return data

    @contextmanager
    def well_formed(self) -> Iterator[None]:
        """PyGithub stumbles, each time in another way, over an answer that has not the form that it expects."""
        try:
            yield
        except (TypeError, AttributeError, KeyError, ValueError, AssertionError) as error:
            raise _malformed(self.where, f"{type(error).__name__}: {error}") from None

    @contextmanager
    def _graphql(self) -> Iterator[None]:
        """GraphQL refuses a login in an answer with status 200."""
        try:
            with self.well_formed():
                yield
        except GithubException as error:
            if not forbidden(error):
                raise
            raise LoginRefused(
                "GitHub does not let this token do that",
                status=403,
                where=self.where,
                details=tuple(reasons(error)),
                hint="give the token (or the App's installation) that right on this repository, and nothing more",
            ) from None


def _malformed(where: str, what: str) -> RemoteError:
    return RemoteError(
        "GitHub's answer lacks what it should hold", where=where, details=[what[:300]], hint="run it again later"
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
