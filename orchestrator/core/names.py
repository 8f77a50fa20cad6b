"""Names that reach git: each is validated once, here, and can then be passed on without a second look.

A ref, a path or a URL that git could read as an option or as a command is refused by construction
(reliability: CVE-2022-24439, CVE-2023-40267 and their relatives are all outside text that reached argv).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from orchestrator.core.errors import ConfigurationError

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FORBIDDEN_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9a-fA-F:]+")
_SCP_LIKE = re.compile(
    r"(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]*)@(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>/?[^/:?#-].*)"
)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_URL_HINT = "use https://, ssh://, user@host:path, or a path for the local forge"


class InvalidName(ConfigurationError):
    """A text is not the kind of name that the place needs."""


@dataclass(frozen=True, slots=True, order=True)
class CommitId:
    """A full object id: 40 hex digits (SHA-1) or 64 (SHA-256)."""

    value: str

    def __post_init__(self) -> None:
        if not _COMMIT.fullmatch(self.value):
            raise InvalidName(f"{self.value!r} is not a full commit id")

    @property
    def short(self) -> str:
        """Seven digits, for people."""
        return self.value[:7]

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, order=True)
class RefName:
    """A full ref (``refs/heads/main``), by the rules of git-check-ref-format(1)."""

    value: str

    def __post_init__(self) -> None:
        if not self.value.startswith("refs/") or not _is_well_formed(self.value):
            raise InvalidName(f"{self.value!r} is not a full ref name", hint="for example refs/heads/main")

    @property
    def branch(self) -> BranchName:
        """The branch that this ref is. Raises InvalidName for another kind of ref."""
        prefix = "refs/heads/"
        if not self.value.startswith(prefix):
            raise InvalidName(f"{self.value!r} is not a branch")
        return BranchName(self.value.removeprefix(prefix))

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, order=True)
class BranchName:
    """A branch without ``refs/heads/``; never begins with ``-``, so no command can read it as an option."""

    value: str

    def __post_init__(self) -> None:
        if self.value.startswith("-") or self.value in ("@", "HEAD") or not _is_well_formed(self.value):
            raise InvalidName(
                f"{self.value!r} is not a branch name", hint="see git check-ref-format --branch for the rules"
            )

    @property
    def ref(self) -> RefName:
        """``refs/heads/<name>``."""
        return RefName(f"refs/heads/{self.value}")

    def __str__(self) -> str:
        return self.value


def _is_well_formed(name: str) -> bool:
    if not name or name.endswith(("/", ".", ".lock")) or name.startswith("/") or _FORBIDDEN_IN_REF.search(name):
        return False
    return not any(part.startswith(".") or part.endswith(".lock") for part in name.split("/"))


@dataclass(frozen=True, slots=True, order=True)
class RepoPath:
    """A file's path inside a repository: relative, ``/``-separated, without ``.``, ``..`` or ``.git``.

    Bytes that are not UTF-8 travel as surrogate escapes, as in ``os.fsdecode``.
    """

    value: str

    def __post_init__(self) -> None:
        parts = self.value.split("/")
        if "\0" in self.value or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
            raise InvalidName(
                f"{self.value!r} is not a path inside the repository",
                hint="write it relative to the repository's root, without '..'",
            )

    @property
    def parts(self) -> tuple[str, ...]:
        """The names between the slashes."""
        return tuple(self.value.split("/"))

    @property
    def name(self) -> str:
        """The last part."""
        return self.value.rpartition("/")[2]

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class RemoteURL:
    """Where a repository lives: ``https``, ``ssh`` (also ``user@host:path``), ``file``, or a path.

    ``http`` is taken for loopback only. A password in the URL is refused: secrets have their own channel.
    """

    value: str

    def __post_init__(self) -> None:
        text = self.value
        if not text or text.startswith("-") or text != text.strip() or _CONTROL.search(text):
            raise InvalidName(f"{printable_url(text)!r} is not a repository URL", hint=_URL_HINT)
        if text.startswith("/") or _SCP_LIKE.fullmatch(text):
            return
        _check_url(text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read it; a convenience with the name that the other types have."""
        return cls(text)

    @property
    def scheme(self) -> str:
        """``https``, ``http``, ``ssh`` or ``file``."""
        if self.value.startswith("/"):
            return "file"
        return "ssh" if _SCP_LIKE.fullmatch(self.value) else urlsplit(self.value).scheme

    @property
    def host(self) -> str | None:
        """The host in lower case, without the port; None for a local path."""
        if match := _SCP_LIKE.fullmatch(self.value):
            return match["host"].lower()
        return None if self.scheme == "file" else (urlsplit(self.value).hostname or "").lower()

    @property
    def path(self) -> str:
        """The path: of the file system for ``file``, on the host otherwise."""
        if self.value.startswith("/"):
            return self.value
        if match := _SCP_LIKE.fullmatch(self.value):
            return match["path"]
        path = urlsplit(self.value).path
        return unquote(path) if self.scheme == "file" else path

    @property
    def local_path(self) -> Path:
        """The folder that a ``file`` URL or a path names. Raises InvalidName for a remote one."""
        if self.scheme != "file":
            raise InvalidName(f"{self.value!r} is not a path on this machine")
        return Path(self.path)

    def __str__(self) -> str:
        return self.value


def _check_url(text: str) -> None:
    """Raises InvalidName. No message repeats what stands before an ``@``, or after a ``?`` or ``#``."""
    shown = printable_url(text)
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  (a port that is no number raises here)
    except ValueError:  # its text quotes the URL
        raise InvalidName(f"the repository URL {shown!r} does not parse", hint=_URL_HINT) from None
    if "::" in text.partition("//")[0] or parts.scheme not in ("https", "http", "ssh", "file"):
        raise InvalidName(f"the scheme of the repository URL {shown!r} is not allowed", hint=_URL_HINT)
    if _holds_credential(parts):
        raise InvalidName(
            "the repository URL holds a credential",
            where=shown,
            hint="remove it from the URL and put the token into an environment variable (HYBRID_CI_GIT_TOKEN)",
        )
    if parts.scheme == "file":
        return
    if not parts.hostname or not _HOST.fullmatch(parts.hostname) or not parts.path.strip("/"):
        raise InvalidName(f"{shown!r} is not a repository URL", hint="it needs a host and a path")
    if parts.username is not None and not _USER.fullmatch(parts.username):
        raise InvalidName(f"the user in the repository URL {shown!r} is not one that ssh takes")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise InvalidName(
            "plain http is refused: it would send the token in clear text", where=shown, hint="use https://"
        )


def _holds_credential(parts: SplitResult) -> bool:
    """A user is a credential for all but ssh; a query or fragment has no other use in a repository's URL.

    An ``@`` in the path is what a password with a slash in it leaves there.
    """
    if parts.password is not None or parts.query or parts.fragment:
        return True
    return parts.scheme != "file" and ("@" in parts.path or (parts.username is not None and parts.scheme != "ssh"))


def printable_url(text: str) -> str:
    """A URL for a message: no user-info, however broken the URL is, and no query or fragment.

    The name of the scheme and what follows the last ``@`` are all that stays of a text with an ``@`` in it.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    before, at, after = rest.rpartition("@")
    if at and (separator or ":" in before):
        rest = after
    return scheme + separator + re.split(r"[?#]", rest, maxsplit=1)[0]
