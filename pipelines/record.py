"""The release record of a result: what it did, as a versioned document."""

from __future__ import annotations

from datetime import datetime

from orchestrator.gitops.outcome import Committed, Opened, Outcome, Superseded, Unchanged, Updated
from orchestrator.reports.records import PullRequestRecord, ReleaseRecord, image_records, source_record
from pipelines.release import ReleaseResult


def record_of(result: ReleaseResult, now: datetime) -> ReleaseRecord:
    """The record; ``state`` is ``planned`` for a dry run."""
    outcome = result.outcome
    return ReleaseRecord(
        release=result.release.id,
        application=result.release.application,
        environment=result.environment,
        state=outcome.state if outcome else "planned",
        changed=isinstance(outcome, Opened | Updated | Committed),
        created=now,
        source=source_record(result.release),
        images=image_records(result.release),
        pull_request=_pull_request(outcome),
    )


def _pull_request(outcome: Outcome | None) -> PullRequestRecord | None:
    match outcome:
        case Opened() | Updated():
            found, commit = outcome.pull_request, str(outcome.commit)
        case Unchanged() | Superseded() if outcome.pull_request is not None:
            found = outcome.pull_request
            commit = str(found.head_commit or "")
        case _:
            return None
    return PullRequestRecord(number=found.number, url=found.url, branch=str(found.head), commit=commit)
