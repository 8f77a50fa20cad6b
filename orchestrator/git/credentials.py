"""The channel of a credential: from memory to the one configured host, and nowhere else.

A token is handed to git by a credential helper that is configured for exactly the remote's scheme, host and
port (gitcredentials(7), "CREDENTIAL CONTEXTS"). The helper reads it from an inherited descriptor of a file
without a name, so it stands in no argv, environment, configuration, URL, or directory.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import RemoteURL
from orchestrator.core.secret import Secret
from orchestrator.engine.nameless import nameless_file
from orchestrator.git.command import Transport

_SSH_OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "PermitLocalCommand=no",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "ConnectTimeout=20",
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
)


@dataclass(frozen=True, slots=True)
class GitCredentials:
    """How to log in at the GitOps repository's host.

    ``token`` (or what gives one, where tokens expire) with ``username`` for https; ``ssh_key`` and ``known_hosts``
    for ssh, where the agent and the user's own files serve when they are None. ``ca_bundle`` is a file of trusted
    authorities for https.
    """

    token: Secret | Callable[[], Secret] | None = None
    username: str = "x-access-token"
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    ca_bundle: Path | None = None

    def __post_init__(self) -> None:
        token = self.token if isinstance(self.token, Secret) else None
        if any(c in text for text in (token.reveal() if token else "", self.username) for c in "\r\n\0"):
            source = token.source if token else None
            raise ConfigurationError(
                "the Git token or user name holds a line break", where=source, hint="set the bare value"
            )


@contextlib.contextmanager
def transport_to(url: RemoteURL, credentials: GitCredentials | None) -> Iterator[Transport]:
    """What git may use to reach ``url``: one protocol, and the login for that host. It ends with the block."""
    credentials = credentials or GitCredentials()
    if url.scheme == "file":
        yield Transport(protocols=("file",))
    elif url.scheme == "ssh":
        environment = {"GIT_SSH_COMMAND": ssh_command(credentials), "GIT_SSH_VARIANT": "ssh"}
        yield Transport(protocols=("ssh",), environment=environment, inherit=("SSH_AUTH_SOCK",))
    else:
        with _http(url, credentials) as transport:
            yield transport


def ssh_command(credentials: GitCredentials) -> str:
    """The ssh that git starts: never asks, never trusts a new host, forwards nothing."""
    words = ["ssh"]
    for option in _SSH_OPTIONS:
        words += ["-o", option]
    if credentials.ssh_key:
        words += ["-o", "IdentitiesOnly=yes", "-i", str(credentials.ssh_key)]
    if credentials.known_hosts:
        words += ["-o", f"UserKnownHostsFile={credentials.known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null"]
    return shlex.join(words)


@contextlib.contextmanager
def _http(url: RemoteURL, credentials: GitCredentials) -> Iterator[Transport]:
    settings: list[tuple[str, str]] = []
    if credentials.ca_bundle:
        settings.append(("http.sslCAInfo", str(credentials.ca_bundle)))
    token = credentials.token() if callable(credentials.token) else credentials.token
    if token is None:
        yield Transport(protocols=(url.scheme,), configuration=settings)
        return
    answer = f"username={credentials.username}\npassword={token.reveal()}\n"
    with nameless_file(answer.encode()) as descriptor:
        settings.append((f"credential.{_origin(url)}.helper", _helper(descriptor)))
        yield Transport(protocols=(url.scheme,), configuration=settings, pass_fds=(descriptor,))


def _helper(descriptor: int) -> str:
    """A helper that only answers ``get``; opening /dev/fd anew reads from the start each time."""
    return f'!f() {{ test "$1" = get || exit 0; exec cat /dev/fd/{descriptor}; }}; f'


def _origin(url: RemoteURL) -> str:
    parts = urlsplit(url.value)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
