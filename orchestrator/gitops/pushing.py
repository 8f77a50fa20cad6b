"""What the server is told with a push, where the forge opens pull requests by pushes."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.names import BranchName
from orchestrator.forges.base import Forge, OpensByPush, PullRequestDraft


def push_options(forge: Forge, head: BranchName, base: BranchName, title: str, body: str) -> Sequence[str]:
    """The options that make the push of ``head`` open or rewrite its pull request; none for a forge that is called."""
    if not isinstance(forge, OpensByPush):
        return ()
    return forge.push_options(PullRequestDraft(title, body, head, base))
