"""Freeze windows: on the clock of a zone, in the nights in which clocks change too."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.freeze import Cron, Freeze, frozen

SECOND = timedelta(seconds=1)
BERLIN = "Europe/Berlin"  # clocks go forward on 2026-03-29 at 02:00, and back on 2026-10-25 at 03:00


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def dated(begin: str, end: str, zone: str = BERLIN) -> Freeze:
    return Freeze("holidays", zone, datetime.fromisoformat(begin), datetime.fromisoformat(end))


def weekly(cron: str = "0 16 * * FRI", hours: float = 64, zone: str = BERLIN) -> Freeze:
    return Freeze("weekend", zone, cron=Cron.parse(cron), length=timedelta(hours=hours))


def assert_frozen_exactly(freeze: Freeze, first: datetime, end: datetime) -> None:
    assert freeze.active(first - SECOND) is None
    assert freeze.active(first) == end
    assert freeze.active(end - SECOND) == end
    assert freeze.active(end) is None


@pytest.mark.parametrize(
    ("freeze", "first", "end"),
    [
        pytest.param(weekly(), "2026-11-20T15:00", "2026-11-23T07:00", id="an ordinary weekend"),
        pytest.param(weekly(), "2026-03-27T15:00", "2026-03-30T06:00", id="clocks go forward: an hour shorter"),
        pytest.param(weekly(), "2026-10-23T14:00", "2026-10-26T07:00", id="clocks go back: an hour longer"),
        pytest.param(weekly("30 2 * * SUN", 2), "2026-03-29T01:00", "2026-03-29T02:30", id="begins in the gap"),
        pytest.param(weekly("0 1 * * SUN", 1.5), "2026-03-29T00:00", "2026-03-29T01:00", id="ends in the gap"),
        pytest.param(weekly("30 2 * * SUN", 2), "2026-10-25T00:30", "2026-10-25T03:30", id="begins in the double hour"),
        pytest.param(weekly("30 1 * * SUN", 1), "2026-10-24T23:30", "2026-10-25T01:30", id="ends in the double hour"),
        pytest.param(
            dated("2026-12-20", "2027-01-03 08:00"), "2026-12-19T23:00", "2027-01-03T07:00", id="dates in winter"
        ),
        pytest.param(
            dated("2026-03-28 12:00", "2026-03-29 12:00"), "2026-03-28T11:00", "2026-03-29T10:00", id="a day of 23 h"
        ),
        pytest.param(
            dated("2026-10-24 12:00", "2026-10-25 12:00"), "2026-10-24T10:00", "2026-10-25T11:00", id="a day of 25 h"
        ),
        pytest.param(
            dated("2026-10-04 01:00", "2026-10-04 02:15", "Australia/Lord_Howe"),
            "2026-10-03T14:30",
            "2026-10-03T15:30",
            id="clocks go forward by half an hour",
        ),
    ],
)
def test_a_freeze_holds_from_its_first_second_to_its_last(freeze: Freeze, first: str, end: str) -> None:
    assert_frozen_exactly(freeze, utc(first), utc(end))


def test_a_moment_is_the_same_in_every_zone() -> None:
    begin = utc("2026-11-20T15:00")
    for zone in ("America/New_York", "Asia/Kolkata", "Pacific/Kiritimati"):
        assert weekly().active(begin.astimezone(ZoneInfo(zone))) == utc("2026-11-23T07:00")


def test_windows_that_follow_each_other_at_once_are_one_wait() -> None:
    friday, saturday = weekly("0 16 * * FRI", 24, "UTC"), weekly("0 16 * * SAT", 40, "UTC")
    found = frozen([saturday, friday], utc("2026-11-20T16:00"))
    assert found is not None
    assert found.until == utc("2026-11-23T08:00")
    assert found.freezes == (friday,)


def test_nothing_is_frozen_without_a_window_that_holds() -> None:
    assert frozen([], utc("2026-11-20T16:00")) is None
    assert frozen([weekly(zone="UTC")], utc("2026-11-20T15:59")) is None


def test_a_freeze_that_begins_again_before_it_ends_has_no_known_end_and_still_answers() -> None:
    for_ever = weekly("0 0 * * *", 48, "UTC")
    found = frozen([for_ever], utc("2026-11-20T16:00"))
    assert found is not None
    assert found.until > utc("2026-12-20T00:00")


# --- cron ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "day", "begins"),
    [
        ("0 0 13 * FRI", "2026-11-13", True),  # a Friday the 13th
        ("0 0 13 * FRI", "2026-12-13", True),  # a 13th: either field will do
        ("0 0 13 * FRI", "2026-11-20", True),  # a Friday
        ("0 0 13 * FRI", "2026-11-19", False),
        ("0 0 13 * *", "2026-11-20", False),
        ("0 0 * * FRI-SUN", "2026-11-22", True),
        ("0 0 * * 7", "2026-11-22", True),
        ("0 0 * * 0", "2026-11-22", True),
        ("0 0 * * 1-5", "2026-11-22", False),
        ("0 0 * DEC *", "2026-12-01", True),
        ("0 0 * dec *", "2026-11-30", False),
        ("0 0 29 2 *", "2028-02-29", True),
        ("0 0 */10 * *", "2026-11-21", True),
        ("0 0 */10 * *", "2026-11-20", False),
    ],
)
def test_a_day_is_one_on_which_cron_begins(text: str, day: str, begins: bool) -> None:
    assert Cron.parse(text).on(datetime.fromisoformat(day).date()) is begins


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "a * * * *",
        "1,,2 * * * *",
        "- * * * *",
        "* * * FRI *",
        "* * * * JAN",
        "\uff11 * * * *",
    ],
)
def test_what_is_no_cron_expression_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="cron"):
        Cron.parse(text)


@settings(max_examples=150, deadline=None)
@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    weekday=st.integers(0, 6),
    hours=st.integers(1, 200),
    at=st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1)),
    zone=st.sampled_from(["UTC", BERLIN, "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)
def test_a_repeating_freeze_is_the_windows_that_a_calendar_lists(
    minute: int, hour: int, weekday: int, hours: int, at: datetime, zone: str
) -> None:
    """Against the plain way: every begin of the surrounding weeks, on the wall, compared as wall-clock times.

    Moments in the hours around a change of the clocks are left to the examples above.
    """
    place = ZoneInfo(zone)
    now = at.replace(tzinfo=UTC)
    wall = now.astimezone(place).replace(tzinfo=None)
    around = {(now + timedelta(hours=far)).astimezone(place).utcoffset() for far in range(-26, 27)}
    freeze = Freeze("x", zone, cron=Cron.parse(f"{minute} {hour} * * {weekday}"), length=timedelta(hours=hours))
    midnight = datetime(wall.year, wall.month, wall.day)
    begins = [
        midnight - timedelta(days=back) + timedelta(hours=hour, minutes=minute)
        for back in range(-1, 12)
        if (midnight - timedelta(days=back)).isoweekday() % 7 == weekday
    ]
    if len(around) == 1:
        assert (freeze.active(now) is not None) == any(
            begin <= wall < begin + timedelta(hours=hours) for begin in begins
        )


@given(at=st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1)), hours=st.integers(1, 700))
def test_a_freeze_that_holds_ends_later_and_not_before(at: datetime, hours: int) -> None:
    freeze, now = weekly("15 2 * * SUN", hours), at.replace(tzinfo=UTC)
    end = freeze.active(now)
    if end is not None:
        assert now < end
        assert freeze.active(end - SECOND) is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either by dates or by cron"),
        ({"begin": datetime(2026, 1, 1)}, "either by dates or by cron"),
        ({"cron": Cron.parse("* * * * *")}, "either by dates or by cron"),
        ({"begin": datetime(2026, 1, 2), "end": datetime(2026, 1, 1)}, "ends before it begins"),
        ({"begin": datetime(2026, 1, 1), "end": datetime(2026, 1, 1)}, "ends before it begins"),
        ({"cron": Cron.parse("* * * * *"), "length": timedelta(days=32)}, "31 days"),
        ({"cron": Cron.parse("* * * * *"), "length": timedelta(seconds=5)}, "31 days"),
        ({"zone": "Europe/Nowhere", "begin": datetime(2026, 1, 1), "end": datetime(2026, 1, 2)}, "not a time zone"),
        ({"zone": "../etc/passwd", "begin": datetime(2026, 1, 1), "end": datetime(2026, 1, 2)}, "not a time zone"),
    ],
)
def test_an_impossible_freeze_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Freeze("x", **arguments)  # type: ignore[arg-type]


# What a slim image is: no zones of the operating system, and with or without those of the package.
_SLIM = """\
import os, sys
os.environ["PYTHONTZPATH"] = ""
import zoneinfo
zoneinfo.reset_tzpath(())
if sys.argv[1] == "bare":
    sys.modules["tzdata"] = None
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.freeze import zone
try:
    print(zone("Europe/Berlin"))
except ConfigurationError as error:
    print(error.message, error.hint)
"""


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ("slim", "Europe/Berlin"),
        ("bare", "this machine has no time zones, so nobody can tell when a freeze holds install the Python package"),
    ],
)
def test_a_machine_without_zones_of_its_own_has_those_of_the_package_or_says_so(machine: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", _SLIM, machine], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(said), done.stdout
