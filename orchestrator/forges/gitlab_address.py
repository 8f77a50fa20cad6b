"""Where a project is: GitLab's base URL and the project's path, from the URL that git uses."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import RemoteURL


@dataclass(frozen=True, slots=True)
class GitLabAddress:
    """``base`` is GitLab's own URL without a slash at its end, with the relative root if it has one."""

    base: str
    project: str

    @property
    def host(self) -> str:
        """The host without the port, in lower case."""
        return (urlsplit(self.base).hostname or "").lower()

    def is_at(self, url: str) -> bool:
        """``url`` (CI_SERVER_URL of a job) is this very GitLab: what belongs to the one may be shown to the other."""
        return self.base.lower() == url.rstrip("/").lower()

    def project_of(self, repository: str) -> str | None:
        """The path of another project of the same GitLab; None when the URL is none of it, or none at all.

        Over ssh the host decides, for its port is not the one of the web.
        """
        try:
            url = RemoteURL(repository)
        except ConfigurationError:
            return None
        if url.scheme not in ("https", "http"):
            return _project(url.path) if url.scheme == "ssh" and url.host == self.host else None
        root = f"{urlsplit(self.base).path}/"
        same = _origin(repository) == _origin(self.base) and url.path.startswith(root)
        return _project(url.path.removeprefix(root)) if same else None


def locate(repository: RemoteURL, base: str | None = None) -> GitLabAddress:
    """The address of the repository's project.

    ``base`` is needed for a GitLab below a path (``https://example.com/gitlab``) and for one whose web server is not
    at the host and port that git is given. Raises ConfigurationError when the repository is not below it.
    """
    if base is None:
        if repository.scheme not in ("https", "http", "ssh"):
            raise ConfigurationError("a project on GitLab has a URL with a host", where=repository.value)
        web = (
            _origin(repository.value) if repository.scheme in ("https", "http") else f"https://{_bracketed(repository)}"
        )
        base = web
    base = RemoteURL(f"{base.rstrip('/')}/x").value.removesuffix("/x")  # its rules: https, no credential
    project = GitLabAddress(base, "").project_of(repository.value)
    if project is None or "/" not in project:
        raise ConfigurationError(
            "the repository is not a project of this GitLab",
            where=f"{repository.value}, GitLab at {base}",
            hint="a project is at <GitLab>/<group>/<name>; correct the repository's URL or GitLab's",
        )
    return GitLabAddress(base, project)


def _project(path: str) -> str | None:
    return unquote(path).strip("/").removesuffix(".git") or None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _bracketed(url: RemoteURL) -> str:
    host = url.host or ""
    return f"[{host}]" if ":" in host else host
