"""What the fake forges have in common: HTTP on loopback in front of real bare repositories, and faults by script.

Git is served over smart HTTP on the same port (``/owner/name.git/…``), so a handoff pushes to the very server whose
API it then asks. Every call is recorded; every fault is one entry of a script and is used up.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from orchestrator.engine.clock import Clock, SystemClock
from tests.servers.git_backend import backend_environment, run_backend

FAULTS = frozenset(
    {
        "502_before", "502_after", "503_before", "reset_before", "reset_after", "202", "401",
        "redirect", "drip", "hang", "not_json", "truncate", "graphql_before", "graphql_after",
    }
)  # fmt: skip
_GIT = re.compile(r"/(?P<repository>.+\.git)/(?P<service>info/refs|git-upload-pack|git-receive-pack)")


@dataclass
class Call:
    """One request of the API as the server saw it. ``path`` is decoded, ``target`` as it was sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    fault: str | None = None
    reply: Reply | None = None

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def raw_path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def key(self) -> str:
        """``POST /repos/acme/gitops/pulls``: what faults are planned on."""
        return f"{self.method} {self.path}"

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


@dataclass(frozen=True)
class Reply:
    """An answer. ``payload`` is sent as JSON; None is an empty body."""

    status: int = 200
    payload: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


# How GitHub's GraphQL says what would be a 5xx elsewhere.
_BROKE = "Something went wrong while executing your query. Please include `0401:6C25` when reporting this issue."
GRAPHQL_BROKE = Reply(200, {"data": None, "errors": [{"message": _BROKE}]})


@dataclass
class _Planned:
    fault: str | Reply
    on: str


class ForgeServer:
    """The base of a fake forge. A subclass gives ``answer``; start it with ``serving``."""

    def __init__(self, root: Path, *, clock: Clock | None = None) -> None:
        """``root`` holds the bare repositories, at the paths that their URLs have."""
        self.root = root
        self.clock: Clock = clock or SystemClock()
        self.server_clock_skew = 0.0
        self.calls: list[Call] = []
        self.git_requests: list[Call] = []
        self.crashes: list[str] = []  # must be empty at a test's end
        self.redirect_to = "http://127.0.0.1:9"
        self.before: Callable[[Call], None] | None = None
        self.lock = threading.RLock()
        self._script: list[_Planned] = []
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    # --- for subclasses ------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> Reply:
        """The forge itself; called under the lock."""
        raise NotImplementedError

    def observe(self, call: Call, reply: Reply) -> None:
        """Every exchange, for referees; called with the reply that was made, whatever a fault then does to it."""

    def git_allowed(self, call: Call) -> bool:
        """Whether git may do this. Everybody may, unless a subclass says no."""
        return True

    def after_push(self) -> None:
        """A push has ended; called under the lock."""

    def now(self) -> datetime:
        """The server's own clock."""
        return self.clock.now() + timedelta(seconds=self.server_clock_skew)

    # --- for tests -----------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def fail(self, fault: str | Reply, on: str = "*", times: int = 1) -> None:
        """The next ``times`` calls whose key matches ``on`` (``POST /repos/*/pulls``) fail so, or get this reply."""
        assert isinstance(fault, Reply) or fault in FAULTS, fault
        with self.lock:
            self._script += [_Planned(fault, on)] * times

    def heal(self) -> None:
        """No more faults."""
        with self.lock:
            self._script.clear()

    @property
    def unused_faults(self) -> int:
        """Entries of the script that no call has met yet."""
        return len(self._script)

    def called(self, key: str) -> list[Call]:
        """The calls whose key matches, in order."""
        return [call for call in self.calls if fnmatchcase(call.key, key)]

    def start(self) -> None:
        """Serve in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    # --- one call ------------------------------------------------------------------------------------------------

    def take_fault(self, key: str) -> str | Reply | None:
        """The fault that this call shall have."""
        with self.lock:
            for planned in self._script:
                if fnmatchcase(key, planned.on):
                    self._script.remove(planned)
                    return planned.fault
        return None

    def make_reply(self, call: Call) -> Reply:
        """The forge's answer, recorded."""
        with self.lock:
            reply = self.answer(call)
        call.reply = reply
        self.observe(call, reply)
        return reply


