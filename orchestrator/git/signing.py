"""Signatures under the commits that we make, by an SSH key or by a key of a GPG keyring.

The commit object is written by us, so it is signed by us too: the program that git itself would call signs the
commit's content, and the answer goes into the header where git looks for it (gitformat-signature(5), git-commit-tree(1)
``-S``). No configuration of git, of ssh or of gpg takes part. An SSH key reaches its program as an inherited descriptor
of a file without a name; a GPG key never leaves its keyring.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.secret import Secret
from orchestrator.core.text import printable
from orchestrator.engine.nameless import nameless_file
from orchestrator.engine.process import Completed, Limits, run

_LIMITS = Limits(seconds=60, output=64 * 1024)
_DETAIL_LINES = 5
_HEADERS = {"sha1": "gpgsig", "sha256": "gpgsig-sha256"}
_KEY_ID = re.compile("(?:0x)?(?:[0-9A-Fa-f]{16}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})!?")
_GPG = (
    "gpg", "--no-options", "--batch", "--no-tty", "--pinentry-mode=error", "--armor", "--detach-sign", "--local-user",
)  # fmt: skip
_NOBODY_TO_ASK = "nobody can be asked for it here: use a key without one, for this job only, or let {} hold it"


class SigningFailed(ConfigurationError):
    """The configured key can't sign."""


class Signer(Protocol):
    """Signs what it is given."""

    def sign(self, content: bytes) -> str:
        """The armoured signature. Raises SigningFailed, ProgramMissing."""


@dataclass(frozen=True, slots=True)
class SSHSigner:
    """Signs with an SSH private key, or with a public key whose private half an agent holds (ssh-keygen(1), ``-Y``)."""

    key: Secret

    def sign(self, content: bytes) -> str:
        """See Signer."""
        text = self.key.reveal().replace("\r\n", "\n").strip() + "\n"  # CI variables lose or double line ends
        with nameless_file(text.encode("utf-8", "surrogateescape")) as descriptor:
            argv = ["ssh-keygen", "-Y", "sign", "-n", "git", "-f", f"/dev/fd/{descriptor}"]
            completed = run(
                argv,
                environment={"LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"},
                inherit=("SSH_AUTH_SOCK",),
                stdin=content,
                limits=_LIMITS,
                pass_fds=(descriptor,),
            )
        return _signature(completed, self.key.source, _ssh_reason)


@dataclass(frozen=True, slots=True)
class GPGSigner:
    """Signs with a key of the keyring in ``home``; ``key`` is its fingerprint or long id. Raises ConfigurationError."""

    key: str
    home: Path
    source: str = "the GPG key"

    def __post_init__(self) -> None:
        if not _KEY_ID.fullmatch(self.key):
            raise ConfigurationError(
                f"{self.key!r} is not the id of a GPG key",
                where=self.source,
                hint="give the fingerprint that `gpg --list-secret-keys` shows; names and short ids are ambiguous",
            )

    def sign(self, content: bytes) -> str:
        """See Signer."""
        environment = {"LC_ALL": "C", "GNUPGHOME": str(self.home)}
        completed = run([*_GPG, self.key], environment=environment, stdin=content, limits=_LIMITS)
        return _signature(completed, self.source, _gpg_reason)


def signed(content: bytes, signer: Signer, object_format: str) -> bytes:
    """A commit object's content with the signature as its last header. Raises as the signer does."""
    lines = signer.sign(content).strip("\n").split("\n")
    header = f"{_HEADERS[object_format]} " + "\n ".join(lines)
    head, separator, message = content.partition(b"\n\n")
    return head + b"\n" + header.encode("ascii") + separator + message


def check_signer(signer: Signer) -> None:
    """Find out before any work whether the key can sign. Raises as the signer does."""
    signer.sign(b"")


class _Reason(Protocol):
    def __call__(self, said: str) -> tuple[str, str]:
        """What went wrong, and what to do."""


def _signature(completed: Completed, where: str, reason: _Reason) -> str:
    if completed.ok and b"-----END " in completed.stdout and not completed.truncated:
        return completed.stdout.decode("ascii", "replace")
    said = completed.error_text
    what, hint = reason(said) if not completed.timed_out else _TIMED_OUT
    raise SigningFailed(what, where=where, hint=hint, details=_details(said.splitlines()))


_TIMED_OUT = ("the key's agent gave no signature in time", "see whether the agent waits for a person or a device")


def _ssh_reason(said: str) -> tuple[str, str]:
    if "passphrase" in said and "public key" not in said:
        return "the signing key is protected by a passphrase", _NOBODY_TO_ASK.format("an ssh-agent")
    if "No private key" in said:
        return (
            "the signing key is a public key, and no agent holds its private half",
            "give the private key, or load it into the agent that SSH_AUTH_SOCK names",
        )
    return (
        "the signing key can't be used",
        "it must be an SSH key in OpenSSH's own format; `ssh-keygen -p -f FILE` converts an older one",
    )


def _gpg_reason(said: str) -> tuple[str, str]:
    if "No secret key" in said:
        return (
            "the GPG keyring has no such secret key",
            "import it first (`gpg --import`), and set GNUPGHOME when the keyring is elsewhere",
        )
    if "pinentry" in said.lower() or "passphrase" in said.lower():
        return "the GPG key is protected by a passphrase", _NOBODY_TO_ASK.format("the gpg-agent")
    return "the GPG key can't sign", "see what gpg says about it; it may have expired, or may not be for signing"


def _details(lines: Sequence[str]) -> list[str]:
    return [printable(line.rstrip()) for line in lines[-_DETAIL_LINES:] if line.strip()]
