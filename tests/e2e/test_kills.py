"""A release that is ended at any stage, by any signal, and run again: one pull request, one digest an image, no rest.

Over the real engine and registry. Every case releases the same commit, so that builds come from the engine's cache.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.forges.base import PullRequestState
from scripts.machine import engine_api
from tests.e2e.shop import Shop, git
from tests.servers import TlsRegistry

pytestmark = pytest.mark.engine

IMAGES = ("base", "app")
CONFIG = """\
version: 1
application: shop
gitops: {repository: GITOPS, environment: dev, forge: FORGE}
images:
  base:
    repository: REGISTRY/acme/api
    context: base
    args: {BASE: "BASE_IMAGE"}
  app:
    repository: REGISTRY/acme/worker
    context: app
    needs: [{image: base, argument: PARENT}]
    tests:
      - {name: unit, run: sleep 0.2, timeout: 1m}
stages:
  lint:
    run: "sleep 0.2; sleep 0.1"
    environment: {MARK: "MARKER"}
  integration:
    image: app
    run: sleep 0.2
    needs: [test]
    timeout: 1m
    services:
      db: {image: base, command: [httpd, -f, -p, "5432"], ready: {tcp: 5432}}
"""
POINTS = [
    ("stage-started", "preflight"),
    ("stage-started", "lint"),
    ("stage-started", "build base"),
    ("stage-started", "build app"),
    ("stage-started", "test app/unit"),
    ("stage-started", "integration"),
    ("stage-started", "push base"),
    ("stage-started", "push app"),
    ("stage-started", "hand off to dev"),
    ("stage-finished", "hand off to dev"),
]
SIGNALS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
FIXED = {f"GIT_{who}_DATE": "2026-01-01T12:00:00Z" for who in ("AUTHOR", "COMMITTER")}


class Small(Shop):
    """Two images, one upon the other. The configuration is not in the commit, so every case has the same one."""

    mark = ""

    def _make_app(self) -> None:
        self.app.mkdir()
        self._write(self.app / "base/Dockerfile", "ARG BASE\nFROM ${BASE}\n")
        self._write(self.app / "app/Dockerfile", "ARG PARENT\nFROM ${PARENT}\n")
        git(self.app, "init", "-q", "-b", "main")
        git(self.app, "add", "-A")
        git(self.app, "commit", "-q", "-m", "Seed")
        self.mark = secrets.token_hex(8)
        self._write(self.app / "hybrid-ci.yaml", CONFIG.replace("MARKER", self.mark))


@pytest.fixture
def small(
    tmp_path: Path,
    engine_host: str,
    tls_registry: TlsRegistry,
    base_image: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Small:
    for name, value in FIXED.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tmp").mkdir()
    made = Small(
        tmp_path,
        f"{tls_registry.host}/{secrets.token_hex(4)}",
        base_image,
        "",
        {
            "DOCKER_HOST": engine_host,
            "TMPDIR": str(tmp_path / "tmp"),
            "HYBRID_CI_CA_BUNDLE": str(tls_registry.ca),
            "HYBRID_CI_REGISTRY_USERNAME": tls_registry.username,
            "HYBRID_CI_REGISTRY_PASSWORD": tls_registry.password,
            "HYBRID_CI_PATIENCE": "1",  # the base comes from no registry, and none is waited for
        },
    )
    made.build()
    return made


def ended_by(number: signal.Signals, event: str, stage: str, shop: Small) -> tuple[int, int, float, list[str]]:
    """Release until this event, send the signal: the process id, exit code, seconds to the end, and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "--log-format", "json", "release", "--jobs", "2"],
        cwd=shop.app,
        env={**os.environ, **shop.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    sent = time.monotonic()
    assert process.stderr is not None
    with process:
        for line in process.stderr:
            said.append(line)
            told = json.loads(line)
            if (told["event"], told.get("stage")) == (event, stage):
                process.send_signal(number)
                sent = time.monotonic()
        process.wait(timeout=60)
    return process.pid, process.returncode, time.monotonic() - sent, said


def ours(host: str, pid: int) -> list[str]:
    """Containers and networks of this process, as the engine itself lists them."""
    labelled: list[dict[str, Any]] = json.loads(engine_api.request(host, "GET", "/containers/json?all=1"))
    labelled += json.loads(engine_api.request(host, "GET", "/networks"))
    owned = [one for one in labelled if f":{pid}:" in (one.get("Labels") or {}).get("io.hybrid-ci.owner", "")]
    return [str(one.get("Names") or one.get("Name")) for one in owned]


def marked(mark: str) -> list[str]:
    """Processes of the host stage that still live."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return found


def gone_soon(mark: str, seconds: float = 3.0) -> bool:
    end = time.monotonic() + seconds
    while marked(mark):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


at_every_effect = pytest.mark.parametrize(
    ("event", "stage"), POINTS, ids=[f"{event.removeprefix('stage-')}-{stage}" for event, stage in POINTS]
)


@at_every_effect
def test_sigkill_at_every_effect(small: Small, engine_host: str, event: str, stage: str) -> None:
    ended_and_finished(small, engine_host, signal.SIGKILL, event, stage)


@at_every_effect
def test_sigterm_at_every_effect(small: Small, engine_host: str, event: str, stage: str) -> None:
    ended_and_finished(small, engine_host, signal.SIGTERM, event, stage)


@at_every_effect
def test_sigint_at_every_effect(small: Small, engine_host: str, event: str, stage: str) -> None:
    ended_and_finished(small, engine_host, signal.SIGINT, event, stage)


def ended_and_finished(small: Small, engine_host: str, number: signal.Signals, event: str, stage: str) -> None:
    """End a release there; nothing of it is left, and the next one finishes it."""
    pid, code, seconds, said = ended_by(number, event, stage, small)

    over = event == "stage-finished"  # the last one: it may be through before the signal comes
    assert code in ({SIGNALS[number], 0} if over else {SIGNALS[number]}), said
    assert seconds < 5
    assert gone_soon(small.mark), "a child of a stage lives on"
    if number != signal.SIGKILL:
        assert ours(engine_host, pid) == []
        assert not list((small.root / "tmp").glob("hybrid-ci-*")), "a temporary file is left"
        if stage != "preflight" and code != 0 and not over:
            assert any("interrupted; " in line and "Run it again" in line for line in said), said[-3:]

    finishes(small)
    assert ours(engine_host, pid) == []


def finishes(small: Small) -> None:
    """A release now ends well: one pull request, and one digest an image, the one that the record tells."""
    record = small.released()

    (pull,) = small.pull_requests()
    assert pull.state is PullRequestState.OPEN
    text = "".join(
        small.file("refs/heads/hybrid-ci/dev/shop", f"apps/shop/overlays/dev/{file}.yaml")
        for file in ("kustomization", "worker")
    )
    assert [image["name"] for image in record["images"]] == list(IMAGES)
    assert all(text.count(image["digest"]) == 1 for image in record["images"])


def test_sigkill_twice_then_run(small: Small, engine_host: str) -> None:
    first, *_ = ended_by(signal.SIGKILL, "stage-started", "integration", small)
    second, *_ = ended_by(signal.SIGKILL, "stage-started", "push app", small)
    assert gone_soon(small.mark)
    finishes(small)
    assert ours(engine_host, first) + ours(engine_host, second) == []


def test_two_runs_of_same_commit_in_parallel(small: Small) -> None:
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda _: small.release("--jobs", "2"), range(2)))
    assert [done.returncode for done in ended] == [0, 0], [done.stderr for done in ended]
    finishes(small)


def test_stdout_closed(small: Small) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "release"],
            cwd=small.app,
            env={**os.environ, **small.environment},
            stdout=write,
            stderr=write,
            timeout=110,
            check=False,
        )
    finally:
        os.close(write)
    assert done.returncode == 0
    finishes(small)


def test_home_missing(small: Small) -> None:
    done = small.release(environment={"HOME": str(small.root / "nowhere")})
    assert done.returncode == 0, done.stderr
    finishes(small)


def test_tmp_not_writable(small: Small) -> None:
    done = small.release(environment={"TMPDIR": "/proc/nowhere", "TEMP": "/proc/nowhere", "TMP": "/proc/nowhere"})
    assert done.returncode in (0, 1, 2), done.stderr
    assert "Traceback" not in done.stderr
    finishes(small)
