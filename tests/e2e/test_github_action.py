"""The shipped action and reusable workflows under ``act``: from a push to the pull request on GitHub."""

from __future__ import annotations

import html
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.ci_jobs import ENVIRONMENTS, Jobs
from tests.e2e.shop import Done, Shop, git
from tests.servers import TlsRegistry
from tests.servers.forge_http import serving
from tests.servers.git_repositories import commit_files
from tests.servers.github.server import TOKEN, GitHubServer

pytestmark = pytest.mark.engine

_COMMAND = re.compile(r"\] +(?:❗|🚧|❓|💬) +::(.*)")

CALLER = """\
name: release
on: {push: {branches: [main]}}
permissions: {}
jobs:
  release:
    uses: hybrid-ci/hybrid-ci/.github/workflows/release.yml@v0.1.0
    permissions: {contents: read, packages: write}
    with:
      version: installed
      registry-username: ${{ vars.REGISTRY_USERNAME }}
    secrets:
      GITOPS_TOKEN: ${{ secrets.GITOPS_TOKEN }}
      REGISTRY_PASSWORD: ${{ secrets.REGISTRY_PASSWORD }}
  after:
    needs: release
    runs-on: ubuntu-latest
    steps:
      - shell: bash
        env: {OUTPUTS: "${{ toJSON(needs.release.outputs) }}"}
        run: printf '%s' "$OUTPUTS" > "$HYBRID_CI_TEST_ARTIFACTS/outputs.json"
"""

ONE_JOB = """\
name: release
on: {push: {branches: [main]}, pull_request: }
permissions: {}
jobs:
  release:
    runs-on: ubuntu-latest
    permissions: {contents: read}
    steps:
      - uses: actions/checkout@v6
      - id: release
        uses: hybrid-ci/hybrid-ci@v0.1.0
        with:
          version: installed
          token: ${{ secrets.GITOPS_TOKEN }}
          registry-username: ${{ vars.REGISTRY_USERNAME }}
          registry-password: ${{ secrets.REGISTRY_PASSWORD }}
      - shell: bash
        env: {OUTPUTS: "${{ toJSON(steps.release.outputs) }}"}
        run: |
          printf '%s' "$OUTPUTS" > "$HYBRID_CI_TEST_ARTIFACTS/outputs.json"
"""

PROMOTE = """\
name: promote
on:
  workflow_dispatch:
    inputs: {from: {required: true}, to: {required: true}, application: {required: true}}
permissions: {}
jobs:
  promote:
    uses: hybrid-ci/hybrid-ci/.github/workflows/promote.yml@v0.1.0
    permissions: {contents: read, packages: read}
    with:
      gitops: WHERE
      args: --forge github
      application: ${{ inputs.application }}
      from: ${{ inputs.from }}
      to: ${{ inputs.to }}
      images: worker
      version: installed
    secrets:
      GITOPS_TOKEN: ${{ secrets.GITOPS_TOKEN }}
  after:
    needs: promote
    runs-on: ubuntu-latest
    steps:
      - shell: bash
        env: {OUTPUTS: "${{ toJSON(needs.promote.outputs) }}"}
        run: printf '%s' "$OUTPUTS" > "$HYBRID_CI_TEST_ARTIFACTS/outputs.json"
"""


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHubServer]:
    with serving(GitHubServer(tmp_path / "github")) as server:
        server.host("acme/gitops")
        yield server
        assert server.violations == []


@pytest.fixture
def jobs(tmp_path: Path, github: GitHubServer, engine_host: str, tls_registry: TlsRegistry, base_image: str) -> Jobs:
    environment = {"DOCKER_HOST": engine_host, "HYBRID_CI_CA_BUNDLE": str(tls_registry.ca)}
    registry = f"{tls_registry.host}/{secrets.token_hex(4)}"
    shop = Shop(tmp_path, registry, base_image, github.repository_url(), environment)
    made = Jobs(shop, github.repositories["acme/gitops"].repo.path, TOKEN)
    made.prepare("github")
    (tmp_path / "artifacts").mkdir()
    git(shop.app, "remote", "add", "origin", "https://github.com/acme/shop.git")
    return made


