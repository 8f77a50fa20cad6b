"""Holds and vetoes as files, as changes, and as trailers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.holds import load_holds, load_vetoes
from orchestrator.core.change import Action
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.holds import Hold, Rule, Veto, file_part
from orchestrator.core.image import Digest, Repository
from orchestrator.core.names import CommitId, InvalidName, RepoPath
from orchestrator.core.rule_change import RuleChange, plan_rule_change, title_of
from orchestrator.core.trailers import read_trailers, trailers

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
IMAGE = Repository.parse("ghcr.io/acme/shop/api")
HOLD = Hold("prod/eu-1", "incident 42", "ada", AT, AT + timedelta(days=2), IMAGE)
VETO = Veto("prod", "loses orders", "ada", AT, None, Digest("sha256:" + "ab" * 32))
BASE = CommitId("ba5e" + "0" * 36)


def files(*rules: Rule) -> dict[RepoPath, bytes]:
    return {rule.path: rule.render() for rule in rules}


def carried(change: RuleChange) -> object:
    return read_trailers("\n".join(["Hold api", "", *trailers(change), ""]))


def test_a_file_says_what_it_is_about_in_its_name() -> None:
    assert HOLD.path == RepoPath(".hybrid-ci/holds/prod_2feu-1/ghcr_2eio_2facme_2fshop_2fapi.yaml")
    assert VETO.path == RepoPath(f".hybrid-ci/vetoes/prod/sha256_3a{'ab' * 32}.yaml")


def test_a_file_is_read_as_it_was_written() -> None:
    assert load_holds(files(HOLD), "x") == (HOLD,)
    assert load_vetoes(files(VETO), "x") == (VETO,)


TEXTS = st.text(min_size=1, max_size=60)


@given(reason=TEXTS, by=TEXTS, minutes=st.integers(-600, 600))
def test_any_text_survives_the_file_and_the_trailers(reason: str, by: str, minutes: int) -> None:
    at = AT.astimezone(timezone(timedelta(minutes=minutes)))
    hold = Hold("prod", reason, by, at, None, IMAGE)
    assert load_holds(files(hold), "x") == (hold,)
    assert carried(RuleChange.about(hold)) == RuleChange.about(hold)


def test_a_name_that_is_too_long_for_a_file_is_cut_and_still_its_own() -> None:
    one, two = (Repository.parse("ghcr.io/" + "a-/" * 0 + "x.y/" * 60 + name) for name in ("one", "two"))
    paths = {Hold("prod", "x", "y", AT, None, image).path for image in (one, two)}
    assert len(paths) == 2
    assert all(len(part) < 250 for path in paths for part in path.parts)
    assert len(file_part("a" * 200)) == 200
    assert "_h" in file_part("a" * 201)
    branches = {RuleChange.about(Hold("prod", "x", "y", AT, None, image)).branch for image in (one, two)}
    assert len(branches) == 2
    assert all(len(part) < 250 for branch in branches for part in branch.value.split("/"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no mapping"),
        (b"version: 1\n", "4 problems|5 problems"),
        (HOLD.render() + b"more: 1\n", "1 problem"),
        (HOLD.render().replace(b"2026-03-01T12:00:00Z", b"2026-03-01T12:00:00"), "1 problem"),
        (HOLD.render().replace(b"2026-03-01T12:00:00Z", b"yesterday"), "1 problem"),
        (HOLD.render().replace(b"ghcr.io/acme/shop/api", b"ACME"), "1 problem"),
        (HOLD.render().replace(b"prod/eu-1", b"prod/eu-2"), "its name says another thing"),
        (HOLD.render().replace(b"shop/api", b"shop/web"), "its name says another thing"),
    ],
)
def test_a_broken_file_stops_what_it_could_have_held(content: bytes, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_holds({HOLD.path: content}, "gitops (main)")
    assert str(HOLD.path) in (caught.value.where or "")


def test_a_file_may_be_written_by_hand() -> None:
    text = b"""\
