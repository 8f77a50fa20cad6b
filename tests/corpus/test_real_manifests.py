"""Real manifests with the right edit for each; run where the corpus is (``$HYBRID_CI_CORPUS`` or beside the checkout).

Where it is not, the tests say so: they are skipped by that name and not passed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import corpus

FOLDER: Path = corpus.folder()
pytestmark = pytest.mark.skipif(
    not (FOLDER / "cases.jsonl").is_file(), reason=f"NO CORPUS at {FOLDER}: set HYBRID_CI_CORPUS to run these tests"
)


@pytest.fixture(scope="module", autouse=True)
def folder() -> None:
    corpus.use(FOLDER)


def cases(name: str, scope: str | None = None) -> list[corpus.Case]:
    found = corpus.cases(name)
    assert found
    return [case for case in found if scope is None or case["scope"] == scope]


@pytest.mark.parametrize("scope", ["deploy", "opt-in", "add-tag"])
def test_every_edit_is_byte_exact(scope: str) -> None:
    outcomes = [corpus.run_case(case) for case in cases("cases.jsonl", scope)]
    assert [outcome for outcome in outcomes if outcome.state != "exact"] == []


def test_what_must_never_be_touched_is_left_alone() -> None:
    outcomes = [corpus.run_case(case) for case in cases("cases.jsonl", "never")]
    assert [outcome for outcome in outcomes if outcome.state != "untouched"] == []


def test_commits_of_people_and_bots_are_reproduced() -> None:
    outcomes = [corpus.run_history(case) for case in cases("history_cases.jsonl")]
    assert [outcome for outcome in outcomes if outcome.state != "exact"] == []


def test_what_is_found_can_be_set_back_byte_for_byte() -> None:
    assert corpus.round_trips() == []
