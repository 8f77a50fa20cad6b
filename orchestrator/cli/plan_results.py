"""How a plan is printed."""

from __future__ import annotations

import sys

from orchestrator.cli.plan import PlanFormat
from orchestrator.reports.diff import readable
from orchestrator.reports.graph import as_mermaid, as_text
from orchestrator.reports.markdown import code, fenced, table
from orchestrator.reports.plans import ImagePlan, PlanDocument
from pipelines.plan import Planned
from pipelines.targets import UNKNOWN_DIGEST

_UNKNOWN = "(known after the push)"


def render(planned: Planned, output: PlanFormat) -> str:
    """The plan in this format, without a final newline."""
    match output:
        case PlanFormat.JSON:
            return planned.document.to_json().rstrip("\n")
        case PlanFormat.MERMAID:
            return as_mermaid(planned.graph)
        case PlanFormat.MARKDOWN:
            return _markdown(planned)
        case PlanFormat.TABLE:
            return _text(planned)


def _text(planned: Planned) -> str:
    document = planned.document
    width = max((len(image.name) for image in document.images), default=0)
    lines = [f"{document.application} to {document.environment}: {_count(document)}", "", as_text(planned.graph), ""]
    lines += [f"  {image.name:<{width}}  {_what(image)}  {image.repository}:{image.tag}" for image in document.images]
    diff = readable(_shown(document.diff), terminal=sys.stdout.isatty())
    return "\n".join([*lines, "", diff or "no file would change"]).rstrip("\n")


def _markdown(planned: Planned) -> str:
    document = planned.document
    rows = [(code(image.name), _what(image), code(f"{image.repository}:{image.tag}", 300)) for image in document.images]
    diff = readable(_shown(document.diff), terminal=True)
    return "\n\n".join(
        [
            f"**{code(document.application)} to {code(document.environment)}**: {_count(document)}",
            fenced(as_mermaid(planned.graph), "mermaid"),
            table(("Image", "What", "Reference"), rows),
            fenced(diff, "diff") if diff else "No file would change.",
        ]
    )


def _count(document: PlanDocument) -> str:
    running = sum(stage.action == "run" for stage in document.stages)
    pins = len(document.pins)
    return f"{running} of {len(document.stages)} stages would run, {pins} pin{'s' if pins != 1 else ''} would move"


def _what(image: ImagePlan) -> str:
    return f"{image.action} ({image.reason}; {image.tests})"


def _shown(diff: str) -> str:
    """A digest that only the registry can give is not shown as if it were one."""
    return diff.replace(UNKNOWN_DIGEST.hex, _UNKNOWN)
