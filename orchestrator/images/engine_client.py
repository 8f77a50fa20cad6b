"""The connection to a container engine: where it listens, and its errors in our tree."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
import urllib3
from docker.auth import encode_header
from docker.errors import APIError, DockerException, StreamParseError
from docker.tls import TLSConfig

from orchestrator.core.errors import ConfigurationError, HybridCIError
from orchestrator.images.errors import EngineFailed, EngineUnreachable

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
# Silence of the engine for this long ends a request; a layer that is stored may well take minutes.
IDLE_SECONDS = 300


def engine_host(environment: Mapping[str, str], home: Path) -> str:
    """Where the engine listens: ``DOCKER_HOST``, else docker's current context, else the usual socket.

    See https://docs.docker.com/engine/manage-resources/contexts/. Raises ConfigurationError.
    """
    if host := environment.get("DOCKER_HOST"):
        return host
    folder = Path(environment.get("DOCKER_CONFIG") or home / ".docker")
    context = environment.get("DOCKER_CONTEXT") or str(_json(folder / "config.json").get("currentContext") or "")
    if context in ("", "default"):
        return DEFAULT_SOCKET
    meta = folder / "contexts" / "meta" / hashlib.sha256(context.encode()).hexdigest() / "meta.json"
    endpoints = _json(meta).get("Endpoints")
    endpoint = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = endpoint.get("Host") if isinstance(endpoint, dict) else None
    if not isinstance(host, str) or not host:
        raise ConfigurationError(
            f"docker's context {context!r} names no engine",
            where=str(meta),
            hint="choose another one with docker context use, or set DOCKER_HOST",
        )
    return host


def tls_config(environment: Mapping[str, str], home: Path) -> TLSConfig | None:
    """The client certificate that ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH`` ask for, None when they do not."""
    if not environment.get("DOCKER_TLS_VERIFY"):
        return None
    folder = Path(environment.get("DOCKER_CERT_PATH") or home / ".docker")
    try:
        return TLSConfig(
            client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
            ca_cert=str(folder / "ca.pem"),
            verify=True,
        )
    except DockerException as error:
        raise ConfigurationError(
            f"the engine's TLS files cannot be used: {error}", where=str(folder), hint="correct DOCKER_CERT_PATH"
        ) from None


class EngineClient(docker.APIClient):
    """The SDK's low-level client, without its own way to credentials and to the environment.

    The SDK would send every login of the docker configuration with each build, and run credential helpers itself.
    Here only the logins that are handed over travel, in the one header that the API has for them.
    """

    host: str = DEFAULT_SOCKET  # as messages name it

    def __init__(self, **options: Any) -> None:
        self._open = threading.local()  # of each thread: its open streams, and the logins for its next build
        super().__init__(**options)

    def give_build_logins(self, logins: Mapping[str, Mapping[str, str]]) -> None:
        """The logins that this thread's builds send along from now on, by server address."""
        self._open.logins = logins

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As requests does it; a streamed answer is remembered, so that ``streams`` can end it."""
        response = super().send(request, **options)
        if options.get("stream") and (opened := getattr(self._open, "responses", None)) is not None:
            opened.append(response)
        return response

    @contextmanager
    def streams(self) -> Iterator[None]:
        """End the connections of all answers that this thread began to stream in the block, read or not.

        The SDK hands out bare generators. One that is not read to its end would leave the engine writing: a build
        would go on, and a container that is being read from cannot be removed.
        """
        outer = getattr(self._open, "responses", None)
        opened: list[requests.Response] = []
        self._open.responses = opened
        try:
            yield
        finally:
            self._open.responses = outer
            for response in opened:
                response.close()

    @property
    def trust_env(self) -> bool:
        """Never: REQUESTS_CA_BUNDLE would replace the engine's own CA, and .netrc would add a login."""
        return False

    @trust_env.setter
    def trust_env(self, value: bool) -> None:
        """requests sets its default here; it is not taken."""

    def _set_auth_headers(self, headers: dict[str, object]) -> None:
        if logins := getattr(self._open, "logins", None):
            headers["X-Registry-Config"] = encode_header(logins)


