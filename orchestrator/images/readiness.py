"""Is a service ready? By a command in its container, a connection that it keeps, or an answer over HTTP."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from orchestrator.core.errors import RemoteError
from orchestrator.images.base import RunningContainer
from orchestrator.images.http_probe import NoAnswer, ask

_LONGEST_LOOK = 5.0
_KEPT_SECONDS = 0.2  # an engine's proxy takes every connection, and drops it at once while nobody listens behind it


def is_ready(
    container: RunningContainer, command: Sequence[str] | None, http: tuple[str, int] | None, seconds: float
) -> bool:
    """One look: ``command`` ends with 0, or ``http`` (path, status) is answered so; with neither, a connection stays.

    Raises ConfigurationError where the engine is on another machine: its loopback is not ours.
    """
    longest = max(0.1, min(_LONGEST_LOOK, seconds))
    try:
        if command is not None:
            return container.execute(command, longest) == 0
        if http is not None:
            return ask(container.address, http[0], longest).status == http[1]
        return _keeps_a_connection(container.address, longest)
    except (NoAnswer, RemoteError):
        return False


def _keeps_a_connection(address: tuple[str, int], seconds: float) -> bool:
    try:
        with socket.create_connection(address, timeout=seconds) as connection:
            connection.settimeout(_KEPT_SECONDS)
            return connection.recv(1) != b""
    except TimeoutError:
        return True  # it is kept, and the server waits for us to speak
    except OSError:
        return False
