"""Which of two images is newer: by ancestry, by sequence, by version, or not at all."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.change import Position
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import ImageReference
from orchestrator.core.names import CommitId
from orchestrator.core.order import Ancestry, Direction, OrderRule, Origin, Placed, Version, direction

OLD, NEW = CommitId("a" * 40), CommitId("b" * 40)


def placed(tag: str, fill: str, source: CommitId | None = None, position: Position | None = None) -> Placed:
    image = ImageReference.parse(f"ghcr.io/acme/shop/api:{tag}@sha256:{fill * 64}")
    return Placed(image, Origin(source, position))


def test_the_first_image_moves_forward_by_every_rule() -> None:
    for rule in OrderRule:
        assert direction(rule, None, placed("1", "b")).direction is Direction.FORWARD


def test_the_same_digest_stays_by_every_rule() -> None:
    for rule in OrderRule:
        assert direction(rule, placed("2", "b"), placed("1", "b")).direction is Direction.SAME


@pytest.mark.parametrize(
    ("ancestry", "expected"),
    [
        (Ancestry.DESCENDANT, Direction.FORWARD),
        (Ancestry.SAME, Direction.FORWARD),
        (Ancestry.ANCESTOR, Direction.BACKWARD),
        (Ancestry.DIVERGED, Direction.BACKWARD),
        (Ancestry.UNKNOWN, Direction.UNKNOWN),
    ],
)
def test_ancestry_moves_forward_to_a_descendant_only(ancestry: Ancestry, expected: Direction) -> None:
    found = direction(OrderRule.ANCESTRY, placed("1", "a", OLD), placed("2", "b", NEW), ancestry)
    assert found.direction is expected
    assert found.evidence == (f"runs: {OLD}", f"proposed: {NEW}")


def test_two_images_of_one_commit_need_nobody_to_compare_it() -> None:
    found = direction(OrderRule.ANCESTRY, placed("1", "a", OLD), placed("1", "b", OLD), Ancestry.UNKNOWN)
    assert found.direction is Direction.FORWARD


@pytest.mark.parametrize(("runs", "comes"), [(None, NEW), (OLD, None)])
def test_ancestry_without_both_commits_is_not_known(runs: CommitId | None, comes: CommitId | None) -> None:
    found = direction(OrderRule.ANCESTRY, placed("1", "a", runs), placed("2", "b", comes), Ancestry.DESCENDANT)
    assert found.direction is Direction.UNKNOWN


@pytest.mark.parametrize(
    ("runs", "comes", "expected"),
    [
        (Position("main", 7), Position("main", 8), Direction.FORWARD),
        (Position("main", 7), Position("main", 7), Direction.FORWARD),
        (Position("main", 7), Position("main", 6), Direction.BACKWARD),
        (Position("main", 7), Position("hotfix", 9), Direction.UNKNOWN),
        (None, Position("main", 8), Direction.UNKNOWN),
        (Position("main", 7), None, Direction.UNKNOWN),
    ],
)
def test_sequence_compares_places_on_one_branch(
    runs: Position | None, comes: Position | None, expected: Direction
) -> None:
    found = direction(OrderRule.SEQUENCE, placed("1", "a", None, runs), placed("2", "b", None, comes))
    assert found.direction is expected


def test_a_sequence_is_called_the_claim_that_it_is() -> None:
    found = direction(
        OrderRule.SEQUENCE,
        placed("1", "a", None, Position("main", 7)),
        placed("2", "b", None, Position("main", 8)),
    )
    assert any("claim" in line for line in found.evidence)


@pytest.mark.parametrize(
    ("runs", "comes", "expected"),
    [
        ("1.2.3", "1.2.4", Direction.FORWARD),
        ("v1.9.0", "1.10.0", Direction.FORWARD),
        ("1.2.3-rc.1", "1.2.3", Direction.FORWARD),
        ("1.2.3", "1.2.3-rc.1", Direction.BACKWARD),
        ("2.0.0", "1.99.99", Direction.BACKWARD),
        ("1.2.3", "1.2.3", Direction.UNKNOWN),
        ("latest", "1.2.3", Direction.UNKNOWN),
        ("1.2.3", "main-abc", Direction.UNKNOWN),
    ],
)
def test_semver_compares_tags(runs: str, comes: str, expected: Direction) -> None:
    assert direction(OrderRule.SEMVER, placed(runs, "a"), placed(comes, "b")).direction is expected


def test_without_a_rule_everything_moves_forward() -> None:
    assert direction(OrderRule.NONE, placed("2.0.0", "a"), placed("1.0.0", "b")).direction is Direction.FORWARD


# --- versions -----------------------------------------------------------------------------------------------------

# https://semver.org/spec/v2.0.0.html, item 11, and the numbers around it.
ASCENDING = [
    "0.0.0", "0.0.1", "0.9.0", "0.10.0",
    "1.0.0-0", "1.0.0-1", "1.0.0-10", "1.0.0--", "1.0.0-1a", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
    "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1",
]  # fmt: skip


def test_versions_are_ordered_as_the_specification_orders_them() -> None:
    versions = [Version.parse(text) for text in ASCENDING]
    for (low, lower), (high, higher) in itertools.combinations(enumerate(versions), 2):
        assert lower < higher, (ASCENDING[low], ASCENDING[high])
        assert not higher < lower
        assert lower != higher


def test_build_metadata_makes_no_other_version() -> None:
    assert Version.parse("1.0.0+a") == Version.parse("1.0.0+b.2") == Version.parse("v1.0.0")
    assert len({Version.parse("1.0.0+a"), Version.parse("1.0.0")}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "01.2.3",
        "1.02.3",
        "1.2.03",
        "1.2.3-",
        "1.2.3-01",
        "1.2.3-a..b",
        "1.2.3+",
        "-1.2.3",
        "1.2.3-é",
        "1.2.3 ",
        "V1.2.3",
        "1.2.3\n",
        "1.2.3-a_b",
        "\u0661.2.3",
        "1." + "9" * 300 + ".0",
    ],
)
def test_what_is_no_version_is_refused(text: str) -> None:
    assert Version.find(text) is None
    with pytest.raises(ConfigurationError, match="not a semantic version"):
        Version.parse(text)


NUMBERS = st.integers(0, 10**12)
IDENTIFIERS = st.from_regex(r"\A(?:0|[1-9][0-9]{0,6}|[0-9]{0,3}[A-Za-z-][0-9A-Za-z-]{0,5})\Z")
VERSIONS = st.builds(
    lambda numbers, pre: ".".join(map(str, numbers)) + ("-" + ".".join(pre) if pre else ""),
    st.tuples(NUMBERS, NUMBERS, NUMBERS),
    st.lists(IDENTIFIERS, max_size=3),
)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_precedence_is_an_order(one: str, two: str, three: str) -> None:
    a, b, c = map(Version.parse, (one, two, three))
    assert (a < b) + (b < a) + (a == b) == 1
    assert (one == two) == (a == b)
    if a < b and b < c:
        assert a < c


@given(VERSIONS)
def test_a_pre_release_comes_before_its_release_and_after_the_one_before(text: str) -> None:
    version = Version.parse(text)
    release = Version(version.numbers)
    assert version == release or version < release
    major, minor, patch = version.numbers
    assert version < Version((major, minor, patch + 1))
