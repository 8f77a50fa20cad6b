"""The release record of a result: what it did, as a versioned document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from orchestrator.forges.base import AutoMerge
from orchestrator.gitops.outcome import Committed, Opened, Outcome, Superseded, Unchanged, Updated
from orchestrator.reports.records import PullRequestRecord, ReleaseRecord, StageRecord, image_records, source_record
from pipelines.release import ReleaseResult


def record_of(
    result: ReleaseResult, now: datetime, calls: Mapping[str, Mapping[str, int]] | None = None
) -> ReleaseRecord:
    """The record; ``state`` is ``planned`` for a dry run. ``calls`` is what was counted."""
    outcome = result.outcome
    branch, commit = _place(outcome)
    return ReleaseRecord(
        release=None if result.unknown_digests else result.release.id,
        application=result.release.application,
        environment=result.environment,
        state=outcome.state if outcome else "planned",
        changed=isinstance(outcome, Opened | Updated | Committed),
        created=now,
        source=source_record(result.release),
        images=image_records(result.release, result.unknown_digests),
        stages=[
            StageRecord(name=one.name, state=one.state, seconds=round(one.seconds, 3), reason=one.reason)
            for one in result.stages
        ],
        branch=branch,
        commit=commit,
        pull_request=_pull_request(outcome),
        merge=_merge(outcome),
        warnings=list(getattr(outcome, "warnings", ())),
        calls={kind: dict(methods) for kind, methods in (calls or {}).items()},
    )


def _pull_request(outcome: Outcome | None) -> PullRequestRecord | None:
    found = getattr(outcome, "pull_request", None)
    return PullRequestRecord(number=found.number, url=found.url) if found is not None else None


def _merge(outcome: Outcome | None) -> Literal["merged", "enabled"] | None:
    match getattr(outcome, "merging", None):
        case AutoMerge.MERGED:
            return "merged"
        case AutoMerge.ENABLED:
            return "enabled"
        case _:
            return None


def _place(outcome: Outcome | None) -> tuple[str | None, str | None]:
    """The branch and the commit that hold the change now."""
    match outcome:
        case Opened() | Updated():
            return str(outcome.pull_request.head), str(outcome.commit)
        case Committed():
            return str(outcome.branch), str(outcome.commit)
        case Unchanged() | Superseded() if outcome.pull_request is not None:
            head = outcome.pull_request.head_commit
            return str(outcome.pull_request.head), str(head) if head else None
        case _:
            return None, None
