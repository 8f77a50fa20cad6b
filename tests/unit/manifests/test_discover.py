"""Environments from layouts: what is proposed, on what evidence, how sure."""

from __future__ import annotations

import pytest

from orchestrator.core.environment import Environment
from orchestrator.core.names import RepoPath
from orchestrator.core.patterns import matches
from orchestrator.manifests.discover import (
    Confidence,
    Proposal,
    discover,
    environments,
    path_patterns,
    rank_of,
)

HIGH, MEDIUM, LOW = Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW


def proposed(*paths: str) -> dict[str, Proposal]:
    return {one.name: one for one in discover([RepoPath(path) for path in paths])}


def found(*paths: str) -> dict[str, tuple[str, ...]]:
    return {name: one.paths for name, one in proposed(*paths).items()}


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


LAYOUTS = {
    "overlays": (
        ["apps/shop/overlays/{env}/kustomization.yaml"],
        {"dev": ("apps/shop/overlays/dev", HIGH), "prod": ("apps/shop/overlays/prod", HIGH)},
    ),
    "envs": (["envs/{env}/app.yaml"], {"dev": ("envs/dev", HIGH), "prod": ("envs/prod", HIGH)}),
    "env": (["env/{env}/app.yaml"], {"dev": ("env/dev", HIGH), "prod": ("env/prod", HIGH)}),
    "stages": (["stages/{env}/app.yaml"], {"dev": ("stages/dev", HIGH), "prod": ("stages/prod", HIGH)}),
    "environments, files": (
        ["environments/{env}.yaml"],
        {"dev": ("environments/dev.yaml", HIGH), "prod": ("environments/prod.yaml", HIGH)},
    ),
    "clusters": (["clusters/{env}/flux.yaml"], {"dev": ("clusters/dev", HIGH), "prod": ("clusters/prod", HIGH)}),
    "apps/<app>/<env>": (
        ["apps/web/{env}/d.yaml", "apps/api/{env}/d.yaml"],
        {"dev": ("apps/{application}/dev", HIGH), "prod": ("apps/{application}/prod", HIGH)},
    ),
    "<app>/<env>.yaml": (
        ["web/{env}.yaml", "api/{env}.yaml"],
        {"dev": ("{application}/dev.yaml", HIGH), "prod": ("{application}/prod.yaml", HIGH)},
    ),
    "values-<env>.yaml": (
        ["chart/values-{env}.yaml"],
        {"dev": ("chart/values-dev.yaml", HIGH), "prod": ("chart/values-prod.yaml", HIGH)},
    ),
    "<env>.values.yaml": (
        ["chart/{env}.values.yaml"],
        {"dev": ("chart/dev.values.yaml", HIGH), "prod": ("chart/prod.values.yaml", HIGH)},
    ),
    "config/<env>.yaml": (
        ["config/{env}.yaml"],
        {"dev": ("config/dev.yaml", HIGH), "prod": ("config/prod.yaml", HIGH)},
    ),
    "image-tags/<env>/<app>": (
        ["image-tags/{env}/api", "image-tags/{env}/web"],
        {"dev": ("image-tags/dev", HIGH), "prod": ("image-tags/prod", HIGH)},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_proposed_with_its_evidence_and_its_confidence(layout: str) -> None:
    templates, expected = LAYOUTS[layout]
    paths = [template.replace("{env}", env) for template in templates for env in ("dev", "prod")]
    proposals = proposed(*paths, "README.md", "base/kustomization.yaml", "base/deployment.yaml")
    assert {name: (*one.paths, one.confidence) for name, one in proposals.items()} == expected
    for name, one in proposals.items():
        assert any(f"such as {path}" in one.evidence[0] for path in paths if name in path)
        assert "beside it: " + ("prod" if name == "dev" else "dev") in one.evidence


TRAPS = {
    "variants": (
        ["overlays/with-ingress/kustomization.yaml", "overlays/ha/kustomization.yaml"],
        {"ha": ("overlays/ha", LOW), "with-ingress": ("overlays/with-ingress", LOW)},
    ),
    "a folder of patches in an overlay": (
        ["overlays/prod/kustomization.yaml", "overlays/prod/patches/replicas.yaml", "overlays/dev/kustomization.yaml"],
        {"dev": ("overlays/dev", HIGH), "prod": ("overlays/prod", HIGH)},
    ),
    "components of an overlay": (
        ["overlays/prod/kustomization.yaml", "overlays/prod/components/tls/kustomization.yaml"],
        {"prod": ("overlays/prod", MEDIUM)},
    ),
    "applications below the overlays": (
        [f"overlays/{env}/{app}/kustomization.yaml" for env in ("dev", "prod") for app in ("api", "web")],
        {"dev": ("overlays/dev/{application}", HIGH), "prod": ("overlays/prod/{application}", HIGH)},
    ),
    "places below the overlays": (
        [f"overlays/{env}/{place}/kustomization.yaml" for env in ("dev", "prod") for place in ("eu-1", "us-1")],
        {
            "dev/eu-1": ("overlays/dev/eu-1", MEDIUM),
            "dev/us-1": ("overlays/dev/us-1", MEDIUM),
            "prod/eu-1": ("overlays/prod/eu-1", MEDIUM),
            "prod/us-1": ("overlays/prod/us-1", MEDIUM),
        },
    ),
    "an overlay and one on top of it": (
        ["overlays/prod/kustomization.yaml", "overlays/prod/eu/kustomization.yaml", "overlays/dev/kustomization.yaml"],
        {"dev": ("overlays/dev", HIGH), "prod": ("overlays/prod", HIGH), "prod/eu": ("overlays/prod/eu", MEDIUM)},
    ),
    "a folder of the overlays that only groups": (
        ["overlays/eu/prod/kustomization.yaml", "overlays/eu/common.yaml"],
        {"eu/prod": ("overlays/eu/prod", MEDIUM)},
    ),
    "a base below the overlays": (["overlays/base/kustomization.yaml", "overlays/base/eu/kustomization.yaml"], {}),
    "a base beside environments": (["envs/base/x.yaml", "envs/common/x.yaml", "clusters/shared/x.yaml"], {}),
    "tests and their folders": (["test/cases/a.yaml", "src/ci/b.yaml"], {"test": ("test", LOW), "ci": ("src/ci", LOW)}),
    "values for the tests of a chart": (["charts/api/Chart.yaml", "charts/api/ci/x.yaml"], {}),
    "templates of a chart": (["charts/api/templates/prod.yaml", "docs/prod/x.yaml"], {}),
    "hidden folders": ([".github/workflows/prod.yaml", ".argocd/envs/prod/x.yaml"], {}),
    "a schema of values": (["chart/values-schema.yaml"], {"schema": ("chart/values-schema.yaml", LOW)}),
    "files of something for each environment": (
        ["tls/issuer-staging.yaml", "tls/issuer-prod.yaml", "net/policies-test/a.yaml", "net/policies-prod/a.yaml"],
        {
            "issuer-prod": ("tls/issuer-prod.yaml", LOW),
            "issuer-staging": ("tls/issuer-staging.yaml", LOW),
            "policies-prod": ("net/policies-prod", LOW),
            "policies-test": ("net/policies-test", LOW),
        },
    ),
    "previews of what is installed": (
        ["overlays/tech-preview/kustomization.yaml", "overlays/clustered-ephemeral/kustomization.yaml"],
        {
            "clustered-ephemeral": ("overlays/clustered-ephemeral", LOW),
            "tech-preview": ("overlays/tech-preview", LOW),
        },
    ),
    "files of environments in places": (
        ["api/prod-eu-1.yaml", "api/non-prod.yaml", "web/prod-eu-1.yaml", "web/non-prod.yaml"],
        {"non-prod": ("{application}/non-prod.yaml", HIGH), "prod-eu-1": ("{application}/prod-eu-1.yaml", HIGH)},
    ),
    "values of a chart of another name": (
        ["charts/redis-values-dev.yaml", "charts/redis-values-prod.yaml"],
        {"dev": ("charts/redis-values-dev.yaml", HIGH), "prod": ("charts/redis-values-prod.yaml", HIGH)},
    ),
    "a cluster of any name": (["clusters/atlas/flux.yaml"], {"atlas": ("clusters/atlas", MEDIUM)}),
    "files that are no manifests": (["envs/prod/main.tf", "overlays/prod/README.md"], {}),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_what_only_looks_like_an_environment_is_not_sure(trap: str) -> None:
    paths, expected = TRAPS[trap]
    assert {name: (*one.paths, one.confidence) for name, one in proposed(*paths).items()} == expected


def test_a_nested_overlay_says_that_it_may_be_a_variant() -> None:
    one = proposed("overlays/prod/kustomization.yaml", "overlays/prod/with-tls/kustomization.yaml")["prod/with-tls"]
    assert "nested below 'prod': a place of it, or a variant" in one.evidence


def test_a_component_among_the_overlays_is_no_environment() -> None:
    files = {
        RepoPath("overlays/dev/kustomization.yaml"): b"kind: Kustomization\n",
        RepoPath("overlays/tls/kustomization.yaml"): b"kind: Component\n",
    }
    assert [one.name for one in discover(files)] == ["dev"]


def test_two_layouts_that_agree_on_a_name_are_one_proposal() -> None:
    one = proposed("overlays/dev/kustomization.yaml", "overlays/prod/kustomization.yaml", "chart/values-dev.yaml")[
        "dev"
    ]
    assert one.paths == ("overlays/dev", "chart/values-dev.yaml")
    assert one.layout == "overlays, values-files"
    assert one.confidence is HIGH
    assert len([line for line in one.evidence if " in the layout " in line]) == 2


def test_proposals_become_environments_in_their_order_and_unsure_ones_are_left_out() -> None:
    paths = [f"apps/{app}/overlays/{env}/kustomization.yaml" for app in "ab" for env in ("dev", "qa", "prod", "ha")]
    found_here = environments(proposed(*paths).values())
    assert {name: one.after for name, one in found_here.items()} == {"dev": (), "qa": ("dev",), "prod": ("qa",)}
    assert "ha" in environments(proposed(*paths).values(), LOW)
    assert list(environments(proposed("clusters/atlas/x.yaml").values(), HIGH)) == []


def test_the_path_patterns_of_an_environment_are_those_of_one_application_or_of_all() -> None:
    paths = [f"apps/{app}/overlays/{env}/kustomization.yaml" for app in ("web", "api") for env in ("dev", "prod")]
    discovered = environments(proposed(*paths).values())["prod"]
    configured = Environment("prod", ("apps/{application}/overlays/prod",))
    for one in (discovered, configured):
        assert path_patterns(one, "web") == ("apps/web/overlays/prod",)
        (every,) = path_patterns(one)
        assert [path for path in paths if matches(every, path)] == [path for path in paths if "/prod/" in path]
