"""The graph as data: order, what leads where, and what a picture shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.stages import Graph, Kind, Node


def graph(**needs: str) -> Graph:
    return Graph(tuple(Node(name, Kind.CUSTOM, tuple(text.split())) for name, text in needs.items()))


DIAMOND = graph(a="", b="a", c="a", d="b c a")


def test_every_stage_comes_after_its_needs_and_otherwise_as_declared() -> None:
    assert [node.name for node in graph(d="b c", c="a", b="a", a="").order] == ["a", "c", "b", "d"]


def test_what_comes_before_and_after() -> None:
    assert DIAMOND.ancestors("d") == {"a", "b", "c"}
    assert DIAMOND.descendants("a") == {"b", "c", "d"}
    assert DIAMOND.ancestors("a") == frozenset()


def test_a_picture_leaves_out_what_another_need_implies() -> None:
    assert DIAMOND.drawn_needs("d") == ("b", "c")


def test_a_skipped_stage_stays_in_the_graph() -> None:
    left = DIAMOND.skipping({"b": "not today"})
    assert (left["b"].skip, left["b"].runs, left["c"].runs) == ("not today", False, True)
    assert [node.name for node in left.order] == [node.name for node in DIAMOND.order]


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"a": "b"}, "needs 'b', and there is no such stage"),
        ({"a": "a"}, "wait for each other: a → a"),
        ({"a": "c", "b": "a", "c": "b", "d": ""}, "wait for each other"),
    ],
)
def test_a_graph_that_can_not_be_run_is_refused(needs: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        graph(**needs)


def test_two_stages_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two stages 'a'"):
        Graph((Node("a", Kind.BUILD), Node("a", Kind.TEST)))


@given(st.lists(st.sets(st.integers(0, 9), max_size=4), min_size=1, max_size=10))
def test_the_needs_of_a_picture_imply_all_of_them(needs: list[set[int]]) -> None:
    nodes = tuple(
        Node(f"s{number}", Kind.CUSTOM, tuple(f"s{need}" for need in wanted if need < number))
        for number, wanted in enumerate(needs)
    )
    whole = Graph(nodes)
    drawn = Graph(tuple(Node(node.name, node.kind, whole.drawn_needs(node.name)) for node in nodes))
    for node in nodes:
        assert drawn.ancestors(node.name) == whole.ancestors(node.name)
