"""The commits of an application's repository that a pull request brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.comparison import Comparison, SourceChange
from orchestrator.core.names import CommitId
from orchestrator.reports.markdown import code, folded, link

_MOST = 100
_FEW = 5


@dataclass(frozen=True, slots=True)
class SourceRange:
    """What lies between the commit that these images run now and the one that they come from next."""

    images: tuple[str, ...]
    running: CommitId
    coming: CommitId
    comparison: Comparison


def commits_part(ranges: Sequence[SourceRange], room: int) -> str:
    """The commits of each range, newest first, as many as there is room for; their number always, if that fits."""
    told: list[str] = []
    for number, one in enumerate(ranges):
        text = _range(one, (room - sum(map(len, told))) // (len(ranges) - number))
        if text:
            told.append(text)
    return "\n\n".join(told)


def _range(one: SourceRange, room: int) -> str:
    head = _head(one)
    shown = [_commit(change) for change in one.comparison.commits[:_MOST]]
    while True:
        more = one.comparison.ahead - len(shown)
        lines = [*shown, *([f"- and {more} more"] if more > 0 and shown else [])]
        where = link("All of them", one.comparison.url) + "." if link("", one.comparison.url) else ""
        listed = "\n".join(lines) + (f"\n\n{where}" if where else "")
        text = _folded_when_long(head, listed.strip(), len(lines)) if listed.strip() else f"{head}."
        if len(text) <= room:
            return text
        if not shown:
            return ""
        shown = shown[: len(shown) // 2]


def _folded_when_long(head: str, listed: str, count: int) -> str:
    """The head is Markdown where it stands by itself, and says less where it can only be HTML."""
    return f"{head}:\n\n{listed}" if count <= _FEW else f"{head}:\n\n{folded('Show them', listed)}"


def _head(one: SourceRange) -> str:
    comparison = one.comparison
    names = ", ".join(code(name) for name in one.images)
    span = f"since {code(one.running.short)}, which {names} run{'s' if len(one.images) == 1 else ''} now"
    if comparison.behind and not comparison.ahead:
        return f"**Goes back** by {_commits(comparison.behind)} {span}"
    lost = f", **and loses {_commits(comparison.behind)}**" if comparison.behind else ""
    return f"Brings {_commits(comparison.ahead)} {span}{lost}"


def _commits(count: int) -> str:
    return f"{count} commit{'s' if count != 1 else ''}"


def _commit(change: SourceChange) -> str:
    author = f" by {code(change.author, 60)}" if change.author else ""
    return f"- {link(code(change.commit.short), change.url)} {code(change.subject)}{author}"
