"""How the result of a handoff is printed: for people, as Markdown, or as the record's JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import typer

from orchestrator.ci.redact import redactor
from orchestrator.cli.app import OutputFormat
from orchestrator.cli.publish import publish_release
from orchestrator.core.change import Change
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import Repository
from orchestrator.core.release import ReleasedImage
from orchestrator.forges.base import AutoMerge, PullRequest
from orchestrator.gitops.outcome import Committed, Opened, Outcome, Superseded, Unchanged, Updated, Waiting
from orchestrator.reports.diff import readable, unified
from orchestrator.reports.markdown import code, fenced, table
from orchestrator.reports.records import ReleaseRecord, calls_line
from pipelines.record import record_of
from pipelines.release import ReleaseResult
from pipelines.targets import UNKNOWN_DIGEST

_UNKNOWN = "(known after the push)"


def print_result(
    result: ReleaseResult,
    now: datetime,
    output: OutputFormat,
    record_file: Path | None,
    *,
    calls: Mapping[str, Mapping[str, int]] | None = None,
    verbose: bool = False,
) -> None:
    """Print the result to stdout, then write the record if asked for: where to look must never be lost.

    ``calls`` is what was counted; for people it is printed where they want to know it all.
    """
    record = record_of(result, now, calls)
    _print(result, record, output)
    if verbose and output is OutputFormat.TABLE:
        typer.echo(f"\n  {calls_line(record.calls)}")
    publish_release(result, record, sentence(result))
    if record_file is not None:
        record.write(record_file, redactor)


def check_record_file(file: Path | None) -> None:
    """Before the work: the record can be written there. Raises ConfigurationError."""
    if file is None:
        return
    folder = next(parent for parent in file.absolute().parents if parent.exists())
    if not os.access(file if file.exists() else folder, os.W_OK) or file.is_dir():
        raise ConfigurationError(
            "the record can't be written there",
            where=f"--record {file}",
            hint="name a file in a folder that we may write",
        )


def _print(result: ReleaseResult, record: ReleaseRecord, output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        typer.echo(record.to_json(), nl=False)
    elif output is OutputFormat.MARKDOWN:
        typer.echo(_markdown(result, record))
    else:
        typer.echo(_text(result, record))


def _text(result: ReleaseResult, record: ReleaseRecord) -> str:
    lines = [f"{record.application} to {record.environment}: {sentence(result)}", ""]
    width = max((len(image.name) for image in result.release.images), default=0)
    lines += [
        f"  {image.name:<{width}}  {_reference(image, result.unknown_digests)}" for image in result.release.images
    ]
    if result.plan is not None:
        diff = readable(_hide_unknown(unified(result.plan.edits)), terminal=sys.stdout.isatty())
        lines += ["", diff or "no file would change"]
    if record.pull_request is not None:
        lines += ["", f"  pull request  {record.pull_request.url}", f"  branch        {record.branch}"]
    return "\n".join(lines).rstrip("\n")


def _markdown(result: ReleaseResult, record: ReleaseRecord) -> str:
    rows = [(code(image.name), code(_reference(image, result.unknown_digests), 300)) for image in result.release.images]
    parts = [f"**{code(record.application)} to {code(record.environment)}**: {sentence(result)}"]
    parts.append(table(("Image", "Reference"), rows))
    if result.plan is not None:
        diff = readable(_hide_unknown(unified(result.plan.edits)), terminal=True)
        parts.append(fenced(diff, "diff") if diff else "No file would change.")
    if record.pull_request is not None:
        parts.append(f"Pull request: {record.pull_request.url}")
    return "\n\n".join(parts)


def sentence(result: ReleaseResult) -> str:
    """What happened, in one sentence."""
    outcome: Outcome | None = result.outcome
    match outcome:
        case None:
            count = len(result.plan.pins) if result.plan else 0
            return f"this is what would be handed off ({count} pin{'s' if count != 1 else ''})"
        case Opened():
            return (
                f"opened pull request #{outcome.pull_request.number}{_goes_on(outcome.pull_request, outcome.merging)}"
            )
        case Updated():
            return (
                f"updated pull request #{outcome.pull_request.number}{_goes_on(outcome.pull_request, outcome.merging)}"
            )
        case Waiting():
            return "waiting for a gate; nothing was changed"
        case Committed():
            return f"committed {outcome.commit.short} to {outcome.branch}"
        case Superseded():
            return f"superseded: the newer {_named(outcome.newer, outcome.pull_request)}; nothing was changed"
        case Unchanged():
            return f"nothing to do: {outcome.reason}"


def _goes_on(pull_request: PullRequest, merging: AutoMerge | None) -> str:
    """What happens next without anybody."""
    if merging is AutoMerge.MERGED:
        return " and merged it"
    if merging is AutoMerge.ENABLED:
        return "; it merges as soon as its rules allow it"
    return "; it is a draft while a gate waits" if pull_request.draft else ""


def _named(newer: Change, pull_request: PullRequest | None) -> str:
    tags = ", ".join(f"{image.repository.name} {image.tag or image.digest.short}" for image in newer.images)
    where = f"waits in pull request #{pull_request.number}" if pull_request is not None else "is there already"
    release = f"release {newer.release} " if newer.release.isalnum() and newer.release.isascii() else "release "
    return f"{release}({tags}) {where}"


def _reference(image: ReleasedImage, unknown: tuple[Repository, ...]) -> str:
    text = str(image.pinned)
    return _hide_unknown(text) if image.pinned.repository in unknown else text


def _hide_unknown(text: str) -> str:
    """A digest that only the registry can give is not shown as if it were one."""
    return text.replace(UNKNOWN_DIGEST.hex, _UNKNOWN)
