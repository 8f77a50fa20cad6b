"""What a command leaves for the CI around it, besides what it prints: outputs, summary, reports, annotations."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from orchestrator.core.errors import HybridCIError
from orchestrator.core.text import printable

if TYPE_CHECKING:
    from orchestrator.core.release import TestResult
    from orchestrator.reports.records import ReleaseRecord
    from pipelines.release import ReleaseResult

_PLACES = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "HYBRID_CI_DOTENV", "HYBRID_CI_JUNIT")
_IMAGE = {"name", "repository", "tag", "digest"}


def publish_release(result: ReleaseResult, record: ReleaseRecord, sentence: str) -> None:
    """Step outputs, job summary, dotenv and JUnit of a release or a pin, where the CI has a place for them."""
    if not any(os.environ.get(name) for name in _PLACES):
        return
    from orchestrator.ci.outputs import leave
    from orchestrator.reports.junit import as_junit
    from orchestrator.reports.summary import Told, job_summary

    told = Told(sentence, result.graph, {one.name: one for one in result.stages})
    try:
        leave(outputs_of(record), lambda: job_summary(record, told), lambda: as_junit(result.release.tests))
    except OSError as error:
        _warn(error)


def publish_failure(error: HybridCIError) -> None:
    """Annotations, a summary and the failed tests. Never fails itself: the error is what counts."""
    if not any(os.environ.get(name) for name in ("GITHUB_ACTIONS", *_PLACES)):
        return
    from orchestrator.ci.outputs import leave, tell_failure
    from orchestrator.reports.junit import as_junit
    from orchestrator.reports.summary import failure_summary

    tell_failure(error)
    tests = list(_tests(error))
    kept = ("GITHUB_STEP_SUMMARY", "HYBRID_CI_JUNIT") if tests else ("GITHUB_STEP_SUMMARY",)
    try:
        places = {name: os.environ.get(name, "") for name in kept}
        leave({}, lambda: failure_summary(error), lambda: as_junit(tests), places)
    except OSError as problem:
        _warn(problem)


def outputs_of(record: ReleaseRecord) -> Mapping[str, str]:
    """The step outputs; the action and the pipelines name the same ones."""
    pull_request = record.pull_request
    return {
        "pull-request-url": pull_request.url if pull_request is not None else "",
        "pull-request-number": str(pull_request.number) if pull_request is not None else "",
        "changed": str(record.changed).lower(),
        "state": record.state,
        "release": record.release or "",
        "images": json.dumps([image.model_dump(mode="json", include=_IMAGE) for image in record.images]),
    }


def _tests(error: HybridCIError) -> Iterator[TestResult]:
    yield from getattr(error, "tests", ())
    for cause in error.causes:
        yield from _tests(cause)


def _warn(error: OSError) -> None:
    print(printable(f"warning: the CI's own files can't be written: {error}"), file=sys.stderr)