def connect(host: str, tls: TLSConfig | None = None, timeout: int = IDLE_SECONDS) -> EngineClient:
    """A client that speaks the newest API version that both sides know. Raises ConfigurationError, RemoteError."""
    if host.startswith("ssh://"):
        raise ConfigurationError(
            "an engine over ssh is not supported",
            where=host,
            hint="forward its socket (ssh -L /tmp/docker.sock:/var/run/docker.sock) and set DOCKER_HOST to it",
        )
    with engine_errors(host):
        client = EngineClient(base_url=host, version="auto", timeout=timeout, tls=tls or False)
    client.host = host
    return client


def from_environment(environment: Mapping[str, str] | None = None) -> EngineClient:
    """Connect to the engine that this environment means (without one: the process's own). Raises as ``connect``."""
    variables = os.environ if environment is None else environment
    home = Path(variables.get("HOME") or "/")
    return connect(engine_host(variables, home), tls_config(variables, home))


def is_local(host: str) -> bool:
    """Is the engine on this machine, so that its loopback is ours?"""
    parts = urlsplit(host)
    return parts.scheme in ("unix", "http+unix", "npipe") or (parts.hostname or "") in ("localhost", "127.0.0.1", "::1")


@contextmanager
def engine_errors(host: str) -> Iterator[None]:
    """Turn what the SDK raises into errors of our tree; ours pass."""
    try:
        yield
    except HybridCIError:
        raise
    except APIError as error:
        raise api_error(error, host) from None
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
        raise EngineFailed(
            "the container engine did not answer in time", where=host, hint="look at its log, then run again"
        ) from None
    except (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,  # the SDK reads streams past requests
        DockerException,
        StreamParseError,
        OSError,
    ) as error:
        raise _unreachable(error, host) from None


def api_error(error: APIError, host: str) -> HybridCIError:
    """The error for an answer of the engine that is not a success."""
    text = str(error.explanation or error.response or "no reason given").strip()
    hint = "look at the engine's log, then run again"
    if "no space left on device" in text:
        hint = "free disk space where the engine keeps its images (docker system df, docker image prune)"
    elif "not supported" in text or "minimum supported" in text.lower():
        hint = "use an engine with API 1.40 or newer (Docker 19.03)"
    return EngineFailed(f"the container engine refused: {text}", where=host, hint=hint)


def _unreachable(error: Exception, host: str) -> HybridCIError:
    """Tell apart: no permission, nobody there, and a connection that broke."""
    reason = _root(error)
    if isinstance(reason, PermissionError):
        return ConfigurationError(
            "this user may not talk to the container engine",
            where=host,
            hint="add the user to the group that owns the socket (docker), or set DOCKER_HOST to a rootless engine",
        )
    return EngineUnreachable(
        f"no container engine answers: {_short(reason)}",
        where=host,
        hint="start it (systemctl start docker), or set DOCKER_HOST to the one to use",
    )


def _root(error: BaseException) -> BaseException:
    """The innermost cause: the libraries wrap an OSError three times over."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = [arg for arg in error.args if isinstance(arg, BaseException)]
        reason = getattr(error, "reason", None)
        deeper = reason if isinstance(reason, BaseException) else (inner[0] if inner else None)
        deeper = deeper or error.__cause__ or error.__context__
        if deeper is None or (isinstance(error, OSError) and error.errno is not None):
            return error
        error = deeper
    return error


def _short(error: BaseException) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return text.splitlines()[0][:300]


def _json(path: Path) -> dict[str, object]:
    """A small JSON object from a file; nothing when there is no such file. Raises ConfigurationError."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"docker's configuration cannot be read: {error}", where=str(path)) from None
    return content if isinstance(content, dict) else {}
