"""Logins at GitHub: a token as it is, or the short-lived one of an App's installation, for one repository only.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from github.Auth import AppAuth
from jwt.exceptions import PyJWTError

from orchestrator.core.errors import ConfigurationError, RemoteError
from orchestrator.core.secret import Secret
from orchestrator.engine.clock import Clock
from orchestrator.forges.calls import Calls
from orchestrator.forges.exchange import Answer
from orchestrator.forges.github_address import GitHubAddress
from orchestrator.forges.limits import server_time

# What the work takes, and nothing more; what an installation does not have, GitHub refuses to give (422).
PERMISSIONS = {"contents": "write", "pull_requests": "write", "metadata": "read"}
# What it takes for more than that, as far as the App has it.
OPTIONAL = {"statuses": "read", "checks": "read", "deployments": "read", "members": "read", "merge_queues": "write"}
_RENEW_BEFORE = timedelta(minutes=5)


class BearerToken:
    """The Login of one token that somebody gave us: as a Bearer header, and never as anything else."""

    def __init__(self, token: Secret | None) -> None:
        """Raises ConfigurationError for a token that is no header value."""
        if token is not None and not token.reveal().isprintable():
            raise ConfigurationError(
                "the token holds a line break or another control character", where=token.source, hint="set it bare"
            )
        self._header = Secret(f"Bearer {token.reveal()}", token.source) if token is not None else None

    def authorization(self) -> Secret:
        """``Bearer …``. Raises ConfigurationError without a token, before anything is asked."""
        if self._header is None:
            raise ConfigurationError(
                "there is no token for GitHub",
                where="$HYBRID_CI_FORGE_TOKEN",
                hint="set it, or HYBRID_CI_GIT_TOKEN for both, or HYBRID_CI_GITHUB_APP_ID and HYBRID_CI_GITHUB_APP_KEY",
            )
        return self._header

    def renew(self) -> bool:
        """There is no other one."""
        return False


@dataclass(frozen=True, slots=True)
class _Installed:
    """A token with the header that carries it, and until when (monotonic) it is used."""

    token: Secret
    header: Secret
    until: float


class AppLogin:
    """The Login of a GitHub App: tokens of its installation, renewed before they expire.

    ``calls_with`` makes calls to the same GitHub with another login; ``on_secret`` hears of every token before it is
    used.
    """

    def __init__(
        self,
        app: str,
        key: Secret,
        address: GitHubAddress,
        *,
        clock: Clock,
        calls_with: Callable[[AppKey], Calls],
        on_secret: Callable[[Secret], None],
    ) -> None:
        """Raises ConfigurationError for a key that is none."""
        self._key = AppKey(app, key, on_secret)
        self._address, self._clock, self._on_secret = address, clock, on_secret
        self._calls = calls_with(self._key)
        self.granted: dict[str, str] = {}  # what the installation may do, once a token was asked for
        self._installed: _Installed | None = None
        self._lock = threading.Lock()

    def authorization(self) -> Secret:
        """``Bearer …``. Raises ConfigurationError when the App is not installed on the repository, RemoteError."""
        return self._current().header

    def token(self) -> Secret:
        """The token itself, for git. Raises as ``authorization``."""
        return self._current().token

    @property
    def api_calls(self) -> int:
        """Requests sent for tokens so far."""
        return self._calls.count

    def close(self) -> None:
        """End the connections."""
        self._calls.close()

    def renew(self) -> bool:
        """Forget the token; the next one is a new one."""
        with self._lock:
            self._installed = None
        return True

    def _current(self) -> _Installed:
        with self._lock:
            if self._installed is None or self._clock.monotonic() >= self._installed.until:
                self._installed = self._install()
            return self._installed

    def _install(self) -> _Installed:
        answer = self._calls.send("GET", f"/repos/{self._address.full_name}/installation")
        if answer.status != 200:
            raise ConfigurationError(
                "the GitHub App is not installed on this repository",
                where=f"{self._address.full_name} on {self._calls.address.host}",
                details=[answer.message] if answer.message else [],
                hint="install it there, for this repository only",
            )
        data = _dictionary(answer)
        told = data.get("permissions")
        self.granted = {str(name): str(level) for name, level in (told if isinstance(told, dict) else {}).items()}
        permissions = self._permissions(self.granted)
        wanted = {"repositories": [self._address.name], "permissions": permissions}
        if not isinstance(data.get("id"), int):
            raise RemoteError("GitHub's answer names no installation", where=answer.place, hint="run it again later")
        path = f"/app/installations/{data['id']}/access_tokens"
        # One more token changes nothing for anybody: it is asked for again when its answer is lost.
        answer = self._calls.send("POST", path, payload=wanted, reads=True)
        if answer.status != 201:
            raise RemoteError(
                f"GitHub gives no token of the App's installation ({answer.status})",
                where=answer.place,
                details=[answer.message] if answer.message else [],
                hint="look at the App's permissions, and whether the installation is suspended",
            )
        return self._taken(answer)

    def _permissions(self, granted: dict[str, str]) -> dict[str, str]:
        """What we ask for: what the work takes, and of what else it may use, what there is."""
        ranks = {"read": 1, "write": 2, "admin": 3}
        lacking = [
            f"{name}: {level}"
            for name, level in PERMISSIONS.items()
            if ranks.get(granted.get(name, ""), 0) < ranks[level]
        ]
        if lacking:
            raise RemoteError(
                f"the App's installation lacks the permission {', '.join(lacking)}",
                where=f"{self._address.full_name} on {self._calls.address.host}",
                hint="add it to the App, and let the organisation's owner accept the change",
            )
        return PERMISSIONS | {
            name: min(level, granted[name], key=lambda one: ranks.get(one, 0))
            for name, level in OPTIONAL.items()
            if name in granted
        }

    def _taken(self, answer: Answer) -> _Installed:
        data = _dictionary(answer)
        token = Secret(str(data.get("token") or ""), "the App's installation token")
        if not token.reveal():
            raise RemoteError("GitHub's answer holds no token", where=answer.place)
        header = Secret(f"Bearer {token.reveal()}", token.source)
        for secret in (token, header):
            self._on_secret(secret)
        lifetime = _expiry(data.get("expires_at")) - server_time(answer.headers, self._clock.now())
        until = self._clock.monotonic() + max(0.0, (lifetime - _RENEW_BEFORE).total_seconds())
        return _Installed(token, header, until)


class AppKey:
    """The Login of the App itself: a signed claim that lasts some minutes, for asking for tokens only."""

    def __init__(self, app: str, key: Secret, on_secret: Callable[[Secret], None]) -> None:
        """Raises ConfigurationError for a key that signs nothing."""
        pem = key.reveal() if "\n" in key.reveal() else key.reveal().replace("\\n", "\n")  # as variables often hold it
        self._app = AppAuth(int(app) if app.isdecimal() else app, pem)
        self._source, self._on_secret = key.source, on_secret
        self.authorization()

    def authorization(self) -> Secret:
        """``Bearer …`` with a fresh claim."""
        try:
            claim = self._app.create_jwt()
        except (PyJWTError, ValueError, TypeError):
            raise ConfigurationError(
                "the GitHub App's key is no private key", where=self._source, hint="give the PEM file as GitHub made it"
            ) from None
        for text in (claim, f"Bearer {claim}"):
            self._on_secret(Secret(text, self._source))
        return Secret(f"Bearer {claim}", self._source)

    def renew(self) -> bool:
        """Another claim would say the same."""
        return False


def _dictionary(answer: Answer) -> dict[str, Any]:
    data = answer.json()
    if not isinstance(data, dict):
        raise RemoteError("GitHub's answer has not the form that it should have", where=answer.place)
    return data


def _expiry(text: object) -> datetime:
    """``expires_at``; a text that is no time counts as expired."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
