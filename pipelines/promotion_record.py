"""The record of a promotion's result, as a versioned document."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchestrator.core.facts import Moving
from orchestrator.core.image import ImageReference
from orchestrator.core.verdict import Verdict
from orchestrator.gitops.outcome import Committed, Opened, Superseded, Unchanged, Updated, Waiting
from orchestrator.gitops.provenance import Skipped
from orchestrator.reports.diff import unified
from orchestrator.reports.promotions import (
    LeftImage,
    OpenSkip,
    OverrideRecord,
    PromotedEnvironment,
    PromotedImage,
    PromotionRecord,
    VerdictRecord,
)
from orchestrator.reports.records import PullRequestRecord
from pipelines.promotion import Promoted, PromotionResult

# Of several environments the state that asks for most attention is that of the whole.
_ATTENTION = (
    "failed", "refused", "superseded", "waiting", "planned", "opened", "updated", "committed", "merged", "unchanged",
)  # fmt: skip


def record_of_promotion(result: PromotionResult, now: datetime) -> PromotionRecord:
    """The record."""
    states = [one.state for one in result.targets]
    overrides = dict.fromkeys(o for one in result.targets if one.change is not None for o in one.change.overrides)
    return PromotionRecord(
        created=now,
        source=result.source,
        scope=result.scope,
        dry_run=result.dry_run,
        state=min(states, key=_rank, default="unchanged"),
        changed=any(isinstance(one.outcome, Opened | Updated | Committed) for one in result.targets),
        overrides=[
            OverrideRecord(kind=one.kind.value, environment=one.environment, reason=one.reason) for one in overrides
        ],
        environments=[_environment(one, dry_run=result.dry_run) for one in result.targets],
        open_skips=[_skip(one) for one in result.skips],
        calls={kind: dict(methods) for kind, methods in result.calls.items()},
    )


def _rank(state: str) -> int:
    return _ATTENTION.index(state) if state in _ATTENTION else 0


def _environment(one: Promoted, *, dry_run: bool) -> PromotedEnvironment:
    branch, commit = _place(one)
    pull = getattr(one.outcome, "pull_request", None) or one.held
    return PromotedEnvironment(
        environment=one.environment.name,
        wave=one.environment.wave or None,
        state=one.state,
        result=one.result.value,
        images=_images(one.moving),
        left=[
            LeftImage(repository=str(left.repository), reason=left.reason, where=left.where, refused=left.refused)
            for left in one.left
        ],
        verdicts=[_verdict(verdict) for verdict in one.verdicts],
        branch=branch,
        commit=commit,
        pull_request=PullRequestRecord(number=pull.number, url=pull.url) if pull is not None else None,
        error=one.error.message if one.error is not None else None,
        diff=unified(one.plan.edits) if dry_run and one.plan is not None else None,
    )


def _images(moving: Sequence[Moving]) -> list[PromotedImage]:
    return [
        PromotedImage(
            repository=str(one.repository),
            before=_before(one.runs),
            tag=one.image.tag,
            digest=str(one.image.digest),
            source=str(one.origin.source) if one.origin.source is not None else None,
        )
        for one in moving
    ]


def _before(image: ImageReference | None) -> str | None:
    if image is None:
        return None
    return " ".join(part for part in (image.tag, image.digest.short if image.digest else None) if part)


def _verdict(one: Verdict) -> VerdictRecord:
    return VerdictRecord(
        gate=one.gate,
        verdict=one.result.value,
        reason=one.reason,
        evidence=list(one.evidence),
        link=one.link,
        hint=one.hint,
        until=one.until.isoformat() if one.until is not None else None,
        images=[str(image) for image in one.images],
        overridden=one.overridden,
    )


def _skip(one: Skipped) -> OpenSkip:
    return OpenSkip(
        environment=one.environment,
        skipped=one.left_out,
        reason=one.reason,
        images=[str(image.repository) for image in one.images],
        at=one.at.isoformat() if one.at is not None else None,
    )


def _place(one: Promoted) -> tuple[str | None, str | None]:
    """The branch and the commit that hold the change now; the branch alone where nothing was written."""
    branch = str(one.change.branch) if one.change is not None else None
    match one.outcome:
        case Opened() | Updated():
            return str(one.outcome.pull_request.head), str(one.outcome.commit)
        case Committed():
            return str(one.outcome.branch), str(one.outcome.commit)
        case (Unchanged() | Superseded() | Waiting()) as outcome if outcome.pull_request is not None:
            head = outcome.pull_request.head_commit
            return str(outcome.pull_request.head), str(head) if head is not None else None
        case _:
            return branch, None
