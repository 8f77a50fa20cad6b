"""What is found and what is changed: data that the commands print and the pipelines hand on."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.core.image import ImageReference
from orchestrator.core.names import RepoPath


@dataclass(frozen=True, slots=True)
class Pin:
    """An image reference at one place in one file.

    ``place`` names list items (``containers[name=api]``), ``at`` counts them (``containers[0]``); both are taken as
    ``ScanOptions.places``. ``text`` is as written, split forms joined. ``container`` is the name of the list item
    that the pin belongs to, or the key above it. ``marker`` is the Flux policy in the comment beside it.
    """

    path: RepoPath
    line: int
    format: str
    place: str
    image: ImageReference
    text: str
    at: str = ""
    container: str | None = None
    marker: str | None = None

    @property
    def where(self) -> str:
        """``path:line``, for messages."""
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Something that looks like a pin and can't be used as one: tag-only, a template, a broken file."""

    path: RepoPath
    line: int
    place: str
    reason: str
    column: int = 0
    text: str = ""

    @property
    def where(self) -> str:
        """``path:line``, with the column where it is known."""
        return f"{self.path}:{self.line}:{self.column}" if self.column else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that one file says about images."""

    pins: tuple[Pin, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()


@dataclass(frozen=True, slots=True)
class PinChange:
    """A pin before its edit, how it reads afterwards, and the places that follow it through an alias."""

    pin: Pin
    after: str
    follows: tuple[str, ...] = ()

    @property
    def path(self) -> RepoPath:
        """The file."""
        return self.pin.path

    @property
    def line(self) -> int:
        """The line in the file before the edit."""
        return self.pin.line

    @property
    def place(self) -> str:
        """Where in the file."""
        return self.pin.place

    @property
    def before(self) -> str:
        """How it read before."""
        return self.pin.text


@dataclass(frozen=True, slots=True)
class Edit:
    """A file before and after. Without changes the bytes are the same, and ``pins`` tells whether any matched."""

    path: RepoPath
    before: bytes
    after: bytes
    changes: tuple[PinChange, ...] = ()
    pins: tuple[Pin, ...] = field(default=())

    @property
    def changed(self) -> bool:
        """The bytes differ."""
        return self.before != self.after
