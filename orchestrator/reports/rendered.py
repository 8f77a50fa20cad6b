"""Rendered manifests, before and after: which resources change, and in what."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.reports.markdown import code, folded, quoted, summary

_CONTEXT = 3
_NOTES = 120  # characters for what is said about those that were left out
_LONGEST_DIFF = 20_000  # characters of one resource: who needs more renders it


class ResourceChange(StrEnum):
    """What happens to a resource."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class ResourceDiff:
    """One resource (such as ``apps/Deployment shop/api``) that is not the same afterwards; ``diff`` is unified."""

    resource: str
    change: ResourceChange
    added: int
    removed: int
    diff: str


def diff_rendered(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[ResourceDiff, ...]:
    """The resources that differ, by name; what is the same is not in it."""
    return tuple(
        _difference(resource, before.get(resource), after.get(resource))
        for resource in sorted({*before, *after})
        if before.get(resource) != after.get(resource)
    )


def rendered_part(diffs: Sequence[ResourceDiff] | None, reason: str | None, room: int) -> str:
    """What changes in the cluster, a folded part for each resource. What does not fit is named without its diff."""
    if diffs is None:
        told = f"Rendered manifests are not shown: {code(reason, 300)}." if reason else ""
        return told if len(told) <= room else ""
    if not diffs:
        told = "Rendered, nothing changes."
        return told if len(told) <= room else ""
    head = f"Rendered, {len(diffs)} resource{'s' if len(diffs) != 1 else ''} change{'s' if len(diffs) == 1 else ''}:"
    left = room - len(head) - _NOTES
    lines: list[str] = []
    for one in diffs:  # each is named first, then shown as far as there is room
        lines.append(f"- {_line(one)}")
        left -= len(lines[-1]) + 2
        if left < 0:
            lines.pop()
            break
    if not lines:
        return ""
    left = max(left, 0)
    cut = 0
    for number, one in enumerate(diffs[: len(lines)]):
        whole = folded(_line(one), quoted(_shortened(one.diff), "diff"))
        cost = len(whole) - len(lines[number])
        if cost <= left:
            lines[number] = whole
            left -= cost
        else:
            cut += 1
    more = len(diffs) - len(lines)
    notes = [f"And {more} more."] if more else []
    notes += ["Diffs that are too long for this page are left out."] if cut else []
    return "\n\n".join([head, *lines, *notes])


def _difference(resource: str, before: str | None, after: str | None) -> ResourceDiff:
    old, new = (before or "").splitlines(keepends=True), (after or "").splitlines(keepends=True)
    lines = list(difflib.unified_diff(old, new, "before", "after", n=_CONTEXT))
    change = ResourceChange.CHANGED
    if before is None:
        change = ResourceChange.ADDED
    elif after is None:
        change = ResourceChange.REMOVED
    return ResourceDiff(
        resource,
        change,
        sum(line.startswith("+") for line in lines[2:]),
        sum(line.startswith("-") for line in lines[2:]),
        "".join(line if line.endswith("\n") else f"{line}\n" for line in lines[2:]),
    )


def _line(one: ResourceDiff) -> str:
    return f"{summary(one.resource)} {one.change}: +{one.added} −{one.removed}"  # noqa: RUF001


def _shortened(diff: str) -> str:
    if len(diff) <= _LONGEST_DIFF:
        return diff
    lines = diff[:_LONGEST_DIFF].splitlines(keepends=True)[:-1]
    return "".join([*lines, f"… and {len(diff.splitlines()) - len(lines)} more lines\n"])
