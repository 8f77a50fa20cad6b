"""Tags from a template: each field at its boundary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import parse_tag
from orchestrator.core.names import CommitId
from orchestrator.core.release import SourceCommit
from orchestrator.core.tags import render_tag

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def source(
    branch: str | None = "main", tags: tuple[str, ...] = (), authored: datetime | None = None, commit: str = COMMIT
) -> SourceCommit:
    when = authored or datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    return SourceCommit(CommitId(commit), branch, tags, when, "subject", None, False)


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("{sha}", "0123456789ab"),
        ("{commit}", COMMIT),
        ("{branch}", "main"),
        ("{date}", "20260301"),
        ("{version}", "1.2.3"),
        ("v{version}-{sha}", "v1.2.3-0123456789ab"),
        ("{date}-{branch}-{sha}", "20260301-main-0123456789ab"),
        ("latest", "latest"),
        ("{sha}{sha}", "0123456789ab0123456789ab"),
    ],
)
def test_a_template_is_filled_from_the_commit(template: str, tag: str) -> None:
    assert render_tag(template, source(tags=("v1.2.3",))) == tag


def test_a_commit_of_sha256_fills_the_same_fields() -> None:
    assert render_tag("{sha}", source(commit="ab" * 32)) == "abababababab"
    assert render_tag("{commit}", source(commit="ab" * 32)) == "ab" * 32


# --- version ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "version"),
    [
        (("v1.2.3",), "1.2.3"),
        (("1.2.3",), "1.2.3"),
        (("v1.2.3", "1.2.3"), "1.2.3"),
        (("v1",), "1"),
        (("v1.2.3-rc.1",), "1.2.3-rc.1"),
        (("2024.10.1",), "2024.10.1"),
        (("nightly", "v1.2.3", "deployed"), "1.2.3"),
    ],
)
def test_the_version_is_that_of_the_commits_version_tag(tags: tuple[str, ...], version: str) -> None:
    assert render_tag("{version}", source(tags=tags)) == version


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ((), "it has none"),
        (("nightly",), "it has none"),
        (("version1",), "it has none"),
        (("v1.2.3+build",), "it has none"),  # '+' can't stand in an image tag
        (("v\u0661",), "it has none"),  # digits of another script
        (("v1.2.3", "v1.2.4"), "it has 1.2.3, 1.2.4"),
    ],
)
def test_without_exactly_one_version_tag_there_is_no_version(tags: tuple[str, ...], found: str) -> None:
    with pytest.raises(ConfigurationError, match="exactly one version tag") as caught:
        render_tag("{version}", source(tags=tags))
    assert found in caught.value.message
    assert caught.value.where == "tag template '{version}', commit 0123456"
    assert "git tag v1.2.3" in (caught.value.hint or "")


# --- branch -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("branch", "part"),
    [
        ("main", "main"),
        ("feature/login", "feature-login"),
        ("feature//x@y", "feature-x-y"),
        (".hidden", "hidden"),
        ("-x-", "x"),
        ("_x_", "_x_"),
        ("ümlaut", "mlaut"),
        ("日本", "branch"),
    ],
)
def test_a_branch_becomes_part_of_a_tag(branch: str, part: str) -> None:
    assert render_tag("{branch}", source(branch)) == part


def test_a_detached_checkout_has_no_branch() -> None:
    with pytest.raises(ConfigurationError, match="the checkout is detached") as caught:
        render_tag("{branch}-{sha}", source(None))
    assert caught.value.where == "tag template '{branch}-{sha}', commit 0123456"


@pytest.mark.parametrize("length", [114, 115, 116, 500])
def test_a_long_branch_leaves_room_for_the_rest_of_the_tag(length: int) -> None:
    """Cut off at the end, two commits of one branch would share a tag."""
    tag = render_tag("{branch}-{sha}", source("b" * length))
    assert tag == f"{'b' * min(length, 115)}-0123456789ab"
    assert len(tag) <= 128


def test_a_branch_that_is_cut_at_a_separator_still_makes_a_tag() -> None:
    assert parse_tag(render_tag("{branch}.{sha}", source("b" * 114 + "/rest")))


# --- date ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authored", "date"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "20261231"),
        (datetime(2027, 1, 1, 0, 0, tzinfo=UTC), "20270101"),
        (datetime(2027, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "20261231"),
        (datetime(2026, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=-1))), "20270101"),
    ],
)
def test_the_date_is_that_of_the_commit_in_utc(authored: datetime, date: str) -> None:
    assert render_tag("{date}", source(authored=authored)) == date


# --- what makes no tag --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template", ["{nope}", "{Sha}", "{ sha }", "{sha", "{}", "-{sha}", ".{sha}", "a b", "{sha}/x", ""]
)
def test_a_template_that_makes_no_tag_is_refused_with_its_place(template: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        render_tag(template, source())
    assert caught.value.where == f"tag template {template!r}"


@pytest.mark.parametrize("length", [127, 128, 129, 200])
def test_text_of_the_template_is_never_cut(length: int) -> None:
    template = "x" * length
    if length <= 128:
        assert render_tag(template, source()) == template
        return
    with pytest.raises(ConfigurationError):
        render_tag(template, source())


@given(
    st.text(min_size=1, max_size=200),
    st.sampled_from(["{branch}", "{branch}-{sha}", "{branch}.{branch}", "r-{branch}"]),
)
def test_any_branch_gives_the_same_legal_tag_twice(branch: str, template: str) -> None:
    tag = render_tag(template, source(branch))
    assert parse_tag(tag) == render_tag(template, source(branch))
