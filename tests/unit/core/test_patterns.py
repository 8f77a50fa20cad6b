"""Path patterns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.patterns import literal_prefix, matches

YES = [
    ("a.yaml", "a.yaml"),
    ("*.yaml", "a.yaml"),
    ("*.yaml", ".yaml"),
    ("envs/*/app.yaml", "envs/dev/app.yaml"),
    ("envs/dev", "envs/dev/app.yaml"),
    ("envs/dev", "envs/dev/deep/er/app.yaml"),
    ("envs/dev/", "envs/dev/app.yaml"),
    ("/envs/dev", "envs/dev/app.yaml"),
    ("envs/dev", "envs/dev"),
    ("envs/**", "envs/dev"),
    ("envs/**", "envs/dev/app.yaml"),
    ("envs/**/app.yaml", "envs/app.yaml"),
    ("envs/**/app.yaml", "envs/dev/app.yaml"),
    ("envs/**/app.yaml", "envs/dev/eu/app.yaml"),
    ("**/app.yaml", "app.yaml"),
    ("**/app.yaml", "a/b/app.yaml"),
    ("**", "anything/at/all"),
    ("app-?.yaml", "app-1.yaml"),
    ("a+b(c)[d].yaml", "a+b(c)[d].yaml"),
    ("*", "line\nbreak"),
    ("values-*.yaml", "values-prod.yaml"),
    ("ghcr.io/acme/*", "ghcr.io/acme/api"),
    ("ghcr.io", "ghcr.io/acme/api"),
]
NO = [
    ("a.yaml", "b.yaml"),
    ("a.yaml", "aXyaml"),
    ("a.yaml", "x/a.yaml"),
    ("*.yaml", "dir/a.yaml"),
    ("envs/dev", "envs/development/app.yaml"),
    ("envs/dev", "envs/dev.yaml"),
    ("envs/dev", "old/envs/dev/app.yaml"),
    ("envs/*/app.yaml", "envs/dev/eu/app.yaml"),
    ("envs/*/app.yaml", "envs/app.yaml"),
    ("envs/**", "envs"),
    ("envs/**", "environments/app.yaml"),
    ("envs/**/app.yaml", "envs/dev/app.yml"),
    ("envs/**/app.yaml", "envs/dev/myapp.yaml"),
    ("app-?.yaml", "app-12.yaml"),
    ("app-?.yaml", "app-.yaml"),
    ("app?x", "app/x"),
    ("[ab].yaml", "a.yaml"),
    ("a|b", "a"),
    ("A.yaml", "a.yaml"),
    ("", "a"),
    ("/", "a"),
    ("ghcr.io", "ghcr.io.evil.example/acme/api"),
    ("ghcr.io/acme/*", "ghcr.io/acmes/api"),
    ("ghcr.io/acme/api", "ghcr.io/acme/api-worker"),
    ("ghcr.io/acme/api", "ghcr.io/notacme/api"),
    ("ghcr.io", "evil.example/ghcr.io/acme/api"),
]


@pytest.mark.parametrize(("pattern", "path"), YES)
def test_the_pattern_names_the_path(pattern: str, path: str) -> None:
    assert matches(pattern, path)


@pytest.mark.parametrize(("pattern", "path"), NO)
def test_the_pattern_does_not_name_the_path(pattern: str, path: str) -> None:
    assert not matches(pattern, path)


_literal = st.lists(st.text("ab.+(|^$\\-", min_size=1, max_size=4), min_size=1, max_size=3).map("/".join)


@given(_literal, _literal)
def test_a_pattern_without_wildcards_names_itself_and_what_lies_below(pattern: str, path: str) -> None:
    assert matches(pattern, path) == (path == pattern or path.startswith(f"{pattern}/"))


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        ("envs/dev/app.yaml", "envs/dev/app.yaml"),
        ("envs/*/app.yaml", "envs"),
        ("envs/dev-?/x", "envs"),
        ("envs/**", "envs"),
        ("/envs/dev/", "envs/dev"),
        ("*.yaml", ""),
        ("**", ""),
        ("", ""),
    ],
)
def test_a_walk_starts_at_the_folders_before_the_first_wildcard(pattern: str, prefix: str) -> None:
    assert literal_prefix(pattern) == prefix


@given(st.text("ab/*?", max_size=8), st.text("ab/", min_size=1, max_size=8))
def test_what_a_pattern_names_lies_below_its_prefix(pattern: str, path: str) -> None:
    path = "/".join(part for part in path.split("/") if part) or "a"
    prefix = literal_prefix(pattern)
    if prefix and matches(pattern, path):
        assert path == prefix or path.startswith(f"{prefix}/")
