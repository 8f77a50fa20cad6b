"""Images for several platforms: each built and proven, one of them tested, and the index over them pinned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.errors import ConfigurationError, Refused
from orchestrator.core.image import Platform, TaggedImage
from orchestrator.gitops.outcome import Opened, Unchanged, Updated
from pipelines.release import ReleaseOptions, ReleaseResult
from tests.simulation.workshop import Workshop
from tests.simulators.engine import AMD64, SimulatedEngine, Store
from tests.unit.gitops.changes import API, POLICY, WORKER

ARM64 = Platform("linux", "arm64")
API_ONLY = ReleaseOptions(only=("api",))


@pytest.fixture(params=list(Store))
def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> Workshop:
    made = Workshop(tmp_path)
    made.engine = SimulatedEngine(made.registry, store=request.param, clock=made.town.clock)
    configure(made, "context: api", "context: api\n    platforms: [linux/arm64, linux/amd64]")
    return made


def configure(workshop: Workshop, old: str, new: str) -> None:
    config = workshop.root / "hybrid-ci.yaml"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))


def index_of(workshop: Workshop, result: ReleaseResult) -> dict[str, object]:
    (api,) = (image for image in result.release.images if image.name == "api")
    assert api.kind == "index"
    document = json.loads(workshop.registry.stored(API).manifests[api.pinned.digest][1])
    assert isinstance(document, dict)
    return document


def test_the_index_over_all_platforms_is_what_is_pinned(workshop: Workshop) -> None:
    result = workshop.release()

    assert isinstance(result.outcome, Opened)
    entries = index_of(workshop, result)["manifests"]
    assert isinstance(entries, list)
    assert [entry["platform"] for entry in entries] == [
        {"os": "linux", "architecture": "arm64"},
        {"os": "linux", "architecture": "amd64"},
    ]
    assert workshop.town.pinned("hybrid-ci/dev/shop", API)
    (api,) = (image for image in result.release.images if image.name == "api")
    assert workshop.registry.resolve(TaggedImage(API, api.pinned.tag or "")) == api.pinned.digest


def test_a_registry_that_serves_an_index_late_is_waited_for(workshop: Workshop) -> None:
    workshop.registry.lag = 3
    assert isinstance(workshop.release(API_ONLY).outcome, Opened)


def test_the_engines_own_platform_is_tested_and_recorded(workshop: Workshop) -> None:
    result = workshop.release()
    (api,) = (image for image in result.release.images if image.name == "api")
    assert api.platforms == (AMD64,)
    assert [test.name for test in result.release.tests if test.image == "api"] == ["unit"]


def test_what_the_engine_can_emulate_is_tested_too(workshop: Workshop) -> None:
    configure(workshop, "linux/amd64]", "linux/amd64]\n    emulated: [linux/arm64]")
    result = workshop.release()
    (api,) = (image for image in result.release.images if image.name == "api")
    assert set(api.platforms) == {AMD64, ARM64}
    names = {test.name for test in result.release.tests if test.image == "api"}
    assert names == {"unit (linux/amd64)", "unit (linux/arm64)"}


def test_a_second_run_makes_nothing(workshop: Workshop) -> None:
    workshop.release()
    builds = workshop.engine.faults.calls["build"]
    assert isinstance(workshop.release().outcome, Unchanged)
    assert workshop.engine.faults.calls["build"] == builds


def test_an_unchanged_index_is_adopted_as_a_whole(workshop: Workshop) -> None:
    first = workshop.release()
    workshop.town.merge(1)
    builds = workshop.engine.faults.calls["build"]
    workshop.source = 4
    (workshop.root / "worker/content").write_text("changed\n")

    second = workshop.release()

    assert isinstance(second.outcome, Opened | Updated)
    assert workshop.engine.faults.calls["build"] == builds + 1
    assert index_of(workshop, second) == index_of(workshop, first)


def test_another_list_of_platforms_is_another_image(workshop: Workshop) -> None:
    workshop.release(API_ONLY)
    builds = workshop.engine.faults.calls["build"]
    configure(workshop, "[linux/arm64, linux/amd64]", "[linux/amd64, linux/arm64, linux/s390x]")
    workshop.source = 4
    workshop.release(API_ONLY)
    assert workshop.engine.faults.calls["build"] == builds + 3


def test_a_foreign_image_that_is_swapped_breaks_the_proof(workshop: Workshop) -> None:
    workshop.release(ReleaseOptions(only=("worker",)))
    workshop.engine.swapped_in = next(iter(workshop.engine.images.values())).image
    with pytest.raises(Refused):
        workshop.release(API_ONLY)
    assert workshop.town.pinned("hybrid-ci/dev/shop", WORKER)


def test_an_image_upon_a_base_needs_the_base_for_its_platforms(workshop: Workshop) -> None:
    (workshop.root / "api/Dockerfile").write_text(f"FROM {WORKER}:1\nCOPY . /\n")
    with pytest.raises(ConfigurationError, match="not built for linux/arm64"):
        workshop.release()
    configure(workshop, "context: worker", "context: worker\n    platforms: [linux/amd64, linux/arm64]")
    assert isinstance(workshop.release().outcome, Opened)


def test_a_policy_may_ask_that_every_platform_is_tested(workshop: Workshop) -> None:
    workshop.town.git.commit_files({POLICY_PATH: POLICY + b"require-tested-platforms: true\n"})
    with pytest.raises(Refused, match="not be tested for linux/arm64"):
        workshop.release()
    assert workshop.engine.faults.calls["build"] == 0
    configure(workshop, "linux/amd64]", "linux/amd64]\n    emulated: [linux/arm64]")
    assert isinstance(workshop.release().outcome, Opened)


def test_a_policy_that_asks_for_tests_takes_no_image_without_any(workshop: Workshop) -> None:
    workshop.town.git.commit_files({POLICY_PATH: POLICY + b"require-tested-platforms: true\n"})
    configure(workshop, '    tests:\n      - {name: unit, run: "echo fine"}\n', "    tests: []\n")
    with pytest.raises(Refused, match="not be tested for"):
        workshop.release(API_ONLY)
