"""The record of a promotion: a JSON document with a versioned schema, and how people read it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from orchestrator import __version__
from orchestrator.core.text import printable
from orchestrator.reports.markdown import code, folded, summary, table
from orchestrator.reports.records import Document, Part, PullRequestRecord, calls_line

SCHEMA: Final = "hybrid-ci.promotion/v1"
_SIGNS = {"pass": "✅ pass", "wait": "⏳ wait", "refuse": "⛔ refuse"}
_MOST_IMAGES = 12


class PromotedImage(Part):
    """One image that moves: what runs now, and what shall run."""

    repository: str = Field(description="Registry and path.")
    before: str | None = Field(description="Tag and digest that run now; null where nothing of it runs.")
    tag: str | None
    digest: str = Field(description="The same byte for byte as in the source environment.")
    source: str | None = Field(description="Commit that it was built from, as the ledger claims.")


class LeftImage(Part):
    """One image that does not come along."""

    repository: str
    reason: str
    where: str
    refused: bool = Field(description="The promotion can't go without it; otherwise nothing was to do.")


class VerdictRecord(Part):
    """What a gate says."""

    gate: str
    verdict: Literal["pass", "wait", "refuse"]
    reason: str
    evidence: list[str]
    link: str | None
    hint: str | None
    until: str | None = Field(description="When a wait ends by itself.")
    images: list[str]
    overridden: str | None = Field(description="The written reason for which a refusal does not count.")


class PromotedEnvironment(Part):
    """What became of one environment."""

    environment: str
    wave: int | None
    state: str = Field(
        description="opened, updated, merged, committed, unchanged, planned, waiting, superseded, refused or failed."
    )
    result: Literal["pass", "wait", "refuse"] = Field(description="What the gates say together.")
    images: list[PromotedImage]
    left: list[LeftImage]
    verdicts: list[VerdictRecord]
    branch: str | None
    commit: str | None
    pull_request: PullRequestRecord | None
    error: str | None
    diff: str | None = Field(description="What would be written, as a unified diff; only in a dry run.")


class OverrideRecord(Part):
    """A rule that was set aside."""

    kind: Literal["skip", "unknown-order"]
    environment: str | None
    reason: str


class OpenSkip(Part):
    """An environment that an earlier promotion left out, and that does not run the images yet."""

    environment: str
    skipped: str
    reason: str
    images: list[str]
    at: str | None


class PromotionRecord(Document):
    """What a promotion did."""

    lost: ClassVar[str] = "the promotion itself is done; run it again with another --record to get the record"

    schema_: Literal["hybrid-ci.promotion/v1"] = Field(default=SCHEMA, alias="schema")
    hybrid_ci: str = Field(default=__version__, description="Version that wrote the record.")
    created: datetime
    source: str = Field(description="The environment that runs the images already.")
    scope: str = Field(description="The application, or the name of the set.")
    dry_run: bool
    state: str = Field(description="The states of all environments together: the one that asks for most attention.")
    changed: bool = Field(description="Something was written to the GitOps repository.")
    overrides: list[OverrideRecord]
    environments: list[PromotedEnvironment]
    open_skips: list[OpenSkip]
    calls: dict[str, dict[str, int]] = Field(description="How often Git and the forge were asked, by method.")


def promotion_schema() -> dict[str, Any]:
    """The JSON Schema of a promotion's record."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **PromotionRecord.model_json_schema()}


# --- for people -----------------------------------------------------------------------------------------------------


def promotion_lines(record: PromotionRecord, *, verbose: bool = False) -> list[str]:
    """The promotion as text: an overview, then for each environment its images and gates.

    Gates that pass are told in one line unless ``verbose``; environments of which the same is to be told, once.
    """
    lines = [f"{printable(record.scope)} from {record.source}: {headline(record)}", ""]
    lines += _columns(
        [("ENVIRONMENT", "STATE", "GATES", "IMAGES", "WHERE"), *(_row(one) for one in record.environments)]
    )
    for names, one in _alike(record.environments):
        lines += ["", f"{', '.join(names)}:", *(f"  {line}" for line in _details(one, verbose=verbose))]
    notes = [f"set aside: {line}" for line in _overrides(record)]
    notes += [f"not made good yet: {line}" for line in _skips(record)]
    lines += ["", *notes] if notes else []
    if verbose:
        lines += ["", calls_line(record.calls)]
    return lines


def promotion_markdown(record: PromotionRecord) -> str:
    """The same for a job's summary or a comment."""
    rows = [
        (code(one.environment), code(one.state), _SIGNS[one.result], str(len(one.images)), _link(one))
        for one in record.environments
    ]
    parts = [f"**{code(record.scope)} from {code(record.source)}**: {headline(record)}"]
    parts.append(table(("Environment", "State", "Gates", "Images", "Where"), rows))
    for names, one in _alike(record.environments):
        inner = [table(("Image", "From", "To"), _markdown_images(one))] if one.images else []
        if one.verdicts:
            verdicts = [(code(v.gate), _SIGNS[v.verdict], code(_reason(v), 300)) for v in one.verdicts]
            inner.append(table(("Gate", "Verdict", "Reason"), verdicts))
        inner += [f"{code(left.repository)} stays: {code(left.reason, 300)}" for left in one.left]
        inner += [code(one.error, 300)] if one.error else []
        if inner:
            parts.append(folded(", ".join(map(summary, names)), "\n\n".join(inner)))
    parts += [f"Set aside: {code(line, 300)}" for line in _overrides(record)]
    parts += [f"Not made good yet: {code(line, 300)}" for line in _skips(record)]
    return "\n\n".join(parts)


