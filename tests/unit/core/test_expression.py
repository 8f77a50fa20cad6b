"""The language of conditions: what it says, where it refuses, and that nothing makes it fall over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.expression import ExpressionError, Facts, parse

FACTS = Facts(
    branch="release/1.x",
    tags=("v1.2.3", "latest"),
    event="push",
    environment={"STAGE": "blue", "EMPTY": ""},
    changed=frozenset({"api/main.py", "docs/index.md"}),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("false", False),
        ("!false", True),
        ("not not true", True),
        ('branch == "release/1.x"', True),
        ("branch == 'main'", False),
        ("branch != 'main'", True),
        ("branch", True),
        ("env.NOWHERE", False),
        ("env.EMPTY == env.NOWHERE", True),
        ('env.STAGE == "blue" && event == "push"', True),
        ("false || true && false", False),
        ("(false || true) and not false", True),
        ("true or false and false", True),
        ("tag == 'v1.2.3'", True),
        ("matches(branch, 'release/*')", True),
        ("matches(tag, 'v[0-9]*')", True),
        ("matches(branch, 'rel')", False),
        ("startsWith(branch, 'release/')", True),
        ("contains(branch, '1.x')", True),
        ("contains('1.x', branch)", False),
        ("changed('api')", True),
        ("changed('api/**')", True),
        ("changed('web', 'docs/*.md')", True),
        ("changed('web')", False),
        (r"'it\'s' == 'it\'s'", True),
        ("true == true", True),
        ("branch == true", False),
    ],
)
def test_it_means(text: str, expected: bool) -> None:
    assert parse(text).holds(FACTS) is expected


def test_what_nobody_can_tell_counts_as_changed_and_what_is_not_known_as_empty() -> None:
    assert parse("changed('anything')").holds(Facts())
    assert not parse("branch || tag || event").holds(Facts())


def test_it_says_whether_it_asks_for_changes() -> None:
    assert parse("branch == 'x' || changed('a')").asks_for_changes
    assert not parse("branch == 'changed(a)'").asks_for_changes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a value at column 1, found the end"),
        ("branch ==", "expected a value at column 10, found the end"),
        ("branch = 'x'", "'=' at column 8 is not understood"),
        ("branch == 'x", '"\'" at column 11 is not understood'),
        ("branches == 'x'", "'branches' at column 1 is not known"),
        ("branch 'x'", "expected the end at column 8, found 'x'"),
        ("(branch", "expected ')' at column 8, found the end"),
        ("changed()", "expected a quoted glob at column 9, found ')'"),
        ("changed(branch)", "expected a quoted glob at column 9"),
        ("matches(branch)", "expected ',' at column 15"),
        ("exec('x')", "'exec' at column 1 is not known"),
        ("branch.upper == 'X'", "'.' at column 7 is not understood"),
        ("env == 'x'", "'env' at column 1 is not known"),
        ("a" * 3000, "at most 2000 characters"),
        ("(" * 50 + "true" + ")" * 50, "nested deeper than 40"),
        ("!" * 50 + "true", "nested deeper than 40"),
    ],
)
def test_a_mistake_is_named_with_its_column(text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert message in caught.value.message


_WORDS = ["branch", "tag", "env.A", "true", "'x'", '"y*"', "==", "!=", "&&", "||", "!", "(", ")", ",", "changed",
          "matches", "not", "and", "é", "\\", "'", " ", "0"]  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(_WORDS), max_size=25).map(" ".join)))
def test_any_text_is_an_expression_or_one_clear_error(text: str) -> None:
    try:
        expression = parse(text)
    except ConfigurationError as error:
        assert error.message
    else:
        assert expression.holds(FACTS) in (True, False)
