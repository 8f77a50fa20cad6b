"""Calls that do not depend on each other, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Result = TypeVar("_Result")


def side_by_side(calls: Sequence[Callable[[], _Result]], workers: int = 8) -> list[_Result]:
    """The results in the order of the calls. When some raise, the first of them in that order is raised."""
    if len(calls) <= 1:
        return [call() for call in calls]
    with ThreadPoolExecutor(min(workers, len(calls)), thread_name_prefix="hybrid-ci") as pool:
        futures = [pool.submit(call) for call in calls]
        return [future.result() for future in futures]
