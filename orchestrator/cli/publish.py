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
    from orchestrator.reports.built import BuildRecord
    from orchestrator.reports.promotions import PromotionRecord
    from orchestrator.reports.records import ReleaseRecord
    from pipelines.release import ReleaseResult

_PLACES = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "HYBRID_CI_DOTENV", "HYBRID_CI_JUNIT")
_CHANGED = ("opened", "updated", "merged", "committed")
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


def publish_promotion(record: PromotionRecord) -> None:
    """The same of a promotion. Of several environments the outputs speak of the first that has a pull request."""
    if not any(os.environ.get(name) for name in _PLACES):
        return
    from orchestrator.ci.outputs import leave
    from orchestrator.reports.junit import as_junit
    from orchestrator.reports.promotions import promotion_markdown

    told = next((one for one in record.environments if one.pull_request is not None), None)
    told = told or next(iter(record.environments), None)
    pull_request = told.pull_request if told is not None else None
    images = {image.repository: image for one in record.environments for image in one.images}
    values = {
        "pull-request-url": pull_request.url if pull_request is not None else "",
        "pull-request-number": str(pull_request.number) if pull_request is not None else "",
        "changed": str(any(one.state in _CHANGED for one in record.environments)).lower(),
        "state": told.state if told is not None else "unchanged",
        "release": "",
        "images": json.dumps([image.model_dump(mode="json", include=_IMAGE) for image in images.values()]),
    }
    places = {name: os.environ.get(name, "") for name in _PLACES if name != "HYBRID_CI_JUNIT"}
    try:
        leave(values, lambda: promotion_markdown(record), lambda: as_junit(()), places)
    except OSError as error:
        _warn(error)


def publish_built(record: BuildRecord) -> None:
    """The summary and the tests of one runner's part of a release."""
    if not any(os.environ.get(name) for name in _PLACES):
        return
    from orchestrator.ci.outputs import leave
    from orchestrator.reports.junit import as_junit
    from orchestrator.reports.records import results_of
    from orchestrator.reports.summary import built_summary

    places = {name: os.environ.get(name, "") for name in ("GITHUB_STEP_SUMMARY", "HYBRID_CI_JUNIT")}
    try:
        leave({}, lambda: built_summary(record), lambda: as_junit(results_of(record.images)), places)
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
