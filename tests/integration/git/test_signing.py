"""Signed commits: git itself finds them good, the key stays in its channel, and a signature changes no decision."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import CommitId, RemoteURL
from orchestrator.core.secret import Secret
from orchestrator.engine.process import ProgramMissing
from orchestrator.git.signing import GPGSigner, Signer, SigningFailed, SSHSigner, check_signer
from orchestrator.gitops.base import Landed
from orchestrator.gitops.outcome import Committed, Opened, Unchanged, Updated
from orchestrator.gitops.repository import GitRepository
from tests.integration.git.handoffs import harbour
from tests.integration.git.keys import Keyring, SSHKey, agent_with, keyring, ssh_key
from tests.integration.git.worlds import API, BOT, FILES, Served
from tests.servers.git_http import serving
from tests.servers.git_repositories import commit_files, git, make_bare
from tests.unit.gitops.changes import change

MESSAGE = "Release api to prod\n\nGrüße\n\n  -----BEGIN SSH SIGNATURE-----\n\nHybrid-CI-Action: release\n"
OURS = "hybrid-ci/dev/shop"


@pytest.fixture
def key(tmp_path: Path) -> SSHKey:
    return ssh_key(tmp_path)


@pytest.fixture
def ring() -> Iterator[Keyring]:
    with keyring() as made:
        yield made


def _sign_and_push(bare: Path, url: str, signer: Signer) -> CommitId:
    tip = CommitId(commit_files(bare, dict(FILES)))
    with GitRepository(RemoteURL(url), patience=5, workdir=bare.parent, signer=signer) as client:
        new = client.commit(tip, {API: b"new\n"}, MESSAGE)
        assert client.push(BOT, new, None) == Landed(new)
        (info,) = client.commits(tip, new)
        assert (info.message, info.parents) == (MESSAGE, (tip,))
    git(bare, "fsck", "--strict")
    return new


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_git_finds_a_commit_that_an_ssh_key_signed_good(tmp_path: Path, kind: str, object_format: str) -> None:
    key, bare = ssh_key(tmp_path, kind=kind), make_bare(tmp_path / "gitops.git", object_format=object_format)
    with serving(tmp_path) as server:
        commit = _sign_and_push(bare, server.url("gitops.git"), key.signer())
    assert key.verify(bare, commit.value)
    (tmp_path / "other").mkdir()
    assert not ssh_key(tmp_path / "other").verify(bare, commit.value)


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_git_finds_a_commit_that_a_gpg_key_signed_good(tmp_path: Path, ring: Keyring, object_format: str) -> None:
    bare = make_bare(tmp_path / "gitops.git", object_format=object_format)
    with serving(tmp_path) as server:
        commit = _sign_and_push(bare, server.url("gitops.git"), ring.signer(ring.add()))
    assert ring.verify(bare, commit.value)
    with keyring() as other:
        assert not other.verify(bare, commit.value)


def test_an_unsigned_commit_is_not_found_good(tmp_path: Path, key: SSHKey) -> None:
    bare = make_bare(tmp_path / "gitops.git")
    assert not key.verify(bare, commit_files(bare, dict(FILES)))


# --- a signature changes no decision ----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["unsigned", "signed"])
@pytest.mark.parametrize("second", ["unsigned", "signed", "signed by another key"])
def test_a_rerun_finds_its_own_branch_whoever_signed_it(tmp_path: Path, key: SSHKey, first: str, second: str) -> None:
    """A change is its parent, its tree and its release: neither the signature nor the id of the commit takes part."""
    (tmp_path / "other").mkdir()
    signers = {"unsigned": None, "signed": key.signer(), "signed by another key": ssh_key(tmp_path / "other").signer()}
    with harbour(tmp_path / "srv") as port:
        port.signer = signers[first]
        opened = port.hand_off(change(2))
        assert isinstance(opened, Opened)
        assert key.verify(port.world.bare, opened.commit.value) is (first == "signed")
        port.world.server.requests.clear()

        port.signer = signers[second]
        assert isinstance(port.hand_off(change(2)), Unchanged)
        assert (port.tip(OURS), port.pushes) == (opened.commit.value, 0)


def test_a_signed_branch_without_a_pull_request_gets_one_and_no_second_commit(tmp_path: Path, key: SSHKey) -> None:
    """As after a run that was killed between the push and the pull request."""
    with harbour(tmp_path / "srv") as port:
        port.signer = key.signer()
        pushed = port.hand_off(change(2))
        assert isinstance(pushed, Opened)
        for ref in git(port.world.bare, "for-each-ref", "--format=%(refname)", "refs/hybrid-ci/").split():
            git(port.world.bare, "update-ref", "-d", ref)
        port.world.server.requests.clear()

        again = port.hand_off(change(2))

        assert isinstance(again, Opened)
        assert (again.commit, port.pushes) == (pushed.commit, 0)


def test_a_newer_release_replaces_a_signed_one_and_is_signed_too(tmp_path: Path, key: SSHKey) -> None:
    with harbour(tmp_path / "srv") as port:
        port.signer = key.signer()
        port.hand_off(change(2))
        updated = port.hand_off(change(3))
        assert isinstance(updated, Updated)
        assert key.verify(port.world.bare, updated.commit.value)


def test_an_environment_that_is_committed_to_gets_signed_commits(tmp_path: Path, key: SSHKey) -> None:
    with harbour(tmp_path / "srv") as port:
        port.signer = key.signer()
        committed = port.hand_off(change(2, "lab"))
        assert isinstance(committed, Committed)
        assert key.verify(port.world.bare, port.tip("lab"))
        assert isinstance(port.hand_off(change(2, "lab")), Unchanged)
        assert port.tip("lab") == committed.commit.value


# --- the key -------------------------------------------------------------------------------------------------------


def test_the_key_is_in_no_argv_environment_or_file(
    tmp_path: Path, key: SSHKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in on PATH notes what it is given, and then is the real program."""
    seen, real = tmp_path / "seen", shutil.which("ssh-keygen")
    stand_in = tmp_path / "bin" / "ssh-keygen"
    stand_in.parent.mkdir()
    stand_in.write_text(
        f'#!/bin/sh\nenv >> {seen}\necho "argv: $*" >> {seen}\nls -l /dev/fd/ >> {seen}\nexec {real} "$@"\n'
    )
    stand_in.chmod(0o755)
    signer = key.signer()
    key.private.unlink()
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HYBRID_CI_SIGNING_KEY", signer.key.reveal())
    bare = make_bare(tmp_path / "gitops.git")

    _sign_and_push(bare, str(bare), signer)

    assert "argv: -Y sign" in seen.read_text()
    lines = signer.key.reveal().splitlines()[1:-1]
    left = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert [line for line in lines if line.encode() in left] == []
    assert lines[0] not in f"{signer!r} {signer}"


