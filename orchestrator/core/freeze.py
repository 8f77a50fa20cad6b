"""Freeze windows: when nothing may change, by dates or by a repeating beginning. Calendar maths, pure.

Times are wall-clock times of a zone, as people write them down: a freeze from Friday 16:00 for 64 hours ends on Monday
at 08:00 also in the nights in which clocks change. Where such a time does not exist (clocks go forward) it means the
moment of the change; where it comes twice (clocks go back), a freeze begins with the first and ends with the second.
A window includes its beginning and excludes its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from orchestrator.core.errors import ConfigurationError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_LONGEST = timedelta(days=31)
_DAY = timedelta(days=1)
_CHAINED = 100  # windows that follow each other without a gap are looked through so far
_STEP = re.compile(r"(?P<range>[^/]+)(?:/(?P<step>[1-9][0-9]?))?")


def zone(name: str) -> ZoneInfo:
    """The time zone of this name. Raises ConfigurationError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if not available_timezones():
            raise ConfigurationError(
                "this machine has no time zones, so nobody can tell when a freeze holds",
                hint="install the Python package tzdata, or that of the operating system",
            ) from None
        raise ConfigurationError(
            f"{name!r} is not a time zone that this machine knows", hint="write a name such as Europe/Berlin or UTC"
        ) from None


@dataclass(frozen=True, slots=True)
class Cron:
    """When something begins: five fields as in crontab(5); names of months and days are taken.

    As there, a day matches either field when both the day of the month and the day of the week are restricted.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either_day: bool

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read ``0 16 * * FRI``. Raises ConfigurationError."""
        parts = text.split()
        if len(parts) != len(_FIELDS):
            raise ConfigurationError(
                f"{text!r} is not a cron expression",
                hint="write five fields: minute, hour, day of month, month, day of week, such as '0 16 * * FRI'",
            )
        found = [_field(part, *rule) for part, rule in zip(parts, _FIELDS, strict=True)]
        weekdays = frozenset(day % 7 for day in found[4])
        either = not parts[2].startswith("*") and not parts[4].startswith("*")
        return cls(found[0], found[1], found[2], found[3], weekdays, either)

    def on(self, day: date) -> bool:
        """Something begins on this day."""
        if day.month not in self.months:
            return False
        by_number, by_name = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_number or by_name if self.either_day else by_number and by_name

    def back_from(self, latest: datetime, days: int) -> Iterator[datetime]:
        """The naive beginnings at or before ``latest``, newest first, as far back as so many days."""
        for back in range(days + 1):
            day = latest.date() - back * _DAY
            if not self.on(day):
                continue
            for hour in sorted(self.hours, reverse=True):
                for minute in sorted(self.minutes, reverse=True):
                    begin = datetime.combine(day, time(hour, minute))
                    if begin <= latest:
                        yield begin


def _field(text: str, name: str, low: int, high: int) -> frozenset[int]:
    """The numbers that one field names. Raises ConfigurationError."""
    values: set[int] = set()
    for part in text.split(","):
        match = _STEP.fullmatch(part)
        if match is None:
            raise _wrong(text, name, low, high)
        first, last = _range(match["range"], text, name, low, high, stepped=match["step"] is not None)
        values.update(range(first, last + 1, int(match["step"] or 1)))
    return frozenset(values)


def _range(text: str, whole: str, name: str, low: int, high: int, *, stepped: bool) -> tuple[int, int]:
    if text == "*":
        return low, high
    first, dash, last = text.partition("-")
    begin = _number(first, whole, name, low, high)
    if not dash:
        return begin, high if stepped else begin
    end = _number(last, whole, name, low, high)
    if end < begin and name == "day of week" and end == 0:
        end = 7  # FRI-SUN
    if end < begin:
        raise _wrong(whole, name, low, high)
    return begin, end


