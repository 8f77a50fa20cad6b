"""The command against a GitHub and a GitLab over HTTP, with engine and registry: it works, and no token leaks.

Git and the API have logins of their own, each a canary; the forge's configuration is what its manual says.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.environment import POLICY_PATH
from orchestrator.engine.clock import SystemClock
from tests.e2e.shop import CONFIG, DEPLOYMENT, KUSTOMIZATION, POLICY, Done, Shop, git
from tests.e2e.test_secrets import sampling_command_lines, spellings
from tests.servers import TlsRegistry
from tests.servers.forge_http import ForgeServer, SecondHost, serving
from tests.servers.git_repositories import commit_files
from tests.servers.github import pulls
from tests.servers.github.server import BOT, GitHubServer
from tests.servers.github.world import Account
from tests.servers.gitlab import FakeGitLab, Token, merging

pytestmark = [pytest.mark.engine, pytest.mark.slow]

PROMOTE = (
    "promote", "--from", "dev", "--to", "staging", "--image", "api", "--image", "worker",
    "--allow-unknown-order", "first",
)  # fmt: skip


@dataclass
class Hosted:
    """A fake forge with the GitOps repository. ``texts`` is everything that it keeps in words; ``merge`` a person."""

    kind: str
    server: ForgeServer
    bare: Path
    tokens: tuple[str, str]  # of git, and of the API
    texts: Callable[[], list[str]]
    merge: Callable[[int], None]


@dataclass
class ForgeShop(Shop):
    """The shop with its GitOps repository on a forge; ``said`` is all that commands have printed."""

    hosted: Hosted = field(kw_only=True)
    said: list[str] = field(default_factory=list)

    @property
    def gitops(self) -> Path:
        return self.hosted.bare

    def _make_gitops(self) -> None:
        files = {POLICY_PATH: POLICY}
        for environment in ("dev", "staging"):
            files[f"apps/shop/overlays/{environment}/kustomization.yaml"] = KUSTOMIZATION
            files[f"apps/shop/overlays/{environment}/worker.yaml"] = DEPLOYMENT
        commit_files(self.gitops, {path: self._filled(text).encode() for path, text in files.items()})

    def _make_app(self, config: str = CONFIG) -> None:
        super()._make_app(config.replace("forge: FORGE", f"forge: {self.hosted.kind}"))

    def done(self, *arguments: str) -> dict[str, Any]:
        """A command that must end well; its record."""
        done = self.hybrid_ci("--verbose", *arguments, "--output", "json", "--record", str(self.root / "record.json"))
        assert done.returncode == 0, done.stderr
        self.said.append(done.stdout + done.stderr)
        record: dict[str, Any] = json.loads(done.stdout)
        return record

    def run_in_dev(self, digest: str) -> None:
        """Somebody has pinned digests in dev."""
        folder = "apps/shop/overlays/dev"
        kustomization = KUSTOMIZATION + f"  digest: {digest}\n"
        worker = DEPLOYMENT.replace("worker:0", f"worker:0@{digest}")
        files = {f"{folder}/kustomization.yaml": kustomization, f"{folder}/worker.yaml": worker}
        commit_files(self.gitops, {path: self._filled(text).encode() for path, text in files.items()})

    def failed(self, code: int, *arguments: str, **environment: str) -> Done:
        """A command that must end so."""
        done = self.hybrid_ci("--verbose", *arguments, environment=environment)
        assert done.returncode == code, done.stderr
        self.said.append(done.stdout + done.stderr)
        return done

    def assert_clean(self, command_lines: set[bytes]) -> None:
        """Neither token is in anything that was said, kept, left or run."""
        objects = subprocess.run(
            ["git", "-C", str(self.gitops), "log", "--all", "--format=%H%n%an%n%ae%n%cn%n%ce%n%B", "-p"],
            capture_output=True,
            check=True,
        ).stdout
        there = [file for file in self.root.rglob("*") if file.is_file() and not file.is_symlink()]
        files = {str(file): file.read_bytes() for file in there}
        told = [text.encode() for text in (*self.said, *self.hosted.texts())]
        for secret in (*self.hosted.tokens, self.environment["HYBRID_CI_REGISTRY_PASSWORD"]):
            for form in spellings(secret):
                for where, content in (("said", b"\n".join(told)), ("git", objects), *files.items()):
                    assert form not in content, where
                assert not any(form in line for line in command_lines)


def _canary(prefix: str) -> str:
    return prefix + secrets.token_hex(18)


@contextmanager
def github(folder: Path) -> Iterator[Hosted]:
    with serving(GitHubServer(folder, clock=SystemClock())) as server:
        hosted, tokens = server.host(), (_canary("ghp_"), _canary("ghp_"))
        server.git_login = True
        server.accounts = {token: Account(BOT) for token in tokens}

        def texts() -> list[str]:
            return [f"{one.title}\n{one.body}\n{one.comments}\n{one.auto_merge}" for one in hosted.pulls]

        def merge(number: int) -> None:
            pull = hosted.pull(number)
            assert pull is not None
            pulls.perform(server, hosted, pull, "merge", None, None, "ada")

        yield Hosted("github", server, hosted.repo.path, tokens, texts, merge)
        assert server.violations == []


@contextmanager
def gitlab(folder: Path) -> Iterator[Hosted]:
    with serving(FakeGitLab(folder, clock=SystemClock())) as server:
        project, tokens = server.add_project(), (_canary("glpat-"), _canary("glpat-"))
        server.git_login = True
        server.add_token(tokens[0], Token("bot", frozenset({"write_repository"})))
        server.add_token(tokens[1], Token("bot", frozenset({"api"})))

        def texts() -> list[str]:
            return [f"{one.title}\n{one.description}\n{one.notes}" for one in project.merge_requests.values()]

        def merge(number: int) -> None:
            merging.merge(project, project.merge_requests[number], "ada", None, server.now(), server.web)

        yield Hosted("gitlab", server, project.repo.path, tokens, texts, merge)


@pytest.fixture(params=[github, gitlab], ids=["github", "gitlab"])
def shop(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    engine_host: str,
    tls_registry: TlsRegistry,
    base_image: str,
) -> Iterator[ForgeShop]:
    with request.param(tmp_path_factory.mktemp("forge")) as hosted:
        made = ForgeShop(
            tmp_path,
            f"{tls_registry.host}/{secrets.token_hex(4)}",
            base_image,
            f"{hosted.server.url}/acme/gitops.git",
            {
                "DOCKER_HOST": engine_host,
                "TMPDIR": str(tmp_path / "tmp"),
                "HYBRID_CI_CA_BUNDLE": str(tls_registry.ca),
                "HYBRID_CI_REGISTRY_USERNAME": tls_registry.username,
                "HYBRID_CI_REGISTRY_PASSWORD": tls_registry.password,
                "HYBRID_CI_GIT_TOKEN": hosted.tokens[0],
                "HYBRID_CI_FORGE_TOKEN": hosted.tokens[1],
                "HYBRID_CI_PATIENCE": "2",
            },
            hosted=hosted,
        )
        (tmp_path / "tmp").mkdir()
        made.build()
        yield made
        assert hosted.server.crashes == []


@pytest.mark.timeout(300)
def test_release_pin_and_promote_work_and_leave_no_token_anywhere(shop: ForgeShop) -> None:
    with sampling_command_lines() as command_lines:
        record = shop.done("release")
        assert (record["state"], record["pull_request"]["number"]) == ("opened", 1)
        assert record["calls"]["api"] == {shop.hosted.kind: len(shop.hosted.server.calls)}
        assert shop.done("release")["state"] == "unchanged"
        shop.hosted.merge(1)
        promoted = shop.done(*PROMOTE)
        assert (promoted["state"], promoted["environments"][0]["pull_request"]["number"]) == ("opened", 2)
        (shop.app / "worker/worker").write_text("#!/bin/sh\necho $((6 * 7))\n")
        shop.commit_app("Compute it")
        assert shop.done("release")["pull_request"]["number"] == 3
        first = record["images"][0]
        pinned = shop.done("pin", f"{first['name']}=@{first['digest']}")
        assert pinned["pull_request"]["number"] == 3
        shop.hosted.merge(3)
        again = shop.done(*PROMOTE)
        assert (again["state"], again["environments"][0]["pull_request"]["number"]) == ("updated", 2)

    assert command_lines
    shop.assert_clean(command_lines)
    assert list((shop.root / "tmp").glob("hybrid-ci-*")) == []


def test_a_redirect_to_a_second_host_gets_nothing_from_any_command(shop: ForgeShop) -> None:
    with serving(SecondHost(shop.root)) as second, sampling_command_lines() as command_lines:
        shop.hosted.server.redirect_to = second.url
        shop.run_in_dev("sha256:" + "a" * 64)
        for method, arguments in (
            ("GET", ("release",)),
            ("POST", ("release",)),
            ("GET", ("pin", "api=:0", "--dry-run")),
            ("GET", PROMOTE),
        ):
            shop.hosted.server.fail("redirect", f"{method} *", times=1)
            shop.failed(2, *arguments)
            assert shop.hosted.server.unused_faults == 0, "nobody was sent elsewhere"
        assert (second.calls, second.git_requests) == ([], [])

    shop.assert_clean(command_lines)


def test_a_token_that_is_refused_ends_with_five_and_is_not_shown(shop: ForgeShop) -> None:
    wrong = _canary("ghp_" if shop.hosted.kind == "github" else "glpat-")
    done = shop.failed(5, "release", HYBRID_CI_FORGE_TOKEN=wrong)
    assert "token" in done.stderr
    assert wrong not in done.stdout + done.stderr
    assert git(shop.app, "status", "--porcelain") == ""
    shop.assert_clean(set())
