"""Waves: rings of clusters. From the names that were found to the groups that are promoted together.

The same names and sizes always give the same waves, so that a rerun, a dry run and a proof agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.patterns import compiled

REST = "rest"
_PERCENT = re.compile(r"(?P<number>[1-9][0-9]?|100)%")
_COUNT = re.compile(r"[1-9][0-9]{0,5}")
_DIGITS = re.compile(r"([0-9]+)")
CLUSTER = "{cluster}"


@dataclass(frozen=True, slots=True)
class Size:
    """How many clusters a wave takes: a number, a share of all of them, or what is left.

    Exactly one of ``count`` and ``percent`` is set; neither means the rest.
    """

    count: int | None = None
    percent: int | None = None

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read ``3``, ``10%`` or ``rest``. Raises ConfigurationError."""
        if text == REST:
            return cls()
        if match := _PERCENT.fullmatch(text):
            return cls(percent=int(match["number"]))
        if _COUNT.fullmatch(text):
            return cls(count=int(text))
        raise ConfigurationError(f"{text!r} is not the size of a wave", hint="write a number, a share as 10%, or rest")

    def of(self, total: int, left: int) -> int:
        """How many of ``left`` clusters it takes, of ``total`` in all. A share is rounded up, so it is never none."""
        if self.count is not None:
            return min(self.count, left)
        if self.percent is not None:
            return min(-(-total * self.percent // 100), left)
        return left

    def __str__(self) -> str:
        if self.count is not None:
            return str(self.count)
        return f"{self.percent}%" if self.percent is not None else REST


@dataclass(frozen=True, slots=True)
class Rings:
    """An environment that is many clusters: the pattern of their folders, and how many go at a time.

    ``pattern`` has exactly one ``*``; the last size is the rest. Raises ConfigurationError.
    """

    pattern: str
    sizes: tuple[Size, ...] = (Size(),)

    def __post_init__(self) -> None:
        if self.pattern.count("*") != 1 or "?" in self.pattern:
            raise ConfigurationError(
                f"{self.pattern!r} does not name clusters",
                hint="a pattern of waves has exactly one '*', such as clusters/prod-*",
            )
        if not self.sizes or self.sizes[-1] != Size() or Size() in self.sizes[:-1]:
            raise ConfigurationError(
                "the waves do not cover every cluster", hint="end the sizes with rest, such as [1, 10%, rest]"
            )

    def folders(self, paths: Iterable[str]) -> tuple[str, ...]:
        """The clusters' folders among all these paths of files, in order: numbers in names count by their value."""
        depth = self.pattern.strip("/").count("/") + 1
        pattern = compiled(self.pattern)
        heads = {"/".join(parts[:depth]) for path in paths if len(parts := path.split("/")) > depth}
        return tuple(sorted((head for head in heads if pattern.fullmatch(head)), key=natural))

    def member(self, folder: str) -> str:
        """What the ``*`` stands for in this folder: ``eu-1`` in ``clusters/prod-eu-1`` for ``clusters/prod-*``."""
        before, _, after = self.pattern.strip("/").partition("*")
        return folder[len(before) : len(folder) - len(after)]


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key to sort by: ``eu-2`` comes before ``eu-10``."""
    parts = _DIGITS.split(name)
    return tuple((0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts if part)


def split(names: Sequence[str], sizes: Sequence[Size]) -> tuple[tuple[str, ...], ...]:
    """The names in waves, first wave first; a size for which nothing is left makes no wave."""
    waves: list[tuple[str, ...]] = []
    left = list(names)
    for size in sizes:
        count = size.of(len(names), len(left))
        if count:
            waves.append(tuple(left[:count]))
            left = left[count:]
    return tuple(waves)
