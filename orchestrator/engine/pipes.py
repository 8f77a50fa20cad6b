"""The pipes to a child: threads that drain and feed them, so that neither side ever waits for the other."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterable
from typing import IO

CHUNK = 64 * 1024


class Drain(threading.Thread):
    """Reads a pipe to its end, keeps the first ``limit`` bytes, and hands on whole lines.

    ``failure`` is what ``on_line`` raised: the pipe is read on all the same, since a child must not hang in a write.
    """

    def __init__(self, pipe: IO[bytes], limit: int, on_line: Callable[[str], None] | None) -> None:
        super().__init__(daemon=True)
        self._pipe, self._limit, self._on_line = pipe, limit, on_line
        self._kept = bytearray()
        self._partial = b""
        self.truncated = False
        self.failure: Exception | None = None
        self.start()

    @property
    def content(self) -> bytes:
        """What was kept."""
        return bytes(self._kept)

    def run(self) -> None:
        """Read everything, and close."""
        with self._pipe as pipe, contextlib.suppress(ValueError, OSError):
            while chunk := os.read(pipe.fileno(), CHUNK):
                room = self._limit - len(self._kept)
                self._kept += chunk[:room]
                self.truncated |= len(chunk) > room
                self._hand_on(chunk)
        if self._partial:
            self._say(self._partial)

    def _hand_on(self, chunk: bytes) -> None:
        if self._on_line is None:
            return
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        self._partial = self._partial[-CHUNK:]  # a "line" without end must not grow without end
        for line in lines:
            self._say(line.rstrip(b"\r"))

    def _say(self, line: bytes) -> None:
        if self._on_line is None or self.failure is not None:
            return
        try:
            self._on_line(line.decode("utf-8", "replace"))
        except Exception as error:  # raised by whoever started the child, in the caller's thread
            self.failure = error


class Feed(threading.Thread):
    """Writes a child's stdin, piece by piece, and closes it.

    Pieces that can't be made are its ``failure``, and ``give_up`` ends the child before its stdin is closed: half an
    input must not count as the whole.
    """

    def __init__(self, pipe: IO[bytes], content: bytes | Iterable[bytes], give_up: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._pipe, self._give_up = pipe, give_up
        self._pieces = (content,) if isinstance(content, bytes) else content
        self.failure: Exception | None = None
        self.start()

    def run(self) -> None:
        """Write everything, and close."""
        try:
            for piece in self._pieces:
                try:
                    self._pipe.write(piece)
                except (OSError, ValueError):  # the child reads no further, or is gone
                    break
        except Exception as error:  # raised by whoever started the child, in the caller's thread
            self.failure = error
            self._give_up()
        with contextlib.suppress(OSError, ValueError):
            self._pipe.close()


def readable(descriptor: int, seconds: float) -> bool:
    """Something is there to read (for a pidfd: the process ended) before the time is over."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))
