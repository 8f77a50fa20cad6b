"""Canaries: no secret of a run shows up in any output, file, process argument, commit or pull request."""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from orchestrator.cli.commands import COMMANDS
from tests.e2e.shop import Shop, git

pytestmark = pytest.mark.engine

AMBIENT = {name: f"canary-{name.lower()}-0123456789" for name in ("GITHUB_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN")}

# Every command, well and badly used. The folder is the application's checkout.
INVOCATIONS: dict[str, list[list[str]]] = {
    "init": [["init"], ["init", "--force", "--registry", "r.example/x", "--gitops-url", "https://g.example/y"]],
    "check": [["check"], ["--verbose", "check", "--policy", "../seed/.hybrid-ci/environments.yaml"]],
    "release": [["--verbose", "release"], ["release", "--env", "nowhere"], ["--log-format", "json", "release"]],
    "plan": [["plan"], ["--verbose", "plan", "--output", "json"], ["plan", "--only", "nothing"]],
    "pin": [["pin", "api=:nowhere"], ["pin", "api"], ["--verbose", "pin", "api=:0", "--dry-run"]],
    "matrix": [
        ["matrix"],
        ["--verbose", "matrix", "--all", "--unbuilt", "--output", "github"],
        ["matrix", "--base", "x"],
    ],
    "build": [
        ["--verbose", "build", "--image", "api", "--record", "../records/"],
        ["build", "--image", "nothing", "--record", "../records/"],
    ],
    "handoff": [
        ["--verbose", "handoff", "--records", "../records/", "--dry-run"],
        ["handoff", "--records", "../seed/.hybrid-ci/environments.yaml"],
    ],
    "doctor": [["--verbose", "doctor"], ["doctor", "--env", "nowhere", "--output", "markdown"]],
    "generate": [["generate", "github"], ["generate", "gitlab", "--check"], ["generate", "nothing"]],
    "promote": [
        ["--verbose", "promote", "--from", "dev", "--to", "staging"],
        ["promote", "--from", "dev", "--to", "staging", "--dry-run", "--output", "json"],
        ["promote", "--from", "dev", "--to", "staging", "--gitops", "https://x:y@g.example/z"],
    ],
    "hold": [
        ["--verbose", "hold", "set", "api", "--env", "dev", "--reason", "incident 42"],
        ["hold", "list", "--output", "json"],
        ["hold", "lift", "api", "--env", "nowhere", "--reason", "over"],
    ],
    "veto": [
        ["--verbose", "veto", "set", f"sha256:{'0' * 64}", "--env", "dev", "--reason", "loses orders"],
        ["veto", "list", "--output", "markdown"],
        ["veto", "lift", "sha256:nothing", "--env", "dev", "--reason", "over"],
    ],
    "pins": [["pins", "../seed"], ["pins", "nowhere"]],
    "set-image": [["set-image", "r.example/x:1", "../seed", "--dry-run"], ["set-image"]],
    "forge": [["forge", "list", "../gitops.git"], ["forge", "show", "../gitops.git", "99"]],
    "schema": [["schema"], ["schema", "nothing"]],
    "diff": [["diff", "dev", "staging"], ["--verbose", "diff", "--pr", "99"], ["diff", "dev", "nowhere"]],
    "drift": [["drift"], ["--verbose", "drift", "--output", "json"], ["drift", "--only", "nothing"]],
    "history": [["history", "--env", "dev"], ["--verbose", "history", "--env", "nowhere"]],
    "status": [
        ["status"],
        ["--verbose", "status", "--output", "json"],
        ["status", "--gitops", "https://x:y@g.example/z"],
    ],
}


def secrets_of(shop: Shop) -> dict[str, str]:
    own = {name: value for name, value in shop.environment.items() if name.endswith(("_TOKEN", "_PASSWORD"))}
    return own | AMBIENT


def spellings(secret: str, user: str = "x-access-token") -> set[bytes]:
    raw = secret.encode()
    basic = base64.b64encode(f"{user}:{secret}".encode())
    cores = {base64.b64encode(b"\0" * pad + raw)[4:-4] for pad in range(3)}
    return {raw, quote(secret, safe="").encode(), raw.hex().encode(), basic, *cores}


def assert_clean(content: bytes, shop: Shop, where: object) -> None:
    for name, secret in secrets_of(shop).items():
        for form in spellings(secret):
            assert form not in content, f"{name} in {where}"


def test_every_command_is_tried() -> None:
    assert set(INVOCATIONS) == set(COMMANDS)


@pytest.mark.parametrize("command", INVOCATIONS)
def test_no_command_prints_or_leaves_a_secret(shop: Shop, command: str) -> None:
    for arguments in INVOCATIONS[command]:
        done = shop.hybrid_ci(*arguments, environment=AMBIENT)

        assert "Traceback" not in done.stderr
        assert_clean((done.stdout + done.stderr).encode(), shop, arguments)
    for file in shop.root.rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert_clean(file.read_bytes(), shop, file)


def test_no_secret_in_any_cmdline_during_run(shop: Shop) -> None:
    with sampling_command_lines() as seen:
        done = shop.release(environment=AMBIENT)

    assert done.returncode == 0, done.stderr
    assert any(b"git" in line for line in seen), "the sampler saw no git at all"
    assert_clean(b"\n".join(seen), shop, "a command line")


def test_a_secret_in_a_commit_subject_reaches_no_pull_request_record_or_output(shop: Shop) -> None:
    token = shop.environment["HYBRID_CI_GIT_TOKEN"]
    git(shop.app, "commit", "-q", "--allow-empty", "-m", f"Oops {token}")

    done = shop.release("--record", "../release.json", "--output", "json")

    assert done.returncode == 0, done.stderr
    (pull,) = shop.pull_requests()
    everything = subprocess.run(
        ["git", "-C", str(shop.gitops), "log", "--all", "--format=%B"], capture_output=True, check=True
    ).stdout
    texts = [pull.title.encode(), pull.body.encode(), everything, (shop.root / "release.json").read_bytes()]
    for text in (*texts, done.stdout.encode(), done.stderr.encode()):
        assert_clean(text, shop, text[:60])


@contextmanager
def sampling_command_lines() -> Iterator[set[bytes]]:
    """Every command line on this machine, looked at all the time."""
    seen: set[bytes] = set()
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.005):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        seen.add((entry / "cmdline").read_bytes())
                    except OSError:
                        continue

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
