"""The release record: a JSON document with a versioned schema. A claim until it is signed."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator import __version__
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import Repository
from orchestrator.core.release import CaseCounts, Release, TestResult

SCHEMA: Final = "hybrid-ci.release/v1"
_NOT_PUSHED_YET = "0" * 64  # what a plan that was made before the push holds in place of a digest


class Part(BaseModel):
    """A part of a record: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # built when one is read or written


class Document(Part):
    """A whole document that is written to a file. ``noun`` is what it is, ``lost`` what to do when that fails."""

    noun: ClassVar[str] = "record"
    lost: ClassVar[str]

    def to_json(self) -> str:
        """Indented JSON with a final newline."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2) + "\n"

    def write(self, file: Path, redact: Callable[[str], str] = str) -> None:
        """Write it, redacted. Raises ConfigurationError when the file can't be written."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(redact(self.to_json()), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"the {self.noun} can't be written: {error.strerror}", where=str(file), hint=self.lost
            ) from None


class SourceRecord(Part):
    """The commit that the images were built from."""

    commit: str = Field(description="Full commit id.")
    branch: str | None = Field(description="Branch, when known.")
    tags: list[str] = Field(description="Tags that point to the commit.")
    repository: str | None = Field(description="URL without credentials.")
    dirty: bool = Field(description="The work tree held uncommitted changes.")


class CasesRecord(Part):
    """Counts of a JUnit report."""

    tests: int
    failures: int
    errors: int
    skipped: int


class TestRecord(Part):
    """One test of one image."""

    __test__ = False  # pytest collects by name

    name: str
    passed: bool
    seconds: float
    cases: CasesRecord | None = None


class ImageRecord(Part):
    """One image, as the registry reported it."""

    name: str
    repository: str = Field(description="Registry and path.")
    tag: str | None
    digest: str | None = Field(
        description="sha256 of the manifest or index, read back from the registry; null in a plan: a push gives it."
    )
    kind: Literal["manifest", "index"] = Field(description="What the digest is of.")
    config: str | None = Field(description="Digest of the image configuration: what was tested.")
    platforms: list[str]
    tests: list[TestRecord]


class StageRecord(Part):
    """One stage of the run."""

    name: str
    state: str = Field(description="done, skipped, or 'failed, as it may'.")
    seconds: float
    reason: str | None = Field(description="Why it was skipped.")


class PullRequestRecord(Part):
    """Where to look."""

    number: int
    url: str


class ReleaseRecord(Document):
    """What a release did."""

    lost: ClassVar[str] = "the release itself is done; run it again with another --record to get the record"

    schema_: Literal["hybrid-ci.release/v1"] = Field(default=SCHEMA, alias="schema")
    hybrid_ci: str = Field(default=__version__, description="Version that wrote the record.")
    release: str | None = Field(
        description="Id: the same source and digests give the same id; null while a digest is not known."
    )
    application: str
    environment: str
    state: str = Field(
        description="opened, updated, waiting, merged, committed, unchanged, superseded or planned.",
    )
    changed: bool = Field(description="Something was written to the GitOps repository.")
    created: datetime
    source: SourceRecord | None
    images: list[ImageRecord]
    stages: list[StageRecord] = Field(default_factory=list, description="The stages of the run, in their order.")
    branch: str | None = Field(description="Branch of the GitOps repository that holds the change.")
    commit: str | None = Field(description="Commit there.")
    pull_request: PullRequestRecord | None
    merge: Literal["merged", "enabled"] | None = Field(
        default=None, description="The forge merged it, or will as soon as its rules allow it; null: a person does."
    )
    warnings: list[str] = Field(
        default_factory=list, description="Wishes that were not granted; running again tries them again."
    )

    calls: dict[str, dict[str, int]] = Field(
        default_factory=dict,
        description="How often Git and the forge were asked, by method, and the requests that the forge's API got.",
    )


def record_schema() -> dict[str, Any]:
    """The JSON Schema of the release record."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ReleaseRecord.model_json_schema()}


def calls_line(calls: Mapping[str, Mapping[str, int]]) -> str:
    """How often Git and the forge were asked, in one line."""
    told = [
        f"{kind} {sum(methods.values())} ({', '.join(f'{method} {count}' for method, count in methods.items())})"
        for kind, methods in calls.items()
    ]
    return f"calls: {'; '.join(told) or 'none'}"


def source_record(release: Release) -> SourceRecord | None:
    """The source part of a release."""
    source = release.source
    if source is None:
        return None
    return SourceRecord(
        commit=str(source.id),
        branch=source.branch,
        tags=list(source.tags),
        repository=source.remote,
        dirty=source.dirty,
    )


def image_records(release: Release, unknown: Collection[Repository] = ()) -> list[ImageRecord]:
    """The images of a release with their tests; those of the ``unknown`` repositories have no digest yet."""
    return [
        ImageRecord(
            name=image.name,
            repository=str(image.pinned.repository),
            tag=image.pinned.tag,
            digest=None if image.pinned.digest.hex == _NOT_PUSHED_YET else str(image.pinned.digest),
            kind="index" if image.kind == "index" else "manifest",
            config=str(image.config) if image.config else None,
            platforms=[str(platform) for platform in image.platforms],
            tests=records_of_tests(release.tests, image.name),
        )
        for image in release.images
    ]


def records_of_tests(tests: Iterable[TestResult], image: str) -> list[TestRecord]:
    """The tests of one image."""
    return [
        TestRecord(
            name=test.name,
            passed=test.passed,
            seconds=round(test.seconds, 3),
            cases=_cases(test.cases) if test.cases else None,
        )
        for test in tests
        if test.image == image
    ]


def results_of(images: Iterable[ImageRecord]) -> list[TestResult]:
    """The tests that these records tell of."""
    return [
        TestResult(
            image.name, test.name, test.passed, test.seconds, CaseCounts(**dict(test.cases)) if test.cases else None
        )
        for image in images
        for test in image.tests
    ]


def _cases(counts: CaseCounts) -> CasesRecord:
    return CasesRecord(tests=counts.tests, failures=counts.failures, errors=counts.errors, skipped=counts.skipped)
