"""Children that must not outlive us, even when we are killed in a way that runs no handler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from orchestrator.engine.process import Conversation, ConversationEnded

# It reads from a pipe of which only we hold the other end. A line lets it go; the end of the pipe is our end.
_WATCH = 'read -r line || kill -s KILL -- "-$1"'


@contextlib.contextmanager
def leashed(group: int) -> Iterator[None]:
    """While the block runs, the end of this process (SIGKILL, too little memory) ends the process group as well.

    The system's own way (PR_SET_PDEATHSIG) reaches the child alone, and not what it has started.
    """
    watcher = Conversation(["/bin/sh", "-c", _WATCH, "leash", str(group)])
    try:
        yield
    finally:
        with contextlib.suppress(ConversationEnded):
            watcher.say(b"\n")
        watcher.close()
