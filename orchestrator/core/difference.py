"""What a commit changes of an application, as far as its history tells."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.names import CommitId


@dataclass(frozen=True, slots=True)
class Difference:
    """The paths that differ from ``base``, relative to the application's folder (``../`` for those outside).

    ``paths`` is None where nobody can tell; ``reason`` says why.
    """

    paths: frozenset[str] | None
    base: CommitId | None = None
    reason: str = ""
