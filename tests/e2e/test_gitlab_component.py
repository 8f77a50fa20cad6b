"""The shipped CI/CD component under ``gitlab-ci-local``: from a push to the merge request on GitLab."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.ci_jobs import ROOT, Jobs
from tests.e2e.shop import Done, Shop, git
from tests.servers import TlsRegistry
from tests.servers.forge_http import serving
from tests.servers.gitlab.server import FakeGitLab
from tests.servers.gitlab.state import Project

pytestmark = pytest.mark.engine
_REQUIRED = os.environ.get("HYBRID_CI_REQUIRE_NODE", "") not in {"", "0"}  # read before any test runs

TOKEN = "glpat-" + "t0k3nOfTheReleaseBot"
RUNNER = ROOT / "tests/node/node_modules/.bin/gitlab-ci-local"
PIPELINE = """\
stages: [build, handoff]
include:
  - local: templates/release.yml
    inputs:
      images: ["api", "worker"]
      version: installed
hybrid-ci build: {services: []} # the runner has an engine
after:
  stage: .post
  needs: [hybrid-ci handoff]
  script: [env | grep ^HYBRID_CI_ > "$HYBRID_CI_TEST_ARTIFACTS/dotenv"]
"""


@pytest.fixture
def gitlab(tmp_path: Path) -> Iterator[FakeGitLab]:
    with serving(FakeGitLab(tmp_path / "gitlab")) as server:
        server.add_project("acme/gitops")
        server.add_token(TOKEN)
        yield server


@pytest.fixture
def jobs(tmp_path: Path, gitlab: FakeGitLab, engine_host: str, tls_registry: TlsRegistry, base_image: str) -> Jobs:
    environment = {
        "DOCKER_HOST": engine_host,
        "HYBRID_CI_CA_BUNDLE": str(tls_registry.ca),
        "HYBRID_CI_REGISTRY_USERNAME": tls_registry.username,
        "HYBRID_CI_REGISTRY_PASSWORD": tls_registry.password,
    }
    registry = f"{tls_registry.host}/{secrets.token_hex(4)}"
    shop = Shop(tmp_path, registry, base_image, f"{gitlab.web}/acme/gitops.git", environment)
    made = Jobs(shop, project(gitlab).repo.path, TOKEN)
    made.prepare("gitlab")
    (tmp_path / "artifacts").mkdir()
    git(shop.app, "remote", "add", "origin", "git@gitlab.com:acme/shop.git")
    shutil.copytree(ROOT / "templates", shop.app / "templates")
    return made


def project(gitlab: FakeGitLab) -> Project:
    return gitlab.projects["acme/gitops"]


def run_pipeline(jobs: Jobs, **variables: str) -> Done:
    """As GitLab does after a push, with the project's variables; the token's is scoped to the protected environment."""
    node = next(iter(ROOT.glob("tests/node/node_modules/node-linux-*/bin/node")), None) or shutil.which("node")
    if node is None or not RUNNER.exists() or shutil.which("rsync") is None:
        missing = "rsync, or the packages of tests/node, are not installed: make test does that"
        pytest.fail(missing) if _REQUIRED else pytest.skip(missing)
    project_variables = {
        **jobs.shop.environment, "DOCKER_TLS_VERIFY": "", "DOCKER_CERT_PATH": "", "GITLAB_CI": "true",
        "HYBRID_CI_TEST_ARTIFACTS": str(jobs.root / "artifacts"), **variables,
    }  # fmt: skip
    scopes = {name: {"type": "variable", "values": {"*": value}} for name, value in project_variables.items()}
    scopes["HYBRID_CI_GIT_TOKEN"] = {"type": "variable", "values": {"gitops": jobs.token}}
    (jobs.shop.app / ".gitlab-ci-local-variables.yml").write_text(yaml.safe_dump(scopes))
    return subprocess.run(
        [str(node), str(RUNNER.resolve()), "--force-shell-executor", "--shell-isolation", "--concurrency", "1",
         "--no-color", "--no-json-schema-validation"],
        cwd=jobs.shop.app, env={**os.environ, "PATH": f"{jobs.bin}:{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip


def test_a_push_becomes_a_merge_request_by_jobs_of_their_own(
    jobs: Jobs, gitlab: FakeGitLab, tls_registry: TlsRegistry
) -> None:
    jobs.commit({".gitlab-ci.yml": PIPELINE, ".gitignore": ".gitlab-ci-local*\n"})

    done = run_pipeline(jobs)

    assert done.returncode == 0, done.stdout + done.stderr
    (request,) = project(gitlab).merge_requests.values()
    told = dict(line.split("=", 1) for line in (jobs.root / "artifacts/dotenv").read_text().splitlines())
    assert told["HYBRID_CI_PULL_REQUEST_NUMBER"] == str(request.iid)
    assert told["HYBRID_CI_PULL_REQUEST_URL"].endswith(f"/acme/gitops/-/merge_requests/{request.iid}")
    assert (told["HYBRID_CI_STATE"], told["HYBRID_CI_CHANGED"]) == ("opened", "true")
    images = {image["name"]: image for image in json.loads(told["HYBRID_CI_IMAGES"])}
    pinned = jobs.file("refs/heads/hybrid-ci/dev/shop", "apps/shop/overlays/dev/kustomization.yaml")
    assert images["api"]["digest"] in pinned
    assert "section_start:" in done.stderr
    for secret in (jobs.token, tls_registry.password):
        assert secret not in done.stdout + done.stderr


def test_a_merge_request_pipeline_has_no_such_job(jobs: Jobs, gitlab: FakeGitLab) -> None:
    jobs.commit({".gitlab-ci.yml": PIPELINE.partition("after:")[0] + "other: {stage: build, script: ['true']}\n",
                 ".gitignore": ".gitlab-ci-local*\n"})  # fmt: skip

    done = run_pipeline(jobs, CI_PIPELINE_SOURCE="merge_request_event")

    assert "hybrid-ci build" not in done.stdout
    assert not project(gitlab).merge_requests
