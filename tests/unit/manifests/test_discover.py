"""Environments from layouts: what is proposed, on what evidence, how sure."""

from __future__ import annotations

import pytest

from orchestrator.core.names import RepoPath
from orchestrator.manifests.discover import Confidence, discover, rank_of


def found(*paths: str) -> dict[str, tuple[str, ...]]:
    return {one.name: one.paths for one in discover([RepoPath(path) for path in paths])}


def test_overlays_of_one_application() -> None:
    proposals = discover([RepoPath(f"overlays/{env}/kustomization.yaml") for env in ("prod", "dev", "staging")])
    assert [one.name for one in proposals] == ["dev", "staging", "prod"]
    assert proposals[0].paths == ("overlays/dev",)
    assert {one.confidence for one in proposals} == {Confidence.HIGH}
    assert "beside it: prod, staging" in proposals[0].evidence


def test_overlays_of_many_applications_become_one_pattern() -> None:
    paths = [f"apps/{app}/overlays/{env}/kustomization.yaml" for app in ("web", "api") for env in ("dev", "prod")]
    assert found(*paths) == {
        "dev": ("apps/{application}/overlays/dev",),
        "prod": ("apps/{application}/overlays/prod",),
    }


def test_an_overlay_that_is_a_variant_is_proposed_with_doubt() -> None:
    proposals = discover([RepoPath(f"overlays/{name}/kustomization.yaml") for name in ("with-ingress", "prod", "dev")])
    variant = next(one for one in proposals if one.name == "with-ingress")
    assert variant.confidence is Confidence.LOW
    assert any("may be a variant" in line for line in variant.evidence)


def test_nested_overlays_are_environments_of_their_own() -> None:
    assert found("overlays/prod/eu-1/kustomization.yaml", "overlays/prod/us-1/kustomization.yaml") == {
        "prod/eu-1": ("overlays/prod/eu-1",),
        "prod/us-1": ("overlays/prod/us-1",),
    }


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("envs/dev/app.yaml", "envs/prod/app.yaml"), {"dev": ("envs/dev",), "prod": ("envs/prod",)}),
        (("environments/qa.yaml",), {"qa": ("environments/qa.yaml",)}),
        (("clusters/prod-eu/flux.yaml", "clusters/dev/flux.yaml"), {"dev": ("clusters/dev",),
         "prod-eu": ("clusters/prod-eu",)}),
        (("apps/web/dev/d.yaml", "apps/api/dev/d.yaml"), {"dev": ("apps/{application}/dev",)}),
        (("web/prod.yaml", "api/prod.yaml"), {"prod": ("{application}/prod.yaml",)}),
        (("chart/values-dev.yaml", "chart/values-prod.yaml"),
         {"dev": ("chart/values-dev.yaml",), "prod": ("chart/values-prod.yaml",)}),
        (("charts/a/prod.values.yaml", "charts/b/prod.values.yaml"),
         {"prod": ("charts/{application}/prod.values.yaml",)}),
        (("config/staging.yaml",), {"staging": ("config/staging.yaml",)}),
        (("image-tags/prod/api", "image-tags/prod/web"), {"prod": ("image-tags/prod",)}),
        (("base/kustomization.yaml", "README.md", ".github/workflows/prod.yaml", "envs/base/x.yaml"), {}),
    ],
)  # fmt: skip
def test_the_layouts_of_real_repositories(paths: tuple[str, ...], expected: dict[str, tuple[str, ...]]) -> None:
    assert found(*paths) == expected


def test_the_contents_are_evidence_too() -> None:
    files = {
        RepoPath("api/prod.yaml"): b"replicas: 3\n",
        RepoPath("api/dev.yaml"): b"image: acme/api:1\n",
        RepoPath("chart/values-qa.yaml"): b"image: {tag: v1}\n",
    }
    evidence = {one.name: " | ".join(one.evidence) for one in discover(files)}
    assert "api/prod.yaml names no image: it inherits what its base says" in evidence["prod"]
    assert "1 image pin in them" in evidence["dev"]
    assert "only the tag stands here" in evidence["qa"]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("dev", "staging"),
        ("staging", "prod"),
        ("dev-eu", "prod-eu-1"),
        ("nonprod", "prod"),
        ("non-prod", "prod"),
        ("prod", "blue"),
    ],
)
def test_environments_come_in_the_usual_order(earlier: str, later: str) -> None:
    assert rank_of(earlier) < rank_of(later)
