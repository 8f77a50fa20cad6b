"""Unchanged images, and images for several platforms, with the real command, engine and registry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.forges.local import LocalForge
from tests.e2e.shop import CONFIG, Done, Shop
from tests.servers import TlsRegistry
from tests.servers.skopeo import inspect

pytestmark = pytest.mark.engine


def record(shop: Shop) -> dict[str, Any]:
    found = json.loads((shop.root / "release.json").read_text())
    assert isinstance(found, dict)
    return found


def release(shop: Shop) -> Done:
    done = shop.release("--record", "../release.json")
    assert done.returncode == 0, done.stderr
    return done


def merge(shop: Shop, number: int) -> None:
    forge = LocalForge(shop.gitops, actor="a person")
    forge.approve(number)
    forge.merge(number, forge.current_head(number))


def by_name(shop: Shop) -> dict[str, dict[str, Any]]:
    return {image["name"]: image for image in record(shop)["images"]}


def test_only_what_changed_is_built_and_pinned_anew(shop: Shop) -> None:
    release(shop)
    before = by_name(shop)
    merge(shop, record(shop)["pull_request"]["number"])
    (shop.app / "worker" / "notes").write_text("not copied, but in the context")
    shop.commit_app("Change the worker")

    done = release(shop)

    after = by_name(shop)
    assert after["api"]["digest"] == before["api"]["digest"]
    assert after["api"]["tag"] == before["api"]["tag"], "an unchanged image keeps its tag"
    assert after["worker"]["tag"] != before["worker"]["tag"]
    assert "build api" not in "\n".join(line for line in done.stderr.splitlines() if "Step" in line or "FROM" in line)
    assert "base branch says that it was tested" in done.stderr


def test_what_was_not_merged_is_tested_again_and_not_built(shop: Shop) -> None:
    release(shop)
    before = by_name(shop)
    (shop.app / "worker" / "notes").write_text("changed")
    shop.commit_app("Change the worker")

    done = release(shop)

    assert by_name(shop)["api"]["digest"] == before["api"]["digest"]
    assert "base branch says" not in done.stderr
    assert [test["name"] for test in by_name(shop)["api"]["tests"]] == ["unit", "smoke"]


def test_an_index_over_two_platforms_is_pinned(shop: Shop, tls_registry: TlsRegistry, busybox: bytes) -> None:
    config = CONFIG.replace("    context: worker\n", "    context: worker\n    platforms: [linux/arm64, linux/amd64]\n")
    shop.configure(config.replace("version: 1\n", "version: 1\nbuilder: buildkit\n", 1))
    (shop.app / "worker" / "Dockerfile").write_text(
        "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/test\nCOPY worker /worker\n"
    )
    (shop.app / "worker" / "busybox").write_bytes(busybox)
    (shop.app / "worker" / "busybox").chmod(0o755)
    shop.commit_app("Build for two platforms")

    release(shop)

    worker = by_name(shop)["worker"]
    assert worker["kind"] == "index"
    raw = json.loads(inspect(tls_registry, f"{worker['repository']}@{worker['digest']}", "--raw"))
    assert [entry["platform"]["architecture"] for entry in raw["manifests"]] == ["arm64", "amd64"]
    tagged = inspect(tls_registry, f"{worker['repository']}:{worker['tag']}", "--raw")
    assert json.loads(tagged) == raw
    assert worker["platforms"] == ["linux/amd64"], "what was tested"
