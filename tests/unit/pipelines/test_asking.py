"""Gates that ask a server or a tool: what goes out, what comes back, and what never leaves."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestrator.core.environment import Environment
from orchestrator.core.facts import CommandAnswer, HttpAnswer, Moving, NoAnswer, Subject
from orchestrator.core.gates import CommandGate, HttpGate
from orchestrator.core.image import PinnedImage
from pipelines.asking import ask_command, ask_http, question

API = PinnedImage.parse("ghcr.io/acme/shop/api:1.4.2@sha256:" + "b" * 64)
SUBJECT = Subject(Environment("prod", ("x",)), "shop", (Moving(API),))


@dataclass
class Heard:
    """What a server was asked, and what it says."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"fine"
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    wait: threading.Event | None = None


@contextmanager
def server(heard: Heard) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.requests.append((self.path, dict(self.headers)))
            if heard.wait is not None:
                heard.wait.wait(10)
            self.send_response(heard.status)
            for name, value in heard.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(heard.body)))
            self.end_headers()
            self.wfile.write(heard.body)

        def log_message(self, format: str, *args: object) -> None:
            return

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}"
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def test_a_server_is_asked_and_its_answer_told() -> None:
    heard = Heard(status=418, body='{"ok": "ä"}'.encode())
    with server(heard) as url:
        assert ask_http(HttpGate("slo", f"{url}/x?y=1"), {}) == HttpAnswer(418, '{"ok": "ä"}')
    ((path, headers),) = heard.requests
    assert path == "/x?y=1"
    assert "Authorization" not in headers


def test_a_token_goes_along_to_the_named_server_and_to_no_other() -> None:
    elsewhere = Heard()
    with server(elsewhere) as other:
        heard = Heard(status=302, headers={"Location": f"{other}/stolen"}, body=b"")
        with server(heard) as url:
            gate = HttpGate("slo", url, token="SLO_TOKEN")
            answer = ask_http(gate, {"SLO_TOKEN": "canary-slo-token", "OTHER": "canary-other"})
    assert answer == HttpAnswer(302, "")
    assert elsewhere.requests == []
    assert heard.requests[0][1]["Authorization"] == "Bearer canary-slo-token"
    assert "canary-other" not in str(heard.requests)


def test_a_missing_token_is_told_and_nothing_is_asked() -> None:
    heard = Heard()
    with server(heard) as url:
        answer = ask_http(HttpGate("slo", url, token="SLO_TOKEN"), {})
    assert isinstance(answer, NoAnswer)
    assert "$SLO_TOKEN" in answer.reason
    assert heard.requests == []


def test_a_server_that_does_not_answer_in_time_is_no_answer() -> None:
    release = threading.Event()
    with server(Heard(wait=release)) as url:
        answer = ask_http(HttpGate("slo", url, seconds=0.2), {})
        release.set()
    assert isinstance(answer, NoAnswer)


def test_a_port_that_nobody_listens_on_is_no_answer() -> None:
    with server(Heard()) as url:
        pass
    assert isinstance(ask_http(HttpGate("slo", url), {}), NoAnswer)


def test_of_a_long_answer_the_beginning_is_read() -> None:
    with server(Heard(body=b"x" * (2 << 20))) as url:
        answer = ask_http(HttpGate("slo", url), {})
    assert isinstance(answer, HttpAnswer)
    assert len(answer.text) == 1 << 20


# --- commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program on PATH whose text a test writes."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "check-budget"


def write(tool: Path, text: str) -> CommandGate:
    tool.write_text(f"#!{sys.executable}\n{text}\n")
    tool.chmod(0o755)
    return CommandGate("budget", ("check-budget",), network=True, seconds=20)


def test_a_tool_reads_the_change_and_prints_its_verdict(tool: Path) -> None:
    gate = write(tool, "import sys, json; d = json.load(sys.stdin); print(json.dumps([d, sys.argv[1:]]))")
    answer = ask_command(replace(gate, argv=("check-budget", "--for", "$HOME; ls")), SUBJECT)
    assert isinstance(answer, CommandAnswer)
    change, arguments = json.loads(answer.output)
    assert change == json.loads(question(SUBJECT))
    assert change["images"][0]["digest"] == str(API.digest)
    assert arguments == ["--for", "$HOME; ls"]


def test_a_tool_gets_the_listed_variables_and_no_others(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGET_TOKEN", "canary-budget-token")
    monkeypatch.setenv("HYBRID_CI_GIT_TOKEN", "canary-git-token")
    monkeypatch.setenv("KUBECONFIG", "/canary/kubeconfig")
    gate = write(tool, "import os; print(dict(os.environ))")
    without = ask_command(gate, SUBJECT)
    with_one = ask_command(replace(gate, inherit=("BUDGET_TOKEN",)), SUBJECT)
    assert isinstance(without, CommandAnswer)
    assert isinstance(with_one, CommandAnswer)
    assert "canary" not in without.output
    assert "canary-budget-token" in with_one.output
    assert "canary-git-token" not in with_one.output


def test_a_tool_without_network_reaches_nothing_or_is_not_run(tool: Path) -> None:
    heard = Heard()
    with server(heard) as url:
        gate = write(tool, f"import urllib.request; urllib.request.urlopen({url!r}, timeout=5); print('reached')")
        assert "reached" in str(ask_command(gate, SUBJECT))
        answer = ask_command(replace(gate, network=False), SUBJECT)
    assert len(heard.requests) == 1
    assert isinstance(answer, NoAnswer) or answer.code != 0


def test_a_tool_that_hangs_is_ended(tool: Path) -> None:
    gate = replace(write(tool, "import time; time.sleep(60)"), seconds=0.5)
    assert ask_command(gate, SUBJECT) == NoAnswer("it did not end within 0.5 seconds")


def test_a_tool_that_talks_without_end_gives_no_verdict(tool: Path) -> None:
    gate = write(tool, "import sys; sys.stdout.write('x' * (2 << 20))")
    assert ask_command(gate, SUBJECT) == NoAnswer("it printed more than a MiB")


def test_a_tool_that_is_not_installed_gives_no_verdict() -> None:
    for network in (True, False):
        answer = ask_command(CommandGate("budget", ("no-such-tool-here",), network=network), SUBJECT)
        assert answer == NoAnswer("no-such-tool-here is not installed")


def test_what_a_failing_tool_complains_of_is_kept(tool: Path) -> None:
    gate = write(tool, "import sys; sys.exit('no budget left')")
    assert ask_command(gate, SUBJECT) == CommandAnswer(1, "", "no budget left")
