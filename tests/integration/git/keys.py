"""Keys that sign commits, made by the real ssh-keygen and gpg, and git's own verdict on a signature."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.secret import Secret
from orchestrator.git.signing import GPGSigner, SSHSigner


def tool(*argv: str, stdin: bytes | None = None, **environment: str) -> str:
    """Run a tool with nothing of the machine; gives stdout. Raises when it fails."""
    base = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "LC_ALL": "C"}
    done = subprocess.run(argv, input=stdin, capture_output=True, env=base | environment, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout.decode()


@dataclass(frozen=True)
class SSHKey:
    """A pair of files."""

    private: Path

    @property
    def public(self) -> Path:
        """The other half."""
        return self.private.with_suffix(".pub")

    def signer(self) -> SSHSigner:
        """As the environment would give it."""
        return SSHSigner(Secret(self.private.read_text(), "$HYBRID_CI_SIGNING_KEY_FILE"))

    def verify(self, bare: Path, commit: str) -> bool:
        """git finds the signature good, and made by this key."""
        signers = self.private.with_suffix(".signers")
        signers.write_text(f"ci@acme.example {self.public.read_text()}")
        return _verdict(bare, commit, "-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={signers}")


def ssh_key(folder: Path, passphrase: str = "", kind: str = "ed25519") -> SSHKey:
    """A new one."""
    path = folder / f"key-{kind}"
    tool("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path))
    return SSHKey(path)


@dataclass(frozen=True)
class Keyring:
    """A GPG home of a test's own."""

    home: Path

    def add(self, passphrase: str = "") -> str:
        """Make a key; gives its fingerprint."""
        options = ("--batch", "--pinentry-mode=loopback", f"--passphrase={passphrase}", "--status-fd=1")
        said = tool(
            "gpg", *options, "--quick-gen-key", f"ci {os.urandom(3).hex()}", "ed25519", "sign", "0", **self._home
        )
        match = re.search("KEY_CREATED P ([0-9A-F]+)", said)
        assert match
        return match[1]

    def tell_agent(self, key: str, passphrase: str) -> None:
        """As `gpg-preset-passphrase` does in a CI job."""
        listed = tool("gpg", "--with-colons", "--with-keygrip", "--list-secret-keys", key, **self._home)
        keygrip = re.search("^grp:+([0-9A-F]+):", listed, re.MULTILINE)
        assert keygrip
        command = f"PRESET_PASSPHRASE {keygrip[1]} -1 {passphrase.encode().hex().upper()}"
        assert tool("gpg-connect-agent", command, "/bye", **self._home) == "OK\n"

    def forget_passphrases(self) -> None:
        """End the agent, which remembers them."""
        tool("gpgconf", "--kill", "gpg-agent", **self._home)

    def signer(self, key: str) -> GPGSigner:
        """As the environment would give it."""
        return GPGSigner(key, self.home, "$HYBRID_CI_SIGNING_GPG_KEY")

    def verify(self, bare: Path, commit: str) -> bool:
        """git finds the signature good."""
        return _verdict(bare, commit, **self._home)

    @property
    def _home(self) -> dict[str, str]:
        return {"GNUPGHOME": str(self.home)}


@contextmanager
def keyring() -> Iterator[Keyring]:
    """An empty one. Its path is short: the agent's socket lies in it."""
    made = Keyring(Path(tempfile.mkdtemp(prefix="hci-", dir="/tmp")))
    (made.home / "gpg-agent.conf").write_text("allow-preset-passphrase\n")
    try:
        yield made
    finally:
        made.forget_passphrases()
        shutil.rmtree(made.home, ignore_errors=True)  # the agent takes its own sockets away meanwhile


@contextmanager
def agent_with(key: SSHKey, passphrase: str) -> Iterator[str]:
    """An ssh-agent that holds the key; gives its socket."""
    said = tool("ssh-agent", "-s")
    socket, process = re.search("SSH_AUTH_SOCK=([^;]+)", said), re.search("SSH_AGENT_PID=([0-9]+)", said)
    assert socket and process
    answer = key.private.with_suffix(".askpass")
    answer.write_text(f"#!/bin/sh\necho {passphrase}\n")
    answer.chmod(0o700)
    try:
        ask = {"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force", "SSH_AUTH_SOCK": socket[1]}
        tool("ssh-add", "-q", str(key.private), **ask)
        yield socket[1]
    finally:
        os.kill(int(process[1]), 15)


def _verdict(bare: Path, commit: str, *options: str, **environment: str) -> bool:
    base = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "GIT_CONFIG_NOSYSTEM": "1"}
    argv = ["git", "-C", str(bare), *options, "verify-commit", commit]
    return subprocess.run(argv, capture_output=True, env=base | environment, check=False).returncode == 0
