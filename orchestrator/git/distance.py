"""How many commits lie between two of an application's own, told by its checkout: nothing is fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import CommitId
from orchestrator.engine.process import Limits
from orchestrator.git.command import Git
from orchestrator.git.source import open_checkout

_LIMITS = Limits(seconds=10)


def distance_in(directory: Path) -> Callable[[CommitId, CommitId], int | None]:
    """A function that counts: how many commits of the branch the newer one is ahead of the older one, along its first
    parents, as positions are counted.

    None when the checkout has not both or its history is cut; the number is negative when the older one is ahead.
    """
    opened: list[Git | None] = []

    def distance(older: CommitId, newer: CommitId) -> int | None:
        if not opened:
            opened.append(_whole_checkout(directory))
        git = opened[0]
        if git is None:
            return None
        ahead, behind = _count(git, older, newer), _count(git, newer, older)
        if ahead is None or behind is None or (ahead and behind):  # they have diverged: no number says that
            return None
        return ahead - behind

    return distance


def _whole_checkout(directory: Path) -> Git | None:
    try:
        _, git = open_checkout(directory)
    except ConfigurationError:
        return None
    shallow = git.run(["rev-parse", "--is-shallow-repository"], check=False)
    return git if shallow.stdout.strip() == b"false" else None


def _count(git: Git, older: CommitId, newer: CommitId) -> int | None:
    """How many commits ``newer`` has, by first parents, that ``older`` has not."""
    argv = ["rev-list", "--count", "--first-parent", "--end-of-options", newer.value, f"^{older}"]
    answer = git.run(argv, check=False, limits=_LIMITS)
    return int(answer.stdout) if answer.ok else None
