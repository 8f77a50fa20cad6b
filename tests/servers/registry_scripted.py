"""A registry over HTTP that does as its test says: honest, faulty or lying. It remembers what it was asked."""

from __future__ import annotations

import base64
import http.server
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from orchestrator.core.image import Digest


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def authorization(self) -> str:
        """The login that came with it, empty without one."""
        return self.headers.get("authorization", "")


@dataclass(frozen=True)
class Reply:
    """An answer; a body that is an iterable is sent piece by piece without a length."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False  # close the connection instead of answering


Answering = Callable[[Asked], Reply | None]


class ScriptedRegistry:
    """Routes are tried newest first; one that gives None passes the request on. No route is a 404."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[Asked] = []
        self._routes: list[tuple[str, re.Pattern[str], Answering]] = []

    @property
    def host(self) -> str:
        """127.0.0.1:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, the probe for TLS left out."""
        return [asked.path for asked in self.asked]

    def on(self, method: str, pattern: str, answer: Reply | Answering) -> None:
        """Answer requests whose path matches the whole pattern."""
        route = answer if callable(answer) else lambda _: answer
        self._routes.insert(0, (method, re.compile(pattern), route))

    def times(self, method: str, pattern: str, *replies: Reply) -> None:
        """Give these answers first, one after the other; then the route before this one answers again."""
        left = list(replies)
        lock = threading.Lock()

        def answer(_: Asked) -> Reply | None:
            with lock:
                return left.pop(0) if left else None

        self.on(method, pattern, answer)

    def store(self, repository: str, media_type: str, content: bytes, tag: str | None = None) -> Digest:
        """Serve a manifest, honestly."""
        digest = Digest.of(content)
        reply = Reply(200, content, {"Content-Type": media_type, "Docker-Content-Digest": str(digest)})
        for name in (str(digest), *([tag] if tag else [])):
            self.on("GET", re.escape(f"/v2/{repository}/manifests/{name}"), reply)
        return digest

    def store_blob(self, repository: str, content: bytes) -> Digest:
        """Serve a blob, honestly."""
        digest = Digest.of(content)
        self.on("GET", re.escape(f"/v2/{repository}/blobs/{digest}"), Reply(200, content))
        return digest

    def require_basic(self, username: str, password: str) -> None:
        """Ask for a password on everything below /v2/."""
        expected = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        challenge = Reply(401, headers={"WWW-Authenticate": 'Basic realm="test"'})
        self.on("GET", "/v2/.*", lambda asked: None if asked.authorization == expected else challenge)
        self.on("POST", "/v2/.*", lambda asked: None if asked.authorization == expected else challenge)

    def require_token(self, realm: str, token: str = "a-token", service: str = "test") -> None:
        """Ask for a token that ``realm`` gives."""
        header = f'Bearer realm="{realm}",service="{service}",scope="repository:x:pull"'
        challenge = Reply(401, headers={"WWW-Authenticate": header})
        for method in ("GET", "POST", "DELETE"):
            self.on(method, "/v2/.*", lambda asked: None if asked.authorization == f"Bearer {token}" else challenge)

    def answer(self, asked: Asked) -> Reply:
        """The answer of the newest route that has one."""
        self.asked.append(asked)
        for method, pattern, route in self._routes:
            if method == asked.method and pattern.fullmatch(asked.path):
                reply = route(asked)
                if reply is not None:
                    return reply
        return Reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not here"}]}')


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    server: _Server

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        reply = self.server.registry.answer(Asked(self.command, parts.path, parse_qs(parts.query), headers, body))
        with suppress(OSError):
            self._send(reply)

    do_GET = do_POST = do_DELETE = do_HEAD = do_PUT = _serve

    def _send(self, reply: Reply) -> None:
        if reply.hang_up:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            if "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            return
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for piece in reply.body:
            self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        """Tests look at ``asked``."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    registry: ScriptedRegistry

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def scripted_registry() -> Iterator[ScriptedRegistry]:
    """Serve one on a free port of 127.0.0.1 (it answers as ``localhost`` too)."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.registry = ScriptedRegistry(server.server_address[1])
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield server.registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
