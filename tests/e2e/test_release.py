"""A two-image release over a real engine, a TLS registry with a password, and Git over HTTP with a token."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.forges.base import PullRequestState
from tests.e2e.shop import DEPLOYMENT, KUSTOMIZATION, Shop
from tests.servers import TlsRegistry
from tests.servers.skopeo import inspect, skopeo

pytestmark = pytest.mark.engine

DEV = "apps/shop/overlays/dev"
BRANCH = "refs/heads/hybrid-ci/dev/shop"


def _filled(shop: Shop, text: str) -> str:
    return text.replace("REGISTRY", shop.registry)


def test_a_release_pins_exactly_what_was_tested(shop: Shop, tls_registry: TlsRegistry, git_token: str) -> None:
    done = shop.release("--record", "../release.json")

    assert done.returncode == 0, done.stderr
    record = json.loads((shop.root / "release.json").read_text())
    assert record["state"] == "opened"
    for image in record["images"]:
        served = inspect(tls_registry, f"{image['repository']}:{image['tag']}", "--format", "{{.Digest}}")
        assert served.decode().strip() == image["digest"]
        manifest = json.loads(inspect(tls_registry, f"{image['repository']}@{image['digest']}", "--raw"))
        assert manifest["config"]["digest"] == image["config"]
        config = json.loads(inspect(tls_registry, f"{image['repository']}@{image['digest']}", "--config"))
        assert config["config"]["Labels"]["org.opencontainers.image.revision"] == record["source"]["commit"]
    api, worker = record["images"]
    kustomization = shop.file(BRANCH, f"{DEV}/kustomization.yaml")
    assert kustomization == _filled(shop, KUSTOMIZATION).replace(
        'newTag: "0"', f'newTag: "{api["tag"]}"\n  digest: {api["digest"]}'
    )
    assert shop.file(BRANCH, f"{DEV}/worker.yaml") == _filled(shop, DEPLOYMENT).replace(
        "acme/worker:0", f"acme/worker:{worker['tag']}@{worker['digest']}"
    )
    assert git_token not in done.stdout + done.stderr
    assert tls_registry.password not in done.stdout + done.stderr


def test_a_second_run_changes_nothing_and_says_so(shop: Shop) -> None:
    first = shop.released()

    again = shop.released()

    assert (first["state"], again["state"], again["changed"]) == ("opened", "unchanged", False)
    assert [image["digest"] for image in again["images"]] == [image["digest"] for image in first["images"]]
    assert len(shop.pull_requests()) == 1


def test_a_newer_release_updates_the_same_pull_request(shop: Shop) -> None:
    shop.environment["HYBRID_CI_GIT_CACHE"] = str(shop.root / "cache")  # the second run starts from a warm mirror
    shop.released()
    (shop.app / "api/www/index.html").write_text("hello again\n")
    shop.commit_app("Say hello again")

    newer = shop.released()

    assert newer["state"] == "updated"
    (only,) = shop.pull_requests()
    assert only.state is PullRequestState.OPEN
    assert newer["images"][0]["digest"] in shop.file(BRANCH, f"{DEV}/kustomization.yaml")


def test_a_late_older_release_changes_nothing(shop: Shop) -> None:
    old = shop.commit_app("Old")
    shop.commit_app("New")
    shop.released()
    head = shop.file(BRANCH, f"{DEV}/worker.yaml")
    subprocess.run(["git", "-C", str(shop.app), "checkout", "-q", "-B", "main", old], check=True)

    late = shop.released()

    assert (late["state"], late["changed"]) == ("superseded", False)
    assert shop.file(BRANCH, f"{DEV}/worker.yaml") == head


def test_a_failing_test_stops_the_release_before_anything_is_pushed(shop: Shop, tls_registry: TlsRegistry) -> None:
    (shop.app / "worker/worker").write_text("#!/bin/sh\necho the answer got lost >&2; echo 41\n")
    shop.commit_app("Break the worker")

    done = shop.release()

    assert done.returncode == 1
    assert "nothing was pushed" in done.stderr
    known = f"--cert-dir={tls_registry.certificates}"
    listed = skopeo(tls_registry, "list-tags", known, f"docker://{shop.registry}/acme/api")
    assert b"404 (Not Found)" in listed.stderr, listed
    assert not shop.pull_requests()


def test_a_dry_run_shows_the_exact_diff_and_writes_nothing(shop: Shop) -> None:
    done = shop.release("--dry-run")

    assert done.returncode == 0, done.stderr
    assert "+          image: " in done.stdout
    assert "sha256:(known after the push)" in done.stdout
    assert "sha256:000" not in done.stdout
    assert not shop.pull_requests()


def test_pin_hands_off_an_image_that_exists_already(shop: Shop) -> None:
    record = shop.released()
    api = record["images"][0]

    done = shop.hybrid_ci("pin", f"api=:{api['tag']}", "--env", "staging", "--output", "json")

    assert done.returncode == 0, done.stderr
    pinned = json.loads(done.stdout)
    assert (pinned["state"], pinned["images"][0]["digest"]) == ("opened", api["digest"])
    assert pinned["images"][0]["platforms"] == api["platforms"]
    staging = shop.file("refs/heads/hybrid-ci/staging/shop", "apps/shop/overlays/staging/kustomization.yaml")
    assert api["digest"] in staging


def test_no_file_of_the_run_holds_a_secret(shop: Shop, tls_registry: TlsRegistry, git_token: str) -> None:
    shop.released("--record", "../release.json")

    for file in shop.root.rglob("*"):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            assert git_token.encode() not in content, file
            assert tls_registry.password.encode() not in content, file
    folders = Path("/tmp").glob("hybrid-ci-*")  # other runs come and go in them meanwhile
    assert not [name for folder in folders for _, _, names in os.walk(folder) for name in names if git_token in name]