def headline(record: PromotionRecord) -> str:
    """How many environments are in which state."""
    counts: dict[str, int] = {}
    for one in record.environments:
        counts[one.state] = counts.get(one.state, 0) + 1
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    return f"{told} (dry run, nothing was written)" if record.dry_run else told


def _row(one: PromotedEnvironment) -> tuple[str, ...]:
    where = one.pull_request.url if one.pull_request is not None else one.branch if one.commit is not None else ""
    name = f"{one.environment} (wave {one.wave})" if one.wave is not None else one.environment
    return name, one.state, _gates_in_words(one), str(len(one.images)), where or ""


def _gates_in_words(one: PromotedEnvironment) -> str:
    if not one.verdicts:
        return "-"
    asked = [verdict.gate for verdict in one.verdicts if verdict.verdict == one.result]
    return "pass" if one.result == "pass" else f"{one.result} ({', '.join(asked)})" if asked else one.result


def _details(one: PromotedEnvironment, *, verbose: bool) -> list[str]:
    width = max((len(image.repository) for image in one.images), default=0)
    shown_images = one.images if verbose else one.images[:_MOST_IMAGES]
    lines = [f"{image.repository:<{width}}  {_before(image)} -> {_after(image)}" for image in shown_images]
    if not verbose and len(one.images) > _MOST_IMAGES:
        lines.append(f"and {len(one.images) - _MOST_IMAGES} more images")
    lines += _gates(one.verdicts, verbose=verbose)
    lines += [f"stays: {left.repository}: {printable(left.reason)}{_at(left)}" for left in one.left]
    lines += [f"error: {printable(one.error)}"] if one.error else []
    return lines


def _gates(verdicts: Sequence[VerdictRecord], *, verbose: bool) -> list[str]:
    """Each verdict with what it rests on; those that pass and set nothing aside together, unless ``verbose``."""
    shown = [one for one in verdicts if verbose or one.verdict != "pass" or one.overridden]
    passed = [one.gate for one in verdicts if one not in shown]
    rows = [(printable(one.gate), one.verdict, printable(_reason(one))) for one in shown]
    rows += [("gates", "pass", ", ".join(map(printable, passed)))] if passed else []
    lines: list[str] = []
    for number, row in enumerate(_columns(rows)):
        below = _below(shown[number], verbose=verbose) if number < len(shown) else []
        lines += [row, *(f"    {printable(line)}" for line in below)]
    return lines


def _below(one: VerdictRecord, *, verbose: bool) -> list[str]:
    hint = [f"to do: {one.hint}"] if one.hint and one.verdict != "pass" else []
    return [
        *(one.evidence if verbose or one.verdict == "refuse" else ()),
        *([f"see {one.link}"] if one.link else []),
        *hint,
    ]


def _alike(environments: Sequence[PromotedEnvironment]) -> list[tuple[list[str], PromotedEnvironment]]:
    """Environments of which the same is to be told, as many clusters of a wave are."""
    groups: dict[str, tuple[list[str], PromotedEnvironment]] = {}
    for one in environments:
        told = one.model_copy(
            update={"environment": "", "branch": None, "commit": None, "pull_request": None, "diff": None, "wave": None}
        )
        if told.images or told.left or told.error or told.verdicts:
            groups.setdefault(told.model_dump_json(), ([], one))[0].append(one.environment)
    return list(groups.values())


def _at(left: LeftImage) -> str:
    return f" ({printable(left.where)})" if left.where else ""


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _markdown_images(one: PromotedEnvironment) -> list[tuple[str, str, str]]:
    return [(code(image.repository), code(_before(image)), code(_after(image))) for image in one.images]


def _before(image: PromotedImage) -> str:
    return printable(image.before) if image.before else "nothing"


def _after(image: PromotedImage) -> str:
    return " ".join(part for part in (image.tag, short(image.digest)) if part)


def short(digest: str) -> str:
    """``sha256:`` and 12 digits, for people."""
    return digest[: len("sha256:") + 12]


def _reason(one: VerdictRecord) -> str:
    return f"{one.reason} (set aside in writing)" if one.overridden else one.reason


def _link(one: PromotedEnvironment) -> str:
    if one.pull_request is not None:
        return f"#{one.pull_request.number} {code(one.pull_request.url, 300)}"
    return code(one.branch) if one.branch and one.commit else ""


def _overrides(record: PromotionRecord) -> list[str]:
    return [
        f"{f'{printable(one.environment)} is skipped' if one.environment else 'unknown order'}: {printable(one.reason)}"
        for one in record.overrides
    ]


def _skips(record: PromotionRecord) -> list[str]:
    return [
        f"{one.skipped} was skipped for {', '.join(one.images)} in {one.environment}: {printable(one.reason)}"
        for one in record.open_skips
    ]
