"""The policy: who may hand off what to where. What is not allowed in writing is refused."""

from __future__ import annotations

import pytest

from orchestrator.core.environment import ApplicationRule, Environment, Policy, Strategy, order
from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName

DEV = Environment("dev", ("envs/dev/{application}/**",))
PROD = Environment("prod", ("envs/prod/{application}/**", "shared/prod.yaml"), after=("dev",))
ENVIRONMENTS = {environment.name: environment for environment in (DEV, PROD)}
SHOP = ApplicationRule("shop", ("ghcr.io/acme/shop/*",), ("dev",), ("envs/*/shop/**", "envs/*/{application}-jobs/**"))


def policy(*rules: ApplicationRule, registries: tuple[str, ...] = ()) -> Policy:
    return Policy(ENVIRONMENTS, BranchName("main"), "gitops.git (main)", rules, registries)


def repositories(*names: str) -> list[Repository]:
    return [Repository.parse(name) for name in names]


# --- who may change which image -----------------------------------------------------------------------------------


def test_what_the_rule_lists_is_allowed() -> None:
    policy(SHOP).authorise("shop", DEV, repositories("ghcr.io/acme/shop/api", "ghcr.io/acme/shop/worker"))


@pytest.mark.parametrize(
    "image",
    [
        "ghcr.io/acme/shopping/api",
        "ghcr.io/acme/shop",
        "ghcr.io/notacme/shop/api",
        "ghcr.io.evil.example/acme/shop/api",
        "evil.example/ghcr.io/acme/shop/api",
        "ghcr.io:443/acme/shop/api",
        "acme/shop/api",
        "docker.io/acme/shop/api",
    ],
)
def test_a_lookalike_image_is_refused_even_beside_a_listed_one(image: str) -> None:
    with pytest.raises(Refused, match="may not change the image") as caught:
        policy(SHOP).authorise("shop", DEV, repositories("ghcr.io/acme/shop/api", image))
    assert caught.value.where == "gitops.git (main)"
    assert "ghcr.io/acme/shop/*" in (caught.value.hint or "")


def test_an_environment_that_the_rule_does_not_list_is_refused() -> None:
    with pytest.raises(Refused, match="may not hand off to 'prod'"):
        policy(SHOP).authorise("shop", PROD, repositories("ghcr.io/acme/shop/api"))


@pytest.mark.parametrize(
    "name",
    ["Shop", "shop ", "shops", "sho", "other", "", "*", "**", "sh*", "shop/evil", "shop/../other", "{application}"],
)
def test_an_application_that_is_not_listed_is_refused(name: str) -> None:
    rules = policy(SHOP)
    with pytest.raises(Refused):
        rules.authorise(name, DEV, repositories("ghcr.io/acme/shop/api"))
    with pytest.raises(Refused):
        rules.allows(name, DEV, "envs/dev/shop/app.yaml")


def test_without_any_rule_every_application_may_hand_off() -> None:
    policy().authorise("anything", PROD, repositories("ghcr.io/acme/shop/api"))


@pytest.mark.parametrize("name", ["*", "**", "sh?p", "a/b", "../x", "", "shop/**"])
def test_a_name_that_is_a_pattern_widens_nothing_even_without_rules(name: str) -> None:
    with pytest.raises(Refused, match="is not an application's name"):
        policy().allows(name, DEV, "envs/dev/other/app.yaml")
    with pytest.raises(Refused, match="is not an application's name"):
        policy().authorise(name, DEV, [])


def test_a_rule_may_name_applications_by_pattern_and_the_first_that_fits_counts() -> None:
    narrow = ApplicationRule("shop-api", ("ghcr.io/acme/api",))
    wide = ApplicationRule("shop-*", ("ghcr.io/acme/*",))
    rules = policy(narrow, wide)
    rules.authorise("shop-worker", DEV, repositories("ghcr.io/acme/worker"))
    with pytest.raises(Refused):
        rules.authorise("shop-api", DEV, repositories("ghcr.io/acme/worker"))
    with pytest.raises(Refused, match="is not listed"):
        rules.authorise("shop", DEV, [])


