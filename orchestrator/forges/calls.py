"""Calls to a forge's API: what is asked again, when, and until when. GitHub and GitLab share these rules.

- A read is asked again after a lost connection or a 5xx, while patience lasts.
- A write is never sent twice blindly: when nobody knows whether it landed, ``Doubtful`` says so, and ``settle``
  looks before anything is sent again.
- A limit is waited for by the server's clock; a limit that ends after the deadline ends the work at once.
- One deadline covers everything inside ``operation``. Writes keep their distance, as forges ask.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from orchestrator.core.errors import HybridCIError, RemoteError
from orchestrator.core.secret import Secret
from orchestrator.engine.clock import Clock, Deadline
from orchestrator.engine.retry import Backoff, Jitter
from orchestrator.forges.exchange import Answer, Exchanger, ForgeAddress, Limits, Request, Unanswered
from orchestrator.forges.limits import limit_reached, retry_after

Result = TypeVar("Result")

DEADLINE_SECONDS = 600.0
PATIENCE_SECONDS = 60.0
_READS = frozenset({"GET", "HEAD"})
_POLL_FIRST, _POLL_LONGEST = 1.0, 15.0
# Of all calls: what a login asks for on the way shares the deadline of what needs it.
_CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


class Doubtful(RemoteError):
    """A write was sent, and nobody knows whether it landed."""


class LimitTooLong(RemoteError):
    """The forge's limit ends after our deadline."""


