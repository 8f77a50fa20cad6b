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
from urllib.parse import urlencode, urlsplit

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


def is_closed(host: str) -> bool:
    """There is an engine's socket, and this user may not use it."""
    path = urlsplit(host).path
    return host.startswith("unix:") and Path(path).exists() and not os.access(path, os.R_OK | os.W_OK)


def has_image(host: str, name: str) -> bool:
    """The engine holds an image of this name."""
    try:
        request(host, "GET", f"/images/{name}/json")
    except MachineError:
        return False
    return True


def remove_images(host: str, prefix: str) -> None:
    """Take away the names that begin so, and what nothing else names. Whatever does not go stays: it harms nobody."""
    with contextlib.suppress(OSError, MachineError, ValueError):
        listed = json.loads(request(host, "GET", "/images/json"))
        names = [name for image in listed for name in image["RepoTags"] or () if name.startswith(prefix)]
        for name in names:
            request(host, "DELETE", f"/images/{name}")


def pull(host: str, name: str) -> None:
    """Pull ``repository:tag``; raises MachineError with the engine's words (they are lines of a 200 answer)."""
    repository, _, tag = name.rpartition(":")
    query = urlencode({"fromImage": repository, "tag": tag})
    answer = request(host, "POST", f"/images/create?{query}", timeout=300)
    for line in answer.decode(errors="replace").splitlines():
        if '"error"' in line:
            raise MachineError(f"{name} can't be pulled: {line.strip()}")


def create_container(host: str, specification: Mapping[str, object]) -> str:
    """Create a container (not started); its id."""
    body = json.dumps(specification).encode()
    answer = request(host, "POST", "/containers/create", body=body, headers={"Content-Type": "application/json"})
    return str(json.loads(answer)["Id"])


def published(host: str, container: str, port: str) -> str:
    """``127.0.0.1:number`` of a running container's published port; raises MachineError where it has none."""
    answer = json.loads(request(host, "GET", f"/containers/{container}/json"))
    for binding in answer["NetworkSettings"]["Ports"].get(port) or ():
        return f"127.0.0.1:{binding['HostPort']}"
    raise MachineError(f"the container publishes no port {port}: {answer['State'].get('Error', '')}")


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
