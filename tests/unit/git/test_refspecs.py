"""The refspecs that ask for a ref that may not be there."""

from __future__ import annotations

import pytest

from orchestrator.core.names import RefName
from orchestrator.git.refspecs import if_there


def _taken(refspecs: list[str], names: list[str]) -> list[str]:
    """What git-fetch(1) takes: what the pattern matches, without what a negative one does."""
    wanted, *others = [line.lstrip("+^").partition(":")[0].removesuffix("*") for line in refspecs]
    return [name for name in names if name.startswith(wanted) and not name.startswith(tuple(others))]


@pytest.mark.parametrize("follows", ["1", "-worker", "/below", ".x", "_x", "Z", "@x", "%2F", "+"])
def test_a_ref_whose_name_only_begins_like_it_is_not_taken(follows: str) -> None:
    ref = RefName("refs/heads/hybrid-ci/prod/api")
    assert _taken(if_there(ref, "refs/x"), [ref.value, ref.value + follows]) == [ref.value]


def test_no_refspec_is_one_that_git_refuses() -> None:
    """``@{`` must not stand in a ref's name (git-check-ref-format(1))."""
    assert not [line for line in if_there(RefName("refs/heads/a@"), "refs/x") if "@{" in line]
