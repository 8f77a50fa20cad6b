"""Where a GitHub is: its API's base, and owner and name of the repository, out of the repository's URL.

github.com has its API on a host of its own, as has a tenant of ``ghe.com``; GitHub Enterprise Server has it below
``/api/v3`` (https://docs.github.com/en/enterprise-server@latest/rest/quickstart).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import RemoteURL

_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]+")  # no step up in a path
_PARTS = re.compile(r"/?(?P<owner>[^/]+)/(?P<name>[^/]+?)(?:\.git)?/?")


@dataclass(frozen=True, slots=True)
class GitHubAddress:
    """A repository on a GitHub, and where that one's API is."""

    api: str
    host: str  # of the repository's URL, with a port where https has one of its own
    owner: str
    name: str

    @property
    def full_name(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"

    @classmethod
    def of(cls, url: RemoteURL, api: str | None = None) -> GitHubAddress:
        """The address of a repository; ``api`` is the API's base where it can't be told by the host.

        Raises ConfigurationError when the URL is not one of a GitHub repository.
        """
        match = _PARTS.fullmatch(url.path)
        if url.host is None or match is None or not all(map(_NAME.fullmatch, match.groups())):
            raise ConfigurationError(
                "this is not the URL of a GitHub repository",
                where=url.value,
                hint="such as https://github.com/acme/gitops, or git@github.com:acme/gitops.git",
            )
        return cls((api or default_api(url)).rstrip("/"), _host(url), match["owner"], match["name"])


def default_api(url: RemoteURL) -> str:
    """The base of the API that belongs to a repository's host. For ssh, the API is taken to be at https on its host."""
    host = url.host or ""
    if host in ("github.com", "ssh.github.com") or host.endswith(".ghe.com"):
        return f"https://api.{host.removeprefix('ssh.')}"
    if url.scheme in ("https", "http"):
        parts = urlsplit(url.value)
        return f"{parts.scheme}://{parts.netloc}/api/v3"
    return f"https://{host}/api/v3"


def _host(url: RemoteURL) -> str:
    if url.scheme not in ("https", "http"):
        return (url.host or "").removeprefix("ssh.")
    return urlsplit(url.value).netloc.lower()
