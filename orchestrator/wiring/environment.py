"""What the job's variables say to the adapters: logins, keys, identity, patience."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

from orchestrator.ci.redact import read_secret, redactor
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.secret import Secret
from orchestrator.git.credentials import GitCredentials
from orchestrator.git.identity import Identity
from orchestrator.git.signing import GPGSigner, Signer, SSHSigner
from orchestrator.images.credentials import RegistryCredentials

_PATIENCE_SECONDS = 60.0  # longer than a restart of a server takes, shorter than a person's
_LONGEST_PATIENCE_SECONDS = 3600.0


def forge_token(environment: Mapping[str, str]) -> Secret | None:
    """The forge's own token, else the one that git has: they are the same, as a rule."""
    return read_secret("HYBRID_CI_FORGE_TOKEN", environment) or read_secret("HYBRID_CI_GIT_TOKEN", environment)


def identity_of(environment: Mapping[str, str]) -> Identity:
    """Who commits: ``HYBRID_CI_COMMITTER_NAME`` and ``HYBRID_CI_COMMITTER_EMAIL``."""
    default = Identity()
    return Identity(
        environment.get("HYBRID_CI_COMMITTER_NAME") or default.name,
        environment.get("HYBRID_CI_COMMITTER_EMAIL") or default.address,
    )


def git_credentials(environment: Mapping[str, str]) -> GitCredentials:
    """Git's login for the GitOps repository. Raises ConfigurationError for a file that is not there."""
    default = GitCredentials()
    return GitCredentials(
        token=read_secret("HYBRID_CI_GIT_TOKEN", environment),
        username=environment.get("HYBRID_CI_GIT_USERNAME") or default.username,
        ssh_key=_file(environment, "HYBRID_CI_GIT_SSH_KEY_FILE"),
        known_hosts=_file(environment, "HYBRID_CI_GIT_KNOWN_HOSTS_FILE"),
        ca_bundle=ca_bundle_of(environment),
    )


def signer_of(environment: Mapping[str, str]) -> Signer | None:
    """What signs our commits: ``HYBRID_CI_SIGNING_KEY`` (ssh) or ``HYBRID_CI_SIGNING_GPG_KEY``; None without either."""
    ssh_key = read_secret("HYBRID_CI_SIGNING_KEY", environment)
    gpg_key = environment.get("HYBRID_CI_SIGNING_GPG_KEY")
    if ssh_key is not None and gpg_key:
        raise ConfigurationError(
            "commits can be signed by an SSH key or by a GPG key, not by both",
            where=f"{ssh_key.source} and $HYBRID_CI_SIGNING_GPG_KEY",
            hint="unset one of them",
        )
    if gpg_key:
        keyring = environment.get("GNUPGHOME") or Path(environment.get("HOME", "/"), ".gnupg")
        return GPGSigner(gpg_key, Path(keyring), "$HYBRID_CI_SIGNING_GPG_KEY")
    return SSHSigner(ssh_key) if ssh_key is not None else None


def registry_credentials(own: Set[str], environment: Mapping[str, str]) -> RegistryCredentials:
    """The general login is for the registries that this application pushes to, and for no other one."""
    home = Path(environment.get("HOME", "/"))
    return RegistryCredentials(environment, home, own, on_secret=redactor.add)


def patience_of(environment: Mapping[str, str]) -> float:
    """Seconds for which a failing remote is asked again: ``HYBRID_CI_PATIENCE``."""
    text = environment.get("HYBRID_CI_PATIENCE") or str(_PATIENCE_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_PATIENCE_SECONDS:
        raise ConfigurationError(
            f"{text!r} is not a number of seconds",
            where="$HYBRID_CI_PATIENCE",
            hint="such as HYBRID_CI_PATIENCE=60",
        )
    return seconds


def ca_bundle_of(environment: Mapping[str, str]) -> Path | None:
    """The certificate authorities to trust instead of the machine's: ``HYBRID_CI_CA_BUNDLE``."""
    return _file(environment, "HYBRID_CI_CA_BUNDLE")


def _file(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(name)
    if not value:
        return None
    if not Path(value).is_file():
        raise ConfigurationError("there is no such file", where=f"${name}={value}", hint="correct the path or unset it")
    return Path(value)
