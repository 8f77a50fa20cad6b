"""Where a GitHub's API is, which forge a repository is on, and which addresses are none."""

from __future__ import annotations

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import RemoteURL
from orchestrator.forges.choice import ForgeKind, forge_kind
from orchestrator.forges.github_address import GitHubAddress


@pytest.mark.parametrize(
    ("url", "api", "host"),
    [
        ("https://github.com/acme/gitops.git", "https://api.github.com", "github.com"),
        ("https://github.com/acme/gitops/", "https://api.github.com", "github.com"),
        ("git@github.com:acme/gitops.git", "https://api.github.com", "github.com"),
        ("ssh://git@ssh.github.com:443/acme/gitops.git", "https://api.github.com", "github.com"),
        ("https://acme.ghe.com/acme/gitops", "https://api.acme.ghe.com", "acme.ghe.com"),
        ("https://git.example.com/acme/gitops", "https://git.example.com/api/v3", "git.example.com"),
        ("https://git.example.com:8443/acme/gitops", "https://git.example.com:8443/api/v3", "git.example.com:8443"),
        ("git@git.example.com:acme/gitops.git", "https://git.example.com/api/v3", "git.example.com"),
        ("ssh://git@git.example.com:2222/acme/gitops", "https://git.example.com/api/v3", "git.example.com"),
    ],
)
def test_the_api_is_found_by_the_repository_s_url(url: str, api: str, host: str) -> None:
    assert GitHubAddress.of(RemoteURL(url)) == GitHubAddress(api, host, "acme", "gitops")


def test_a_base_of_its_own_wins() -> None:
    address = GitHubAddress.of(RemoteURL("https://git.example.com/acme/gitops"), "https://api.example.com/v3/")
    assert address.api == "https://api.example.com/v3"


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme",
        "https://github.com/acme/gitops/tree/main",
        "https://github.com/ac%2Fme/gitops",
        "/srv/git/acme/gitops",
        "https://github.com/acme/..%2Fother",
        "https://github.com/a me/gitops",
        "git@github.com:../gitops",
        "git@github.com:acme/..",
    ],
)
def test_a_url_that_is_no_github_repository_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not the URL of a GitHub repository"):
        GitHubAddress.of(RemoteURL(url))


CI = {"GITHUB_SERVER_URL": "https://code.acme.example", "CI_SERVER_URL": "https://work.acme.example:8443/gitlab"}


@pytest.mark.parametrize(
    ("setting", "url", "kind"),
    [
        ("auto", "https://github.com/acme/gitops", ForgeKind.GITHUB),
        ("auto", "git@github.com:acme/gitops.git", ForgeKind.GITHUB),
        ("auto", "ssh://git@ssh.github.com:443/acme/gitops", ForgeKind.GITHUB),
        ("auto", "https://acme.ghe.com/acme/gitops", ForgeKind.GITHUB),
        ("auto", "https://github.acme.example/acme/gitops", ForgeKind.GITHUB),
        ("auto", "https://gitlab.com/acme/gitops", ForgeKind.GITLAB),
        ("auto", "https://gitlab-ee.acme.example/acme/gitops", ForgeKind.GITLAB),
        ("auto", "https://code.acme.example/acme/gitops", ForgeKind.GITHUB),
        ("auto", "https://work.acme.example/acme/gitops", ForgeKind.GITLAB),
        ("auto", "https://git.acme.example/acme/gitops", None),
        ("auto", "https://notgithub.com/acme/gitops", None),
        ("auto", "https://example.com/github.com/gitops", None),
        ("auto", "/srv/gitops.git", ForgeKind.LOCAL),
        ("github", "https://git.acme.example/acme/gitops", ForgeKind.GITHUB),
        ("gitlab", "https://git.acme.example/acme/gitops", ForgeKind.GITLAB),
        ("../forge.git", "https://github.com/acme/gitops", ForgeKind.LOCAL),
    ],
)
def test_the_forge_is_chosen_by_setting_and_host(setting: str, url: str, kind: ForgeKind | None) -> None:
    assert forge_kind(setting, RemoteURL(url), CI) is kind


def test_a_ci_variable_that_is_no_url_tells_nothing() -> None:
    broken = {"GITHUB_SERVER_URL": "https://[", "CI_SERVER_URL": ""}
    assert forge_kind("auto", RemoteURL("https://git.acme.example/acme/gitops"), broken) is None
