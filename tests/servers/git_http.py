"""A smart HTTP git server on loopback, in front of ``git http-backend``, with faults that follow a script.

Every request is recorded with its bytes, so tests and benchmarks can count; every fault is one entry of a
script and is used up, so a test says exactly which request fails how.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.servers.git_faults import FaultScript
from tests.servers.git_http_handler import GitHandler, Request


class GitHTTPServer:
    """Serves every bare repository below ``root``. Start it with ``serving``."""

    def __init__(
        self,
        root: Path,
        *,
        login: tuple[str, str] | None = None,
        delay: float = 0.0,
        protocol_v2: bool = True,
    ) -> None:
        self.root, self.login, self.delay, self.protocol_v2 = root, login, delay, protocol_v2
        self.requests: list[Request] = []
        self.faults = FaultScript()
        self.fail, self.fail_by_chance, self.heal = self.faults.fail, self.faults.fail_by_chance, self.faults.heal
        self.connections = 0
        self.redirect_to: str | None = None
        self.before_request: Callable[[str], None] | None = None
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), GitHandler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def url(self, name: str) -> str:
        """The URL of a repository below the root."""
        return f"http://127.0.0.1:{self.port}/{name}"

    @property
    def bytes_sent(self) -> int:
        """Bytes of all replies' bodies."""
        return sum(request.bytes_out for request in self.requests)

    @property
    def bytes_received(self) -> int:
        """Bytes of all requests' bodies."""
        return sum(request.bytes_in for request in self.requests)

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End every connection and the thread."""
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def take_counts(self) -> bytes:
        """Requests, connections and bytes since the last time, as JSON: for a benchmark in another process."""
        counts = {
            "requests": len(self.requests),
            "connections": self.connections - 1,  # without the one that asks
            "sent": self.bytes_sent,
            "received": self.bytes_received,
        }
        self.requests.clear()
        self.connections = 0
        return json.dumps(counts).encode()

    def wait_until_stopped(self, seconds: float) -> bool:
        """For faults that take time."""
        return self._stopping.wait(seconds)


@contextmanager
def serving(root: Path, **options: Any) -> Iterator[GitHTTPServer]:
    """A running server."""
    server = GitHTTPServer(root, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    owner: GitHTTPServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests."""


def main() -> None:
    """Serve a folder until stdin closes; prints the port. For benchmarks, which count in a process of their own."""
    root, delay = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    with serving(root, delay=delay) as server:
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
