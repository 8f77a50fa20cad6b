"""Changes: the branch's name, and the intent in commit trailers, there and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.change import (
    Action,
    Carried,
    Change,
    ChangePlan,
    FileEdit,
    ImageOrigin,
    Position,
    branch_for,
    encode,
)
from orchestrator.core.image import Digest, PinnedImage, Repository
from orchestrator.core.names import BranchName, CommitId, InvalidName, RepoPath
from orchestrator.core.release import RecordReference, Release, ReleasedImage, SourceCommit, Tested
from orchestrator.core.trailers import read_trailers, trailers

COMMIT = CommitId("c0ffee" + "0" * 34)
API = PinnedImage.parse("ghcr.io/acme/shop/api:1.4.2@sha256:" + "a1" * 32)
WORKER = PinnedImage.parse("ghcr.io/acme/shop/worker@sha256:" + "b2" * 32)


def change(**parts: object) -> Change:
    given_parts: dict[str, object] = {
        "action": Action.RELEASE,
        "environment": "prod/eu-1",
        "scope": "shop",
        "images": (API, WORKER),
        "release": "0123456789ab",
        "source": COMMIT,
        "position": Position("main", 42),
    }
    return Change(**(given_parts | parts))  # type: ignore[arg-type]


def message(lines: Iterable[str], subject: str = "Release shop to prod", body: str = "One line for each pin.") -> str:
    return "\n".join([subject, "", body, "", *lines, ""])


# --- encode -------------------------------------------------------------------------------------------------------

_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_near_names = st.text("aAbB-_./5f2d", min_size=1, max_size=6)


@given(_names | _near_names, _names | _near_names)
def test_two_names_never_share_an_encoding(one: str, other: str) -> None:
    assert (encode(one) == encode(other)) == (one == other)
    assert (encode(one).lower() == encode(other).lower()) == (one == other)


@given(_names | _near_names)
def test_an_encoded_name_is_one_legal_part_of_a_branch(name: str) -> None:
    encoded = encode(name)
    assert "/" not in encoded
    assert str(BranchName(f"hybrid-ci/{encoded}/x")) == f"hybrid-ci/{encoded}/x"
    assert BranchName(encoded)


@given(_names | _near_names, _names | _near_names)
def test_no_branch_stands_where_another_needs_a_folder(one: str, other: str) -> None:
    first, second = branch_for(one, "shop").value, branch_for(other, "shop").value
    assert not second.startswith(f"{first}/")


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("prod", "prod"),
        ("prod/eu-1", "prod_2feu-1"),
        ("prod_2feu-1", "prod_5f2feu-1"),
        ("Prod", "_50rod"),
        ("-x", "_2dx"),
        ("a.lock", "a_2elock"),
        ("ä", "_c3_a4"),
    ],
)
def test_a_name_is_encoded_so_for_good(name: str, encoded: str) -> None:
    """Branches of open pull requests depend on it."""
    assert encode(name) == encoded


def test_the_branch_of_a_change_names_environment_and_scope() -> None:
    assert change().branch == BranchName("hybrid-ci/prod_2feu-1/shop")


# --- trailers there and back --------------------------------------------------------------------------------------

_words = st.from_regex(r"[a-z0-9](?:[a-z0-9._-]{0,10}[a-z0-9])?", fullmatch=True).filter(str.isascii)
_environments = st.lists(_words, min_size=1, max_size=3).map("/".join)
_images = st.builds(
    lambda path, digest, tag: PinnedImage(Repository("ghcr.io", f"acme/{path}"), digest, tag),
    st.text("abc", min_size=1, max_size=4),
    st.binary(max_size=4).map(Digest.of),
    st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}", fullmatch=True).filter(str.isascii),
)


def _is_branch(text: str) -> bool:
    try:
        BranchName(text)
    except InvalidName:
        return False
    return True


_branches = st.text(max_size=12).filter(_is_branch)
_positions = st.builds(Position, _branches, st.integers(1, 10**9))
_changes = st.builds(
    Change,
    st.sampled_from([Action.RELEASE, Action.PIN, Action.PROMOTE]),
    _environments,
    _words,
    st.lists(_images, min_size=1, max_size=4).map(tuple),
    st.from_regex(r"[0-9a-f]{12}", fullmatch=True),
    st.just(COMMIT),
    st.none() | _positions,
    st.lists(st.builds(Carried, _images, st.none() | _positions), max_size=3).map(tuple),
)


@given(_changes, st.text(max_size=40).filter(lambda text: text.strip()), st.sampled_from(["", "\n", "\n\n\n"]))
def test_a_change_survives_its_trailers(intent: Change, body: str, tail: str) -> None:
    assert read_trailers(message(trailers(intent), body=body) + tail) == intent


def test_a_change_without_a_source_survives_its_trailers() -> None:
    intent = change(action=Action.PIN, source=None, position=None)
    assert read_trailers(message(trailers(intent))) == intent


def test_the_trailers_read_so_for_good() -> None:
    assert list(trailers(change())) == [
        "Hybrid-CI-Action: release",
        "Hybrid-CI-Environment: prod/eu-1",
        "Hybrid-CI-Scope: shop",
        "Hybrid-CI-Release: 0123456789ab",
        f"Hybrid-CI-Pin: {API}",
        f"Hybrid-CI-Pin: {WORKER}",
        f"Hybrid-CI-Source: {COMMIT} 42 main",
    ]


@pytest.mark.parametrize("branch", ["@acme/security", "fix/@ada%40", "100%25", "%2540"])
def test_a_branch_that_is_named_after_somebody_calls_nobody(branch: str) -> None:
    intent = change(position=Position(branch, 42))
    lines = list(trailers(intent))
    assert not any("@" in line for line in lines if line.startswith("Hybrid-CI-Source"))
    assert read_trailers(message(lines)) == intent


def test_a_forge_may_have_changed_the_line_endings() -> None:
    assert read_trailers(message(LINES).replace("\n", "\r\n")) == change()


def test_trailers_of_others_stand_beside_ours() -> None:
    lines = [*trailers(change()), "Co-authored-by: Somebody <a@example.com>", "Signed-off-by: B <b@example.com>"]
    assert read_trailers(message(lines)) == change()


# --- damage -------------------------------------------------------------------------------------------------------

LINES = list(trailers(change()))
KEYS = ["Action", "Environment", "Scope", "Release", "Pin"]


@pytest.mark.parametrize("key", KEYS)
def test_without_one_of_its_trailers_a_message_carries_no_change(key: str) -> None:
    assert read_trailers(message(line for line in LINES if not line.startswith(f"Hybrid-CI-{key}:"))) is None


@pytest.mark.parametrize("key", ["Action", "Environment", "Scope", "Release", "Source"])
def test_a_trailer_that_is_there_twice_is_ambiguous(key: str) -> None:
    other = {"Source": f"{COMMIT} 7 other", "Action": "pin"}.get(key, "other")
    assert read_trailers(message([*LINES, f"Hybrid-CI-{key}: {other}"])) is None
    assert read_trailers(message([f"Hybrid-CI-{key}: {other}", *LINES])) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Action: release", "Action: deploy"),
        ("Action: release", "Action: "),
        ("Scope: shop", "Scope: "),
        ("Environment: prod/eu-1", "Environment: "),
        ("Release: 0123456789ab", "Release: "),
        (f"Pin: {API}", "Pin: ghcr.io/acme/shop/api:1.4.2"),
        (f"Pin: {API}", f"Pin: {API}0"),
        (f"Pin: {API}", "Pin: "),
        (f"Pin: {API}", "Pin:"),
        (f"Source: {COMMIT} 42 main", "Source: c0ffee"),
        (f"Source: {COMMIT} 42 main", f"Source: {COMMIT} many main"),
        (f"Source: {COMMIT} 42 main", f"Source: {COMMIT} -42 main"),
        (f"Source: {COMMIT} 42 main", f"Source: {COMMIT} 4_2 main"),
        (f"Source: {COMMIT} 42 main", f"Source: {COMMIT} \u0664\u0662 main"),
        (f"Source: {COMMIT} 42 main", f"Source: {COMMIT} {'9' * 5000} main"),
        (f"Source: {COMMIT} 42 main", f"Source: {COMMIT} 42"),
        (f"Source: {COMMIT} 42 main", f"Source: {COMMIT} 42 a..b"),
        (f"Source: {COMMIT} 42 main", f"Source: {COMMIT}  main"),
    ],
)
def test_damaged_trailers_carry_no_change(old: str, new: str) -> None:
    whole = message(LINES)
    assert f"Hybrid-CI-{old}" in whole
    assert read_trailers(whole.replace(f"Hybrid-CI-{old}", f"Hybrid-CI-{new}")) is None


@pytest.mark.parametrize("text", ["", "\n", "\n\n", "Fix a typo", "Fix\n\nHybrid-CI-Action: release\n"])
def test_an_ordinary_message_carries_no_change(text: str) -> None:
    assert read_trailers(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ghcr.io/acme/shop/web:9",
        f"{WORKER}0",
        f"{WORKER} 7",
        f"{WORKER} many main",
        f"{WORKER} 7 a..b",
        f"{WORKER} -7 main",
    ],
)
def test_a_damaged_carried_image_damages_the_change(text: str) -> None:
    assert read_trailers(message([*LINES, f"Hybrid-CI-Carried: {WORKER} 7 main"])) is not None
    assert read_trailers(message([*LINES, f"Hybrid-CI-Carried: {text}"])) is None


def test_lookalike_trailers_before_the_last_paragraph_count_for_nothing() -> None:
    forged = list(trailers(change(environment="prod", scope="other")))
    assert read_trailers(message(["Signed-off-by: A <a@example.com>"], body="\n".join(forged))) is None
    assert read_trailers(message(LINES, subject=forged[0], body="\n".join(forged))) == change()
    assert read_trailers("\n".join(LINES)) is None  # no subject: the trailers would be the message


def test_lookalike_keys_count_for_nothing() -> None:
    lines = [*LINES, " Hybrid-CI-Environment: dev", "X-Hybrid-CI-Environment: dev", "hybrid-ci-environment: dev"]
    assert read_trailers(message(lines)) == change()


# --- nothing can be smuggled in -----------------------------------------------------------------------------------

BREAKS = ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"]


def release(branch: str | None) -> Release:
    source = SourceCommit(COMMIT, branch, (), datetime(2026, 3, 1, tzinfo=UTC), "subject", None, False, 42)
    return Release("shop", (ReleasedImage("api", API, "manifest"),), source)


@pytest.mark.parametrize("line_break", BREAKS, ids=ascii)
def test_a_branch_name_with_a_line_break_smuggles_no_trailer_in(line_break: str) -> None:
    evil = "ghcr.io/evil/api@sha256:" + "ee" * 32
    for branch in (f"main{line_break}Hybrid-CI-Pin: {evil}", f"main{line_break}{line_break}Hybrid-CI-Scope: x"):
        intent = Change.of(Action.RELEASE, "prod", release(branch))
        assert intent.position is None  # that is no branch, so it orders nothing
        text = message(trailers(intent))
        assert evil not in text
        assert read_trailers(text) == intent


@pytest.mark.parametrize("line_break", BREAKS, ids=ascii)
@pytest.mark.parametrize("part", ["environment", "scope", "release"])
def test_no_part_of_a_change_can_hold_a_line_break(part: str, line_break: str) -> None:
    with pytest.raises(InvalidName):
        list(trailers(change(**{part: f"x{line_break}Hybrid-CI-Pin: evil"})))


@pytest.mark.parametrize("text", ["", "a b", "a..b", "-x", "a\nb"])
def test_a_position_is_on_a_branch(text: str) -> None:
    with pytest.raises(InvalidName):
        Position(text, 1)


# --- order --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "theirs", "before"),
    [
        (("main", 1), ("main", 2), True),
        (("main", 2), ("main", 2), False),
        (("main", 3), ("main", 2), False),
        (("main", 1), ("hotfix", 2), False),
        (("main", 1), None, False),
    ],
)
def test_only_positions_on_one_branch_are_ordered(
    mine: tuple[str, int], theirs: tuple[str, int] | None, before: bool
) -> None:
    assert Position(*mine).before(Position(*theirs) if theirs else None) is before


OLDER_API = PinnedImage.parse("ghcr.io/acme/shop/api:1.4.1@sha256:" + "0a" * 32)
WEB = PinnedImage.parse("ghcr.io/acme/shop/web:9@sha256:" + "c3" * 32)


def test_of_each_image_the_newer_one_stays_and_the_rest_is_carried() -> None:
    waiting = change(images=(API, WORKER), position=Position("main", 42), carried=(Carried(WEB, Position("main", 7)),))
    late = change(images=(OLDER_API, WEB), position=Position("main", 41), release="late")
    merged = late.on_top_of(waiting, carry=True)
    assert merged is not None
    assert merged.images == (WEB,)  # 41 is older than 42, newer than 7
    assert set(merged.carried) == {Carried(API, Position("main", 42)), Carried(WORKER, Position("main", 42))}
    assert set(merged.pins) == {WEB, API, WORKER}
    alone = late.on_top_of(waiting, carry=False)
    assert alone is not None
    assert (alone.images, alone.carried) == ((WEB,), ())


def test_a_change_that_is_older_in_everything_adds_nothing() -> None:
    waiting = change(position=Position("main", 42))
    assert change(images=(OLDER_API,), position=Position("main", 41)).on_top_of(waiting, carry=True) is None


@pytest.mark.parametrize("position", [None, Position("hotfix", 1), Position("main", 42), Position("main", 43)])
def test_a_change_that_is_not_known_to_be_older_comes_on_top(position: Position | None) -> None:
    merged = change(images=(OLDER_API,), position=position).on_top_of(change(position=Position("main", 42)), carry=True)
    assert merged is not None
    assert merged.images == (OLDER_API,)
    assert merged.carried == (Carried(WORKER, Position("main", 42)),)


def test_coming_on_top_twice_changes_nothing_more() -> None:
    waiting = change(carried=(Carried(WEB, Position("main", 7)),))
    once = change(images=(OLDER_API,), position=None).on_top_of(waiting, carry=True)
    assert once is not None
    assert once.on_top_of(once, carry=True) == once


@pytest.mark.parametrize(("branch", "count"), [(None, 42), ("main", None), ("main", 0)])
def test_a_change_without_branch_or_count_has_no_position(branch: str | None, count: int | None) -> None:
    source = SourceCommit(COMMIT, branch, (), datetime(2026, 3, 1, tzinfo=UTC), "subject", None, False, count)
    made = Release("shop", (ReleasedImage("api", API, "manifest"),), source)
    assert Change.of(Action.RELEASE, "prod", made).position is None


def test_a_change_of_a_release_holds_what_the_release_holds() -> None:
    made = release("main")
    intent = Change.of(Action.RELEASE, "prod", made)
    assert (intent.scope, intent.images, intent.release) == ("shop", (API,), made.id)
    assert (intent.source, intent.position) == (COMMIT, Position("main", 42))


def test_a_plan_without_edits_is_empty() -> None:
    path = RepoPath("a.yaml")
    assert ChangePlan(change(), COMMIT, (), ()).empty
    assert not ChangePlan(change(), COMMIT, (FileEdit(path, b"a", b"b"),), ()).empty


# --- what was proven ------------------------------------------------------------------------------------------------

TESTED_API = Tested(API.repository, API.digest, "c1" * 32, "d2" * 32)
TESTED_WORKER = Tested(WORKER.repository, WORKER.digest, "c3" * 32, "d4" * 32)
RECORD_API = RecordReference(API.repository, Digest("sha256:" + "e5" * 32))
RECORD_WORKER = RecordReference(WORKER.repository, Digest("sha256:" + "e6" * 32))


def test_what_was_proven_travels_in_the_trailers() -> None:
    made = change(tested=(TESTED_API, TESTED_WORKER), records=(RECORD_API,))
    assert read_trailers(message(trailers(made))) == made


@pytest.mark.parametrize(
    "line",
    [
        f"Hybrid-CI-Tested: {API} {'c1' * 32} {'d2' * 32}",
        f"Hybrid-CI-Tested: {API.repository}@{API.digest} {'c1' * 32}",
        f"Hybrid-CI-Tested: {API.repository}@{API.digest} {'C1' * 32} {'d2' * 32}",
        f"Hybrid-CI-Record: {API}",
        "Hybrid-CI-Record: ghcr.io/acme/shop/api",
    ],
)
def test_a_damaged_proof_damages_the_whole_intent(line: str) -> None:
    assert read_trailers(message([*trailers(change()), line])) is None


def test_a_newer_release_keeps_what_was_proven_of_the_images_that_it_carries() -> None:
    older = change(position=Position("main", 41), tested=(TESTED_API, TESTED_WORKER), records=(RECORD_WORKER,))
    newer_api = Tested(API.repository, Digest("sha256:" + "f7" * 32), "c8" * 32, "d2" * 32)
    newer = change(images=(PinnedImage(API.repository, newer_api.digest, "1.5"),), tested=(newer_api,))
    made = newer.on_top_of(older, carry=True)
    assert made is not None
    assert made.tested == (newer_api, TESTED_WORKER)
    assert made.records == (RECORD_WORKER,)


def test_what_is_not_carried_takes_its_proof_with_it() -> None:
    older = change(position=Position("main", 41), tested=(TESTED_WORKER,), records=(RECORD_WORKER,))
    made = change(images=(API,), tested=(TESTED_API,)).on_top_of(older, carry=False)
    assert made is not None
    assert (made.tested, made.records) == ((TESTED_API,), ())


# --- promotions -----------------------------------------------------------------------------------------------------

ORIGIN = ImageOrigin(WORKER.repository, CommitId("d" * 40), Position("release/1", 7))


@pytest.mark.parametrize(
    "origin",
    [
        ORIGIN,
        ImageOrigin(WORKER.repository),
        ImageOrigin(WORKER.repository, CommitId("d" * 40)),
        ImageOrigin(WORKER.repository, None, Position("main", 7)),
    ],
)
def test_where_a_promotion_takes_its_images_from_travels_in_the_trailers(origin: ImageOrigin) -> None:
    made = change(action=Action.PROMOTE, taken_from="dev", origins=(origin,))
    assert read_trailers(message(trailers(made))) == made


@pytest.mark.parametrize(
    "line",
    [
        "Hybrid-CI-From: ",
        f"Hybrid-CI-Origin: {WORKER.repository}",
        f"Hybrid-CI-Origin: {WORKER} - 7 main",
        f"Hybrid-CI-Origin: {WORKER.repository} c0ffee 7 main",
        f"Hybrid-CI-Origin: {WORKER.repository} - 7",
        f"Hybrid-CI-Origin: {WORKER.repository} - -7 main",
    ],
)
def test_a_damaged_origin_damages_the_whole_intent(line: str) -> None:
    assert read_trailers(message([*trailers(change()), line])) is None


def test_each_image_of_a_promotion_has_its_own_place_in_the_order() -> None:
    waiting = change(images=(API, WORKER), origins=(ORIGIN,))
    behind = ImageOrigin(WORKER.repository, CommitId("e" * 40), Position("release/1", 6))
    ahead = replace(behind, position=Position("release/1", 8))
    late = change(images=(WORKER,), position=None, source=None, origins=(behind,), action=Action.PROMOTE)
    assert late.on_top_of(waiting, carry=True) is None
    newer = replace(late, origins=(ahead,)).on_top_of(waiting, carry=True)
    assert newer is not None
    assert newer.images == (WORKER,)
    assert newer.origin(WORKER.repository) == ahead


def test_an_image_that_is_carried_keeps_its_origin() -> None:
    made = change(images=(WEB,), source=None, position=None).on_top_of(change(origins=(ORIGIN,)), carry=True)
    assert made is not None
    assert made.carried == (Carried(API, Position("main", 42)), Carried(WORKER, ORIGIN.position))
    assert made.origin(API.repository) == ImageOrigin(API.repository, COMMIT, Position("main", 42))
    assert made.origin(WORKER.repository) == ORIGIN
    assert read_trailers(message(trailers(made))) == made
