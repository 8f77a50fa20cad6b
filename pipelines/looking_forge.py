"""What the forge tells those who only look: open pull requests, and which one brought a commit."""

from __future__ import annotations

import re

from orchestrator.forges.base import Browsing, Forge, PullRequest

_OURS = "hybrid-ci/"
_HEX = re.compile(r"(?:_[0-9a-f]{2})+")
# What forges write into the message of a merge, a squash or a rebase: its number at the end of the subject, or so.
_NUMBERS = (
    re.compile(r"Merge pull request #(?P<number>[1-9][0-9]{0,9}) from "),
    re.compile(r"[^\n]* \(#(?P<number>[1-9][0-9]{0,9})\)(?:\n|\Z)"),
    re.compile(r"(?:.*\n)*See merge request (?:[^\s!]+)?!(?P<number>[1-9][0-9]{0,9})\s*\Z"),
)


def browsing(forge: Forge | None) -> Browsing | None:
    """The forge, when it can list pull requests."""
    asked: object = forge
    return asked if isinstance(asked, Browsing) else None


def target_of(pull_request: PullRequest) -> tuple[str, str] | None:
    """The environment and the scope of one of our branches; None for others, and for those of forks."""
    head = pull_request.head.value
    if pull_request.fork or not head.startswith(_OURS):
        return None
    environment, _, scope = head.removeprefix(_OURS).partition("/")
    return (decode(environment), decode(scope)) if environment and scope else None


def decode(part: str) -> str:
    """The name that ``core.change.encode`` made this of; what it did not make stays as it is."""
    return _HEX.sub(lambda match: bytes.fromhex(match[0].replace("_", "")).decode("utf-8", "replace"), part)


def number_in(message: str) -> int | None:
    """The pull request that a commit's message says it comes from: a claim of whoever merged."""
    for pattern in _NUMBERS:
        if match := pattern.match(message):
            return int(match["number"])
    return None
