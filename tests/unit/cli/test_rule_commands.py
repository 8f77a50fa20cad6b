"""What ``hold`` and ``veto`` take, and how they print what they found."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.cli.app import OutputFormat
from orchestrator.cli.rules import one_line, parse_expiry, print_rules
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.holds import Hold
from orchestrator.core.image import Repository
from orchestrator.git.person import who_asks
from pipelines.rules import ListedRule
from tests.unit.cli.conftest import Cli

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HOLD = Hold("prod", "incident \x1b[2J42", "ada", NOW, NOW + timedelta(days=2), Repository.parse("ghcr.io/acme/api"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("30m", "2026-03-02T10:00"),
        ("12h", "2026-03-02T21:30"),
        ("2d", "2026-03-04T09:30"),
        ("1w", "2026-03-09T09:30"),
        ("2026-03-02", "2026-03-03T00:00"),
        ("2026-03-02T18:00+02:00", "2026-03-02T16:00"),
        ("2026-03-02T18:00Z", "2026-03-02T18:00"),
    ],
)
def test_an_expiry_is_a_length_a_day_or_a_moment(text: str | None, expected: str | None) -> None:
    assert parse_expiry(text, NOW) == (datetime.fromisoformat(expected).replace(tzinfo=UTC) if expected else None)


@pytest.mark.parametrize("text", ["", "2", "0d", "-1d", "2 days", "2026-03-01", "2026-03-02T18:00", "09:30", "99999d"])
def test_another_expiry_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_expiry(text, NOW)
    assert "--expires" in (caught.value.where or "")
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "  ", "\n", "x" * 501])
def test_a_reason_is_needed(text: str) -> None:
    with pytest.raises(ConfigurationError, match="a reason is needed"):
        one_line(text)


def test_a_reason_stays_on_one_line_and_acts_on_no_terminal() -> None:
    assert one_line(" two\nlines\x1b[31m\u202e ") == "two lines"


def test_the_list_is_a_table_or_data(capsys: pytest.CaptureFixture[str]) -> None:
    rules = [ListedRule(HOLD, True), ListedRule(HOLD, False)]
    print_rules(rules, "hold", OutputFormat.TABLE)
    table = capsys.readouterr().out
    assert "\x1b" not in table
    assert "2026-03-04 09:30:00 UTC" in table
    assert "expired" in table
    print_rules(rules, "hold", OutputFormat.JSON)
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == "hybrid-ci.rules/v1"
    assert [one["active"] for one in data["holds"]] == [True, False]
    assert data["holds"][0]["image"] == "ghcr.io/acme/api"
    print_rules([], "veto", OutputFormat.TABLE)
    assert capsys.readouterr().out == "no vetoes\n"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("hold", "set", "api", "--env", "prod"), "--reason"),
        (("hold", "set", "api", "--reason", "x"), "--env"),
        (("veto", "set", "v1.2.3", "--env", "prod", "--reason", "x"), "is not a digest"),
    ],
)
def test_what_is_missing_or_wrong_is_named(words: tuple[str, ...], named: str, cli: Cli) -> None:
    ended = cli(*words)
    assert ended.code == 2
    assert named in ended.err


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HYBRID_CI_ACTOR": "eve", "GITHUB_ACTOR": "ada"}, "eve"),
        ({"GITHUB_ACTOR": "ada", "USER": "runner"}, "ada"),
        ({"GITLAB_USER_LOGIN": "bob"}, "bob"),
        ({"GITHUB_ACTOR": "a\x1b[2J\nb"}, "a b"),
    ],
)
def test_the_ci_says_who_asks(environment: dict[str, str], expected: str, tmp_path: Path) -> None:
    assert who_asks(environment, tmp_path) == expected


def test_git_says_who_asks_and_then_the_account(tmp_path: Path) -> None:
    around = {"HOME": str(tmp_path), "USER": "account"}
    assert who_asks(around, tmp_path) == "account"
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Ada Lovelace\n\temail = ada@acme.example\n")
    assert who_asks(around, tmp_path) == "Ada Lovelace"
    assert who_asks({}, tmp_path) == "somebody"
