"""An Engine API on a Unix socket that answers what its test says: for what no honest engine does on demand."""

from __future__ import annotations

import base64
import http.server
import json
import re
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.0", "Os": "linux", "Arch": "amd64"}


@dataclass(frozen=True)
class EngineAsked:
    """A request; its path is without the API's version."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def decoded(self, header: str) -> Any:
        """A header that is base64 of JSON, None when it is absent."""
        value = self.headers.get(header.lower())
        return None if value is None else json.loads(base64.urlsafe_b64decode(value))


@dataclass(frozen=True)
class Events:
    """A stream of JSON objects; ``cut`` closes the connection in the middle of a chunk."""

    events: Iterable[object]
    cut: bool = False


@dataclass(frozen=True)
class Status:
    """A plain answer; an object is sent as JSON."""

    status: int
    content: object = None


Answer = Events | Status


class ScriptedEngine:
    """Newest route first; without a route the answer is 404."""

    def __init__(self, path: Path) -> None:
        self.host = f"unix://{path}"
        self.asked: list[EngineAsked] = []
        self._routes: list[tuple[str, re.Pattern[str], Callable[[EngineAsked], Answer | None]]] = []
        self.on("GET", "/version", Status(200, VERSION))
        for listing in ("/containers/json", "/networks"):
            self.on("GET", listing, Status(200, []))

    def on(self, method: str, pattern: str, answer: Answer | Callable[[EngineAsked], Answer]) -> None:
        """Answer requests whose path matches the whole pattern."""
        route = answer if callable(answer) else lambda _: answer
        self._routes.insert(0, (method, re.compile(pattern), route))

    def once(self, method: str, pattern: str, answer: Answer) -> None:
        """Answer the first such request; then the route before this one answers again."""
        left = [answer]
        self._routes.insert(0, (method, re.compile(pattern), lambda _: left.pop() if left else None))

    def answer(self, asked: EngineAsked) -> Answer:
        """The answer of the newest route that has one."""
        self.asked.append(asked)
        for method, pattern, route in self._routes:
            if method == asked.method and pattern.fullmatch(asked.path) and (answer := route(asked)) is not None:
                return answer
        return Status(404, {"message": f"no route for {asked.method} {asked.path}"})


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    server: _Server

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = re.sub(r"^/v\d+\.\d+", "", parts.path)
        asked = EngineAsked(self.command, path, parse_qs(parts.query), headers, self._body())
        with suppress(OSError):
            self._send(self.server.engine.answer(asked))

    do_GET = do_POST = do_DELETE = do_HEAD = _serve

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, answer: Answer) -> None:
        if isinstance(answer, Status):
            content = answer.content if isinstance(answer.content, bytes) else json.dumps(answer.content).encode()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in answer.events:
            line = event if isinstance(event, bytes) else json.dumps(event).encode() + b"\r\n"
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
        if answer.cut:
            self.wfile.write(b"400\r\nonly the beg")
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Tests look at ``asked``."""


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    engine: ScriptedEngine

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def scripted_engine() -> Iterator[ScriptedEngine]:
    """Serve one on a socket of its own (in a short folder: a socket's path may have about a hundred bytes)."""
    with tempfile.TemporaryDirectory(prefix="hci-") as folder:
        path = Path(folder) / "engine.sock"
        server = _Server(str(path), _Handler)
        server.engine = ScriptedEngine(path)
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
        thread.start()
        try:
            yield server.engine
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
