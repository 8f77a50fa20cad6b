"""``scripts/lint_ci.py``: it judges everything that is shipped, and takes no exception without its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.lint_ci import Files, as_pipeline, bare_ignores, checks, shipped, snippets

ROOT = Path(__file__).resolve().parents[2]
REASONED = {
    "zizmor": "uses: a/b@v1 # zizmor: ignore[unpinned-uses] a test holds it against the tag\n",
    "hadolint": "# The latest is the one of this run.\n# hadolint ignore=DL3007\nFROM a:latest\n",
    "shellcheck": "set -eu\n# The words are split on purpose.\n# shellcheck disable=SC2086\necho $x\n",
}
BARE = {
    "zizmor": "uses: a/b@v1 # zizmor: ignore[unpinned-uses]\n",
    "zizmor, blanks": "uses: a/b@v1 # zizmor: ignore[unpinned-uses]  \n",
    "hadolint, first line": "# hadolint ignore=DL3007\nFROM a:latest\n",
    "hadolint": "FROM a:1 AS one\n# hadolint ignore=DL3007\nFROM a:latest\n",
    "shellcheck": "set -eu\n# shellcheck disable=SC2086\necho $x\n",
}


def only(*dockerfiles: Path) -> Files:
    return Files([], [], [], list(dockerfiles), [])


@pytest.mark.parametrize("text", REASONED.values(), ids=REASONED)
def test_an_exception_with_its_reason_is_taken(text: str, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(text)
    assert bare_ignores(only(file)) == []


@pytest.mark.parametrize("text", BARE.values(), ids=BARE)
def test_an_exception_without_a_reason_is_told_with_its_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(text)
    (told,) = bare_ignores(only(file))
    assert told.startswith(f"{file}:")
    assert told.endswith("an exception without a reason")


def test_every_file_that_a_ci_or_an_engine_reads_is_judged() -> None:
    files = shipped()
    assert set(files.dockerfiles) == {*(ROOT / "examples").rglob("Dockerfile*")}
    assert {*(ROOT / ".github/workflows").iterdir(), *(ROOT / "examples").rglob(".github/workflows/*")} == set(
        files.workflows
    )
    assert files.actions == [ROOT / "action.yml"]
    assert {*(ROOT / "templates").iterdir(), *(ROOT / "examples").rglob(".gitlab-ci.yml")} == set(files.pipelines)
    assert {*(ROOT / "scripts").rglob("*.sh"), ROOT / ".ci/run"} == set(files.scripts)


def test_each_kind_has_its_judge(tmp_path: Path) -> None:
    argvs = list(checks(shipped(), ROOT, tmp_path))
    assert {argv[0] for argv in argvs} == {"zizmor", "actionlint", "check-jsonschema", "hadolint", "shellcheck"}
    assert "--offline" in argvs[0]
    schemas = {argv[argv.index("--builtin-schema") + 1] for argv in argvs if "--builtin-schema" in argv}
    assert schemas == {"vendor.github-workflows", "vendor.github-actions", "vendor.gitlab-ci"}


def test_the_docs_own_workflows_and_pipelines_are_taken_out_whole(tmp_path: Path) -> None:
    found = snippets(tmp_path)
    pages = [page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md")]
    workflows = sum(page.count("\njobs:\n") for page in pages)
    pipelines = sum(page.count("\ninclude:\n") for page in pages)
    assert (len(found.workflows), len(found.pipelines)) == (workflows, pipelines)
    assert workflows >= 2
    assert all(file.read_text().startswith("name: ") for file in found.workflows)


def test_a_component_whose_inputs_are_not_those_that_it_uses_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "release.yml"
    file.write_text("spec:\n  inputs:\n    one: {default: x}\n---\njob:\n  script: echo $[[ inputs.two ]]\n")
    with pytest.raises(SystemExit, match="one, two"):
        as_pipeline(file, tmp_path)
