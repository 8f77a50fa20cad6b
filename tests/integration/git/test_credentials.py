"""A token reaches the one configured host, and nothing else: no argv, environment, file, log, or other host."""

from __future__ import annotations

import base64
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError, HybridCIError, RemoteError
from orchestrator.core.names import RemoteURL
from orchestrator.core.secret import Secret, spellings
from orchestrator.git.credentials import GitCredentials, ssh_command
from orchestrator.gitops.base import Landed
from orchestrator.gitops.repository import GitRepository
from tests.integration.git.worlds import API, BOT, FILES, MAIN, Served, served
from tests.servers.git_faults import ANY, UPLOAD, UPLOAD_REFS
from tests.servers.git_http import serving
from tests.servers.git_repositories import make_bare

TOKEN = "canary-4f9a1c77e0d24b6d-token"
USER = "x-access-token"
CREDENTIALS = GitCredentials(token=Secret(TOKEN, "$HYBRID_CI_GIT_TOKEN"))
BASIC = "Basic " + base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Served]:
    """A repository that asks for a login."""
    with served(tmp_path / "srv", login=(USER, TOKEN)) as made:
        yield made


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()


def _whole_handoff(client: GitRepository) -> None:
    client.check_push(MAIN)
    tip = client.tips([MAIN])[MAIN]
    client.files(tip, ["apps/*/prod/**"])
    new = client.commit(tip, {API: b"new\n"}, "Release")
    assert client.push(BOT, new, None) == Landed(new)
    client.commits(tip, new)


def _leaks_in(data: bytes) -> list[str]:
    forms = spellings(TOKEN) | {BASIC.removeprefix("Basic ")}
    return [form for form in forms if form.encode() in data]


class _Sampler(threading.Thread):
    """Looks at the command line and environment of every process of this machine, again and again."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.leaks: set[str] = set()
        self.git_seen = 0
        self._stopping = threading.Event()
        self._mine = os.getpid()

    def __enter__(self) -> _Sampler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        while not self._stopping.is_set():
            for process in Path("/proc").iterdir():
                if process.name.isdigit() and int(process.name) != self._mine:
                    self._look_at(process)
            time.sleep(0.002)

    def _look_at(self, process: Path) -> None:
        for name in ("cmdline", "environ"):
            try:
                data = (process / name).read_bytes()
            except OSError:
                continue
            self.git_seen += name == "cmdline" and b"git" in data
            self.leaks.update(f"{name}: {form}" for form in _leaks_in(data))


def test_the_token_opens_the_door(guarded: Served) -> None:
    with guarded.client(credentials=CREDENTIALS) as client:
        _whole_handoff(client)
    assert {request.authorization for request in guarded.server.requests} == {None, BASIC}


def test_no_secret_in_any_cmdline_during_run(guarded: Served) -> None:
    with _Sampler() as sampler, guarded.client(credentials=CREDENTIALS) as client:
        _whole_handoff(client)
    assert sampler.git_seen > 0
    assert sampler.leaks == set()


def test_the_token_is_in_no_file_and_the_folder_is_gone_at_the_end(guarded: Served, tmp_path: Path) -> None:
    with guarded.client(credentials=CREDENTIALS) as client:
        home = client._home
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        _whole_handoff(client)
        everything = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
        assert len(everything) > 500
        assert _leaks_in(everything) == []
    assert not home.exists()
    left = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert _leaks_in(left) == []


def test_the_folder_is_gone_after_an_error_too(guarded: Served) -> None:
    with pytest.raises(RuntimeError), guarded.client(credentials=CREDENTIALS) as client:
        home = client._home
        raise RuntimeError
    assert not home.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_behind_by_a_signal(guarded: Served, tmp_path: Path, number: signal.Signals) -> None:
    """The command waits for a server that hangs, with its private repository and the token's channel open."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (tmp_path / "hybrid-ci.yaml").write_text(
        f"version: 1\napplication: shop\ngitops: {{repository: '{guarded.url}', environment: dev}}\n"
        "images: {api: {repository: ghcr.io/acme/shop/api}}\n"
    )
    guarded.server.fail("hang", UPLOAD, times=50)
    argv = [sys.executable, "-m", "orchestrator", "--config", str(tmp_path / "hybrid-ci.yaml")]
    argv += ["pin", f"api=ghcr.io/acme/shop/api:1@sha256:{'0' * 64}"]
    environment = {**os.environ, "TMPDIR": str(temporary), "HYBRID_CI_GIT_TOKEN": TOKEN}
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as command:
        while not any(request.fault for request in guarded.server.requests):
            assert command.poll() is None, command.communicate()[0]
            time.sleep(0.02)
        assert list(temporary.iterdir()) != []
        command.send_signal(number)
        said = command.communicate(timeout=10)[0]
    assert command.returncode == 128 + number, said
    assert list(temporary.iterdir()) == []
    assert _leaks_in(said) == []


@pytest.mark.parametrize("wrong", [GitCredentials(token=Secret(TOKEN + "-wrong", "x")), None])
def test_a_refused_login_is_explained_without_the_token(guarded: Served, wrong: GitCredentials | None) -> None:
    with guarded.client(credentials=wrong) as client, pytest.raises(RemoteError) as error:
        client.tips([MAIN])
    assert error.value.exit_code == 5
    assert "login" in error.value.message
    assert guarded.clock.slept == []
    assert _leaks_in(_everything_about(error.value)) == []


def _everything_about(error: BaseException | None) -> bytes:
    """Text, arguments, attributes, causes and the locals of every frame."""
    parts: list[str] = []
    while error is not None:
        parts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        frame = error.__traceback__
        while frame is not None:
            parts.append(repr(frame.tb_frame.f_locals) if "orchestrator" in frame.tb_frame.f_code.co_filename else "")
            frame = frame.tb_next
        error = error.__cause__ or error.__context__
    return "\n".join(parts).encode("utf-8", "replace")


