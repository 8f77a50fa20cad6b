"""Waves: from the clusters that were found to the environments that go together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.environment import ApplicationRule, Environment, Policy, Target, Wave
from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.gates import SoakGate
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName
from orchestrator.core.waves import Rings, Size, split

SIZES = tuple(Size.parse(text) for text in ("1", "10%", "rest"))
STAGING = Environment("staging", ("clusters/staging/{application}/**",))
PROD = Environment(
    "prod",
    ("{cluster}/{application}/**",),
    after=("staging",),
    targets=(Target("{cluster}/values.yaml", "image.tag", Repository.parse("ghcr.io/acme/api")),),
    rings=Rings("clusters/prod-*", SIZES),
)
DR = Environment("dr", ("dr/**",), after=("prod",), gates=(SoakGate(60, ("prod",)),))


def policy(*environments: Environment) -> Policy:
    return Policy({one.name: one for one in environments}, BranchName("main"), "gitops.git (main)")


def clusters(count: int) -> list[str]:
    return [f"clusters/prod-eu-{number}/shop/app.yaml" for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("count", "sizes", "expected"),
    [
        (1, ["1", "10%", "rest"], [1]),
        (2, ["1", "10%", "rest"], [1, 1]),
        (12, ["1", "10%", "rest"], [1, 2, 9]),
        (100, ["1", "10%", "rest"], [1, 10, 89]),
        (10, ["10%", "50%", "rest"], [1, 5, 4]),
        (3, ["5", "rest"], [3]),
        (3, ["100%", "rest"], [3]),
        (7, ["rest"], [7]),
        (0, ["1", "rest"], []),
    ],
)
def test_names_are_split_by_size(count: int, sizes: list[str], expected: list[int]) -> None:
    names = [f"c{number}" for number in range(count)]
    waves = split(names, [Size.parse(size) for size in sizes])
    assert [len(wave) for wave in waves] == expected
    assert [name for wave in waves for name in wave] == names


@given(st.integers(0, 300), st.lists(st.one_of(st.integers(1, 50).map(str), st.integers(1, 100).map("{}%".format))))
def test_every_cluster_goes_exactly_once_and_no_wave_is_empty(count: int, sizes: list[str]) -> None:
    names = [str(number) for number in range(count)]
    waves = split(names, [*(Size.parse(size) for size in sizes), Size()])
    assert [name for wave in waves for name in wave] == names
    assert all(waves)


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-1", "1.5", "", "all", "10 %", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not the size of a wave"):
        Size.parse(text)


@pytest.mark.parametrize("pattern", ["clusters/prod", "clusters/*/*", "clusters/**", "clusters/prod-?"])
def test_a_pattern_has_exactly_one_star(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="does not name clusters"):
        Rings(pattern)


@pytest.mark.parametrize("sizes", [(), (Size(count=1),), (Size(), Size(count=1)), (Size(), Size())])
def test_the_waves_end_with_the_rest(sizes: tuple[Size, ...]) -> None:
    with pytest.raises(ConfigurationError, match="do not cover every cluster"):
        Rings("clusters/*", sizes)


def test_folders_are_ordered_by_the_numbers_in_their_names() -> None:
    paths = [*reversed(clusters(11)), "clusters/staging/x.yaml", "clusters/prod-note.yaml", "other/prod-eu-1/x.yaml"]
    found = Rings("clusters/prod-*").folders(paths)
    assert found == tuple(f"clusters/prod-eu-{number}" for number in range(1, 12))


def test_a_file_of_the_name_is_no_cluster() -> None:
    assert Rings("clusters/*").folders(["clusters/README.md", "clusters/a/x.yaml"]) == ("clusters/a",)


def test_each_cluster_is_an_environment_of_its_own() -> None:
    expanded = policy(STAGING, PROD, DR).expanded(clusters(3))
    assert list(expanded.environments) == ["staging", "prod/eu-1", "prod/eu-2", "prod/eu-3", "dr"]
    second = expanded.environment("prod/eu-2")
    assert (second.group, second.wave, second.rings) == ("prod", 2, None)
    assert second.patterns("shop") == ("clusters/prod-eu-2/shop/**",)
    assert second.targets_for("shop")[0].file == "clusters/prod-eu-2/values.yaml"


def test_a_wave_comes_after_the_one_before_it() -> None:
    expanded = policy(STAGING, PROD, DR).expanded(clusters(12))
    assert expanded.environment("prod/eu-1").after == ("staging",)
    assert expanded.environment("prod/eu-3").after == ("prod/eu-1",)
    assert expanded.environment("prod/eu-12").after == ("prod/eu-2", "prod/eu-3")


def test_what_came_after_the_whole_comes_after_every_cluster() -> None:
    expanded = policy(STAGING, PROD, DR).expanded(clusters(2))
    assert expanded.environment("dr").after == ("prod/eu-1", "prod/eu-2")
    assert expanded.environment("dr").gates == (SoakGate(60, ("prod/eu-1", "prod/eu-2")),)


def test_waves_are_listed_in_order() -> None:
    expanded = policy(STAGING, PROD).expanded(clusters(3))
    assert expanded.waves("prod") == (
        Wave("prod", 1, ("prod/eu-1",)),
        Wave("prod", 2, ("prod/eu-2",)),
        Wave("prod", 3, ("prod/eu-3",)),
    )
    assert expanded.members("prod") == ("prod/eu-1", "prod/eu-2", "prod/eu-3")
    assert expanded.waves("staging") == (Wave("staging", 1, ("staging",)),)


def test_the_whole_is_no_environment_that_something_can_be_handed_off_to() -> None:
    with pytest.raises(ConfigurationError, match="is 3 clusters in waves") as caught:
        policy(STAGING, PROD).expanded(clusters(3)).environment("prod")
    assert "'prod/eu-1'" in (caught.value.hint or "")


def test_waves_that_find_no_cluster_can_not_be_used_and_disturb_nobody_else() -> None:
    expanded = policy(STAGING, PROD).expanded(["clusters/staging/x.yaml"])
    assert expanded.environment("staging") == STAGING
    for ask in (expanded.environment, expanded.members, expanded.waves):
        with pytest.raises(ConfigurationError, match="no folder is a cluster of the environment 'prod'") as caught:
            ask("prod")
        assert "clusters/prod-*" in (caught.value.where or "")


def test_a_cluster_never_takes_the_name_of_an_environment() -> None:
    with pytest.raises(ConfigurationError, match="stands for an environment and for a cluster"):
        policy(STAGING, PROD, Environment("prod/eu-1", ("x/**",))).expanded(clusters(2))


@pytest.mark.parametrize("folder", ["prod-a b", "prod-", "prod-a\nb", "prod-{application}", "prod-é"])
def test_a_folder_whose_name_is_no_environments_name_is_refused(folder: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be the name of an environment"):
        policy(STAGING, PROD).expanded([f"clusters/{folder}/x.yaml"])


def test_a_policy_without_waves_stays_as_it_is() -> None:
    plain = policy(STAGING)
    assert plain.expanded([]) is plain
    assert plain.patterns_of_rings() == ()


def test_a_right_for_the_whole_is_one_for_each_cluster() -> None:
    rules = (ApplicationRule("shop", ("ghcr.io/acme/*",), ("prod",)),)
    whole = Policy({"staging": STAGING, "prod": PROD}, BranchName("main"), "x", rules)
    expanded = whole.expanded(clusters(1))
    image = [Repository.parse("ghcr.io/acme/api")]
    expanded.authorise("shop", expanded.environment("prod/eu-1"), image)
    with pytest.raises(Refused):
        expanded.authorise("shop", expanded.environment("staging"), image)
