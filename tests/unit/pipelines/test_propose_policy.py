"""``init --gitops``: what it finds is a policy that the loader takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.loader import load_policy
from orchestrator.core.errors import ConfigurationError
from orchestrator.core.names import BranchName
from pipelines.propose_policy import propose_policy

KUSTOMIZATION = "images:\n- name: api\n  newName: ghcr.io/acme/api\n  newTag: '1'\n"


def _layout(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(KUSTOMIZATION)


def test_overlays_become_environments_in_the_usual_order(tmp_path: Path) -> None:
    _layout(tmp_path, *(f"apps/shop/overlays/{name}/kustomization.yaml" for name in ("prod", "dev", "staging")))

    proposed = propose_policy(tmp_path, "trunk")

    policy = load_policy(proposed.text.encode(), "proposed", BranchName("trunk"))
    after = {name: environment.after for name, environment in policy.environments.items()}
    assert after == {"dev": (), "staging": ("dev",), "prod": ("staging",)}
    assert policy.environment("dev").paths == ("apps/shop/overlays/dev",)


def test_several_applications_share_a_pattern(tmp_path: Path) -> None:
    _layout(tmp_path, *(f"apps/{app}/overlays/{env}/kustomization.yaml" for app in "ab" for env in ("dev", "prod")))

    policy = load_policy(propose_policy(tmp_path, "main").text.encode(), "proposed", BranchName("main"))

    assert policy.environment("dev").patterns("a") != policy.environment("dev").patterns("b")


def test_a_repository_without_environments_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing here\n")

    with pytest.raises(ConfigurationError, match="no environment is recognised"):
        propose_policy(tmp_path, "main")


def test_a_hostile_folder_name_can_not_break_out_of_the_policy(tmp_path: Path) -> None:
    _layout(
        tmp_path, 'apps/x"\n  evil: {}/overlays/dev/kustomization.yaml', "apps/shop/overlays/dev/kustomization.yaml"
    )

    policy = load_policy(propose_policy(tmp_path, "main").text.encode(), "proposed", BranchName("main"))

    assert list(policy.environments) == ["dev"]


@pytest.mark.parametrize("base", ["1.0", "on", "null", "release/2026-01", "a#b"])
def test_a_branch_that_yaml_would_misread_is_quoted(base: str, tmp_path: Path) -> None:
    _layout(tmp_path, *(f"apps/shop/overlays/{name}/kustomization.yaml" for name in ("prod", "dev")))

    policy = load_policy(propose_policy(tmp_path, base).text.encode(), "proposed", BranchName(base))

    assert str(policy.base) == base


@pytest.mark.parametrize("base", ["a b", "-x", "a: {", ""])
def test_no_policy_is_written_for_what_can_be_no_branch(base: str, tmp_path: Path) -> None:
    _layout(tmp_path, *(f"apps/shop/overlays/{name}/kustomization.yaml" for name in ("prod", "dev")))

    with pytest.raises(ConfigurationError, match="not a branch name"):
        propose_policy(tmp_path, base)


def test_an_applications_configuration_is_no_environment(tmp_path: Path) -> None:
    (tmp_path / "hybrid-ci.yaml").write_text("version: 1\nimages:\n  api: {repository: ghcr.io/acme/api}\n")

    with pytest.raises(ConfigurationError, match="no environment is recognised"):
        propose_policy(tmp_path, "main")
