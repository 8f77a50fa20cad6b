"""One request of a git client: the scripted fault, the login, and ``git http-backend`` behind them."""

from __future__ import annotations

import base64
import socket
import struct
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, TYPE_CHECKING

from tests.servers.git_backend import backend_environment, run_backend
from tests.servers.git_faults import RECEIVE, RECEIVE_REFS, UPLOAD, UPLOAD_REFS

if TYPE_CHECKING:
    from tests.servers.git_http import GitHTTPServer

COUNTS_PATH = "/_counts"  # answered by the server itself
_CHUNK = 64 * 1024


@dataclass
class Request:
    """One request as the server saw it."""

    kind: str
    path: str
    bytes_in: int
    bytes_out: int = 0
    authorization: str | None = None
    fault: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class _Owned(ThreadingHTTPServer):
    owner: GitHTTPServer


class GitHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Owned
    wbufsize = 64 * 1024

    def setup(self) -> None:
        self.server.owner.connections += 1
        super().setup()

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if self.path == COUNTS_PATH:
            return self._reply(200, {"Content-Type": "application/json"}, self.server.owner.take_counts())
        return self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self._body())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _serve(self, body: bytes) -> None:
        owner = self.server.owner
        kind = self._kind()
        if owner.delay:
            time.sleep(owner.delay)
        request = Request(kind, self.path, len(body), authorization=self.headers.get("Authorization"))
        request.headers = {name.lower(): value for name, value in self.headers.items()}
        request.fault = owner.faults.take(kind)
        owner.requests.append(request)
        if owner.before_request is not None:
            owner.before_request(kind)
        if self._fail_before(request):
            return None
        if owner.login and self.headers.get("Authorization") != _basic(*owner.login):
            return self._reply(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"login needed")
        if request.fault is None:
            return self._stream(request, body)
        status, headers, content = self._backend(body)
        request.bytes_out = len(content)
        self._answer(request, status, headers, content)
        return None

    def _kind(self) -> str:
        path, _, query = self.path.partition("?")
        if path.endswith("/info/refs"):
            return RECEIVE_REFS if RECEIVE in query else UPLOAD_REFS
        return RECEIVE if path.endswith(RECEIVE) else UPLOAD

    def _fail_before(self, request: Request) -> bool:
        owner = self.server.owner
        match request.fault:
            case "reset_before":
                self._reset()
            case "503_before":
                self._reply(503, {}, b"busy")
            case "429":
                self._reply(429, {"Retry-After": "1"}, b"slow down")
            case "401":
                self._reply(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"no")
            case "403" | "404":
                self._reply(int(request.fault), {}, b"no")
            case "redirect":
                self._reply(302, {"Location": f"{owner.redirect_to}{self.path}"}, b"")
            case "hang":
                owner.wait_until_stopped(60)
                self._reset()
            case _:
                return False
        return True

    def _answer(self, request: Request, status: int, headers: dict[str, str], content: bytes) -> None:
        match request.fault:
            case "reset_after":
                self._reset()
            case "504_after":
                self._reply(504, {}, b"the gateway gave up")
            case "truncate":
                self._reply(status, headers, content, cut=len(content) // 2)
            case "hang_after":
                self.server.owner.wait_until_stopped(60)
                self._reset()
            case "drip":
                self._drip(status, headers, content)
            case "no_shallow":  # of the same length: the lines say theirs
                self._reply(status, headers, content.replace(b" shallow ", b" sh-llow "))
            case _:
                self._reply(status, headers, content)

    def _reply(self, status: int, headers: dict[str, str], content: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:cut])
        self.wfile.flush()
        if cut is not None:
            self._reset()

    def _drip(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.owner.wait_until_stopped(1.0):
                break

    def _reset(self) -> None:
        """Close with RST: the kernel drops what is unsent."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def _stream(self, request: Request, body: bytes) -> None:
        """The answer as it comes, in chunks: nothing of a big repository is held here."""
        with subprocess.Popen(
            ["git", "http-backend"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment(body),
        ) as backend:
            assert backend.stdin and backend.stdout
            writer = threading.Thread(target=_write_all, args=(backend.stdin, body), daemon=True)
            writer.start()
            head = iter(backend.stdout.readline, b"\r\n")
            headers = dict(line.decode("latin-1").strip().split(": ", 1) for line in head if b": " in line)
            status = int(headers.pop("Status", "200 OK").split()[0])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while chunk := backend.stdout.read1(_CHUNK):
                request.bytes_out += len(chunk)
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
            writer.join()

    def _backend(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        return run_backend(self._environment(body), body)

    def _environment(self, body: bytes) -> dict[str, str]:
        owner = self.server.owner
        return backend_environment(owner.root, self.command, self.path, self.headers, body, owner.protocol_v2)


def _write_all(pipe: IO[bytes], body: bytes) -> None:
    with suppress(OSError), pipe:
        pipe.write(body)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