# The database is being moved.
version: 1
environment: prod/eu-1
image: ghcr.io/acme/shop/api
reason: move of the database
by: ada
at: 2026-03-01T12:00:00Z
expires: 2026-03-03T14:00:00+02:00
"""
    (hold,) = load_holds({HOLD.path: text}, "x")
    assert hold == replace(HOLD, reason="move of the database")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidName, match="no zone"):
        replace(HOLD, at=datetime(2026, 3, 1))


# --- the change ---------------------------------------------------------------------------------------------------

SET, LIFT = RuleChange.about(HOLD), RuleChange.about(HOLD, lift=True)
LATER = replace(HOLD, at=AT + timedelta(hours=1))


@pytest.mark.parametrize("lift", [False, True])
@pytest.mark.parametrize("rule", [HOLD, VETO])
def test_a_rule_change_survives_its_trailers(rule: Rule, lift: bool) -> None:
    change = RuleChange.about(rule, lift=lift)
    assert carried(change) == change
    assert change.lifts is lift
    assert change.pins == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Environment: prod/eu-1", "Environment: prod"),
        ("Scope: hold:", "Scope: veto:"),
        ("Action: hold", "Action: veto"),
        ("Rule: {", "Rule: ["),
        ("Rule: {", "Rule: " + "[" * 5000),
        ('"image"', '"digest"'),
        ('"by": "ada"', '"by": 7'),
        ("12:00:00Z", "12:00:00"),
    ],
)
def test_damaged_trailers_carry_no_rule(old: str, new: str) -> None:
    text = "\n".join(["Hold api", "", *trailers(SET), ""])
    assert old in text
    assert read_trailers(text.replace(old, new, 1)) is None


def test_two_rules_never_share_a_branch_or_a_file() -> None:
    rules = (HOLD, VETO, replace(HOLD, environment="prod"), replace(HOLD, image=Repository.parse("nginx")))
    assert len({RuleChange.about(rule).branch for rule in rules}) == len(rules)
    assert len({rule.path for rule in rules}) == len(rules)


def test_setting_and_lifting_share_a_branch_so_that_the_later_word_counts() -> None:
    assert SET.branch == LIFT.branch
    late = RuleChange.about(LATER, lift=True)
    assert late.on_top_of(SET, carry=True) is late
    assert SET.on_top_of(late, carry=True) is None
    assert SET.on_top_of(LIFT, carry=True) is SET


def test_asking_a_second_time_keeps_the_first_request() -> None:
    again = RuleChange.about(LATER)
    assert again.on_top_of(SET, carry=True) is SET
    assert again.repeats(SET)
    assert not RuleChange.about(replace(LATER, reason="another")).repeats(SET)
    assert not again.repeats(LIFT)


def test_a_plan_writes_one_file_or_removes_it() -> None:
    (edit,) = plan_rule_change(SET, BASE, None).edits
    assert (edit.path, edit.before, edit.after, edit.new, edit.removed) == (HOLD.path, b"", HOLD.render(), True, False)
    (edit,) = plan_rule_change(LIFT, BASE, b"anything").edits
    assert (edit.before, edit.after, edit.new, edit.removed) == (b"anything", b"", False, True)
    (edit,) = plan_rule_change(SET, BASE, VETO.render()).edits
    assert not edit.new


def test_nothing_is_planned_where_it_is_so_already() -> None:
    assert plan_rule_change(RuleChange.about(LATER), BASE, HOLD.render()).empty
    assert plan_rule_change(LIFT, BASE, None).empty
    assert not plan_rule_change(RuleChange.about(replace(HOLD, expires=None)), BASE, HOLD.render()).empty


def test_titles_are_for_people() -> None:
    assert title_of(SET) == "Hold api in prod/eu-1"
    assert title_of(LIFT) == "Lift the hold of api in prod/eu-1"
    assert title_of(RuleChange.about(VETO)) == "Veto sha256:abababababab in prod"
    assert SET.action is Action.HOLD
