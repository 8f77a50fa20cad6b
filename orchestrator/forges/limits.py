"""How long a forge asks us to wait, by its own clock: rate limits and ``Retry-After``. Pure: headers in, seconds out.

GitHub: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api (primary limits by
``x-ratelimit-*``; secondary ones by 403 or 429, at least a minute where no header says otherwise). GitLab:
https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/ (429 with ``RateLimit-*`` and ``Retry-After``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from orchestrator.forges.exchange import Answer

SECONDARY_SECONDS = 60.0
_LATEST = 10 * 365 * 86400.0  # a wait that is longer is one that nobody means; it only has to stay a number
_SLACK = 1.0  # headers are in whole seconds


@dataclass(frozen=True, slots=True)
class LimitReached:
    """The server said: not now. ``until`` is when, by the server's clock."""

    seconds: float
    until: datetime
    reason: str


def limit_reached(answer: Answer, local: datetime) -> LimitReached | None:
    """The limit that this answer tells of; None when it is about something else.

    ``local`` stands in for the server's clock when the answer has no ``Date``.
    """
    if not _is_limit(answer):
        return None
    now = server_time(answer.headers, local)
    seconds, reason = _wait(answer, now)
    seconds = min(max(0.0, seconds), _LATEST)
    return LimitReached(seconds, now + timedelta(seconds=seconds), reason)


def retry_after(headers: Mapping[str, str], local: datetime) -> float | None:
    """Seconds of a ``Retry-After`` header: a number or a date (RFC 9110, 10.2.3). None for none, or for nonsense."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), _LATEST)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(max(0.0, (when - server_time(headers, local)).total_seconds()), _LATEST)


def server_time(headers: Mapping[str, str], local: datetime) -> datetime:
    """The server's clock by its ``Date`` header."""
    try:
        when = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return local
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _is_limit(answer: Answer) -> bool:
    if answer.status == 429:
        return True
    if answer.status == 403:
        spent = answer.headers.get("X-RateLimit-Remaining", "").strip() == "0"
        return spent or "Retry-After" in answer.headers or _is_secondary(answer) or "rate limit" in answer.message
    if answer.complaints:
        return _spent_at_graphql(answer) or _is_secondary(answer)
    return answer.status == 422 and b"submitted too quickly" in answer.body


def _spent_at_graphql(answer: Answer) -> bool:
    """GitHub has had both words for it, and does not always count down to 0 before."""
    return any(one.get("type") in ("RATE_LIMITED", "RATE_LIMIT") for one in answer.complaints)


def _is_secondary(answer: Answer) -> bool:
    told = "".join(str(one.get("message")) for one in answer.complaints)
    message = (told or answer.message or answer.body[:2000].decode("utf-8", "replace")).lower()
    return "secondary rate limit" in message or "abuse detection" in message


def _wait(answer: Answer, now: datetime) -> tuple[float, str]:
    asked = retry_after(answer.headers, now)
    if asked is not None and (asked > 0 or not _is_secondary(answer)):
        return asked + _SLACK, "Retry-After"
    spent = _spent_at_graphql(answer)
    for prefix in ("X-RateLimit", "RateLimit"):
        if spent or answer.headers.get(f"{prefix}-Remaining", "").strip() == "0":
            reset = answer.headers.get(f"{prefix}-Reset", "").strip()
            if reset.isascii() and reset.isdigit():
                return float(reset[:12]) - now.timestamp() + _SLACK, "the limit of requests per hour or minute"
    return SECONDARY_SECONDS, "too many requests at once"