# --- from where images may come -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        ("ghcr.io/acme/api", True),
        ("ghcr.io/acme/deep/er/api", True),
        ("docker.io/library/nginx", True),
        ("nginx", True),
        ("ghcr.io/other/api", False),
        ("acme/api", False),
        ("quay.io/acme/api", False),
        ("ghcr.io.evil.example/acme/api", False),
    ],
)
def test_only_allowed_registries_count(image: str, allowed: bool) -> None:
    rules = policy(registries=("ghcr.io/acme", "docker.io/library/nginx"))
    if allowed:
        rules.authorise("shop", DEV, repositories(image))
        return
    with pytest.raises(Refused, match="are not allowed") as caught:
        rules.authorise("shop", DEV, repositories(image))
    assert "ghcr.io/acme" in (caught.value.hint or "")


def test_a_listed_image_still_has_to_come_from_an_allowed_registry() -> None:
    with pytest.raises(Refused, match="are not allowed"):
        policy(SHOP, registries=("quay.io",)).authorise("shop", DEV, repositories("ghcr.io/acme/shop/api"))


# --- which paths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("envs/dev/shop/app.yaml", True),
        ("envs/dev/shop/deep/app.yaml", True),
        ("envs/dev/shopping/app.yaml", False),
        ("envs/dev/other/app.yaml", False),
        ("envs/prod/shop/app.yaml", False),  # another environment
        ("envs/dev/shop-jobs/app.yaml", False),  # the rule says so, the environment does not
        ("shared/prod.yaml", False),
        (".hybrid-ci/environments.yaml", False),
        ("envs/dev", False),
    ],
)
def test_a_path_has_to_lie_in_the_environment_and_in_the_rule(path: str, allowed: bool) -> None:
    assert policy(SHOP).allows("shop", DEV, path) is allowed


def test_a_rule_narrows_an_environment_but_never_widens_it() -> None:
    wide = ApplicationRule("shop", ("**",), paths=("**",))
    assert policy(wide).allows("shop", PROD, "shared/prod.yaml")
    assert not policy(wide).allows("shop", PROD, "envs/dev/shop/app.yaml")
    assert not policy(SHOP).allows("shop", PROD, "shared/prod.yaml")


def test_the_application_stands_in_the_paths() -> None:
    assert PROD.patterns("shop") == ("envs/prod/shop/**", "shared/prod.yaml")


# --- environments -------------------------------------------------------------------------------------------------


def test_an_unknown_environment_is_explained() -> None:
    with pytest.raises(ConfigurationError, match="there is no environment 'prd'") as caught:
        policy().environment("prd")
    assert caught.value.hint == "did you mean 'prod'?"
    assert caught.value.where == "gitops.git (main)"
    with pytest.raises(ConfigurationError) as caught:
        policy().environment("qa-eu-west")
    assert caught.value.hint == "known environments: dev, prod"


def test_environments_are_handed_off_to_by_pull_request_unless_they_say_otherwise() -> None:
    assert policy().environment("dev").strategy is Strategy.PULL_REQUEST


def test_environments_come_in_promotion_order() -> None:
    chain = {
        "prod": Environment("prod", ("p",), after=("staging",)),
        "staging": Environment("staging", ("s",), after=("dev",)),
        "dev": Environment("dev", ("d",)),
    }
    assert order(chain) == ("dev", "staging", "prod")


@pytest.mark.parametrize("after", [{"a": ("a",)}, {"a": ("b",), "b": ("a",)}, {"a": ("c",), "b": ("a",), "c": ("b",)}])
def test_environments_that_wait_for_each_other_are_refused(after: dict[str, tuple[str, ...]]) -> None:
    circle = {name: Environment(name, (name,), after=earlier) for name, earlier in after.items()}
    with pytest.raises(ConfigurationError, match="in a circle"):
        order(circle)
