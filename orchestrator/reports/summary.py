"""The summary of a CI job: what was released and where to look, as Markdown. All text from outside is shown as code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.errors import HybridCIError
from orchestrator.core.stages import Graph
from orchestrator.core.verdict import Verdict
from orchestrator.engine.stage import Ended
from orchestrator.reports.built import BuildRecord
from orchestrator.reports.graph import as_mermaid
from orchestrator.reports.markdown import code, fenced, folded, link, quoted, table
from orchestrator.reports.records import ImageRecord, ReleaseRecord, TestRecord
from orchestrator.reports.verdicts import verdict_markdown

_MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Told:
    """What the record does not hold: the sentence that says how it ended, the graph that ran, what gates said."""

    sentence: str
    graph: Graph | None = None
    ended: Mapping[str, Ended] | None = None
    verdicts: Sequence[Verdict] = ()


def job_summary(record: ReleaseRecord, told: Told) -> str:
    """Headline, pull request, images, tests, verdicts, stages."""
    parts = [
        f"## {code(record.application)} to {code(record.environment)}",
        code(told.sentence, 500),
    ]
    if record.pull_request is not None:
        parts.append(f"**Pull request: {link(f'#{record.pull_request.number}', record.pull_request.url)}**")
    if record.images:
        parts.append(table(("Image", "Reference", "Digest"), [_image(one) for one in record.images[:_MOST_ROWS]]))
    parts += [f"⚠️ {code(warning, 500)}" for warning in record.warnings]
    parts.append(_tests(record.images))
    if told.verdicts:
        parts.append(f"### Gates\n\n{verdict_markdown(told.verdicts)}")
    parts.append(_stages(record, told))
    return "\n\n".join(filter(None, parts))


def built_summary(record: BuildRecord) -> str:
    """One runner's part of a release: its images, and how they were tested."""
    names = ", ".join(code(image.name) for image in record.images)
    rows = [_image(one) for one in record.images]
    return "\n\n".join(
        filter(None, (f"## Built {names}", table(("Image", "Reference", "Digest"), rows), _tests(record.images)))
    )


def failure_summary(error: HybridCIError) -> str:
    """What went wrong, where, and what to do."""
    parts = [f"## hybrid-ci failed: {code(error.message, 500)}"]
    if error.where:
        parts.append(f"Where: {code(error.where, 500)}")
    if error.hint:
        parts.append(f"What to do: {code(error.hint, 500)}")
    if error.details:
        parts.append(folded("Details", quoted("\n".join(error.details[:_MOST_ROWS]))))
    return "\n\n".join(parts)


def _image(image: ImageRecord) -> tuple[str, str, str]:
    tag = f":{image.tag}" if image.tag else ""
    return code(image.name), code(f"{image.repository}{tag}", 300), code(image.digest or "known after the push")


def _tests(images: Sequence[ImageRecord]) -> str:
    rows = [
        (code(image.name), code(test.name), _result(test), f"{test.seconds:.1f} s")
        for image in images
        for test in image.tests
    ]
    if not rows:
        return ""
    more = f"\n\nAnd {len(rows) - _MOST_ROWS} more." if len(rows) > _MOST_ROWS else ""
    return f"### Tests\n\n{table(('Image', 'Test', 'Result', 'Time'), rows[:_MOST_ROWS])}{more}"


def _result(test: TestRecord) -> str:
    sign = "✅ passed" if test.passed else "❌ failed"
    return f"{sign} ({test.cases.tests} cases)" if test.cases is not None else sign


def _stages(record: ReleaseRecord, told: Told) -> str:
    if told.graph is not None:
        return f"### Stages\n\n{fenced(as_mermaid(told.graph, told.ended or {}), 'mermaid')}"
    if not record.stages:
        return ""
    rows = [(code(one.name), code(one.reason or one.state), f"{one.seconds:.1f} s") for one in record.stages]
    return f"### Stages\n\n{table(('Stage', 'How it ended', 'Time'), rows[:_MOST_ROWS])}"
