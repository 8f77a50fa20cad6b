"""Redaction at the output stream: whatever is printed, by us or by a library, passes through it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.secret import Redactor, Secret

# Our own settings that hold secrets, and those of others that a job commonly carries.
SECRET_VARIABLES = (
    "HYBRID_CI_GIT_TOKEN", "HYBRID_CI_FORGE_TOKEN", "HYBRID_CI_REGISTRY_PASSWORD",
    "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN", "CI_REGISTRY_PASSWORD",
)  # fmt: skip
_SECRET_PREFIXES = ("HYBRID_CI_REGISTRY_PASSWORD_",)
_SECRET_FILE_LIMIT = 64 * 1024

redactor = Redactor()


def read_secret(name: str, environment: Mapping[str, str] = os.environ) -> Secret | None:
    """The secret in ``$NAME``, or in the file that ``$NAME_FILE`` names. It is redacted from then on.

    Raises ConfigurationError when the file can't be read.
    """
    value, source = environment.get(name), f"${name}"
    if not value and (file := environment.get(f"{name}_FILE")):
        source = f"${name}_FILE"
        try:
            value = Path(file).read_bytes()[:_SECRET_FILE_LIMIT].decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise ConfigurationError(
                f"the secret file can't be read: {reason}", where=f"{source}={file}", hint="check path and permissions"
            ) from None
    if not value:
        return None
    secret = Secret(value, source)
    redactor.add(secret)
    return secret


class RedactingStream:
    """A text stream that holds back the unfinished line, so that a secret split over two writes is seen whole."""

    def __init__(self, stream: TextIO, redact: Redactor) -> None:
        self._stream, self._redact = stream, redact
        self._pending = ""

    def write(self, text: str) -> int:
        """Write whole lines, redacted; keep the rest for the next write or flush."""
        lines, newline, self._pending = (self._pending + text).rpartition("\n")
        if newline:
            self._stream.write(self._redact(lines + newline))
        return len(text)

    def flush(self) -> None:
        """Write what is pending."""
        if self._pending:
            pending, self._pending = self._pending, ""
            self._stream.write(self._redact(pending))
        self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def install() -> None:
    """Put the redacting stream before stdout and stderr, and learn the secrets of this environment."""
    for name, value in os.environ.items():
        if value and (name in SECRET_VARIABLES or name.startswith(_SECRET_PREFIXES)):
            redactor.add(Secret(value, f"${name}"))
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, RedactingStream):
            setattr(sys, name, RedactingStream(stream, redactor))