@pytest.mark.parametrize("on", [UPLOAD_REFS, ANY])
def test_redirect_to_other_host_never_gets_token_git(guarded: Served, tmp_path: Path, on: str) -> None:
    other_root = tmp_path / "other"
    other_root.mkdir()
    make_bare(other_root / "gitops.git")
    with serving(other_root, login=(USER, TOKEN)) as other, guarded.client(credentials=CREDENTIALS) as client:
        guarded.server.redirect_to = f"http://127.0.0.1:{other.port}"
        guarded.server.fail("redirect", on, times=5)
        with pytest.raises(RemoteError) as error:
            client.tips([MAIN])
        assert other.requests == []
    assert "redirects" in error.value.message


def test_a_redirect_after_the_login_gets_nothing_either(guarded: Served, tmp_path: Path) -> None:
    other_root = tmp_path / "other"
    other_root.mkdir()
    with serving(other_root) as other, guarded.client(credentials=CREDENTIALS) as client:
        guarded.server.redirect_to = f"http://127.0.0.1:{other.port}"

        def redirect_once_logged_in(kind: str) -> None:
            if guarded.server.requests[-1].authorization:
                guarded.server.fail("redirect", ANY, times=5)

        guarded.server.before_request = redirect_once_logged_in
        with pytest.raises(RemoteError):
            client.tips([MAIN])
        assert other.requests == []


def test_ambient_store_helper_gets_nothing(guarded: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    store = home / "stored-credentials"
    (home / ".gitconfig").write_text(f"[credential]\n\thelper = store --file={store}\n")
    (home / ".netrc").write_text("machine 127.0.0.1 login thief password thief\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    with guarded.client(credentials=CREDENTIALS) as client:
        _whole_handoff(client)
    assert not store.exists()


def test_poisoned_git_env_has_no_effect(guarded: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = tmp_path / "canary"
    command = f"sh -c 'env >> {canary}; exit 1'"
    for name in ("GIT_SSH_COMMAND", "GIT_PROXY_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_ASKPASS", "GIT_EDITOR", "GIT_PAGER"):
        monkeypatch.setenv(name, command)
    for name in ("GIT_TRACE", "GIT_TRACE_CURL", "GIT_CURL_VERBOSE", "GIT_TRACE_PACKET", "GIT_TRACE2_EVENT"):
        monkeypatch.setenv(name, str(canary))
    monkeypatch.setenv("GIT_TRACE_REDACT", "0")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_WORK_TREE", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", "/nonexistent")
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ext")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "credential.helper")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", f"!{command}")
    monkeypatch.setenv("GIT_CONFIG_KEY_1", f"url.ext::{command}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_1", "http://")
    with guarded.client(credentials=CREDENTIALS) as client:
        _whole_handoff(client)
    assert not canary.exists()


@pytest.mark.parametrize("value", ["two\nlines", "carriage\rreturn", "nul\0byte"])
def test_a_token_with_a_line_break_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        GitCredentials(token=Secret(value, "$HYBRID_CI_GIT_TOKEN"))
    assert error.value.where == "$HYBRID_CI_GIT_TOKEN"


@pytest.mark.parametrize(
    "url",
    ["https://user:canary@host/x.git", "https://canary@host/x.git", "http://git.example/x.git", "ssh://u:canary@h/x"],
)
def test_a_url_that_holds_or_would_leak_a_credential_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        RemoteURL(url)
    assert "canary" not in f"{error.value} {error.value.where} {error.value.hint}"


# --- ssh -----------------------------------------------------------------------------------------------------------


def test_ssh_never_asks_and_never_trusts_a_new_host(tmp_path: Path) -> None:
    key, hosts = tmp_path / "a key", tmp_path / "hosts"
    command = ssh_command(GitCredentials(ssh_key=key, known_hosts=hosts))
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "ForwardAgent=no"):
        assert option in command
    assert f"-i '{key}'" in command
    assert f"UserKnownHostsFile={hosts}" in command


def test_ssh_gets_the_agent_and_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for ssh on PATH notes what it was given and runs the remote command here."""
    seen = tmp_path / "seen"
    fake = tmp_path / "bin" / "ssh"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nenv >> {seen}\necho "argv: $*" >> {seen}\nfor last; do :; done\nexec sh -c "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent.sock")
    monkeypatch.setenv("HYBRID_CI_GIT_TOKEN", TOKEN)
    with served(tmp_path / "srv") as world:
        url = RemoteURL(f"ssh://git@git.example{world.bare}")
        with GitRepository(url, credentials=CREDENTIALS, patience=5, workdir=tmp_path) as client:
            _whole_handoff(client)
    text = seen.read_text()
    assert "SSH_AUTH_SOCK=/run/agent.sock" in text
    assert "argv: -o BatchMode=yes" in text
    assert "git@git.example git-receive-pack" in text
    assert _leaks_in(text.encode()) == []


def test_an_unknown_host_key_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "ssh"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    url = RemoteURL("git@git.example:acme/gitops.git")
    with GitRepository(url, patience=5) as client, pytest.raises(HybridCIError) as error:
        client.tips([MAIN])
    assert "known_hosts" in (error.value.hint or "")


def test_files_are_read_without_any_login_where_none_is_needed(tmp_path: Path) -> None:
    with served(tmp_path / "srv") as world, world.client() as client:
        assert len(client.files(world.tip, ["**"])) == len(FILES)
        assert {request.authorization for request in world.server.requests} == {None}
