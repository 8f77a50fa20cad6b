"""``hybrid-ci generate``: what it makes is what the examples hold, and what CI systems take."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import __version__
from orchestrator.ci.generate import HOME, Application, Source
from orchestrator.ci.generate.github import release_workflow
from orchestrator.ci.generate.gitlab import pipeline
from orchestrator.ci.generate.jenkins import jenkinsfile
from tests.unit.cli.conftest import Cli

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"
FILES = {"github": ".github/workflows/release.yml", "gitlab": ".gitlab-ci.yml", "jenkins": "Jenkinsfile"}
TAGGED = Source(HOME, "v1.2.3", "1.2.3")
CONFIG = """\
version: 1
application: shop
gitops: {repository: https://git.example.com/acme/gitops.git, environment: dev}
images:
  api: {repository: ghcr.io/acme/api, secrets: [NPM_TOKEN]}
  web: {repository: ghcr.io/acme/web}
stages:
  lint: {run: make lint, secrets: [LINT_TOKEN, NPM_TOKEN]}
"""


def application(**changes: Any) -> Application:
    known: dict[str, Any] = {
        "config": "hybrid-ci.yaml", "branch": "main", "images": ("api", "web"), "registries": ("ghcr.io",),
        "secrets": (), "uses": TAGGED,
    }  # fmt: skip
    return Application(**{**known, **changes})


@pytest.mark.parametrize("system", FILES)
@pytest.mark.parametrize("example", ["single-service", "monorepo"])
def test_the_examples_hold_what_is_made_from_them(
    example: str, system: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = tmp_path / "app"
    shutil.copytree(EXAMPLES / example / "app", app)
    monkeypatch.chdir(app)
    made = cli("generate", system)
    assert made.code == 0, made.err
    assert made.out == (EXAMPLES / example / "app" / FILES[system]).read_text()
    assert cli("generate", system, "--check").code == 0


@pytest.mark.parametrize("example", ["single-service", "monorepo"])
def test_the_gitops_examples_hold_what_is_made_from_their_policy(
    example: str, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLES / example / "gitops", tmp_path / "gitops")
    monkeypatch.chdir(tmp_path / "gitops")
    made = cli("generate", "github", "--gitops")
    assert made.out == (EXAMPLES / example / "gitops/.github/workflows/promote.yml").read_text()


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    folder = tmp_path / "services/shop"
    folder.mkdir(parents=True)
    (folder / "hybrid-ci.yaml").write_text(CONFIG)
    monkeypatch.chdir(folder)
    return tmp_path


def test_it_is_written_where_the_ci_looks_and_knows_its_own_file_again(app: Path, cli: Cli) -> None:
    file = app / ".github/workflows/release.yml"
    assert cli("generate", "github", "--check").code == 1
    assert cli("generate", "github", "--write").code == 0
    assert cli("generate", "github", "--check").code == 0
    assert cli("generate", "github", "--branch", "trunk", "--write").code == 0
    assert cli("generate", "github", "--check").code == 1
    file.write_text("name: mine\n")
    refused = cli("generate", "github", "--write")
    assert refused.code == 2
    assert file.read_text() == "name: mine\n"
    assert cli("generate", "github", "--write", "--force").code == 0


def test_a_file_that_is_no_text_is_another_one(app: Path, cli: Cli) -> None:
    (app / ".gitlab-ci.yml").write_bytes(b"\xff\xfe")
    assert cli("generate", "gitlab", "--check").code == 1


def test_a_login_is_named_in_every_kind_that_the_called_workflow_takes(app: Path, cli: Cli) -> None:
    called = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())[True]["workflow_call"]["secrets"]
    named = yaml.safe_load(cli("generate", "github").out)["jobs"]["release"]["secrets"]
    assert {name for name in called if name.startswith("GITOPS_")} <= set(named)


def test_no_push_waits_where_a_newer_one_would_cancel_it(app: Path, cli: Cli) -> None:
    """The matrix compares with the commit before its own push: what a cancelled run would have built is lost."""
    files = [ROOT / f".github/workflows/{name}.yml" for name in ("release", "promote")]
    for text in [cli("generate", "github").out, *(file.read_text() for file in files)]:
        workflow = yaml.safe_load(text)
        assert [one for one in (workflow, *workflow["jobs"].values()) if "concurrency" in one] == []


def test_what_the_configuration_says_is_in_the_workflow(app: Path, cli: Cli) -> None:
    job = yaml.safe_load(cli("generate", "github").out)["jobs"]["release"]
    assert job["uses"] == f"{HOME}/.github/workflows/release.yml@v{__version__}"
    assert job["with"] == {"config": "services/shop/hybrid-ci.yaml"}
    assert job["secrets"]["BUILD_SECRETS"].splitlines() == [
        "NPM_TOKEN=${{ secrets.NPM_TOKEN }}", "LINT_TOKEN=${{ secrets.LINT_TOKEN }}",
    ]  # fmt: skip
    assert "REGISTRY_PASSWORD" not in job["secrets"]  # ghcr.io takes the job's own token


def test_another_registry_takes_a_login_of_its_own() -> None:
    job = yaml.safe_load(release_workflow(application(registries=("ghcr.io", "r.example"))))["jobs"]["release"]
    assert job["with"]["registry-username"] == "${{ vars.REGISTRY_USERNAME }}"
    assert "REGISTRY_PASSWORD" in job["secrets"]


def test_a_commit_pins_and_needs_no_exception() -> None:
    pinned = Source("acme/fork", "a" * 40, "1.2.3")
    text = release_workflow(application(uses=pinned))
    assert f"uses: acme/fork/.github/workflows/release.yml@{'a' * 40} # v1.2.3" in text
    assert "zizmor" not in text
    assert "zizmor: ignore[unpinned-uses] a tag can move" in release_workflow(application())


@pytest.mark.parametrize("name", ["o'brien", 'a"b', "a\\b", "${x}", "$(id)", "a\nb"])
def test_a_path_can_not_break_out_of_any_file(name: str) -> None:
    made = application(config=name, branch="release/1.x")
    assert yaml.safe_load(release_workflow(made))["jobs"]["release"]["with"]["config"] == name
    assert yaml.safe_load(pipeline(made))["include"][0]["inputs"]["config"] == name
    groovy = jenkinsfile(made)
    line = next(line for line in groovy.splitlines() if "HYBRID_CI_CONFIG" in line)
    value = line.partition(" = '")[2]
    assert value.endswith("'")
    assert "'" not in value[:-1].replace("\\'", "")


def test_jenkins_builds_each_image_by_itself_and_the_token_is_bound_where_nothing_is_built() -> None:
    text = jenkinsfile(application(secrets=("NPM_TOKEN",)))
    build, _, handoff = text.partition("stage('pull request')")
    assert "gitops-token'" not in build.partition("pipeline {")[2]
    assert "credentialsId: 'gitops-token'" in handoff
    assert "NPM_TOKEN" not in handoff
    assert build.count("hybrid-ci build --image") == 2
    assert handoff.count("unstash") == 2


@pytest.mark.parametrize("words", [["--uses", "nonsense"], ["--branch", "-x"], ["--write", "--check"]])
def test_what_makes_no_sense_is_refused(words: list[str], app: Path, cli: Cli) -> None:
    assert cli("generate", "github", *words).code == 2


def test_promotions_are_made_for_github_alone(app: Path, cli: Cli) -> None:
    assert cli("generate", "gitlab", "--gitops").code == 2
