"""What the commands that only look take, and how they tell moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.cli.drift import KindName
from orchestrator.cli.history import parse_since
from orchestrator.cli.looking import age, sentence
from orchestrator.core.change import encode
from orchestrator.core.errors import ConfigurationError
from pipelines.drift_finding import WHY, Kind
from pipelines.looking_forge import decode

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def test_the_kinds_of_the_command_line_are_those_of_the_pipeline() -> None:
    assert [one.value for one in KindName] == [one.value for one in Kind]
    assert set(WHY) == set(Kind)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86_399, "23h"), (86_400, "1d")],
)
def test_an_age_is_told_in_its_largest_unit(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T18:00Z", datetime(2026, 3, 1, 18, tzinfo=UTC)),
        ("2026-03-01T18:00+02:00", datetime(2026, 3, 1, 16, tzinfo=UTC)),
    ],
)
def test_since_takes_a_day_or_a_moment(text: str | None, expected: datetime | None) -> None:
    assert parse_since(text) == expected


@pytest.mark.parametrize("text", ["yesterday", "2026-03-01T18:00", "2026-13-01", ""])
def test_since_without_a_zone_or_sense_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_since(text)


@pytest.mark.parametrize("name", ["prod", "prod/eu-1", "Prod_1", "-x", "ü", "hold:ghcr.io/acme/api"])
def test_a_name_is_read_back_from_its_branch(name: str) -> None:
    assert decode(encode(name)) == name


def test_a_part_that_nobody_encoded_breaks_nothing() -> None:
    assert decode("a_ff") == "a\ufffd"
    assert decode("a_zz_") == "a_zz_"


def test_a_sentence_begins_with_a_capital_and_keeps_its_names() -> None:
    assert sentence("hybrid-ci moves EU") == "Hybrid-ci moves EU"
