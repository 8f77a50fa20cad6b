"""The five-image example over the real engine, registry and Git: in parallel, upon each other, with a service."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from scripts.machine import engine_api
from tests.e2e.monorepo import IMAGES, Monorepo
from tests.servers import TlsRegistry

pytestmark = pytest.mark.engine


@pytest.fixture
def monorepo(tmp_path: Path, engine_host: str, tls_registry: TlsRegistry, base_image: str) -> Monorepo:
    made = Monorepo(
        tmp_path,
        f"{tls_registry.host}/{secrets.token_hex(4)}",
        base_image,
        "",
        {
            "DOCKER_HOST": engine_host,
            "HYBRID_CI_CA_BUNDLE": str(tls_registry.ca),
            "HYBRID_CI_REGISTRY_USERNAME": tls_registry.username,
            "HYBRID_CI_REGISTRY_PASSWORD": tls_registry.password,
            "HYBRID_CI_PATIENCE": "1",  # the base comes from no registry, and none is waited for
        },
    )
    made.build()
    return made


def events(stderr: str, kind: str) -> list[dict[str, Any]]:
    return [event for line in stderr.splitlines() if (event := json.loads(line))["event"] == kind]


def layers(host: str, identity: str) -> list[str]:
    inspected = json.loads(engine_api.request(host, "GET", f"/images/{identity}/json"))
    found: list[str] = inspected["RootFS"]["Layers"]
    return found


def test_five_images_are_released_in_parallel_and_stand_on_each_other(monorepo: Monorepo, engine_host: str) -> None:
    done = monorepo.hybrid_ci("--log-format", "json", "release", "--jobs", "3", "--output", "json")

    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["state"], [image["name"] for image in record["images"]]) == ("opened", list(IMAGES))
    assert {stage["name"]: stage["state"] for stage in record["stages"]}["migration-check"] == "done"
    of = {image["name"]: layers(engine_host, image["config"]) for image in record["images"]}
    for child, parent in (("database", "base"), ("api", "base"), ("worker", "base"), ("migrations", "api")):
        assert of[child][: len(of[parent])] == of[parent], f"{child} does not stand on the {parent} of this run"
    began = [event["stage"] for event in events(done.stderr, "stage-started")]
    ended = [event["stage"] for event in events(done.stderr, "stage-finished")]
    assert began.index("push base") > max(ended.index(stage) for stage in ended if stage.startswith(("test", "migr")))
    assert any("applied 3" in event["line"] for event in events(done.stderr, "log"))
    branch = "refs/heads/hybrid-ci/dev/shop"
    pinned = monorepo.file(branch, "apps/shop/overlays/dev/kustomization.yaml")
    assert all(image["digest"] in pinned for image in record["images"])


def test_only_one_image_builds_what_it_stands_on_and_pushes_itself_alone(monorepo: Monorepo) -> None:
    done = monorepo.hybrid_ci("--log-format", "json", "release", "--only", "migrations", "--output", "json")

    assert done.returncode == 0, done.stderr
    assert [image["name"] for image in json.loads(done.stdout)["images"]] == ["migrations"]
    began = [event["stage"] for event in events(done.stderr, "stage-started")]
    assert {"build base", "build api", "build migrations", "test api/unit", "build database"} <= set(began)
    assert [stage for stage in began if stage.startswith("push")] == ["push migrations"]
    assert "build worker" not in began


def test_a_migration_that_fails_stops_every_push_and_leaves_no_service(monorepo: Monorepo, engine_host: str) -> None:
    monorepo.edit_app("migrations/check.sh", "for number in 1 2 3", "for number in 1 3")

    done = monorepo.hybrid_ci("--log-format", "json", "release", "--jobs", "2")

    assert done.returncode == 1
    (error,) = events(done.stderr, "error")
    assert error["message"] == "the stage migration-check failed: it ended with 1"
    assert any("refused 3 after 1" in line for line in error["details"])
    assert not [event for event in events(done.stderr, "stage-started") if event["stage"].startswith("push")]
    assert not monorepo.pull_requests()


def test_a_release_does_what_was_planned_and_refuses_once_the_world_has_moved(monorepo: Monorepo) -> None:
    planned = monorepo.hybrid_ci("plan", "--only", "base", "--out", "../plan.json")
    assert planned.returncode == 0, planned.stderr
    assert "sha256:(known after the push)" in planned.stdout
    assert not monorepo.pull_requests()

    done = monorepo.release("--plan", "../plan.json", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert [image["name"] for image in json.loads(done.stdout)["images"]] == ["base"]

    again = monorepo.release("--plan", "../plan.json")
    assert again.returncode == 3  # the stages of the plan would not run any more
    monorepo.edit_app("api/api.sh", "hello", "good day")
    moved = monorepo.release("--plan", "../plan.json")
    assert moved.returncode == 3
    assert "the source commit" in moved.stderr
