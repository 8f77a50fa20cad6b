"""What a reviewer reads: the title and body of a pull request, made from the plan and whatever else is known.

The summary always stands; the rest gets what room is left, the most useful part first, and each part cuts itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.core.change import ChangePlan
from orchestrator.core.environment import Waiver
from orchestrator.core.release import Release
from orchestrator.core.text import printable
from orchestrator.core.verdict import Verdict
from orchestrator.reports import pull_request_parts as parts
from orchestrator.reports.commits import SourceRange, commits_part
from orchestrator.reports.rendered import ResourceDiff, rendered_part

LONGEST = 65_000  # characters of a body, where nobody says another number
_SUMMARY = 24_000  # what the summary's parts are cut to fit into together, however little room there is
_BETWEEN = 2  # characters between two parts
Part = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beyond the plan.

    ``release`` is None when only the commit on the branch is known, not the run that made it; ``sources`` are the
    commits that come in; ``rendered`` what the cluster's manifests would change in (None: nobody rendered them, for
    the reason ``not_rendered`` if that is worth saying).
    """

    release: Release | None = None
    waivers: tuple[Waiver, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    sources: tuple[SourceRange, ...] = ()
    run_url: str | None = None
    rendered: Sequence[ResourceDiff] | None = None
    not_rendered: str | None = None


def title(plan: ChangePlan) -> str:
    """One line: what goes where."""
    change = plan.change
    names = ", ".join(f"{image.repository.name} {image.tag or image.digest.short}" for image in change.images)
    text = printable(f"{change.scope} to {change.environment}: {names}")
    return text if len(text) <= 120 else text[:119] + "…"


def block(plan: ChangePlan, known: Known, room: int = LONGEST) -> str:
    """What hybrid-ci says in the body, in at most ``room`` characters, or the summary alone."""
    release = known.release
    always = [
        parts.headline(plan),
        parts.pins(plan.pins, max(room, _SUMMARY) // 3),
        parts.gates(known.verdicts, max(room, _SUMMARY) // 6),
        parts.source(plan, release, known.run_url, max(room, _SUMMARY) // 8),
        parts.waivers(known.waivers, max(room, _SUMMARY) // 8),
        parts.deployment(release),
    ]
    optional: list[Part] = [
        lambda left: parts.tests(release.tests if release else (), left),
        lambda left: commits_part(known.sources, left),
        lambda left: parts.rollback(plan, release, left),
        lambda left: rendered_part(known.rendered, known.not_rendered, left),
    ]
    left = room - sum(len(one) + _BETWEEN for one in always if one)
    told: list[str] = []
    for part in optional:
        told.append(part(max(0, left - _BETWEEN)))
        left -= len(told[-1]) + _BETWEEN if told[-1] else 0
    tests, commits, rollback, rendered = told
    headline, pins, gates, source, waivers, deployment = always
    sections = [headline, pins, gates, source, commits, tests, rendered, waivers, rollback, deployment]
    return "\n\n".join(section for section in sections if section)