def push(jobs: Jobs, registry: TlsRegistry, event: str = "push", **payload: Any) -> Done:
    """As GitHub does when somebody pushes what is committed."""
    file = jobs.root / "event.json"
    file.write_text(json.dumps({"ref": "refs/heads/main", "before": "0" * 40, **payload}))
    return jobs.act(
        event, file, "--var", f"REGISTRY_USERNAME={registry.username}",
        secrets={"GITOPS_TOKEN": jobs.token, "REGISTRY_PASSWORD": registry.password},
        environment=jobs.shop.environment,
    )  # fmt: skip


def outputs(jobs: Jobs) -> dict[str, str]:
    found: dict[str, str] = json.loads((jobs.root / "artifacts/outputs.json").read_text())
    return found


def test_a_push_becomes_a_pull_request_by_jobs_of_their_own(
    jobs: Jobs, github: GitHubServer, tls_registry: TlsRegistry
) -> None:
    jobs.commit({".github/workflows/release.yml": CALLER})

    done = push(jobs, tls_registry)

    assert done.returncode == 0, done.stdout + done.stderr
    (pull,) = github.repositories["acme/gitops"].pulls
    told = outputs(jobs)
    assert told["pull-request-url"] == f"{github.url}/acme/gitops/pull/{pull.number}"
    assert (told["pull-request-number"], told["changed"], told["state"]) == (str(pull.number), "true", "opened")
    images = {image["name"]: image for image in json.loads(told["images"])}
    assert set(images) == {"api", "worker"}
    for environment in ENVIRONMENTS[:1]:
        pinned = jobs.file(f"refs/heads/{pull.head}", f"apps/shop/overlays/{environment}/kustomization.yaml")
        assert images["api"]["digest"] in pinned
    summary = summaries(jobs)
    for line in ("## Built `api`", "## Built `worker`", "## `shop` to `dev`", "```mermaid", '["build api '):
        assert line in summary
    for secret in (jobs.token, tls_registry.password):
        assert secret not in done.stdout + done.stderr + summary


PLANTED = "@acme/all Fixes #1 <!-- gone --> ##[add-mask]planted"
HOSTILE_BRANCH = "main-@acme-all-fixes-#1-$(id)-<!--gone--"
LOUD = r"printf 'a\n::error::planted\n  ::set-output name=state::planted\n##[group]planted\n'"


def test_hostile_texts_leave_no_trace_in_outputs_summary_annotations_or_pull_request(
    jobs: Jobs, github: GitHubServer, tls_registry: TlsRegistry
) -> None:
    """Branch and commit are named, and a test speaks, as somebody does who wants to speak to runner and reviewer."""
    config = (jobs.shop.app / "hybrid-ci.yaml").read_text().replace('test "$(/worker)" = 42', LOUD)
    workflow = ONE_JOB.replace("[main]", "['**']")
    git(jobs.shop.app, "checkout", "-q", "-b", HOSTILE_BRANCH)
    jobs.commit({".github/workflows/release.yml": workflow, "hybrid-ci.yaml": config}, f"::error::planted {PLANTED}")

    done = push(jobs, tls_registry)

    assert done.returncode == 0, done.stdout + done.stderr
    told = outputs(jobs)
    assert told.pop("matrix", "") == ""
    assert set(told) == {"pull-request-url", "pull-request-number", "changed", "state", "release", "images"}
    assert told["state"] == "opened"
    assert "planted" not in json.dumps(told)
    assert "::add-mask::planted" not in done.stdout
    assert obeyed(done) == []
    (pull,) = github.repositories["acme/gitops"].pulls
    summary = summaries(jobs)
    for text in (pull.title, pull.body or "", summary):
        shown = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)  # what is no code, and so could act
        assert not any(word in shown for word in ("@acme", "gone", "Fixes #1", "fixes-#1", "planted", "$(id)"))
    assert summary.startswith("## `shop` to `dev`")
    assert f"/acme/gitops/pull/{pull.number}>)" in summary
    assert "| `worker` | `answers` | ✅ passed |" in summary
    assert "```mermaid\nflowchart LR" in summary


