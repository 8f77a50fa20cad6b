"""The servers that tests talk to. Real registries are described here; fakes are modules of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PlainRegistry:
    """A registry without TLS or login on loopback; as text it is its ``host`` (127.0.0.1:port)."""

    host: str

    def __str__(self) -> str:
        return self.host


@dataclass(frozen=True, slots=True)
class TlsRegistry:
    """A registry with TLS (an authority of its own) and a password; as text it is its ``host`` (127.0.0.1:port)."""

    host: str
    ca: Path
    certificates: Path  # a folder that holds the authority as ca.crt, as skopeo's --cert-dir wants it
    username: str
    password: str

    def __str__(self) -> str:
        return self.host
