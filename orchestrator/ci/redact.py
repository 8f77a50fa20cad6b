"""Redaction at the output stream: whatever is printed, by us or by a library, passes through it."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from orchestrator.ci.commands import GITHUB, github_mask, tame
from orchestrator.ci.environment import detect
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.secret import MASK, Redactor, Secret, spellings

# Our own settings that hold secrets, and those of others that a job commonly carries.
SECRET_VARIABLES = (
    "HYBRID_CI_GIT_TOKEN", "HYBRID_CI_FORGE_TOKEN", "HYBRID_CI_REGISTRY_PASSWORD",
    "HYBRID_CI_SIGNING_KEY", "HYBRID_CI_GITHUB_APP_KEY",
    "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN", "CI_REGISTRY_PASSWORD",
)  # fmt: skip
_SECRET_PREFIXES = ("HYBRID_CI_REGISTRY_PASSWORD_",)
_SECRET_FILE_LIMIT = 64 * 1024
_KEY_BEGIN = re.compile("-----BEGIN [A-Z ]*PRIVATE KEY-----")
_KEY_END = re.compile("-----END [A-Z ]*PRIVATE KEY-----")
_KEY_LINE = re.compile("[A-Za-z0-9+/=]{8,}")
_LONGEST_KEY = 150  # lines; a header that no key follows must not mask the rest of a run

redactor = Redactor()


def read_secret(name: str, environment: Mapping[str, str] = os.environ) -> Secret | None:
    """The secret in ``$NAME``, or in the file that ``$NAME_FILE`` names. It is redacted from then on.

    Raises ConfigurationError when the file can't be read, is too large or no text.
    """
    value, source = environment.get(name), f"${name}"
    if not value and (file := environment.get(f"{name}_FILE")):
        source = f"${name}_FILE"
        value = _read_secret_file(Path(file), where=f"{source}={file}")
    if not value:
        return None
    secret = Secret(value, source)
    redactor.add(secret)
    return secret


def _read_secret_file(file: Path, where: str) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(_SECRET_FILE_LIMIT + 1)
        if len(content) <= _SECRET_FILE_LIMIT:
            return content.decode().strip()
        reason = "it is larger than 64 KiB"
    except OSError as error:
        reason = error.strerror or "unknown reason"
    except UnicodeDecodeError:
        reason = "not text"
    raise ConfigurationError(f"the secret file can't be read: {reason}", where=where, hint="check path and permissions")


class _OpenKey:
    """Follows a private key over its lines, since each may be written by a call of its own."""

    def __init__(self) -> None:
        self._lines_left = 0

    def mask(self, text: str, redact: Redactor) -> str:
        """The text redacted, and masked as far as it belongs to a key that began earlier."""
        inside, after = self._split(text)
        begin = max((match.end() for match in _KEY_BEGIN.finditer(after)), default=None)
        if begin is not None and not _KEY_END.search(after, begin):
            self._lines_left = _LONGEST_KEY
        return _KEY_LINE.sub(MASK, redact(inside)) + redact(after)

    def _split(self, text: str) -> tuple[str, str]:
        if not self._lines_left:
            return "", text
        if end := _KEY_END.search(text):
            self._lines_left = 0
            return text[: end.start()], text[end.start() :]
        self._lines_left = max(0, self._lines_left - max(1, text.count("\n")))
        return text, ""


class RedactingStream:
    """A text stream that holds back the unfinished line, so that a secret split over two writes is seen whole.

    A flush ends the holding back: whoever flushes has finished what it says. Threads may share it. ``tame`` makes text
    harmless for whoever reads the stream; only ``command`` goes past it.
    """

    def __init__(self, stream: TextIO, redact: Redactor, tame: Callable[[str], str] | None = None) -> None:
        self._stream, self._redact, self._tame = stream, redact, tame
        self._pending = ""
        self._key = _OpenKey()
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Write whole lines, redacted; keep the rest for the next write or flush."""
        with self._lock:
            lines, newline, self._pending = (self._pending + text).rpartition("\n")
            if newline:
                self._write(lines + newline)
        return len(text)

    def command(self, line: str) -> None:
        """A whole line of ours in the language of the CI, redacted; what is pending goes before it."""
        with self._lock:
            if self._pending:
                self.write("\n")
            self._stream.write(self._redact(line))

    def mask(self, secret: Secret) -> None:
        """Have GitHub's log hide the secret, in every form: the one text that must not be redacted."""
        forms = {form for part in {secret.reveal(), *secret.reveal().splitlines()} for form in spellings(part)}
        with self._lock:
            self._stream.write("".join(map(github_mask, sorted(forms))))
            self._stream.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is pending."""
        with self._lock:
            if self._pending:
                pending, self._pending = self._pending, ""
                self._write(pending)
            self._stream.flush()

    def _write(self, text: str) -> None:
        masked = self._key.mask(text, self._redact)
        self._stream.write(masked if self._tame is None else self._tame(masked))

    @property
    def buffer(self) -> _RedactingBytes:
        """The stream for those who write bytes; redacted like the text."""
        return _RedactingBytes(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _RedactingBytes:
    """Bytes on their way through a RedactingStream."""

    def __init__(self, stream: RedactingStream) -> None:
        self._stream = stream

    def write(self, content: bytes) -> int:
        """Write as text of the stream's encoding."""
        self._stream.write(bytes(content).decode(self._stream.encoding or "utf-8", "backslashreplace"))
        return len(content)

    def flush(self) -> None:
        """Write what is pending."""
        self._stream.flush()


def install(environment: Mapping[str, str] = os.environ) -> None:
    """Put the redacting stream before stdout and stderr, and learn the secrets of this environment."""
    ci = detect(environment).name
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, RedactingStream):
            setattr(sys, name, RedactingStream(stream, redactor, tame(ci)))
    if ci == GITHUB and environment.get("HYBRID_CI_MASK") == "1" and isinstance(sys.stderr, RedactingStream):
        # Said by our action alone: there, and only there, stderr surely leads to the runner and into no file.
        redactor.on_add = sys.stderr.mask
    for name, value in environment.items():
        if value and (name in SECRET_VARIABLES or name.startswith(_SECRET_PREFIXES)):
            redactor.add(Secret(value, f"${name}"))
