"""What a gate says: pass, wait or refuse, with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.core.image import Repository


class Result(StrEnum):
    """The three answers of a gate."""

    PASS = "pass"  # noqa: S105  (not a password)
    WAIT = "wait"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate's answer about one change.

    ``reason`` is a sentence without a full stop; ``evidence`` what it rests on; ``link`` where to look; ``hint`` what
    to do about it; ``until`` when a wait ends by itself, where that is known; ``images`` those that it is about
    (empty: the change as a whole); ``overridden`` the written reason for which a refusal does not count.
    """

    gate: str
    result: Result
    reason: str
    evidence: tuple[str, ...] = ()
    link: str | None = None
    hint: str | None = None
    until: datetime | None = None
    images: tuple[Repository, ...] = ()
    overridden: str | None = None


_WEIGHT = {Result.PASS: 0, Result.WAIT: 1, Result.REFUSE: 2}


def overall(verdicts: Iterable[Verdict]) -> Result:
    """Refuse beats wait beats pass; no verdict at all is a pass."""
    return max((verdict.result for verdict in verdicts), key=_WEIGHT.__getitem__, default=Result.PASS)


def wait_ends(verdicts: Iterable[Verdict]) -> datetime | None:
    """When the last wait ends by itself; None when there is none, or one of them waits for something without a date."""
    waits = [verdict.until for verdict in verdicts if verdict.result is Result.WAIT]
    known = [until for until in waits if until is not None]
    return max(known) if known and len(known) == len(waits) else None