@pytest.mark.parametrize(
    "change_text", [str.strip, lambda text: text.replace("\n", "\r\n"), lambda text: f"\n{text}\n"]
)
def test_a_key_whose_line_ends_a_ci_variable_has_changed_still_signs(key: SSHKey, change_text: type[str]) -> None:
    check_signer(SSHSigner(Secret(change_text(key.private.read_text()), "$HYBRID_CI_SIGNING_KEY")))


def test_a_key_with_a_passphrase_is_refused_and_told_how_to_be_used(tmp_path: Path) -> None:
    key = ssh_key(tmp_path, passphrase="canary")
    with pytest.raises(SigningFailed) as error:
        check_signer(key.signer())
    assert error.value.exit_code == 2
    assert "passphrase" in error.value.message
    assert error.value.where == "$HYBRID_CI_SIGNING_KEY_FILE"
    assert "ssh-agent" in (error.value.hint or "")


@pytest.mark.parametrize("half", ["private", "public"])
def test_an_agent_that_holds_the_key_signs_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: str) -> None:
    key = ssh_key(tmp_path, passphrase="canary")
    text = key.private.read_text() if half == "private" else key.public.read_text()
    bare = make_bare(tmp_path / "gitops.git")
    with agent_with(key, "canary") as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        commit = _sign_and_push(bare, str(bare), SSHSigner(Secret(text, "$HYBRID_CI_SIGNING_KEY")))
    assert key.verify(bare, commit.value)


def test_a_public_key_alone_is_refused(key: SSHKey) -> None:
    with pytest.raises(SigningFailed, match="public key"):
        check_signer(SSHSigner(Secret(key.public.read_text(), "$HYBRID_CI_SIGNING_KEY")))


@pytest.mark.parametrize(
    "text", ["no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"]
)
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SigningFailed) as error:
        check_signer(SSHSigner(Secret(text, "$HYBRID_CI_SIGNING_KEY")))
    assert error.value.exit_code == 2
    assert "AAAA" not in "\n".join([error.value.message, *error.value.details])


def test_a_gpg_key_with_a_passphrase_is_refused_unless_the_agent_knows_it(ring: Keyring) -> None:
    key = ring.add(passphrase="canary")
    signer = ring.signer(key)
    ring.forget_passphrases()
    ring.tell_agent(key, "canary")
    check_signer(signer)
    ring.forget_passphrases()
    with pytest.raises(SigningFailed) as error:
        check_signer(signer)
    assert "passphrase" in error.value.message
    assert error.value.where == "$HYBRID_CI_SIGNING_GPG_KEY"


def test_a_gpg_key_that_the_keyring_does_not_hold_is_named(ring: Keyring) -> None:
    ring.add()
    with pytest.raises(SigningFailed, match="no such secret key"):
        check_signer(ring.signer("0123456789ABCDEF0123456789ABCDEF01234567"))


@pytest.mark.parametrize("key", ["ci@acme.example", "DEADBEEF", "--output=/tmp/x", "", "0123456789ABCDEF0"])
def test_a_gpg_key_is_named_by_an_id_that_means_one_key(key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        GPGSigner(key, tmp_path, "$HYBRID_CI_SIGNING_GPG_KEY")


def test_a_missing_program_is_named(key: SSHKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissing, match="ssh-keygen"):
        check_signer(key.signer())


@pytest.mark.parametrize("how", ["http", "file"])
def test_a_key_that_cannot_sign_is_told_before_any_work_and_before_the_server_is_asked(
    world: Served, tmp_path: Path, how: str
) -> None:
    url = world.url if how == "http" else RemoteURL(str(world.bare))
    signer = ssh_key(tmp_path, passphrase="canary").signer()
    with GitRepository(url, patience=5, workdir=tmp_path, signer=signer) as client, pytest.raises(SigningFailed):
        client.check_push(BOT)
    assert world.server.requests == []


def test_the_write_check_passes_with_a_key_that_signs(world: Served, key: SSHKey) -> None:
    with world.client(signer=key.signer()) as client:
        client.check_push(BOT)
    assert world.ref() == ""
