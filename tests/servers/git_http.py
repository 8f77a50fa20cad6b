"""A smart HTTP git server on loopback, in front of ``git http-backend``, with faults that follow a script.

Every request is recorded with its bytes, so tests and benchmarks can count; every fault is one entry of a
script and is used up, so a test says exactly which request fails how.
"""

from __future__ import annotations

import base64
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

RECEIVE = "receive-pack"  # the POST that carries a push
UPLOAD = "upload-pack"  # the POST that carries a fetch, or a listing by protocol v2
RECEIVE_REFS = "refs of receive-pack"  # the GET that a push begins with
_CHUNK = 64 * 1024
UPLOAD_REFS = "refs of upload-pack"  # the GET that a fetch or a listing begins with
ANY = "any"
COUNTS_PATH = "/_counts"  # answered by the server itself

FAULTS = frozenset(
    {
        "reset_before", "503_before", "reset_after", "504_after", "truncate",
        "redirect", "hang", "hang_after", "drip", "401", "403", "404", "429",
    }
)  # fmt: skip


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


@dataclass
class _Planned:
    fault: str
    on: str


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
        self.connections = 0
        self.redirect_to: str | None = None
        self.before_request: Callable[[str], None] | None = None
        self._script: list[_Planned] = []
        self._chances: tuple[random.Random, dict[str, float]] | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def url(self, name: str) -> str:
        """The URL of a repository below the root."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def fail(self, fault: str, on: str = RECEIVE, times: int = 1) -> None:
        """The next ``times`` requests of this kind fail so."""
        assert fault in FAULTS, fault
        with self._lock:
            self._script += [_Planned(fault, on)] * times

    def fail_by_chance(self, seed: int, **chances: float) -> None:
        """Every push request fails with these probabilities; ``reset_before=0.1`` for one in ten."""
        assert set(chances) <= FAULTS, chances
        self._chances = (random.Random(seed), chances)

    def heal(self) -> None:
        """No more faults."""
        with self._lock:
            self._script.clear()
        self._chances = None

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

    def take_fault(self, kind: str) -> str | None:
        """The fault that this request shall have."""
        with self._lock:
            for planned in self._script:
                if planned.on in (kind, ANY):
                    self._script.remove(planned)
                    return planned.fault
            if self._chances is None or kind != RECEIVE:
                return None
            rng, chances = self._chances
            point, reached = rng.random(), 0.0
            for fault, chance in chances.items():
                reached += chance
                if point < reached:
                    return fault
            return None

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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
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
        request.fault = owner.take_fault(kind)
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
        environment = self._environment(body)
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200 OK").split()[0])
        return status, headers, content

    def _environment(self, body: bytes) -> dict[str, str]:
        owner = self.server.owner
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(owner.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": "tester",
            "REMOTE_ADDR": "127.0.0.1",
        }
        if encoding := self.headers.get("Content-Encoding"):
            environment["HTTP_CONTENT_ENCODING"] = encoding
        if owner.protocol_v2 and (version := self.headers.get("Git-Protocol")):
            environment["GIT_PROTOCOL"] = environment["HTTP_GIT_PROTOCOL"] = version
        return environment


def _write_all(pipe: IO[bytes], body: bytes) -> None:
    with suppress(OSError), pipe:
        pipe.write(body)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


# --- repositories to serve -----------------------------------------------------------------------------------------


def git(directory: Path, *argv: str, stdin: bytes | None = None, **environment: str) -> str:
    """Run git as a test does, with a fixed identity and nothing of the machine; gives stdout. Raises when it fails."""
    base = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A Person",
        "GIT_AUTHOR_EMAIL": "person@example.com",
        "GIT_COMMITTER_NAME": "A Person",
        "GIT_COMMITTER_EMAIL": "person@example.com",
        "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
        "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    }
    done = subprocess.run(
        ["git", *argv], cwd=directory, input=stdin, capture_output=True, env=base | environment, check=False
    )
    if done.returncode:
        raise AssertionError(f"git {' '.join(argv)}: {done.stderr.decode('utf-8', 'replace')}")
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def make_bare(path: Path, *, filters: bool = True, object_format: str = "sha1") -> Path:
    """An empty bare repository that takes pushes over HTTP."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--bare", "--initial-branch=main", f"--object-format={object_format}")
    git(path, "config", "http.receivepack", "true")
    git(path, "config", "uploadpack.allowFilter", str(filters).lower())
    git(path, "config", "receive.fsckObjects", "true")
    return path


@dataclass(frozen=True)
class Link:
    """A symbolic link as content for ``commit_files``."""

    target: str


@dataclass(frozen=True)
class Submodule:
    """A gitlink as content for ``commit_files``."""

    commit: str = "1" * 40


@dataclass(frozen=True)
class Executable:
    """An executable file as content for ``commit_files``."""

    content: bytes


Content = bytes | Link | Submodule | Executable | None


def commit_files(
    bare: Path,
    files: dict[str | bytes, Content],
    ref: str = "refs/heads/main",
    message: str = "Change files",
    committer: str = "A Person <person@example.com>",
    parent: str | None = "",
) -> str:
    """Commit onto a ref with fast-import; gives the commit's id. ``parent`` "" is the ref's tip, None a new root."""
    if parent == "":
        tips = git(bare, "for-each-ref", "--format=%(objectname)", ref)
        parent = tips or None
    text = message.rstrip("\n").encode() + b"\n"
    import_ref = f"refs/test/import-{os.urandom(6).hex()}"  # several tests' threads may commit at once
    lines = [b"commit %s" % import_ref.encode(), b"committer %s 1767225600 +0000" % committer.encode()]
    lines.append(b"data %d\n%s" % (len(text), text))
    if parent:
        lines.append(b"from %s" % parent.encode())
    for name, content in files.items():
        path = _quoted(name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape"))
        match content:
            case None:
                lines.append(b"D %s" % path)
            case Submodule(commit):
                lines.append(b"M 160000 %s %s" % (commit.encode(), path))
            case Link(target):
                lines.append(b"M 120000 inline %s\ndata %d\n%s" % (path, len(target), target.encode()))
            case Executable(data):
                lines.append(b"M 100755 inline %s\ndata %d\n%s" % (path, len(data), data))
            case data:
                lines.append(b"M 100644 inline %s\ndata %d\n%s" % (path, len(data), data))
    git(bare, "fast-import", "--quiet", "--force", stdin=b"\n".join(lines) + b"\n")
    commit = git(bare, "rev-parse", import_ref)
    git(bare, "update-ref", "-d", import_ref)
    git(bare, "update-ref", ref, commit)
    return commit


def _quoted(path: bytes) -> bytes:
    escaped = b"".join(
        b"\\%03o" % byte if byte < 0x20 or byte > 0x7E or byte in b'"\\' else bytes([byte]) for byte in path
    )
    return b'"' + escaped + b'"'


def main() -> None:
    """Serve a folder until stdin closes; prints the port. For benchmarks, which count in a process of their own."""
    root, delay = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    with serving(root, delay=delay) as server:
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
