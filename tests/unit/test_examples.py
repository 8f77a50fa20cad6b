"""The single-service example: its two halves fit together, and the demo finds in it what it replaces."""

from pathlib import Path

import pytest

from orchestrator.config.loader import load_application, load_policy
from orchestrator.core.environment import Policy, order
from orchestrator.core.image import Repository
from orchestrator.core.names import BranchName, RepoPath
from orchestrator.manifests.pins import find_pins
from scripts import demo

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "single-service"
GITOPS = EXAMPLE / "gitops"


@pytest.fixture
def policy() -> Policy:
    content = (GITOPS / ".hybrid-ci" / "environments.yaml").read_bytes()
    paths = [file.relative_to(GITOPS).as_posix() for file in GITOPS.rglob("*.yaml")]
    return load_policy(content, "environments.yaml", BranchName("main")).expanded(paths)


def test_the_application_may_hand_off_to_every_environment(policy: Policy) -> None:
    config = load_application(EXAMPLE / "app" / "hybrid-ci.yaml").config
    images = [Repository.parse(image.repository) for image in config.images.values()]
    assert config.gitops.environment in policy.environments
    assert order(policy.environments) == ("dev", "staging", "prod/eu", "prod/us")
    assert [wave.environments for wave in policy.waves("prod")] == [("prod/eu",), ("prod/us",)]
    for environment in policy.environments.values():
        policy.authorise(config.application, environment, images)


def test_each_environment_pins_the_applications_image_once(policy: Policy) -> None:
    config = load_application(EXAMPLE / "app" / "hybrid-ci.yaml").config
    (image,) = (Repository.parse(image.repository) for image in config.images.values())
    paths = [file.relative_to(GITOPS).as_posix() for file in sorted(GITOPS.rglob("*.yaml"))]
    for environment in policy.environments.values():
        mine = [path for path in paths if policy.allows("hello", environment, path)]
        found = [pin for path in mine for pin in find_pins(RepoPath(path), (GITOPS / path).read_bytes()).pins]
        assert [pin.image.repository for pin in found] == [image], environment.name


def test_the_demo_finds_what_it_replaces() -> None:
    config = (EXAMPLE / "app" / "hybrid-ci.yaml").read_text()
    for text in (demo.EXAMPLE_REGISTRY, demo.EXAMPLE_GITOPS, demo.EXAMPLE_BASE):
        assert config.count(text) == 1
