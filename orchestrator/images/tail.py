"""The last lines of something that may say very much: capped in lines, in bytes, and in the length of a line."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

LINES = 200
BYTES = 64 * 1024
LINE_LENGTH = 4 * 1024


class Tail:
    """Takes chunks of bytes as they come, hands on whole lines as text, and remembers the last ones."""

    def __init__(self, lines: int = LINES, limit: int = BYTES) -> None:
        self._lines: deque[str] = deque(maxlen=lines)
        self._limit = limit
        self._size = 0
        self._partial = bytearray()
        self._overlong = False

    def add(self, chunk: bytes) -> Iterator[str]:
        """The lines that this chunk completes; a line is cut at ``LINE_LENGTH`` bytes."""
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            self._extend(part)
            yield self._finish()
        self._extend(rest)

    def end(self) -> Iterator[str]:
        """What stood after the last line end."""
        if self._partial:
            yield self._finish()

    @property
    def lines(self) -> tuple[str, ...]:
        """The last lines, oldest first."""
        return tuple(self._lines)

    def _extend(self, part: bytes) -> None:
        room = LINE_LENGTH - len(self._partial)
        self._partial += part[:room]
        self._overlong |= len(part) > room

    def _finish(self) -> str:
        text = self._partial.rstrip(b"\r").decode("utf-8", "replace") + ("…" if self._overlong else "")
        self._partial.clear()
        self._overlong = False
        self._remember(text)
        return text

    def _remember(self, text: str) -> None:
        if len(self._lines) == self._lines.maxlen:
            self._size -= len(self._lines[0])
        self._lines.append(text)
        self._size += len(text)
        while self._size > self._limit and len(self._lines) > 1:
            self._size -= len(self._lines.popleft())
