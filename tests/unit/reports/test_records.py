"""The release record and its schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.release import Release
from orchestrator.reports.records import (
    PullRequestRecord,
    ReleaseRecord,
    image_records,
    record_schema,
    source_record,
)
from tests.golden import assert_golden
from tests.unit.reports import samples

CREATED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PULL_REQUEST = PullRequestRecord(number=7, url="https://github.com/acme/gitops/pull/7")


def record(release: Release, pull_request: PullRequestRecord | None = PULL_REQUEST) -> ReleaseRecord:
    return ReleaseRecord(
        hybrid_ci="0.0.0",
        release=release.id,
        application=release.application,
        environment="prod/eu-1",
        state="opened" if pull_request else "planned",
        changed=pull_request is not None,
        created=CREATED,
        branch="hybrid-ci/prod_2feu-1/shop" if pull_request else None,
        commit="d" * 40 if pull_request else None,
        source=source_record(release),
        images=image_records(release),
        pull_request=pull_request,
    )


RECORDS = {
    "several-images": record(samples.SEVERAL),
    "built-elsewhere": record(samples.ELSEWHERE, None),
    "hostile": record(samples.hostile(samples.HOSTILE_TEXTS[3] + samples.HOSTILE_TEXTS[2])[0]),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_fits_its_schema_and_survives_being_read(name: str) -> None:
    text = RECORDS[name].to_json()
    jsonschema.Draft202012Validator(record_schema()).validate(json.loads(text))
    assert ReleaseRecord.model_validate_json(text) == RECORDS[name]
    assert text.endswith("}\n")
    assert text.isascii()


@pytest.mark.parametrize("name", ["several-images", "built-elsewhere"])
def test_a_record_reads_so(name: str) -> None:
    assert_golden(f"reports/record-{name}.json", RECORDS[name].to_json())


def test_the_schema_is_one_and_names_its_version() -> None:
    schema = record_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"]["const"] == "hybrid-ci.release/v1"
    assert_golden("reports/record-schema.json", json.dumps(schema, indent=2) + "\n")


@pytest.mark.parametrize(
    "change", [{"schema": "hybrid-ci.release/v2"}, {"extra": 1}, {"images": None}, {"state": None}]
)
def test_another_document_is_no_record(change: dict[str, object]) -> None:
    data = json.loads(RECORDS["several-images"].to_json()) | change
    with pytest.raises(ValueError, match="validation error"):
        ReleaseRecord.model_validate(data)
    assert not jsonschema.Draft202012Validator(record_schema()).is_valid(data)


def test_each_image_carries_its_own_tests() -> None:
    images = {image.name: image for image in image_records(samples.SEVERAL)}
    assert [test.name for test in images["api"].tests] == ["unit", "smoke"]
    assert images["worker"].tests[0].cases is not None
    assert images["worker"].tests[0].cases.tests == 7
    assert (images["worker"].kind, images["worker"].platforms) == ("index", ["linux/amd64", "linux/arm64"])
    assert (images["web"].tag, images["web"].tests) == (None, [])


def test_a_record_is_written_with_its_folder_and_over_an_older_one(tmp_path: Path) -> None:
    file = tmp_path / "out/records/release.json"
    RECORDS["built-elsewhere"].write(file)
    RECORDS["several-images"].write(file)
    assert file.read_text() == RECORDS["several-images"].to_json()


def test_a_record_is_redacted_on_its_way_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "release.json"
    RECORDS["several-images"].write(file, lambda text: text.replace("orders", "***"))
    assert json.loads(file.read_text())["release"] == samples.SEVERAL.id
    assert "orders" not in file.read_text()


def test_a_record_that_cannot_be_written_says_that_the_release_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for file in (tmp_path, tmp_path / "file/release.json", Path("/dev/full")):
        with pytest.raises(ConfigurationError, match="the record can't be written") as caught:
            RECORDS["several-images"].write(file)
        assert caught.value.where == str(file)
        assert "the release itself is done" in (caught.value.hint or "")
