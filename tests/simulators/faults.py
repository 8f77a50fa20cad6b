"""What every simulated client shares: its calls are listed, and each can be told to fail before or after its effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from orchestrator.core.errors import RemoteError

Moment = Literal["before", "after"]


@dataclass(frozen=True)
class _Failure:
    """Raise ``error`` at the ``number``-th call (1 is the first) of ``method`` (None: of any)."""

    number: int
    moment: Moment
    error: BaseException
    method: str | None


class FailingCalls:
    """The calls of one client. ``calls`` lists them in order."""

    def __init__(self, before_call: Callable[[str], None] | None = None) -> None:
        """``before_call`` is told each method's name first: a scheduler can give the baton to somebody else there."""
        self._before_call = before_call
        self._failures: list[_Failure] = []
        self.calls: list[str] = []

    def fail(
        self,
        number: int = 1,
        moment: Moment = "before",
        error: BaseException | None = None,
        method: str | None = None,
    ) -> None:
        """Fail at a call that is still to come: the ``number``-th from now, of ``method`` or of any."""
        error = error or RemoteError("the simulated remote failed")
        self._failures.append(_Failure(self._count(method) + number, moment, error, method))

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        if self._before_call is not None:
            self._before_call(method)
        self.calls.append(method)
        self._fail_if_planned(method, "before")
        yield
        self._fail_if_planned(method, "after")

    def _fail_if_planned(self, method: str, moment: Moment) -> None:
        for failure in self._failures:
            now = failure.number == self._count(failure.method)
            if failure.moment == moment and now and failure.method in (None, method):
                raise failure.error

    def _count(self, method: str | None) -> int:
        return sum(1 for call in self.calls if method in (None, call))
