"""What the local forge stores comes back unchanged, and what somebody damaged is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import BranchName, CommitId, RefName
from orchestrator.forges.base import CommitStatus, PullRequestState, StatusState
from orchestrator.forges.local_records import (
    Approval,
    BrokenRecord,
    Comment,
    PullRecord,
    check_text,
    decode_pull,
    decode_status,
    encode_pull,
    encode_status,
    open_ref,
    status_ref,
)

REF = RefName("refs/hybrid-ci/pulls/7")
COMMIT = CommitId("c" * 40)
WHEN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
RECORD = PullRecord(
    number=7,
    title="Release shop",
    body="Two images.\n",
    head=BranchName("hybrid-ci/prod/shop"),
    base=BranchName("main"),
    author="hybrid-ci",
    created=WHEN,
    updated=WHEN,
    state=PullRequestState.MERGED,
    head_commit=COMMIT,
    merge_commit=COMMIT,
    ended_by="ada",
    approvals=(Approval("ada", COMMIT, WHEN),),
    comments=(Comment("ada", "fine", WHEN),),
)
_texts = st.text(st.characters())  # surrogates too: a branch name's bytes need not be UTF-8
_times = st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=5, minutes=30))))


@given(title=_texts, body=_texts, author=_texts, created=_times, draft=st.booleans(), comment=_texts)
def test_a_record_comes_back_as_it_was(
    title: str, body: str, author: str, created: datetime, draft: bool, comment: str
) -> None:
    record = PullRecord(
        7,
        title,
        body,
        BranchName("x"),
        BranchName("main"),
        author,
        created,
        created,
        draft=draft,
        comments=(Comment(author, comment, created),),
    )
    assert decode_pull(encode_pull(record), REF) == record


def test_an_ended_record_comes_back_as_it_was() -> None:
    assert decode_pull(encode_pull(RECORD), REF) == RECORD


def test_a_record_is_ascii_json_that_people_can_read_in_git() -> None:
    content = encode_pull(RECORD)
    assert content.isascii()
    assert json.loads(content)["title"] == "Release shop"
    assert b'\n "title": "Release shop",\n' in content


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("number", "7"),
        ("number", True),
        ("title", None),
        ("body", 1),
        ("head", "-x"),
        ("base", "a..b"),
        ("created", "yesterday"),
        ("updated", "2026-03-02T09:30:00"),
        ("draft", "no"),
        ("state", "reopened"),
        ("head_commit", "abc"),
        ("merge_commit", 5),
        ("approvals", {}),
        ("approvals", [{"by": "ada"}]),
        ("approvals", ["ada"]),
        ("comments", None),
        ("version", "1"),
    ],
)
def test_a_damaged_member_is_named_with_its_ref(key: str, value: Any) -> None:
    data = json.loads(encode_pull(RECORD)) | {key: value}
    with pytest.raises(BrokenRecord) as caught:
        decode_pull(json.dumps(data).encode(), REF)
    assert caught.value.where == REF.value
    assert caught.value.hint is not None
    assert REF.value in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"', b"[" * 100_000, b'{"version": 1}', b'{"x": 1' + b"0" * 5000],
    ids=lambda content: content[:12].hex(),
)
def test_what_is_no_record_at_all_is_an_error_and_no_crash(content: bytes) -> None:
    with pytest.raises(BrokenRecord):
        decode_pull(content, REF)
    with pytest.raises(BrokenRecord):
        decode_status(content, REF)


def test_a_record_of_a_newer_version_is_not_guessed_at() -> None:
    data = json.loads(encode_pull(RECORD)) | {"version": 2}
    with pytest.raises(BrokenRecord, match="format version 2"):
        decode_pull(json.dumps(data).encode(), REF)


def test_a_status_comes_back_with_its_time() -> None:
    status = CommitStatus("flux", StatusState.FAILURE, "ün", "https://flux.example", "flux", WHEN)
    back = decode_status(encode_status(COMMIT, status), REF)
    assert back == status
    assert back.created == WHEN


@pytest.mark.parametrize("title", ["", "  ", "two\nlines", "x" * 257])
def test_a_title_that_a_real_forge_refuses_is_refused(title: str) -> None:
    with pytest.raises(ConfigurationError, match="title"):
        check_text(title, "")


def test_the_longest_texts_that_a_real_forge_takes_are_taken() -> None:
    check_text("x" * 256, "y" * 65_536)
    with pytest.raises(ConfigurationError, match="65537"):
        check_text("x", "y" * 65_537)


def test_pairs_whose_names_run_together_have_refs_of_their_own() -> None:
    pairs = [("a", "b/c"), ("a/b", "c"), ("ab", "c"), ("a", "bc"), ("c", "a/b")]
    assert len({open_ref(BranchName(head), BranchName(base)) for head, base in pairs}) == len(pairs)


@given(_texts)
def test_any_context_has_a_ref_of_its_own_that_git_takes(context: str) -> None:
    ref = status_ref(COMMIT, context)
    assert ref.value.startswith(f"refs/hybrid-ci/statuses/{COMMIT}/")
    assert ref != status_ref(COMMIT, context + "x")
