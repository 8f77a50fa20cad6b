"""``make demo`` as its visitor sees it: it works twice in a row, and so does every command that it proposes."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import services

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture
def state(running_services: services.Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the demo with a short path; with an engine given, the demo uses that one."""
    if running_services.engine.process is None:
        monkeypatch.setenv("DOCKER_HOST", running_services.engine.host)
    place = Path(tempfile.mkdtemp(prefix="hci-demo-"))
    yield place
    services.down(place, say=print)
    shutil.rmtree(place)


def demo(state: Path) -> str:
    """The demo's stdout; it must end with 0."""
    argv = [sys.executable, str(ROOT / "scripts" / "demo.py"), "--state", str(state)]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, timeout=110)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.mark.timeout(300)
def test_the_demo_works_twice_and_so_does_what_it_proposes(state: Path) -> None:
    demo(state)
    shown = demo(state)
    record = json.loads((state / "release.json").read_text())
    (image,) = record["images"]
    assert shown.count(f"sha256:{image['digest'].removeprefix('sha256:')}") >= 2
    assert "+    digest: " + image["digest"] in shown
    assert "nothing to do" in shown
    for number in range(1, 7):
        assert f"pull request #{number} is merged" in shown
    assert "prod/us (wave 2)  refused" in shown
    assert "prod/us (wave 2)  opened" in shown
    left = services.read(state)
    assert left.plain is not None
    assert not services.registry.alive(left.plain)

    proposed = shown.partition("To try next:\n")[2]
    answer = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", proposed], capture_output=True, text=True, check=False, cwd=ROOT, timeout=110
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "opened pull request #7" in answer.stdout