class LoginRefused(RemoteError):
    """401, or a 403 that is no limit: the login does not do, or may not do this. ``status`` tells which."""

    def __init__(self, message: str, *, status: int, where: str, hint: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(message, where=where, hint=hint, details=details)
        self.status = status


class Login(Protocol):
    """Where the value of the Authorization header (or whichever one the forge takes) comes from."""

    def authorization(self) -> Secret | None:
        """Its whole value, such as ``Bearer …``; None to ask without one. May ask the forge for a token."""

    def renew(self) -> bool:
        """The forge refused it (401): forget it. True when the next one will be another."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How writes keep their distance: seconds between two, and how many an hour may have."""

    seconds: float = 1.0
    per_minute: int = 80
    per_hour: int = 500


@dataclass(frozen=True, slots=True)
class Settings:
    """How to talk to a forge. ``patience`` is for one that is ill, ``seconds`` for a whole operation with its waits for
    limits."""

    clock: Clock
    ca_bundle: Path | None = None
    patience: float = PATIENCE_SECONDS
    seconds: float = DEADLINE_SECONDS
    pace: Pace | None = None
    limits: Limits | None = None
    jitter: Jitter | None = None


Explain = Callable[[Answer], HybridCIError | None]


class Calls:
    """The one way to a forge's API. Safe to share between threads."""

    def __init__(
        self,
        base: str,
        login: Login,
        settings: Settings,
        *,
        explain: Explain = lambda _answer: None,
        headers: Mapping[str, str] | None = None,
        login_header: str = "Authorization",
    ) -> None:
        """``explain`` turns a refusal (401, 403) into a better error than the general one. Raises ConfigurationError
        for an address that nothing may be sent to."""
        self.address = ForgeAddress(base)
        self.clock = settings.clock
        self._login, self._explain, self._settings = login, explain, settings
        self._pacer = _Pacer(settings.clock, settings.pace or Pace())
        self._exchanger = Exchanger(
            self.address,
            ca_bundle=settings.ca_bundle,
            headers=headers,
            limits=settings.limits,
            login_header=login_header,
        )

    @property
    def count(self) -> int:
        """Requests sent so far."""
        return self._exchanger.count

    def close(self) -> None:
        """End the connections."""
        self._exchanger.close()

    @contextmanager
    def operation(self) -> Iterator[Deadline]:
        """Everything inside shares one deadline; an operation inside another one shares the outer one's."""
        outer = _CURRENT.get()
        if outer is not None:
            yield outer
            return
        deadline = Deadline(self.clock, self._settings.seconds)
        token = _CURRENT.set(deadline)
        try:
            yield deadline
        finally:
            _CURRENT.reset(token)

    def send(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        payload: object | None = None,
        *,
        reads: bool | None = None,
    ) -> Answer:
        """The answer, below 500 and no refusal of the login: 2xx, 304, 400, 404, 405, 409, 410, 422 and the like.

        ``path`` begins with ``/``, or is a URL of the same host. ``reads`` says that a POST changes nothing (a
        GraphQL query). Raises Doubtful for a write whose outcome nobody knows, LoginRefused (or what ``explain``
        makes of it), LimitTooLong, RemoteError, ConfigurationError for a redirect.
        """
        safe = method in _READS if reads is None else reads
        url = self.address.url(path)
        with self.operation() as deadline:
            return self._send(Request(method, url, parameters or {}, payload), safe, deadline)

    def settle(self, write: Callable[[], Result], landed: Callable[[], Result | None]) -> Result:
        """Do a write; whenever its outcome is in doubt, look whether it landed, and only then do it again.

        ``landed`` gives the result as it is found, None when it is not there. Raises what ``write`` raises; the
        doubt itself when patience ends.
        """
        with self.operation() as deadline:
            backoff = self._backoff(deadline)
            while True:
                try:
                    return write()
                except Doubtful as doubt:
                    found = landed()
                    if found is not None:
                        return found
                    if not backoff.wait_for_recovery():
                        raise doubt from None

    def poll(self, ask: Callable[[], Result | None], seconds: float | None = None) -> Result | None:
        """Ask until there is an answer; None when there is none by ``seconds``, or by the operation's deadline."""
        with self.operation() as deadline:
            own = Deadline(self.clock, min(seconds if seconds is not None else deadline.remaining, deadline.remaining))
            pause = _POLL_FIRST
            while (found := ask()) is None:
                if pause >= own.remaining:
                    return None
                self.clock.sleep(pause)
                pause = min(_POLL_LONGEST, pause * 2)
            return found

    # --- one request, asked until it is answered ----------------------------------------------------------------

    def _send(self, request: Request, safe: bool, deadline: Deadline) -> Answer:
        backoff: Backoff | None = None
        renewed = False
        while True:
            try:
                answer = self._once(request, safe, deadline)
            except _Failed as failed:
                backoff = backoff or self._backoff(deadline)
                if failed.wait < deadline.remaining:
                    self.clock.sleep(failed.wait)
                if not backoff.wait_for_recovery():
                    raise failed.error from None
                continue
            if answer.status == 401 and not renewed and self._login.renew():
                renewed = True
            elif not self._waited_for_limit(answer, deadline):
                return self._checked(answer)

    def _once(self, request: Request, safe: bool, deadline: Deadline) -> Answer:
        """The answer. Raises _Failed for what may be asked again, Doubtful for a write that may not."""
        signed = replace(request, authorization=self._login.authorization())
        if not safe:
            self._pacer.wait(deadline)
        try:
            answer = self._exchanger.send(signed, max(0.1, deadline.remaining))
        except Unanswered as failure:
            if not safe and failure.sent:
                raise _doubt(request, failure.message) from None
            raise _Failed(failure) from None
        not_ready = answer.status == 202 and request.method in _READS
        if not answer.failed and not not_ready:
            return answer
        text = "is still at work on its answer" if not_ready else f"failed ({_why(answer)})"
        if not safe:
            raise _doubt(request, f"the forge {text}")
        error = RemoteError(
            f"the forge {text}, again and again",
            where=request.place,
            details=[answer.message[:300]] if answer.message else [],
            hint="run it again when the forge is back",
        )
        raise _Failed(error, retry_after(answer.headers, self.clock.now()) or 0.0)

    def _waited_for_limit(self, answer: Answer, deadline: Deadline) -> bool:
        """A limit was waited for. Raises LimitTooLong when it ends after the deadline."""
        limit = limit_reached(answer, self.clock.now())
        if limit is None:
            return False
        if limit.seconds >= deadline.remaining:
            raise LimitTooLong(
                f"the forge's rate limit is used up until {limit.until:%Y-%m-%d %H:%M:%S} UTC (its own clock), "
                f"in {limit.seconds:.0f} seconds",
                where=answer.place,
                details=[text for text in (limit.reason, answer.message[:300]) if text],
                hint="run it again then; nothing was lost",
            )
        self.clock.sleep(limit.seconds)
        return True

    def _checked(self, answer: Answer) -> Answer:
        if answer.status not in (401, 403):
            return answer
        explained = self._explain(answer)
        if explained is not None:
            raise explained
        refused = "refuses the login" if answer.status == 401 else "does not let this login do that"
        raise LoginRefused(
            f"the forge {refused} ({answer.status})",
            status=answer.status,
            where=answer.place,
            details=(answer.message[:300],) if answer.message else (),
            hint="check the token and what it may do",
        )

    def _backoff(self, deadline: Deadline) -> Backoff:
        patience = Deadline(self.clock, min(self._settings.patience, deadline.remaining))
        return Backoff(self.clock, patience, self._settings.jitter)


class _Failed(Exception):
    """One try failed, and another may be made after ``wait`` seconds; it never leaves this module."""

    def __init__(self, error: RemoteError, wait: float = 0.0) -> None:
        super().__init__(error.message)
        self.error, self.wait = error, wait


def _why(answer: Answer) -> str:
    return str(answer.status) if answer.status >= 400 else str(answer.complaints[0].get("message"))[:300]


def _doubt(request: Request, reason: str) -> Doubtful:
    return Doubtful(
        f"it is not known whether a change at the forge was made: {reason}",
        where=request.place,
        hint="run it again: it looks first, and changes nothing twice",
    )


class _Pacer:
    """Lets writes through one after the other, with the distance that forges ask for."""

    def __init__(self, clock: Clock, pace: Pace) -> None:
        self._clock, self._pace = clock, pace
        self._writes: deque[float] = deque(maxlen=max(pace.per_hour, pace.per_minute))
        self._lock = threading.Lock()

    def wait(self, deadline: Deadline) -> None:
        """Until a write may go. Raises LimitTooLong when that is after the deadline."""
        with self._lock:
            seconds = max(0.0, self._next() - self._clock.monotonic())
            if seconds >= deadline.remaining:
                raise LimitTooLong(
                    f"the forge takes {self._pace.per_hour} changes an hour, and they are used up",
                    hint=f"run it again in {seconds:.0f} seconds",
                )
            if seconds:
                self._clock.sleep(seconds)
            self._writes.append(self._clock.monotonic())

    def _next(self) -> float:
        """The monotonic time at which the next write may go."""
        if not self._writes:
            return 0.0
        after = [self._writes[-1] + self._pace.seconds]
        for count, seconds in ((self._pace.per_minute, 60.0), (self._pace.per_hour, 3600.0)):
            if len(self._writes) >= count:
                after.append(self._writes[-count] + seconds)
        return max(after)