Served = TypeVar("Served", bound=ForgeServer)


@contextmanager
def serving(server: Served) -> Iterator[Served]:
    """The same server, running."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


class SecondHost(ForgeServer):
    """A host that must receive nothing; whatever it receives is remembered."""

    def answer(self, call: Call) -> Reply:
        return Reply(200, {})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: ForgeServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the tests; a fake that breaks is not, and is remembered."""
        if not isinstance(sys.exc_info()[1], (OSError, ValueError)) or "make_reply" in traceback.format_exc():
            self.owner.crashes.append(traceback.format_exc())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    wbufsize = 64 * 1024

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The ``Date`` header: the server's own clock, which a test may have set wrong."""
        return format_datetime(self.server.owner.now(), usegmt=True)

    def _serve(self) -> None:
        owner = self.server.owner
        body = self._body()
        call = Call(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        if _GIT.fullmatch(call.path):
            owner.git_requests.append(call)
            return self._serve_git(call)
        owner.calls.append(call)
        fault = owner.take_fault(call.key)
        call.fault = fault if isinstance(fault, str) else None
        if owner.before is not None:
            owner.before(call)
        if isinstance(fault, Reply):
            call.reply = fault
            return self._send(fault)
        if self._fails_before(fault):
            return None
        reply = owner.make_reply(call)
        return self._send_with(fault, reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _fails_before(self, fault: str | None) -> bool:
        owner = self.server.owner
        match fault:
            case "502_before" | "503_before":
                self._send(Reply(int(fault[:3]), {"message": "Server Error"}))
            case "graphql_before":
                self._send(GRAPHQL_BROKE)
            case "401":
                self._send(Reply(401, {"message": "Bad credentials"}))
            case "reset_before":
                self._reset()
            case "redirect":
                self._send(Reply(302, None, {"Location": f"{owner.redirect_to}{self.path}"}))
            case "202":
                self._send(Reply(202, {}))
            case "not_json":
                self._raw(200, {"Content-Type": "text/html"}, b"<html>Sign in to the network</html>")
            case "hang":
                owner.stopping.wait(60)
                self._reset()
            case _:
                return False
        return True

    def _send_with(self, fault: str | None, reply: Reply) -> None:
        match fault:
            case "502_after":
                self._send(Reply(502, {"message": "Server Error"}))
            case "reset_after":
                self._reset()
            case "graphql_after":
                self._send(GRAPHQL_BROKE)
            case "truncate":
                content = json.dumps(reply.payload).encode()
                self._raw(reply.status, dict(reply.headers), content, cut=len(content) // 2)
            case "drip":
                self._drip(reply)
            case _:
                self._send(reply)

    def _send(self, reply: Reply) -> None:
        content = b"" if reply.payload is None else json.dumps(reply.payload).encode()
        self._raw(reply.status, {"Content-Type": "application/json; charset=utf-8", **reply.headers}, content)

    def _raw(self, status: int, headers: Mapping[str, str], content: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
        self.wfile.flush()
        if cut is not None:
            self._reset()

    def _drip(self, reply: Reply) -> None:
        content = json.dumps(reply.payload).encode()
        self.send_response(reply.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for byte in content:
            with suppress(OSError):
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
            if self.server.owner.stopping.wait(0.2):
                break
        self.close_connection = True

    def _reset(self) -> None:
        """Close with RST: the kernel drops what is unsent."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()

    def _serve_git(self, call: Call) -> None:
        owner = self.server.owner
        if not owner.git_allowed(call):
            return self._raw(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"login needed")
        environment = backend_environment(owner.root, call.method, call.target, self.headers, call.body)
        status, headers, content = run_backend(environment, call.body)
        if call.path.endswith("git-receive-pack"):
            with owner.lock:
                owner.after_push()
        return self._raw(status, headers, content)
