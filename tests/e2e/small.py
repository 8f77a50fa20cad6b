"""Two images, one upon the other, with a host stage and a service beside one in an image: small, and of every kind."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.forges.base import PullRequestState
from scripts.machine import engine_api
from tests.e2e.shop import Shop, git

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
      - {name: unit, run: sleep 0.1, timeout: 1m}
stages:
  lint:
    run: "sleep 0.1; sleep 0.1"
    environment: {MARK: "MARKER"}
  integration:
    image: app
    run: sleep 0.1
    needs: [test]
    timeout: 1m
    services:
      db: {image: base, command: [httpd, -f, -p, "5432"], ready: {tcp: 5432}}
"""


@dataclass(frozen=True, slots=True)
class Broken:
    """A release that a signal ended: its process, exit code, seconds from the signal to the end, and what it said."""

    pid: int
    code: int
    seconds: float
    said: list[str]


class Small(Shop):
    """The configuration is not in the commit, so every test has the same one, and builds come from the cache."""

    mark = ""

    @property
    def tmp(self) -> Path:
        """The TMPDIR of its runs."""
        return self.root / "tmp"

    def _make_app(self) -> None:
        self.app.mkdir()
        self._write(self.app / "base/Dockerfile", "ARG BASE\nFROM ${BASE}\n")
        self._write(self.app / "app/Dockerfile", "ARG PARENT\nFROM ${PARENT}\n")
        git(self.app, "init", "-q", "-b", "main")
        git(self.app, "add", "-A")
        git(self.app, "commit", "-q", "-m", "Seed")
        self.mark = secrets.token_hex(8)
        self._write(self.app / "hybrid-ci.yaml", CONFIG.replace("MARKER", self.mark))

    def write(self, file: str, text: str) -> None:
        """Write a file of the application."""
        self._write(self.app / file, text)

    def commit_gitops(self, path: bytes, content: bytes) -> None:
        """Somebody else commits a file to the GitOps repository's base branch."""
        seed = self.root / "seed"
        Path(os.fsdecode(bytes(seed) + b"/" + path)).write_bytes(content)
        git(seed, "add", "-A")
        git(seed, "commit", "-q", "-m", "Add a file")
        git(self.gitops, "fetch", "-q", str(seed), "+refs/heads/main:refs/heads/main")

    def ended_by(self, number: signal.Signals, event: str, stage: str) -> Broken:
        """Release until this event, then send the signal."""
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "--log-format", "json", "release", "--jobs", "2"],
            cwd=self.app,
            env={**os.environ, **self.environment},
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
        return Broken(process.pid, process.returncode, time.monotonic() - sent, said)

    def at_most_one_pull_request(self) -> bool:
        return len(self.pull_requests()) <= 1

    def finishes(self) -> None:
        """A release now ends well: one pull request, and one digest an image, the one that the record tells."""
        record = self.released()

        (pull,) = self.pull_requests()
        assert pull.state is PullRequestState.OPEN
        text = "".join(
            self.file("refs/heads/hybrid-ci/dev/shop", f"apps/shop/overlays/dev/{file}.yaml")
            for file in ("kustomization", "worker")
        )
        assert [image["name"] for image in record["images"]] == list(IMAGES)
        assert all(text.count(image["digest"]) == 1 for image in record["images"])
        assert not list(self.tmp.glob("hybrid-ci-*")), "a temporary file is left"
        assert not (self.app / ".git/index.lock").exists()


def left_in_engine(host: str, pid: int) -> list[str]:
    """Containers and networks of this process, as the engine itself lists them."""
    labelled: list[dict[str, Any]] = json.loads(engine_api.request(host, "GET", "/containers/json?all=1"))
    labelled += json.loads(engine_api.request(host, "GET", "/networks"))
    owned = [one for one in labelled if f":{pid}:" in (one.get("Labels") or {}).get("io.hybrid-ci.owner", "")]
    return [str(one.get("Names") or one.get("Name")) for one in owned]


def gone_soon(mark: str, seconds: float = 3.0) -> bool:
    """No process has this text in its environment any more, or none after some seconds."""
    end = time.monotonic() + seconds
    while _marked(mark):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _marked(mark: str) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "environ").read_bytes():
                    return True
            except OSError:
                continue
    return False
