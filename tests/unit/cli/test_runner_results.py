"""What ``matrix``, ``build`` and ``doctor`` print, in each of their forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from orchestrator.ci.redact import redactor
from orchestrator.cli.app import OutputFormat
from orchestrator.cli.doctor_results import print_diagnosis
from orchestrator.cli.matrix import MatrixFormat
from orchestrator.cli.matrix_results import print_matrix
from orchestrator.core.findings import Finding, Severity
from orchestrator.reports.diagnosis import diagnosis
from orchestrator.reports.matrices import MatrixDocument, MatrixImage
from pipelines.doctor_forge import CHECKS

ROOT = Path(__file__).resolve().parents[3]
Output = pytest.CaptureFixture[str]
HOSTILE = "api/\x1b[31m::error::x\u202e | <b> @team"


def image(name: str, reason: str = "changed: x") -> MatrixImage:
    return MatrixImage(name=name, repository=f"ghcr.io/acme/{name}", tag="1", reason=reason)


def document(images: list[MatrixImage], held: list[MatrixImage] | None = None) -> MatrixDocument:
    return MatrixDocument(
        application="shop",
        commit="a" * 40,
        base="b" * 40,
        reason=None,
        images=images,
        held=held or [],
        unchanged=[image("mailer", "it did not change")],
    )


def printed(capsys: Output, form: MatrixFormat, found: MatrixDocument, config: str = "x.yaml") -> str:
    print_matrix(found, form, Path(config))
    return capsys.readouterr().out


def test_github_gets_one_line_of_json(capsys: Output) -> None:
    out = printed(capsys, MatrixFormat.GITHUB, document([image("api"), image("worker")]))
    assert out.count("\n") == 1
    assert json.loads(out) == {"include": [{"image": "api"}, {"image": "worker"}]}
    assert json.loads(printed(capsys, MatrixFormat.GITHUB, document([]))) == {"include": []}


def test_gitlab_gets_a_child_pipeline_that_waits_for_all_records(capsys: Output) -> None:
    out = printed(capsys, MatrixFormat.GITLAB, document([image("api")], [image("worker")]), "deploy/x.yaml")
    jobs = yaml.safe_load(out)
    assert jobs == json.loads(out)
    assert jobs["build api"]["script"] == [
        "hybrid-ci --config deploy/x.yaml build --image api --record records/api.json"
    ]
    assert jobs["build api"]["artifacts"] == {"paths": ["records/api.json"]}
    assert jobs["hand off"]["environment"] == {"name": "gitops", "action": "access"}  # the token is scoped to it
    assert jobs["variables"] == {"GIT_DEPTH": "0"}
    assert jobs["hand off"]["script"] == [
        "hybrid-ci --config deploy/x.yaml handoff --records 'records/*.json' --only api --only worker"
    ]


def test_a_child_pipeline_without_an_image_still_has_a_job(capsys: Output) -> None:
    jobs = yaml.safe_load(printed(capsys, MatrixFormat.GITLAB, document([]), "hybrid-ci.yaml"))
    assert jobs["hand off"]["script"] == ["echo 'this commit changes no image'"]


def test_a_dotenv_report_has_names_and_their_number(capsys: Output) -> None:
    out = printed(capsys, MatrixFormat.DOTENV, document([image("api"), image("worker")]))
    assert out == "HYBRID_CI_IMAGES=api worker\nHYBRID_CI_IMAGE_COUNT=2\n"


@pytest.mark.parametrize("form", [MatrixFormat.TABLE, MatrixFormat.MARKDOWN])
def test_people_see_why_and_nothing_that_could_harm_them(capsys: Output, form: MatrixFormat) -> None:
    out = printed(capsys, form, document([image("api", HOSTILE)]))
    assert "1 image to build; compared with bbbbbbbbbbbb" in out
    assert "it did not change" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


@pytest.mark.parametrize("form", list(OutputFormat))
def test_findings_say_what_why_and_how_to_fix_it(capsys: Output, form: OutputFormat) -> None:
    found = diagnosis(
        "shop",
        "dev",
        [
            Finding("engine", Severity.REFUSAL, f"no engine {HOSTILE}", "images are built in it", "start it"),
            Finding("clock", Severity.OK, "within 2 s of ghcr.io"),
        ],
    )
    print_diagnosis(found, form, redactor)
    out = capsys.readouterr().out
    for text in ("engine", "images are built in it", "start it", "within 2 s of ghcr.io"):
        assert text in out
    assert "\x1b" not in out
    if form is OutputFormat.JSON:
        assert json.loads(out)["refused"] is True
    else:
        assert "A release would be refused, or fail: 1 to fix, 0 to look at." in out
        assert "\u202e" not in out


def test_findings_fit_the_terminal(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    finding = Finding("engine", Severity.WARNING, "what it is " * 9, "why it matters " * 9, "how to fix it " * 9)
    print_diagnosis(diagnosis("shop", "dev", [finding]), OutputFormat.TABLE, redactor)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 60
    assert len(lines) > 9


def test_the_document_names_every_check() -> None:
    text = (ROOT / "docs/doctor.md").read_text("utf-8")
    assert [check.name for check in CHECKS if check.name not in text] == []


def test_the_document_names_every_form_of_the_matrix() -> None:
    text = (ROOT / "docs/many-runners.md").read_text("utf-8")
    assert [form.value for form in MatrixFormat if f"`{form.value}`" not in text] == []
