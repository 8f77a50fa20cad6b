"""The adapter, talking to the fake."""

from __future__ import annotations

from orchestrator.core.names import RemoteURL
from orchestrator.core.secret import Secret
from orchestrator.forges.calls import Login
from orchestrator.forges.exchange import Limits
from orchestrator.forges.github import GitHubForge, GitHubSettings
from orchestrator.forges.github_address import GitHubAddress
from orchestrator.forges.github_login import BearerToken
from tests.servers.github.server import TOKEN, GitHubServer

QUICK = Limits(connect=2.0, read=5.0, whole=5.0)


def address_of(server: GitHubServer, repository: str = "acme/gitops") -> GitHubAddress:
    """A repository at the fake, as an Enterprise server has it."""
    return GitHubAddress.of(RemoteURL(server.repository_url(repository)))


def settings_of(server: GitHubServer, *, limits: Limits = QUICK, seconds: float = 600.0) -> GitHubSettings:
    """On the server's clock, whatever it is."""
    return GitHubSettings(clock=server.clock, limits=limits, seconds=seconds)


def github_forge(
    server: GitHubServer,
    repository: str = "acme/gitops",
    *,
    token: str = TOKEN,
    login: Login | None = None,
    limits: Limits = QUICK,
    seconds: float = 600.0,
) -> GitHubForge:
    """The adapter for one repository."""
    login = login or BearerToken(Secret(token, "$TEST"))
    return GitHubForge(address_of(server, repository), login, settings_of(server, limits=limits, seconds=seconds))
