"""From where a GitOps repository is looked at: a checkout's configuration, or its address and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName, CommitId
from orchestrator.core.order import Ancestry
from orchestrator.git.failures import RemoteFailure
from orchestrator.wiring import open_standpoint
from tests.servers.git_http import serving
from tests.servers.git_repositories import commit_files, git, make_bare

CONFIG = """\
version: 1
application: shop
gitops: {repository: ./gitops.git, environment: dev}
images: {api: {repository: ghcr.io/acme/shop/api}}
"""


@dataclass(frozen=True)
class _Options:
    config: Path
    log_format: str = "text"
    quiet: bool = True
    verbose: bool = False
    git_cache: Path | None = None


@pytest.fixture
def options(tmp_path: Path) -> _Options:
    make_bare(tmp_path / "gitops.git")
    (tmp_path / "hybrid-ci.yaml").write_text(CONFIG)
    return _Options(tmp_path / "hybrid-ci.yaml")


def test_a_configuration_tells_the_application_its_images_and_the_base(options: _Options) -> None:
    with open_standpoint(options) as (ports, at):
        assert (at.application, at.base) == ("shop", BranchName("main"))
        assert at.images == {"api": Repository("ghcr.io", "acme/shop/api")}
        assert ports.repository.url.endswith("/gitops.git")


def test_an_address_is_enough_and_no_configuration_is_read(options: _Options, tmp_path: Path) -> None:
    options.config.write_text("this: is: no configuration")
    with open_standpoint(options, str(tmp_path / "gitops.git")) as (ports, at):
        assert (at.application, at.base, at.images, at.sources) == (None, None, {}, None)
        assert ports.forge is not None
        assert ports.forge.name == "local"


def test_an_address_that_is_none_is_said(options: _Options) -> None:
    with pytest.raises(ConfigurationError), open_standpoint(options, "https://user:secret@example.com/x"):
        pass


def commits(bare: Path, count: int = 3) -> list[CommitId]:
    return [CommitId(commit_files(bare, {"a": b"%d" % number})) for number in range(count)]


def test_the_checkout_tells_the_order_and_then_its_remote_does(options: _Options, tmp_path: Path) -> None:
    source = make_bare(tmp_path / "served" / "source.git")
    git(source, "config", "uploadpack.allowAnySHA1InWant", "true")
    first, second, _ = commits(source)
    app = tmp_path / "app"
    git(tmp_path, "clone", "--quiet", str(source), str(app))
    (app / "hybrid-ci.yaml").write_text(CONFIG.replace("./gitops", "../gitops"))
    with open_standpoint(_Options(app / "hybrid-ci.yaml")) as (_, at):
        assert at.sources == str(source)
        assert at.ancestry(first, second) is Ancestry.DESCENDANT
        later = commits(source, 1)[0]  # the checkout does not have it
        assert at.ancestry(second, later) is Ancestry.DESCENDANT


def test_without_any_history_the_order_is_unknown(options: _Options, tmp_path: Path) -> None:
    with open_standpoint(options, str(tmp_path / "gitops.git")) as (_, at):
        assert at.ancestry(CommitId("a" * 40), CommitId("b" * 40)) is Ancestry.UNKNOWN


def test_the_login_for_the_gitops_repository_goes_to_no_other_host(
    options: _Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_bare(tmp_path / "served" / "source.git")
    first, second, _ = commits(source)
    monkeypatch.setenv("HYBRID_CI_GIT_TOKEN", "canary-of-the-gitops-repository")
    with serving(tmp_path / "served", login=("x-access-token", "canary-of-the-gitops-repository")) as server:
        with (
            open_standpoint(options, "https://git.example/acme/gitops", sources=server.url("source.git")) as (_, at),
            pytest.raises(RemoteFailure),
        ):
            at.ancestry(first, second)
        assert server.requests
        assert all(request.authorization is None for request in server.requests)
        with open_standpoint(options, server.url("gitops.git"), sources=server.url("source.git")) as (_, at):
            assert at.ancestry(first, second) is Ancestry.DESCENDANT
