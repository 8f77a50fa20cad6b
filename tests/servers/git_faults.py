"""Which request of a git client fails, and how: a script whose entries are used up, or chance with a seed."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

RECEIVE = "receive-pack"  # the POST that carries a push
UPLOAD = "upload-pack"  # the POST that carries a fetch, or a listing by protocol v2
RECEIVE_REFS = "refs of receive-pack"  # the GET that a push begins with
UPLOAD_REFS = "refs of upload-pack"  # the GET that a fetch or a listing begins with
ANY = "any"

FAULTS = frozenset(
    {
        "reset_before", "503_before", "reset_after", "504_after", "truncate",
        "redirect", "hang", "hang_after", "drip", "no_shallow", "401", "403", "404", "429",
    }
)  # fmt: skip


@dataclass
class _Planned:
    fault: str
    on: str


class FaultScript:
    """The faults that are still to come. Any number of threads may ask."""

    def __init__(self) -> None:
        self._planned: list[_Planned] = []
        self._chances: tuple[random.Random, dict[str, float]] | None = None
        self._lock = threading.Lock()

    def fail(self, fault: str, on: str = RECEIVE, times: int = 1) -> None:
        """The next ``times`` requests of this kind fail so."""
        assert fault in FAULTS, fault
        with self._lock:
            self._planned += [_Planned(fault, on)] * times

    def fail_by_chance(self, seed: int, **chances: float) -> None:
        """Every push request fails with these probabilities; ``reset_before=0.1`` for one in ten."""
        assert set(chances) <= FAULTS, chances
        self._chances = (random.Random(seed), chances)

    def heal(self) -> None:
        """No more faults."""
        with self._lock:
            self._planned.clear()
            self._chances = None

    def take(self, kind: str) -> str | None:
        """The fault that this request shall have."""
        with self._lock:
            for planned in self._planned:
                if planned.on in (kind, ANY):
                    self._planned.remove(planned)
                    return planned.fault
            return self._by_chance() if kind == RECEIVE else None

    def _by_chance(self) -> str | None:
        if self._chances is None:
            return None
        rng, chances = self._chances
        point, reached = rng.random(), 0.0
        for fault, chance in chances.items():
            reached += chance
            if point < reached:
                return fault
        return None
