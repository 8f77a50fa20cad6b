"""A bound in real time for a call that a server could draw out byte by byte."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """The result of ``work``, or its error; TimeoutError when it has none after that time.

    A socket's timeout counts from byte to byte, so a server that sends one a minute never runs into it. The work
    is then left to its own thread, which ends with the process at the latest.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="bounded").start()
    return future.result(timeout=max(0.01, seconds))
