"""The parts of a promotion: files by patterns, counted ports, and how a result ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.names import RefName, RepoPath
from orchestrator.core.patterns import matches
from orchestrator.forges.base import Drafting, Guarding, Reviewing
from pipelines.counting import Tally
from pipelines.promote_reading import Tree
from tests.simulation.fleet import Fleet

NAMES = st.sampled_from(["a", "b", "ab", "a-b", "prod-1", "x.yaml"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PATTERNS = st.lists(st.one_of(NAMES, st.sampled_from(["*", "**", "a*", "?"])), min_size=1, max_size=4).map("/".join)


@given(st.sets(PATHS, max_size=20), st.lists(PATTERNS, min_size=1, max_size=3))
def test_the_files_below_patterns_are_those_that_match(paths: set[str], patterns: list[str]) -> None:
    tree = Tree({RepoPath(path): path.encode() for path in paths})
    expected = {path for path in paths if any(matches(pattern, path) for pattern in patterns)}
    assert {path.value for path in tree.under(patterns)} == expected


def test_counted_ports_do_what_the_ports_do_and_are_what_they_are() -> None:
    fleet = Fleet()
    ports, tally = fleet.ports(), Tally()
    counted = tally.counted(ports)
    main = RefName("refs/heads/main")
    assert counted.repository.tips([main]) == {main: fleet.tip()}
    assert counted.repository.url == ports.repository.url
    assert counted.forge is not None
    assert counted.forge.name == "simulated"
    counted.forge.check_access()
    counted.forge.check_access()
    assert tally.counts() == {"forge": {"check_access": 2}, "git": {"tips": 1}}
    for capability in (Drafting, Reviewing, Guarding):
        assert isinstance(counted.forge, capability) == isinstance(ports.forge, capability)


def test_an_error_of_a_counted_port_is_its_own() -> None:
    fleet = Fleet()
    ports, tally = fleet.ports(), Tally()
    ports.repository.fail(1)  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="simulated remote failed"):
        tally.counted(ports).repository.tips([])
    assert tally.counts() == {"git": {"tips": 1}}
