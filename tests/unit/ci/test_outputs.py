"""What a job leaves behind: each file as its reader reads it, whatever the values hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.ci.outputs import append_outputs, append_summary, leave, places_of, tell_failure, write_dotenv
from orchestrator.ci.redact import redactor
from orchestrator.core.errors import ConfigurationError, Place, WorkFailed
from orchestrator.core.secret import Secret
from tests.hostile import HOSTILE


def read_outputs(file: Path) -> dict[str, str]:
    """As GitHub's runner reads the file: ``name=value``, or ``name<<delimiter`` and lines up to it."""
    found: dict[str, str] = {}
    lines = iter(re.split(r"\r\n|\n|\r", file.read_text("utf-8")))
    for line in lines:
        if heredoc := re.fullmatch(r"([^=<]+)<<(.+)", line):
            value = []
            for inner in lines:
                if inner == heredoc[2]:
                    break
                value.append(inner)
            found[heredoc[1]] = "\n".join(value)
        elif "=" in line:
            name, _, value_ = line.partition("=")
            found[name] = value_
    return found


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_output_injection_corpus(text: str, tmp_path: Path) -> None:
    file = tmp_path / "output"
    append_outputs(file, {"state": text, "images": "[]"})
    found = read_outputs(file)
    assert set(found) == {"state", "images"}
    assert "\n" not in found["state"]
    assert found["images"] == "[]"
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", found["state"])


def test_what_was_there_before_stays(tmp_path: Path) -> None:
    file = tmp_path / "output"
    file.write_text("a=b\n")
    append_outputs(file, {"state": "opened"})
    assert read_outputs(file) == {"a": "b", "state": "opened"}


def test_delimiters_are_never_the_same(tmp_path: Path) -> None:
    file = tmp_path / "output"
    for _ in range(5):
        append_outputs(file, {"state": "x", "changed": "y"})
    assert len(set(re.findall(r"<<(.+)", file.read_text()))) == 10


@pytest.mark.parametrize("name", ["", "A", "a b", "a=b", "a\nb", "a<<b"])
def test_a_name_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no output's name"):
        append_outputs(tmp_path / "output", {name: "x"})


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_dotenv_file_has_one_line_a_value(text: str, tmp_path: Path) -> None:
    file = tmp_path / "sub" / "hybrid-ci.env"
    write_dotenv(file, {"state": text, "pull-request-url": "https://x/1"})
    lines = re.split(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", file.read_text("utf-8"))
    assert [line.partition("=")[0] for line in lines] == ["HYBRID_CI_STATE", "HYBRID_CI_PULL_REQUEST_URL", ""]


def test_a_dotenv_file_stays_below_gitlabs_limit(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    write_dotenv(file, {"images": "x" * 6000, "state": "opened"})
    assert file.read_text() == "HYBRID_CI_STATE=opened\n"


def test_a_summary_is_added_to_and_cut_before_github_refuses_it(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    append_summary(file, "# one\n")
    append_summary(file, "é" * 700_000 + "\nend")
    append_summary(file, "# three\n" * 40_000)
    content = file.read_text("utf-8")
    assert content.startswith("# one\n\n")
    assert file.stat().st_size <= 1024 * 1024
    assert "did not fit" in content


def test_no_secret_is_left_behind(tmp_path: Path) -> None:
    canary = "canary-of-outputs-0123456789"
    redactor.add(Secret(canary, "$X"))
    places = {
        "GITHUB_OUTPUT": str(tmp_path / "a"), "GITHUB_STEP_SUMMARY": str(tmp_path / "b"),
        "HYBRID_CI_DOTENV": str(tmp_path / "c"), "HYBRID_CI_JUNIT": str(tmp_path / "d"),
    }  # fmt: skip
    leave({"state": canary}, lambda: canary, lambda: canary, places)
    written = sorted(tmp_path.iterdir())
    assert len(written) == 4
    assert all(canary not in file.read_text() for file in written)


def test_where_the_ci_has_no_place_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    leave({"state": "x"}, lambda: "x", lambda: "x", {"GITHUB_ENV": str(tmp_path / "env")})
    assert list(tmp_path.iterdir()) == []


# --- annotations ---------------------------------------------------------------------------------------------------


def annotations(error: ConfigurationError | WorkFailed, root: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    tell_failure(error, {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(root)})
    return capsys.readouterr().err.splitlines()


def test_every_problem_of_a_configuration_is_told_at_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = ConfigurationError(
        "the configuration has 2 problems",
        where="hybrid-ci.yaml:3",
        details=["hybrid-ci.yaml:3: unknown key 'imags'", "hybrid-ci.yaml:9: tag: expected text, found 1"],
    )
    assert annotations(error, tmp_path, capsys) == [
        "::error file=hybrid-ci.yaml,line=3,title=hybrid-ci::unknown key 'imags'",
        "::error file=hybrid-ci.yaml,line=9,title=hybrid-ci::tag: expected text, found 1",
    ]


def test_a_file_outside_of_the_workspace_is_not_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = ConfigurationError("broken", where="/etc/other.yaml:3")
    assert annotations(error, tmp_path, capsys) == ["::error title=hybrid-ci::broken"]


def test_the_places_of_several_failures_are_all_told() -> None:
    first = WorkFailed("a", places=[Place("f", 1, "one")])
    second = WorkFailed("b", hint="do this")
    assert places_of(WorkFailed("2 stages failed", causes=[first, second])) == [
        Place("f", 1, "one"), Place(None, None, "b (do this)"),
    ]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_stays_inside_its_annotation(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = WorkFailed("x", places=[Place(str(tmp_path / "f.yaml"), 2, f"the test {text} failed")])
    (line,) = annotations(error, tmp_path, capsys)
    assert line.startswith("::error file=f.yaml,line=2,title=hybrid-ci::the test ")


def test_elsewhere_there_are_no_annotations(capsys: pytest.CaptureFixture[str]) -> None:
    tell_failure(WorkFailed("x"), {"GITLAB_CI": "true"})
    assert capsys.readouterr().err == ""
