"""How a result is printed: golden texts for every outcome, as a table, as Markdown, and as the record's JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from orchestrator.cli.app import OutputFormat
from orchestrator.cli.results import print_result
from orchestrator.core.change import FileEdit
from orchestrator.core.names import BranchName, CommitId, RepoPath
from orchestrator.core.release import Release
from orchestrator.forges.base import PullRequest, PullRequestState
from orchestrator.gitops.outcome import Committed, Opened, Superseded, Unchanged, Updated
from orchestrator.reports.records import record_schema
from pipelines.release import ReleaseResult
from pipelines.targets import UNKNOWN_DIGEST
from tests.golden import assert_golden
from tests.unit.reports import samples
from tests.unit.reports.test_markdown import rendered

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
COMMIT = CommitId("d" * 40)
PULL_REQUEST = PullRequest(
    number=7,
    url="https://github.com/acme/gitops/pull/7",
    title="shop to prod/eu-1",
    body="",
    head=BranchName("hybrid-ci/prod_2feu-1/shop"),
    head_commit=COMMIT,
    base=BranchName("main"),
    state=PullRequestState.OPEN,
    author="bot",
)
EDIT = FileEdit(
    RepoPath("envs/prod/eu-1/shop/api.yaml"), b"a: 1\nimage: api:1.4.1   \n", b"a: 1\nimage: api:1.4.2   \n"
)


def planned() -> ReleaseResult:
    """A dry run: the digest of the image is not known yet."""
    image = replace(samples.released("api", "1.4.2", "a1"), config=None)
    unknown = replace(image, pinned=replace(image.pinned, digest=UNKNOWN_DIGEST))
    release = Release("shop", (unknown, samples.released("web", "2.0", "c3")), samples.SOURCE)
    edit = replace(EDIT, after=f"a: 1\nimage: {unknown.pinned}   \nsha: {UNKNOWN_DIGEST.hex}\n".encode())
    plan = replace(samples.plan_of(release, samples.ONE_PLAN.pins), edits=(edit,))
    return ReleaseResult(release, "prod/eu-1", None, plan, (image.pinned.repository,))


RESULTS = {
    "opened": ReleaseResult(samples.SEVERAL, "prod/eu-1", Opened(samples.SEVERAL_PLAN, COMMIT, PULL_REQUEST)),
    "updated": ReleaseResult(samples.ONE, "prod/eu-1", Updated(samples.ONE_PLAN, COMMIT, PULL_REQUEST)),
    "committed": ReleaseResult(samples.ONE, "edge", Committed(samples.ONE_PLAN, COMMIT, BranchName("edge"))),
    "superseded": ReleaseResult(samples.ONE, "prod/eu-1", Superseded(samples.ONE_PLAN.change, PULL_REQUEST)),
    "unchanged": ReleaseResult(samples.ONE, "dev", Unchanged("dev already runs these images")),
    "planned": planned(),
    "planned-nothing": ReleaseResult(samples.ONE, "dev", None, samples.plan_of(samples.ONE, ())),
}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("output", [OutputFormat.TABLE, OutputFormat.MARKDOWN])
def test_a_result_reads_so(name: str, output: OutputFormat, capsys: pytest.CaptureFixture[str]) -> None:
    print_result(RESULTS[name], NOW, output, None)
    out, err = capsys.readouterr()
    assert_golden(f"cli/result-{name}.{'md' if output is OutputFormat.MARKDOWN else 'txt'}", out)
    assert err == ""
    assert UNKNOWN_DIGEST.hex not in out


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_as_json_is_the_record(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    print_result(RESULTS[name], NOW, OutputFormat.JSON, file)
    out, _ = capsys.readouterr()
    record = json.loads(out)
    assert file.read_text() == out
    jsonschema.Draft202012Validator(record_schema()).validate(record)
    assert record["state"] == name.partition("-")[0]
    assert record["changed"] is (name in ("opened", "updated", "committed"))
    assert record["created"] == "2026-03-02T09:30:00Z"
    assert (record["pull_request"] is not None) is (name in ("opened", "updated", "superseded"))


def test_a_digest_that_only_a_push_gives_is_null_in_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    print_result(RESULTS["planned"], NOW, OutputFormat.JSON, None)
    out, _ = capsys.readouterr()
    assert [image["digest"] for image in json.loads(out)["images"]] == [None, "sha256:" + "c3" * 32]
    assert UNKNOWN_DIGEST.hex not in out


def test_a_diff_in_markdown_stays_in_its_block(capsys: pytest.CaptureFixture[str]) -> None:
    edit = FileEdit(RepoPath("a.yaml"), b"```\n@everyone\n# x\nimage: a:1\n", b"```\n@everyone\n# x\nimage: a:2\n")
    plan = replace(samples.ONE_PLAN, edits=(edit,))
    print_result(ReleaseResult(samples.ONE, "dev", None, plan), NOW, OutputFormat.MARKDOWN, None)
    page = rendered(capsys.readouterr().out)
    assert "@everyone" not in page.outside
    assert "h1" not in page.tags


def test_a_diff_keeps_the_spaces_at_the_end_of_its_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    plan = replace(samples.ONE_PLAN, edits=(EDIT,))
    print_result(ReleaseResult(samples.ONE, "dev", None, plan), NOW, OutputFormat.TABLE, None)
    assert capsys.readouterr().out.endswith("+image: api:1.4.2   \n")
