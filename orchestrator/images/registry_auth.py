"""The registry's way of asking for a login, and who may be told a password. No request is made here.

See https://distribution.github.io/distribution/spec/auth/token/ and RFC 9110 section 11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from orchestrator.core.errors import Refused
from orchestrator.core.image import DEFAULT_REGISTRY

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST_OF = {DEFAULT_REGISTRY: "registry-1.docker.io"}
# Registries whose tokens come from another host, by their own documentation.
_TOKEN_HOSTS: Mapping[str, frozenset[str]] = {
    "registry-1.docker.io": frozenset({"auth.docker.io"}),
    "registry.gitlab.com": frozenset({"gitlab.com"}),
    "registry.redhat.io": frozenset({"sso.redhat.com"}),
}
_CHALLENGE = re.compile(r"(?:^|,)\s*(?P<scheme>Bearer|Basic)\b(?P<rest>(?:\s+|$)(?:[^\",]|\"[^\"]*\"|,(?!\s*(?:Bearer|Basic)\b))*)", re.I)  # fmt: skip  # noqa: E501
_PARAMETER = re.compile(r"(?P<name>[A-Za-z]+)\s*=\s*(?:\"(?P<quoted>[^\"]*)\"|(?P<bare>[^\s,\"]+))")


class UntrustedRealm(Refused):
    """A registry sends us to a place that it does not speak for."""


@dataclass(frozen=True, slots=True)
class BasicChallenge:
    """The registry takes the password itself."""


@dataclass(frozen=True, slots=True)
class BearerChallenge:
    """The registry wants a token from ``realm``."""

    realm: str
    service: str | None


Challenge = BasicChallenge | BearerChallenge


def api_host(registry: str) -> str:
    """The host that serves the registry's API: ``docker.io`` is only a name."""
    return _HOST_OF.get(registry, registry)


def is_loopback(host: str) -> bool:
    """A host (with or without port) on this machine, where plain http tells nobody anything."""
    return (urlsplit(f"//{host}").hostname or "") in LOOPBACK


def parse_challenge(header: str) -> Challenge | None:
    """What a ``WWW-Authenticate`` header asks for; a token rather than the password, None when it is neither."""
    found: Challenge | None = None
    for match in _CHALLENGE.finditer(header[:8192]):
        if match["scheme"].lower() == "basic":
            found = found or BasicChallenge()
            continue
        parameters = {p["name"].lower(): p["quoted"] or p["bare"] or "" for p in _PARAMETER.finditer(match["rest"])}
        if parameters.get("realm"):
            return BearerChallenge(parameters["realm"], parameters.get("service"))
    return found


def check_realm(realm: str, host: str, allowed: Mapping[str, frozenset[str]] | None = None) -> str:
    """The realm, when ``host`` speaks for it. Raises UntrustedRealm, before anything is sent there.

    It must be on the registry's own host or on one that is known to issue its tokens, over https (http between
    ports of this machine only), and without credentials in the URL.
    """
    try:
        parts = urlsplit(realm)
        own, target = (urlsplit(f"//{host}").hostname or "").lower(), (parts.hostname or "").lower()
        known = _TOKEN_HOSTS.get(own, frozenset()) | (allowed or {}).get(own, frozenset())
        trusted = target != "" and (target == own or target in known)
        scheme_fits = parts.scheme == "https" or (parts.scheme == "http" and target in LOOPBACK and own in LOOPBACK)
        clean = parts.username is None and parts.password is None and (parts.port or 1) > 0
    except ValueError:
        trusted = scheme_fits = clean = False
    if not (trusted and scheme_fits and clean):
        raise UntrustedRealm(
            f"the registry {host} wants the login sent elsewhere: {realm[:200]!r}",
            where=host,
            hint="when this host does issue the registry's tokens, allow it as a token host of this registry",
        )
    return realm
