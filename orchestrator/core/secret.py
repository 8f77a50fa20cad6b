"""Secrets in an opaque type, and the redaction of every form in which one could reach an output."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterable
from typing import NoReturn
from urllib.parse import quote, quote_plus

MASK = "***"
_SHORTEST = 8  # a shorter value would mask ordinary words
_ESCAPE = re.compile("%[0-9A-F]{2}")

# Credentials whose shape is public knowledge are masked even when nobody told us about them.
_WELL_KNOWN = re.compile(
    r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|gl(?:pat|cbt|dt|rt)-[A-Za-z0-9_.-]{16,}"
    r"|dckr_pat_[A-Za-z0-9_-]{16,}|A[KS]IA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"
    # To its end; a key without one, to where the text ends or (in JSON) the string that holds it.
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^\"]*?-----END [A-Z ]*PRIVATE KEY-----|[^\"]*)"
)


class Secret:
    """A credential. It has no readable form but ``reveal()``, which only the adapter that sends it calls."""

    __slots__ = ("__value", "source")

    def __init__(self, value: str, source: str) -> None:
        """``source`` says where it came from (``$HYBRID_CI_GIT_TOKEN``), for messages."""
        self.__value = value
        self.source = source

    def reveal(self) -> str:
        """The value. Only for the channel that it is meant for."""
        return self.__value

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__value

    def __hash__(self) -> int:
        return hash(self.__value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never serialised")


def spellings(value: str) -> frozenset[str]:
    """The forms in which a secret shows up in logs: raw, JSON- and URL-escaped, hex, and base64 at any offset."""
    raw = value.encode("utf-8", "surrogateescape")  # an environment variable may hold any bytes
    forms = {value, raw.hex(), raw.hex().upper(), *_url_escaped(raw), *_base64_cores(raw)}
    forms |= {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return frozenset(form for form in forms if len(form) >= _SHORTEST)


def _url_escaped(raw: bytes) -> Iterable[str]:
    for escaped in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield escaped
        yield _ESCAPE.sub(lambda match: match[0].lower(), escaped)


def _base64_cores(raw: bytes) -> Iterable[str]:
    """The base64 digits that depend on the secret alone, for each of the three alignments."""
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            digits = encode(b"\0" * offset + raw).decode().rstrip("=")
            first = (offset * 8 + 5) // 6
            last = (offset + len(raw)) * 8 // 6
            yield digits[first:last]


class Redactor:
    """Masks every known secret, and everything that looks like one, in a text.

    ``on_add`` is told of every secret before anything can be said of it.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self.on_add: Callable[[Secret], None] | None = None
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()  # logins are looked up side by side
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret) -> None:
        """From now on, mask this one too. A value below eight characters is too short to mask safely."""
        value = secret.reveal()
        if self.on_add is not None and len(value) >= _SHORTEST:
            self.on_add(secret)
        with self._lock:
            for part in {value, *value.splitlines()}:
                if len(part) >= _SHORTEST:
                    self._forms |= spellings(part)
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return _WELL_KNOWN.sub(lambda match: MASK + "\n" * match[0].endswith("\n"), text)
