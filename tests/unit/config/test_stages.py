"""Stages in hybrid-ci.yaml: what is taken, what is refused in which words, and the graph that comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.graph import Layout, graph_of, whole
from orchestrator.config.loader import parse_application
from orchestrator.core.errors import ConfigurationError

HEAD = """\
version: 1
application: shop
gitops: {repository: "https://git.example/acme/gitops", environment: dev}
images:
  base: {repository: ghcr.io/acme/base}
  api: {repository: ghcr.io/acme/api, needs: [base]}
"""


def load(text: str):  # type: ignore[no-untyped-def]
    return parse_application((HEAD + text).encode(), Path("hybrid-ci.yaml")).config


def needs(text: str, *, only: str | None = None) -> dict[str, tuple[str, ...]]:
    layout = whole(load(text))
    if only is not None:
        layout = Layout(layout.config, (only,), (only,), {})
    graph = graph_of(layout)
    return {node.name: graph.drawn_needs(node.name) for node in graph.order}


def test_without_stages_of_its_own_a_release_is_the_built_in_ones() -> None:
    assert needs("") == {
        "preflight": (),
        "build base": ("preflight",),
        "build api": ("build base",),
        "test base": ("build base",),
        "test api": ("build api",),
        "all tests passed": ("test base", "test api"),
        "push base": ("all tests passed",),
        "push api": ("all tests passed",),
        "hand off": ("push base", "push api"),
    }


@pytest.mark.parametrize(
    ("stage", "before_it", "after_it"),
    [
        ("{run: x}", ("preflight",), "all tests passed"),
        ("{run: x, image: api}", ("build api",), "all tests passed"),
        ("{run: x, needs: [test]}", ("test base", "test api"), "all tests passed"),
        ("{run: x, needs: test api}", ("test api",), "all tests passed"),
        ("{run: x, needs: [tested]}", ("all tests passed",), "hand off"),
        ("{run: x, needs: push}", ("push base", "push api"), "hand off"),
        ("{run: x, needs: [push base]}", ("push base",), "hand off"),
        ("{run: x, needs: handoff}", ("hand off",), None),
        ("{run: x, before: build}", ("preflight",), "build base"),
        ("{run: x, before: [build api]}", ("preflight",), "build api"),
        ("{run: x, before: handoff}", ("preflight",), "hand off"),
        ("{run: x, before: push}", ("preflight",), "all tests passed"),
    ],
)
def test_a_stage_stands_where_it_belongs(stage: str, before_it: tuple[str, ...], after_it: str | None) -> None:
    if "needs: [tested]" in stage:
        stage = stage.replace("}", ", before: handoff}")
    graph = needs(f"stages:\n  check: {stage}\n")
    assert graph["check"] == before_it
    assert [name for name, listed in graph.items() if "check" in listed] == ([after_it] if after_it else [])


def test_stages_need_each_other_by_name_and_a_matrix_as_a_whole() -> None:
    graph = needs("stages:\n  a: {run: x, matrix: {v: [1, true]}}\n  b: {run: x, needs: a}\n")
    assert graph["b"] == ("a (1)", "a (true)")
    assert graph["all tests passed"] == ("test base", "test api", "b")


def test_a_stage_in_an_image_that_is_not_built_is_left_out() -> None:
    graph = needs("stages:\n  a: {run: x, image: api}\n  b: {run: x, needs: [a, test]}\n", only="base")
    assert "a" not in graph
    assert graph["b"] == ("test base",)


def test_a_service_from_this_application_is_built_first() -> None:
    graph = needs("stages:\n  a: {run: x, image: base, services: {db: {image: api}}}\n")
    assert graph["a"] == ("build api",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages:\n  a: {run: x, image: apii}\n", "there is no image 'apii'; did you mean 'api'?"),
        ("stages:\n  a: {run: x, needs: [biuld]}\n", "there is no stage 'biuld'; did you mean 'build'?"),
        ("stages:\n  a: {run: x, before: nothing}\n", "there is no stage 'nothing'"),
        ("stages:\n  a: {run: x, needs: build web}\n", "there is no stage 'build web'"),
        ("stages:\n  a: {run: x, needs: b}\n  b: {run: x, needs: a}\n", "wait for each other"),
        ("stages:\n  a: {run: x, needs: push, before: build}\n", "wait for each other"),
        ("stages:\n  build: {run: x}\n", "'build' is the name of a built-in stage"),
        ("stages:\n  a: {needs: build}\n", "give 'run' (a command)"),
        ("stages:\n  a: {run: x, services: {db: {image: x}}}\n", "'services' need a stage that runs in an image"),
        ("stages:\n  a: {run: x, secrets: [HYBRID_CI_GIT_TOKEN]}\n", "own settings and credentials"),
        ("stages:\n  a: {run: x, secrets: ['A-B']}\n", "letters, digits and '_'"),
        ("stages:\n  a: {run: x, when: {if: 'branch = 1'}}\n", "'=' at column 8 is not understood"),
        ("stages:\n  a: {run: x, when: {unless: x}}\n", "unless"),
        ("stages:\n  a: {run: x, timeout: soon}\n", "write a duration as 30s, 5m or 1h"),
        ("stages:\n  a: {run: x, directory: ../up}\n", "write a relative path"),
        ("stages:\n  a: {run: x, matrix: {a: [1,2,3,4,5,6,7,8,9], b: [1,2,3,4,5,6,7,8,9]}}\n", "more than 64 stages"),
        ("stages:\n  a: {run: x, matrix: {a: []}}\n", "matrix"),
        (
            "stages:\n  a: {run: x, image: api, services: {db: {image: base, ready: {tcp: 1, command: x}}}}\n",
            "exactly one",
        ),
        ("stages:\n  a: {run: x, image: api, services: {db: {image: 'A b'}}}\n", "name one of the images above"),
        ("jobs: 0\n", "jobs"),
    ],
)
def test_a_mistake_is_refused_with_its_reason(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    assert message in "\n".join([caught.value.message, *caught.value.details])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("needs: [web]", "there is no image 'web'"),
        ("needs: [extra]", "can't be built upon itself"),
        ("needs: [{image: base}]", "argument"),
        ("needs: [{image: base, argument: 'A B'}]", "argument"),
    ],
)
def test_a_base_that_can_not_be_is_refused(image: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(f"  extra: {{repository: ghcr.io/acme/extra, {image}}}\n")
    assert message in "\n".join([caught.value.message, *caught.value.details])
