"""Registry logins: from our own variables, else from docker's configuration and its credential helpers.

Nothing is ever written: there is no ``docker login`` here, each request gets the one login that it needs.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import DEFAULT_REGISTRY
from orchestrator.core.secret import Secret
from orchestrator.engine.process import Completed, Limits, run
from orchestrator.images.base import MEBIBYTE

_USERNAME = "HYBRID_CI_REGISTRY_USERNAME"
_PASSWORD = "HYBRID_CI_REGISTRY_PASSWORD"  # noqa: S105  (the name of a variable)
_MAX_FILE = MEBIBYTE
_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HELPER_LIMITS = Limits(seconds=30.0, output=64 * 1024)
# Which of our variables a helper needs to reach its store; every other one stays with us.
_HELPER_VARIABLES = {
    "ecr-login": ("AWS_",),
    "gcr": ("GOOGLE_", "CLOUDSDK_"),
    "gcloud": ("GOOGLE_", "CLOUDSDK_"),
    "acr-env": ("AZURE_", "ACR_"),
    "pass": ("GNUPGHOME", "PASSWORD_STORE_", "GPG_TTY"),
    "secretservice": ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY"),
}
_TOKEN_USER = "<token>"  # noqa: S105  (the name that says: the secret is an identity token)
_DOCKER_HUB_KEYS = ("index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Login:
    """A user with a password, or an identity token (then the user's name does not count)."""

    username: str
    password: Secret
    is_identity_token: bool = False

    def for_engine(self, registry: str) -> dict[str, str]:
        """As the Engine API wants it in X-Registry-Auth (AuthConfig of its specification)."""
        address = "https://index.docker.io/v1/" if registry == DEFAULT_REGISTRY else registry
        if self.is_identity_token:
            return {"identitytoken": self.password.reveal(), "serveraddress": address}
        return {"username": self.username, "password": self.password.reveal(), "serveraddress": address}


class Credentials(Protocol):
    """Gives the login for a registry."""

    def login(self, registry: str) -> Login | None:
        """The login for this registry (``ghcr.io``, ``127.0.0.1:5000``); None to ask without one."""


class Anonymous:
    """No login anywhere."""

    def login(self, registry: str) -> Login | None:
        """None."""
        return None


Helper = Callable[[str, str, Mapping[str, str]], Completed]


@dataclass(frozen=True)
class RegistryCredentials:
    """Logins from the environment and from docker's configuration.

    In this order: ``HYBRID_CI_REGISTRY_USERNAME_<HOST>`` (and ``…_PASSWORD_<HOST>``) for one registry; the same
    without ``<HOST>`` for the registry that this run pushes to; docker's ``credHelpers``, ``credsStore`` and
    ``auths``. Each password may stand in a file instead (``…_PASSWORD_FILE``, ``…_PASSWORD_<HOST>_FILE``).

    ``own`` are the registries that the general pair is meant for: it is sent to no other one.
    """

    environment: Mapping[str, str] = field(repr=False)  # it may hold passwords
    home: Path
    own: Collection[str] = ()
    helper: Helper = field(default=lambda name, registry, environment: _ask_helper(name, registry, environment))
    on_secret: Callable[[Secret], None] = field(default=lambda secret: None)

    def login(self, registry: str) -> Login | None:
        """The login for this registry. Raises ConfigurationError for one that is half given or cannot be read."""
        found = self._from_variables(registry) or self._from_docker(registry)
        if found is not None:
            self.on_secret(found.password)  # so that every later output is redacted
        return found

    def _from_variables(self, registry: str) -> Login | None:
        own_pair = self._pair(f"{_USERNAME}_{_slug(registry)}", f"{_PASSWORD}_{_slug(registry)}")
        if own_pair is not None:
            return own_pair
        general = self._pair(_USERNAME, _PASSWORD)
        if general is None or registry not in self.own:
            return None
        if len(set(self.own)) > 1:
            raise ConfigurationError(
                f"{_USERNAME} does not say which registry it is for",
                where=f"environment; registries: {', '.join(sorted(set(self.own)))}",
                hint=f"set {_USERNAME}_{_slug(registry)} and {_PASSWORD}_{_slug(registry)}, one pair per registry",
            )
        return general

    def _pair(self, username_variable: str, password_variable: str) -> Login | None:
        username = self.environment.get(username_variable)
        password = self._password(password_variable)
        if not username and password is None:
            return None
        if not username or password is None:
            missing = password_variable if username else username_variable
            raise ConfigurationError(
                f"the registry login is incomplete: {missing} is not set",
                where="environment",
                hint=f"set both {username_variable} and {password_variable}, or neither",
            )
        return Login(username, password)

    def _password(self, variable: str) -> Secret | None:
        if value := self.environment.get(variable):
            return Secret(value, f"${variable}")
        if path := self.environment.get(f"{variable}_FILE"):
            text = _read(Path(path), f"${variable}_FILE").strip("\r\n")
            return Secret(text, f"${variable}_FILE") if text else None
        return None

    def _from_docker(self, registry: str) -> Login | None:
        folder = Path(self.environment.get("DOCKER_CONFIG") or self.home / ".docker")
        path = folder / "config.json"
        if not path.is_file():
            return None
        configuration = _json_object(_read(path, str(path)), str(path))
        helpers = configuration.get("credHelpers")
        name = _of(helpers, registry) if isinstance(helpers, dict) else None
        name = name or configuration.get("credsStore")
        if isinstance(name, str) and name:
            found = self._from_helper(name, registry)
            if found is not None:
                return found
        auths = configuration.get("auths")
        entry = _of(auths, registry) if isinstance(auths, dict) else None
        return _login_of_entry(entry, str(path)) if isinstance(entry, dict) else None

    def _from_helper(self, name: str, registry: str) -> Login | None:
        if not _HELPER_NAME.fullmatch(name):
            raise ConfigurationError(
                f"{name!r} is not a credential helper", where="docker's config.json", hint="correct credsStore"
            )
        asked = "https://index.docker.io/v1/" if registry == DEFAULT_REGISTRY else registry
        result = self.helper(name, asked, self._helper_environment(name))
        where = f"docker-credential-{name}"
        if not result.ok:
            if b"credentials not found" in result.stdout + result.stderr:
                return None
            raise ConfigurationError(
                f"the credential helper for {registry} failed",
                where=where,
                hint=f"try: echo {asked} | {where} get",
                details=[] if result.timed_out else result.error_text.splitlines()[:3],
            )
        answer = _json_object(result.stdout.decode("utf-8", "replace"), where)
        user, secret = answer.get("Username"), answer.get("Secret")
        if not isinstance(user, str) or not isinstance(secret, str) or not secret:
            return None
        return Login(user, Secret(secret, where), is_identity_token=user == _TOKEN_USER)

    def _helper_environment(self, name: str) -> dict[str, str]:
        wanted = ("HOME", "DOCKER_CONFIG", *_HELPER_VARIABLES.get(name, ()))
        return {
            variable: value
            for variable, value in self.environment.items()
            if any(variable == start or (start.endswith("_") and variable.startswith(start)) for start in wanted)
        } | {"HOME": str(self.home)}


def _ask_helper(name: str, registry: str, environment: Mapping[str, str]) -> Completed:
    """``docker-credential-<name> get`` (https://github.com/docker/docker-credential-helpers)."""
    argv = [f"docker-credential-{name}", "get"]
    return run(argv, environment=environment, stdin=registry.encode(), limits=_HELPER_LIMITS)


def _slug(registry: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", registry.upper())


def _of(entries: Mapping[str, object], registry: str) -> object:
    """The entry for this registry; docker has written its keys in several ways over the years."""
    for key, value in entries.items():
        host = key.partition("//")[2] if "//" in key else key
        host = host.partition("/")[0].lower()
        if host == registry or (registry == DEFAULT_REGISTRY and host in _DOCKER_HUB_KEYS):
            return value
    return None


def _login_of_entry(entry: Mapping[str, object], where: str) -> Login | None:
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Login("", Secret(token, where), is_identity_token=True)
    username, password = entry.get("username"), entry.get("password")
    encoded = entry.get("auth")
    if isinstance(encoded, str) and encoded:
        try:
            username, _, password = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise ConfigurationError(
                "an entry of docker's configuration is not a login", where=where, hint="run docker login again"
            ) from None
        password = password.strip("\0")
    if isinstance(username, str) and isinstance(password, str) and username and password:
        return Login(username, Secret(password, where))
    return None


def _read(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
        if len(content) > _MAX_FILE:
            raise ConfigurationError("the file is larger than 1 MiB", where=where)
        return content.decode("utf-8")
    except OSError as error:
        raise ConfigurationError(f"the file cannot be read: {error.strerror}", where=where) from None
    except UnicodeDecodeError:
        raise ConfigurationError("the file is not UTF-8", where=where) from None


def _json_object(text: str, where: str) -> dict[str, object]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigurationError("this is not JSON", where=where) from None
    if not isinstance(content, dict):
        raise ConfigurationError("this is not a JSON object", where=where)
    return content