def _number(text: str, whole: str, name: str, low: int, high: int) -> int:
    lowered = text.lower()
    if name == "month" and lowered in _MONTHS:
        return _MONTHS.index(lowered) + 1
    if name == "day of week" and lowered in _DAYS:
        return _DAYS.index(lowered)
    if not re.fullmatch(r"[0-9]{1,2}", text) or not low <= int(text) <= high:
        raise _wrong(whole, name, low, high)
    return int(text)


def _wrong(text: str, name: str, low: int, high: int) -> ConfigurationError:
    return ConfigurationError(
        f"{text!r} is not the {name} of a cron expression",
        hint=f"numbers from {low} to {high}, as *, 5, 1-5, */2 or 1,3",
    )


@dataclass(frozen=True, slots=True)
class Freeze:
    """One rule of when nothing may change: either ``begin`` and ``end``, or ``cron`` and ``length``.

    ``begin`` and ``end`` are naive, in the zone ``zone``. Raises ConfigurationError for an empty or mixed window.
    """

    reason: str
    zone: str = "UTC"
    begin: datetime | None = None
    end: datetime | None = None
    cron: Cron | None = None
    length: timedelta | None = None
    text: str = field(default="", compare=False)  # how the policy wrote it, for evidence

    def __post_init__(self) -> None:
        zone(self.zone)
        dated = self.begin is not None and self.end is not None
        repeated = self.cron is not None and self.length is not None
        if dated == repeated or (self.begin is None) != (self.end is None) or (self.cron is None) != (not self.length):
            raise ConfigurationError(
                "a freeze is either by dates or by cron", hint="write begin and end, or cron and duration"
            )
        if self.begin is not None and self.end is not None and self.end <= self.begin:
            raise ConfigurationError("the freeze ends before it begins", hint="correct begin or end")
        if self.length is not None and not timedelta(minutes=1) <= self.length <= _LONGEST:
            raise ConfigurationError("a repeating freeze lasts between a minute and 31 days", hint="correct duration")

    def active(self, now: datetime) -> datetime | None:
        """When the window that holds at this moment ends; None when none does."""
        for begin, end in self._windows(now):
            first, last = _instant(begin, self.zone, late=False), _instant(end, self.zone, late=True)
            if first <= now < last:
                return last
        return None

    def _windows(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Every window that could hold now, as naive times; the one that began last first."""
        if self.begin is not None and self.end is not None:
            yield self.begin, self.end
        if self.cron is not None and self.length is not None:
            # A day more on both sides: a zone's clock may stand still, or jump, by hours.
            local = now.astimezone(zone(self.zone)).replace(tzinfo=None)
            for begin in self.cron.back_from(local + _DAY, self.length.days + 3):
                yield begin, begin + self.length


def _instant(wall: datetime, name: str, *, late: bool) -> datetime:
    """The moment in UTC that a wall-clock time means; of two, the earlier or the later one.

    A time that the clocks skip means the moment of their change.
    """
    place = zone(name)
    first = wall.replace(tzinfo=place, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=place, fold=1).astimezone(UTC)
    if first <= second:
        return second if late else first
    return _change_between(second, first, place)  # PEP 495: in a gap, fold=0 gives the later moment


def _change_between(before: datetime, after: datetime, place: ZoneInfo) -> datetime:
    """The first moment with the new offset, to the second."""
    old = before.astimezone(place).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before).total_seconds() // 2)
        if middle.astimezone(place).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after


@dataclass(frozen=True, slots=True)
class Frozen:
    """A freeze that holds: until when (windows that follow at once included), and which rules say so."""

    until: datetime
    freezes: tuple[Freeze, ...]


def frozen(freezes: Sequence[Freeze], now: datetime) -> Frozen | None:
    """What is frozen at this moment; None when changes may land."""
    holding = tuple(one for one in freezes if one.active(now) is not None)
    if not holding:
        return None
    until = now
    for _ in range(_CHAINED):
        ends = [end for one in freezes if (end := one.active(until)) is not None]
        if not ends:
            break
        until = max(ends)
    return Frozen(until, holding)
