"""As much of the Engine API as setting up needs: one request, over a Unix socket or TCP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.machine.errors import MachineError


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


def request(
    host: str,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> bytes:
    """One request to the engine at ``host`` (unix://… or tcp://…); raises OSError or MachineError."""
    connection = _connection(host, timeout)
    try:
        connection.request(method, path, body=body, headers={"Host": "localhost", **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
    except http.client.HTTPException as error:
        raise MachineError(f"the engine at {host} gave no HTTP answer: {error!r}") from error
    finally:
        connection.close()
    if answer.status >= 400:
        raise MachineError(f"the engine refused {method} {path}: {content.decode(errors='replace').strip()}")
    return content


def version(host: str, timeout: float = 5.0) -> dict[str, Any] | None:
    """The engine's answer to ``GET /version``, or None where none answers at ``host``."""
    with contextlib.suppress(OSError, MachineError, ValueError):
        answer = json.loads(request(host, "GET", "/version", timeout=timeout))
        return answer if isinstance(answer, dict) and "ApiVersion" in answer else None
    return None


def candidates(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Where an engine may listen: DOCKER_HOST alone where it is set, else the usual sockets that exist."""
    named = environment.get("DOCKER_HOST")
    if named:
        return (named,)
    runtime = environment.get("XDG_RUNTIME_DIR")
    home = environment.get("HOME")
    sockets = [Path("/var/run/docker.sock")]
    sockets += [Path(runtime, "docker.sock")] if runtime else []  # rootless
    sockets += [Path(home, ".docker/run/docker.sock"), Path(home, ".colima/default/docker.sock")] if home else []
    return tuple(f"unix://{path}" for path in sockets if path.is_socket())


def _connection(host: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(host)
    if parts.scheme == "unix":
        return _UnixConnection(parts.path, timeout)
    if parts.scheme in {"tcp", "http"} and parts.hostname:
        return http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=timeout)
    raise MachineError(f"an engine at {host} can not be used here", hint="give a unix:// or tcp:// address")
