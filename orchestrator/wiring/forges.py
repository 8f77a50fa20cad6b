"""Which forge, by which login."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.ci.redact import read_secret, redactor
from orchestrator.config.fields import remote_url
from orchestrator.core.names import RemoteURL
from orchestrator.engine.clock import Clock
from orchestrator.forges.base import Forge
from orchestrator.forges.choice import ForgeKind, forge_kind
from orchestrator.git.credentials import GitCredentials
from orchestrator.git.identity import Identity
from orchestrator.wiring.environment import ca_bundle_of, forge_token, git_credentials


@dataclass(frozen=True, slots=True)
class Remote:
    """The GitOps repository, and how patient we are with its forge."""

    url: RemoteURL
    clock: Clock
    patience: float


def forge_for(
    setting: str, remote: Remote, directory: Path, identity: Identity, stack: ExitStack
) -> tuple[Forge | None, GitCredentials]:
    """The forge that the configuration names, or that the repository's host tells; None when neither does, since an
    environment that is committed to needs none. With it, git's login: a GitHub App gives git its tokens too."""
    environment = os.environ
    match forge_kind(setting, remote.url, environment):
        case ForgeKind.LOCAL:
            from orchestrator.forges.local import LocalForge

            path = remote.url if setting == "auto" else remote_url(setting, directory)
            return LocalForge(path.local_path, actor=identity.name), git_credentials(environment)
        case ForgeKind.GITHUB:
            return _github(remote, environment, stack)
        case ForgeKind.GITLAB:
            return _gitlab(remote, environment, stack)
    return None, git_credentials(environment)


def _github(remote: Remote, environment: Mapping[str, str], stack: ExitStack) -> tuple[Forge, GitCredentials]:
    from orchestrator.forges.github import GitHubForge, GitHubSettings, app_login
    from orchestrator.forges.github_address import GitHubAddress
    from orchestrator.forges.github_login import BearerToken

    address = GitHubAddress.of(remote.url, environment.get("HYBRID_CI_FORGE_URL") or None)
    settings = GitHubSettings(remote.clock, ca_bundle=ca_bundle_of(environment), patience=remote.patience)
    credentials = git_credentials(environment)
    app, key = environment.get("HYBRID_CI_GITHUB_APP_ID"), read_secret("HYBRID_CI_GITHUB_APP_KEY", environment)
    installed = app_login(app, key, address, settings, redactor.add) if app and key else None
    if installed is not None:
        stack.callback(installed.close)
        if credentials.token is None:
            credentials = replace(credentials, token=installed.token)
    forge = GitHubForge(address, installed or BearerToken(forge_token(environment)), settings)
    stack.callback(forge.close_connections)
    return forge, credentials


def _gitlab(remote: Remote, environment: Mapping[str, str], stack: ExitStack) -> tuple[Forge | None, GitCredentials]:
    """By a token of its own, else by the CI job's, which may push and no more. None without either: preflight says so
    where a forge is needed."""
    from orchestrator.forges.gitlab import GitLabForge, GitLabSettings
    from orchestrator.forges.gitlab_address import locate
    from orchestrator.forges.gitlab_api import TokenKind, TokenLogin
    from orchestrator.forges.gitlab_push import GitLabByPush
    from orchestrator.gitops.repository import GitRepository

    address = locate(remote.url, environment.get("HYBRID_CI_FORGE_URL") or None)
    token, credentials = forge_token(environment), git_credentials(environment)
    job = read_secret("CI_JOB_TOKEN", environment) if address.is_at(environment.get("CI_SERVER_URL", "")) else None
    login = TokenLogin(token) if token is not None and token != job else TokenLogin(job, TokenKind.JOB) if job else None
    if login is None:
        return None, credentials
    settings = GitLabSettings(remote.clock, ca_bundle=ca_bundle_of(environment), patience=remote.patience)
    forge = GitLabForge(address, login, settings)
    stack.callback(forge.close_connections)
    if login.kind is TokenKind.ACCESS:
        return forge, credentials
    credentials = replace(credentials, token=job, username="gitlab-ci-token")
    refs = GitRepository(remote.url, credentials=credentials, clock=remote.clock, patience=remote.patience)
    stack.callback(refs.close)
    return GitLabByPush(address, refs.matching, forge, remote.clock), credentials
