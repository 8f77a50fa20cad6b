"""Whatever is wrong around a release: one clear error, the right exit code, and nothing left half done."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.shop import CONFIG, Shop, git

pytestmark = pytest.mark.engine

Spoil = Callable[[Shop], None]


@dataclass(frozen=True)
class Case:
    """What is spoiled, and what the user must be told."""

    spoil: Spoil = lambda shop: None
    environment: dict[str, str] = field(default_factory=dict)
    exit_code: int = 2
    message: str = ""
    where: str = ""


def _config(old: str, new: str) -> Spoil:
    def spoil(shop: Shop) -> None:
        assert old in CONFIG
        shop.configure(CONFIG.replace(old, new))

    return spoil


def _remove(path: str) -> Spoil:
    def spoil(shop: Shop) -> None:
        target = shop.app / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        shop.commit_app("Remove")

    return spoil


def _policy(change: Callable[[str], str | None]) -> Spoil:
    """The owners' mistake: the policy on the base branch is replaced, or removed with None."""

    def spoil(shop: Shop) -> None:
        seed = shop.root / "seed"
        file = seed / ".hybrid-ci/environments.yaml"
        text = change(file.read_text())
        file.unlink() if text is None else file.write_text(text)
        git(seed, "commit", "-qam", "Spoil")
        git(shop.gitops, "fetch", "-q", str(seed), "+refs/heads/main:refs/heads/main")

    return spoil


def move_registry(shop: Shop, host: str) -> None:
    """Everything speaks of another registry: configuration, policy and manifests."""
    old = shop.registry
    shop.registry = host
    shop.configure(CONFIG)
    seed = shop.root / "seed"
    for file in (path for path in seed.rglob("*.yaml") if ".git/" not in str(path)):
        file.write_text(file.read_text().replace(old, host))
    git(seed, "commit", "-qam", "Move the registry")
    git(shop.gitops, "fetch", "-q", str(seed), "+refs/heads/main:refs/heads/main")


CASES = {
    "no configuration": Case(_remove("hybrid-ci.yaml"), message="there is no configuration file"),
    "a typo in the configuration": Case(
        _config("context: api", "contxt: api"), message="did you mean 'context'?", where="hybrid-ci.yaml:10"
    ),
    "no Dockerfile": Case(_remove("api/Dockerfile"), message="there is no file", where="images.api.dockerfile"),
    "no context": Case(_remove("worker"), message="there is no folder", where="images.worker.context"),
    "a credential in the URL": Case(
        _config("repository: GITOPS", "repository: https://bot:hunter2hunter2@git.example/x"),
        message="the repository URL holds a credential",
    ),
    "an environment that is not there": Case(
        _config("environment: dev", "environment: dve"), message="there is no environment 'dve'", where="main"
    ),
    "an image that no manifest holds": Case(
        _config("REGISTRY/acme/worker", "REGISTRY/acme/nobody"), message="no file of the environment 'dev' refers to"
    ),
    "a base branch that is not there": Case(
        _config("environment: dev", "environment: dev\n  base: trunk"), message="has no branch 'trunk'"
    ),
    "no policy": Case(_policy(lambda text: None), message="the GitOps repository has no .hybrid-ci/environments.yaml"),
    "a broken policy": Case(
        _policy(lambda text: text.replace("paths:", "path:")), message="unknown key 'environments.dev.path'"
    ),
    "an image that the policy forbids": Case(
        _policy(lambda text: text.replace("/acme/*", "/others/*")), exit_code=3, message="may not change the image"
    ),
    "an application that is not listed": Case(
        _config("application: shop", "application: shopp"), exit_code=3, message="'shopp' is not listed"
    ),
    "a kubeconfig in CI": Case(
        environment={"CI": "true", "KUBE_TOKEN": "canary-kube-token"},
        exit_code=3,
        message="this CI job holds a cluster credential: KUBE_TOKEN",
    ),
    "a pull-request job": Case(
        environment={"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request_target"},
        exit_code=3,
        message="a release is not made for a pull request",
    ),
    "uncommitted changes": Case(
        lambda shop: (shop.app / "api/www/index.html").write_text("x") and None,
        exit_code=3,
        message="the work tree has uncommitted changes",
    ),
    "a wrong Git token": Case(environment={"HYBRID_CI_GIT_TOKEN": "canary-wrong-token"}, exit_code=5, message="login"),
    "a wrong registry password": Case(
        environment={"HYBRID_CI_REGISTRY_PASSWORD": "canary-wrong-password"}, exit_code=5, message="(401)"
    ),
    "a stopped engine": Case(environment={"DOCKER_HOST": "unix:///nowhere/docker.sock"}, exit_code=5, message="engine"),
    "a registry that is not there": Case(
        lambda shop: move_registry(shop, "127.0.0.1:9"),
        {"HYBRID_CI_PATIENCE": "1"},
        exit_code=5,
        message="127.0.0.1:9",
    ),
    "a Git server that is not there": Case(
        _config("repository: GITOPS", "repository: http://127.0.0.1:9/gitops.git"),
        {"HYBRID_CI_PATIENCE": "1"},
        exit_code=5,
        message="127.0.0.1:9",
    ),
    "a Dockerfile that does not build": Case(
        lambda shop: (shop.app / "api/Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nRUN exit 7\n")
        and shop.commit_app("Break")
        and None,
        exit_code=1,
        message="api/Dockerfile:3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_one_clear_error_and_nothing_is_left_behind(case: Case, shop: Shop) -> None:
    case.spoil(shop)

    done = shop.release(environment=case.environment)

    assert done.returncode == case.exit_code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    said = done.stderr[done.stderr.index("error: ") :]
    assert case.message in said
    assert case.where in said
    assert "  fix:   " in said
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stderr
    assert "hunter2" not in done.stderr
    assert not shop.pull_requests()
    assert git(shop.gitops, "for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/main"


def test_without_git_it_says_what_to_install(shop: Shop, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()

    done = shop.release(environment={"PATH": str(empty)})

    assert done.returncode == 2
    assert "git is not installed" in done.stderr


def test_a_full_disk_ends_in_one_error_and_the_next_run_finishes(shop: Shop) -> None:
    done = shop.release("--record", "/dev/full")

    assert done.returncode != 0
    assert "the record can't be written" in done.stderr
    assert shop.released()["state"] == "unchanged"
