"""Which kind of forge a repository is on: by the setting, else by its host. A choice, no adapter."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from orchestrator.core.names import RemoteURL

# What CI systems tell about the forge that they belong to.
_OWN_SERVER = (("GITHUB_SERVER_URL", "github"), ("CI_SERVER_URL", "gitlab"))


class ForgeKind(StrEnum):
    """The forges that there are adapters for."""

    LOCAL = "local"
    GITHUB = "github"
    GITLAB = "gitlab"


def forge_kind(setting: str, url: RemoteURL, environment: Mapping[str, str]) -> ForgeKind | None:
    """The kind that ``gitops.forge`` names, or that ``auto`` finds; None when nothing tells.

    ``auto``: a path is a local forge; github.com, ghe.com and gitlab.com are known; the CI's own server is of the
    CI's kind; and a host whose name begins with ``github`` or ``gitlab`` is taken at its word. ``url`` decides where
    the token goes in any case, never this guess.
    """
    if setting in (ForgeKind.GITHUB, ForgeKind.GITLAB):
        return ForgeKind(setting)
    if setting != "auto" or url.scheme == "file":
        return ForgeKind.LOCAL
    host = (url.host or "").removeprefix("ssh.")
    for variable, kind in _OWN_SERVER:
        if host and _host(environment.get(variable, "")) == host:
            return ForgeKind(kind)
    for kind in (ForgeKind.GITHUB, ForgeKind.GITLAB):
        if host == f"{kind}.com" or host.startswith((f"{kind}.", f"{kind}-")):
            return kind
    return ForgeKind.GITHUB if host.endswith(".ghe.com") else None


def _host(text: str) -> str:
    try:
        return (urlsplit(text).hostname or "").lower()
    except ValueError:
        return ""
