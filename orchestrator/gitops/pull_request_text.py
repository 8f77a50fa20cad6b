"""The text of a pull request: our block between what people wrote, and how it is recognised again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

BLOCK_BEGIN, BLOCK_END = "<!-- hybrid-ci:begin -->", "<!-- hybrid-ci:end -->"
_STAMP = re.compile(r"<!-- hybrid-ci:release (?P<release>\S+)(?P<waiting> waiting)?(?: gates:(?P<gates>\S+))? -->")
_PLAIN = re.compile(r"[A-Za-z0-9._]{1,64}")
_SEAL = re.compile(r"<!-- hybrid-ci:seal (?P<seal>[0-9a-f]{16}) -->")
LONGEST_BODY = 65_536  # characters that GitHub, and the local forge, take; our own part is nowhere longer
LONGEST_BODIES = {"gitlab": 1_048_576}  # docs.gitlab.com/administration/instance_limits: a description
_LEAST = 4_000  # a summary always has so much room, whatever people wrote around it


@dataclass(frozen=True, slots=True)
class PullRequestText:
    """What reviewers read.

    ``release`` is what it was written for; ``content`` makes the Markdown, in at most so many characters, and is asked
    only when it is written. ``waiting``: a gate says wait, so the pull request is a draft; ``gates`` changes when a
    verdict does. ``found``: it speaks of a change that was found on the branch, of which its own run knew more, so
    whatever was written for that release stays.
    """

    title: str
    release: str
    content: Callable[[int], str]
    waiting: bool = False
    gates: str = ""
    found: bool = False

    def body(self, current: str = "", longest: int = LONGEST_BODY) -> str:
        """The body with our block in its place; what people wrote around it stays."""
        found = _parts(current)
        if found is not None:
            before, _, after = found
        else:
            before, after = (f"{current.rstrip()}\n\n", "\n") if current.strip() else ("", "\n")
        return f"{before}{self._block(longest - len(before) - len(after))}{after}"

    def stands_in(self, body: str) -> bool:
        """Our block is there, written for this release, and as it was written.

        The seal finds what was edited by accident. It is no proof: who may edit a body may lie in it at any time,
        which is why nothing is ever decided by what a body says.
        """
        block = _block_of(body)
        stamp = _STAMP.search(block)
        if stamp is None or stamp["release"] != _word(self.release) or not _sealed(block):
            return False
        return self.found or stamp[0] == self._stamp()

    def _stamp(self) -> str:
        waiting = " waiting" if self.waiting else ""
        gates = f" gates:{self.gates}" if self.gates else ""
        return f"<!-- hybrid-ci:release {_word(self.release)}{waiting}{gates} -->"

    def _block(self, room: int) -> str:
        frame = len(BLOCK_BEGIN) + len(BLOCK_END) + len(self._stamp()) + 48  # the seal, and ends of lines
        room = min(max(_LEAST, room - frame), LONGEST_BODY)
        inside = f"{self._stamp()}\n\n{self.content(room).strip()}\n"
        return f"{BLOCK_BEGIN}\n{inside}\n<!-- hybrid-ci:seal {_seal(inside)} -->\n{BLOCK_END}"


def says_waiting(body: str) -> bool:
    """Our block says that a gate waits: the draft is ours to end. Without it a person made the draft."""
    stamp = _STAMP.search(_block_of(body))
    return stamp is not None and stamp["waiting"] is not None


def _word(release: str) -> str:
    """The release in a comment: one that was found is a claim, and nothing of it may end the comment."""
    return release if _PLAIN.fullmatch(release) else hashlib.sha256(release.encode("utf-8", "replace")).hexdigest()


def _block_of(body: str) -> str:
    found = _parts(body)
    return found[1] if found is not None else ""


def _parts(body: str) -> tuple[str, str, str] | None:
    """What is before our block, in it, and after it. Of a begin whose end somebody deleted, nothing is ours any more:
    what follows may be what they wrote."""
    first = body.find(BLOCK_BEGIN)
    end = body.find(BLOCK_END, first) if first >= 0 else -1
    if end < 0:
        return None
    begin = body.rfind(BLOCK_BEGIN, 0, end)
    return body[:begin], body[begin + len(BLOCK_BEGIN) : end], body[end + len(BLOCK_END) :]


def _sealed(block: str) -> bool:
    found = _SEAL.search(block)
    return found is not None and _seal(block[: found.start()]) == found["seal"]


def _seal(inside: str) -> str:
    """Over the words alone: forges change the ends of lines, and the white space around them."""
    return hashlib.sha256(" ".join(inside.split()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
