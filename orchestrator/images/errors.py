"""Errors that more than one module of this room raises or answers; the ports' own stand in base.py."""

from __future__ import annotations

from orchestrator.core.errors import RemoteError
from orchestrator.images.base import PushFailed


class EngineUnreachable(RemoteError):
    """No engine answers."""


class EngineFailed(RemoteError):
    """The engine answered with an error of its own, or too late."""


class PushInterrupted(PushFailed):
    """The push broke off in a way that another attempt may heal."""


class PullFailed(RemoteError):
    """The engine did not get an image from its registry."""


class LoginRefused(RemoteError):
    """The registry wants a login, or does not take the one it was given."""


def login_hint(registry: str, *, logged_in: bool) -> str:
    """How to log in to this registry."""
    names = "HYBRID_CI_REGISTRY_USERNAME and HYBRID_CI_REGISTRY_PASSWORD (or HYBRID_CI_REGISTRY_PASSWORD_FILE)"
    if logged_in:
        return f"check the account: {names}, or the docker configuration's entry for {registry}"
    return f"no login was found for {registry}: set {names}, or run docker login {registry}"
