"""Images that have other names in some environments: there and back."""

from __future__ import annotations

import pytest

from orchestrator.core.image import InvalidReference, Repository
from orchestrator.core.mirrors import Mirror, Originals, conflicts, local_name, registry_name

MIRRORS = (
    Mirror("ghcr.io/acme", "registry.prod.example/acme"),
    Mirror("ghcr.io/acme/shop/api", "registry.prod.example/api"),
    Mirror("docker.io", "registry.prod.example/hub"),
)
PAIRS = [
    ("ghcr.io/acme/shop/web", "registry.prod.example/acme/shop/web"),
    ("ghcr.io/acme/shop/api", "registry.prod.example/api"),
    ("ghcr.io/acme/shop/api/debug", "registry.prod.example/api/debug"),
    ("nginx", "registry.prod.example/hub/library/nginx"),
    ("ghcr.io/acmeother/api", "ghcr.io/acmeother/api"),
    ("quay.io/acme/api", "quay.io/acme/api"),
]


@pytest.mark.parametrize(("original", "local"), PAIRS)
def test_the_longest_name_that_fits_counts_and_leads_back(original: str, local: str) -> None:
    first, here = Repository.parse(original), Repository.parse(local)
    assert local_name(first, MIRRORS) == here
    originals = Originals(MIRRORS)
    assert [originals(here), originals(here), originals(first)] == [first] * 3


def test_without_mirrors_every_name_is_the_original() -> None:
    image = Repository.parse("registry.prod.example/api")
    assert Originals()(image) == local_name(image, ()) == image


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ghcr.io", "ghcr.io"),
        ("GHCR.io/acme", "ghcr.io/acme"),
        ("acme", "docker.io/acme"),
        ("r.example:5000", "r.example:5000"),
    ],
)
def test_a_registry_is_named_as_its_repositories_are(text: str, name: str) -> None:
    assert registry_name(text) == name


@pytest.mark.parametrize("text", ["", "ghcr.io/", "ghcr.io/acme:1", "ghcr.io/*", "https://ghcr.io"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        registry_name(text)


@pytest.mark.parametrize(
    ("mirrors", "said"),
    [
        ([("a.io", "m.io"), ("a.io", "n.io")], []),
        ([("a.io", "m.io"), ("b.io", "m.io")], ["m.io is a mirror of a.io and of b.io"]),
        ([("a.io", "b.io"), ("b.io", "c.io")], ["b.io is a mirror, and has mirrors itself; name the first"]),
        ([("a.io", "a.io")], ["a.io is a mirror, and has mirrors itself"]),
    ],
)
def test_a_name_leads_back_to_one_original(mirrors: list[tuple[str, str]], said: list[str]) -> None:
    found = list(conflicts([Mirror(*pair) for pair in mirrors]))
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))