def test_a_failed_test_is_annotated_where_the_configuration_has_it(
    jobs: Jobs, github: GitHubServer, tls_registry: TlsRegistry
) -> None:
    """The names of its cases come out of the image, and want to be commands."""
    case = f"::error::planted {html.escape(PLANTED)}&#10;::warning::planted"
    report = f'<testsuite><testcase name="{case}"><failure/></testcase></testsuite>'
    script = f"#!/bin/sh\ncat > /tmp/junit.xml <<'X'\n{report}\nX\n"
    jobs.commit({".github/workflows/release.yml": ONE_JOB, "api/tests.sh": script})

    done = push(jobs, tls_registry)

    assert done.returncode != 0
    config = (jobs.shop.app / "hybrid-ci.yaml").read_text().splitlines()
    line = next(number for number, text in enumerate(config, 1) if "name: unit" in text)
    (told,) = obeyed(done)
    assert told.startswith(
        f"::error file=hybrid-ci.yaml,line={line},title=hybrid-ci::the test unit of the image api failed"
    )
    summary = summaries(jobs)
    assert "## hybrid-ci failed: `1 of 2 tests of the image api failed; nothing was pushed`" in summary
    assert "gone" not in re.sub(r"```.*?```", "", summary, flags=re.DOTALL)
    assert github.repositories["acme/gitops"].pulls == []


def test_a_broken_configuration_is_annotated_at_its_lines(jobs: Jobs, tls_registry: TlsRegistry) -> None:
    config = (jobs.shop.app / "hybrid-ci.yaml").read_text().replace("images:", "imags:", 1)
    jobs.commit({".github/workflows/release.yml": ONE_JOB, "hybrid-ci.yaml": config})

    done = push(jobs, tls_registry)

    assert done.returncode != 0
    line = next(number for number, text in enumerate(config.splitlines(), 1) if text.startswith("imags"))
    told = f"::error file=hybrid-ci.yaml,line={line},title=hybrid-ci::unknown key 'imags'; did you mean 'images'?"
    assert told in obeyed(done)
    assert "## hybrid-ci failed" in summaries(jobs)


def test_a_pull_request_releases_nothing(jobs: Jobs, github: GitHubServer, tls_registry: TlsRegistry) -> None:
    jobs.commit({".github/workflows/release.yml": ONE_JOB})

    done = push(jobs, tls_registry, "pull_request", number=7, pull_request={"number": 7})

    assert done.returncode != 0
    assert "a release is not made for a pull request" in done.stdout
    assert github.repositories["acme/gitops"].pulls == []


def test_a_person_promotes_by_a_workflow_of_the_gitops_repository(jobs: Jobs, github: GitHubServer) -> None:
    digest = "sha256:" + "d" * 64
    overlay = jobs.file("main", "apps/shop/overlays/dev/worker.yaml")
    commit_files(
        jobs.gitops,
        {
            "apps/shop/overlays/dev/worker.yaml": overlay.replace("/worker:0", f"/worker:7@{digest}").encode(),
            ".hybrid-ci/environments.yaml": (
                jobs.file("main", ".hybrid-ci/environments.yaml") + '\norder: {"**": none}\n'
            ).encode(),
        },
        message="Run 7 in dev",
    )
    jobs.commit({".github/workflows/promote.yml": PROMOTE.replace("WHERE", github.repository_url())})
    event = jobs.root / "event.json"
    event.write_text(json.dumps({"inputs": {"from": "dev", "to": "staging", "application": "shop"}}))

    done = jobs.act("workflow_dispatch", event, secrets={"GITOPS_TOKEN": jobs.token}, environment={"X": "x"})

    assert done.returncode == 0, done.stdout + done.stderr
    (pull,) = github.repositories["acme/gitops"].pulls
    assert f"worker:7@{digest}" in jobs.file(f"refs/heads/{pull.head}", "apps/shop/overlays/staging/worker.yaml")
    assert outputs(jobs) == {
        "pull-request-url": f"{github.url}/acme/gitops/pull/{pull.number}", "state": "opened",
    }  # fmt: skip
    assert "staging" in summaries(jobs)


def obeyed(done: Done) -> list[str]:
    """What the runner took for commands but sections: it marks them in its log."""
    found = [f"::{match[1]}" for line in done.stdout.splitlines() if (match := _COMMAND.search(line))]
    return [one for one in found if not one.startswith(("::group::", "::endgroup::"))]


def summaries(jobs: Jobs) -> str:
    """What the steps of this run wrote for people."""
    return "\n".join(file.read_text() for file in sorted((jobs.root / "artifacts").glob("summary-*")))
