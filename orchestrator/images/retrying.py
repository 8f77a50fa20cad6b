"""Try again what may be tried again: until a deadline, with wide jitter, on an injected clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tenacity

from orchestrator.engine.clock import Clock, Deadline

Result = TypeVar("Result")

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 15.0


def retry(
    work: Callable[[], Result],
    *,
    clock: Clock,
    seconds: float,
    when: Callable[[BaseException], bool],
    at_least: Callable[[BaseException], float] = lambda _: 0.0,
    notice: Callable[[BaseException, float], None] = lambda _error, _wait: None,
) -> Result:
    """Call ``work`` until it gives a result, its error is not one of ``when``, or no time is left.

    ``at_least`` gives the seconds that the error itself asks for (``Retry-After``); ``notice`` is told before
    each wait. The last error is raised as it came. A wait that would outlast the deadline is not begun.
    """
    deadline = Deadline(clock, seconds)
    jitter = tenacity.wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT)

    def wait(state: tenacity.RetryCallState) -> float:
        return max(jitter(state), at_least(_error_of(state)))

    retrying = tenacity.Retrying(
        sleep=clock.sleep,
        wait=wait,
        stop=lambda state: deadline.remaining <= state.upcoming_sleep,
        retry=tenacity.retry_if_exception(when),
        before_sleep=lambda state: notice(_error_of(state), state.upcoming_sleep),
        reraise=True,
    )
    return retrying(work)


def _error_of(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome is not None else None
    return error if error is not None else RuntimeError("no attempt was made")
