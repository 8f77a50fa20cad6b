"""``git http-backend`` for one request: what every server of the tests that speaks smart HTTP stands on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from email.message import Message
from pathlib import Path


def run_backend(environment: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
    """``git http-backend`` for one request: status, headers, content."""
    done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment, check=False)
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200 OK").split()[0])
    return status, headers, content


def backend_environment(
    root: Path, method: str, target: str, headers: Mapping[str, str] | Message, body: bytes, protocol_v2: bool = True
) -> dict[str, str]:
    """The variables that ``git http-backend`` reads a request from (git-http-backend(1)). ``headers`` of any case."""
    path, _, query = target.partition("?")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "REMOTE_USER": "tester",
        "REMOTE_ADDR": "127.0.0.1",
    }
    if encoding := headers.get("Content-Encoding"):
        environment["HTTP_CONTENT_ENCODING"] = encoding
    if protocol_v2 and (version := headers.get("Git-Protocol")):
        environment["GIT_PROTOCOL"] = environment["HTTP_GIT_PROTOCOL"] = version
    return environment
