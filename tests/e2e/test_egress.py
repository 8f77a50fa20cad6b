"""Whom a release talks to: the engine, the registry and the GitOps repository, and nobody else. No cluster, no home."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.shop import Shop

pytestmark = pytest.mark.engine

# Python imports it at its start; what it sees is written down before it happens.
WATCH = """\
import json, os, sys

def watch(event, values):
    if event in ("socket.connect", "socket.sendto"):
        told = ["connect", str(values[-1])]
    elif event == "socket.getaddrinfo":
        told = ["ask", values[0]]
    elif event == "subprocess.Popen":
        told = ["start", [os.fsdecode(word) for word in values[1]]]
    else:
        return
    out = os.open(os.environ["HYBRID_CI_TEST_WATCH"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(out, (json.dumps(told) + "\\n").encode())
    os.close(out)

sys.addaudithook(watch)
"""


def test_a_release_talks_to_engine_registry_and_git_alone(shop: Shop, tmp_path: Path, engine_host: str) -> None:
    watcher = tmp_path / "watcher"
    watcher.mkdir()
    (watcher / "sitecustomize.py").write_text(WATCH)
    seen = tmp_path / "seen"
    path = os.pathsep.join(filter(None, [str(watcher), os.environ.get("PYTHONPATH")]))

    done = shop.release(environment={"PYTHONPATH": path, "HYBRID_CI_TEST_WATCH": str(seen)})

    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in seen.read_text().splitlines()]
    registry, _, port = shop.registry.partition("/")[0].rpartition(":")
    engine = urlsplit(engine_host)
    at = engine.path if engine.scheme == "unix" else str((engine.hostname, engine.port))
    connected = {address for kind, address in told if kind == "connect"}
    known = {str(("127.0.0.1", int(port))), at}
    assert known <= connected
    (smoked,) = connected - known  # the port of the one container that a smoke test asks
    assert smoked.startswith("('127.0.0.1', ")
    assert {name for kind, name in told if kind == "ask"} <= {registry, "127.0.0.1", engine.hostname}
    started = [words for kind, words in told if kind == "start"]
    assert {Path(words[0]).name for words in started} <= {"git", "docker"}
    assert not [word for words in started for word in words if "://" in word and not word.startswith(shop.gitops_url)]
