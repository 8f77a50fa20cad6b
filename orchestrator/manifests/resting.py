"""The garbage collector rests while a file is read: all that is made then is kept until the end.

Looking through a growing tree again and again would take a third of the time of a large file.
"""

from __future__ import annotations

import gc


class Resting:
    """``with Resting():`` switches the collector off, and on again if it was on."""

    __slots__ = ("_enabled",)

    def __enter__(self) -> None:
        self._enabled = gc.isenabled()
        gc.disable()

    def __exit__(self, *error: object) -> None:
        if self._enabled:
            gc.enable()
