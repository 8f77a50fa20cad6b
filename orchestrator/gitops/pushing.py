"""What the server is told with a push, where the forge opens pull requests by pushes."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.names import BranchName
from orchestrator.forges.base import Forge, OpensByPush, PullRequestDraft
from orchestrator.gitops.pull_request_text import PullRequestText


def push_options(forge: Forge, head: BranchName, base: BranchName, text: PullRequestText) -> Sequence[str]:
    """The options that make the push of ``head`` open or rewrite its pull request.

    None for a forge that is called, and no text is made for it.
    """
    if not isinstance(forge, OpensByPush):
        return ()
    return forge.push_options(PullRequestDraft(text.title, text.body(), head, base))
