"""``doctor`` over the real things: engine, registry with a password, Git over HTTP with a token, the local forge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.shop import Done, Shop
from tests.servers import TlsRegistry

pytestmark = pytest.mark.engine


def by_check(done: Done) -> dict[str, list[dict[str, Any]]]:
    document = json.loads(done.stdout)
    assert document["schema"] == "hybrid-ci.diagnosis/v1"
    found: dict[str, list[dict[str, Any]]] = {}
    for one in document["findings"]:
        found.setdefault(one["check"], []).append(one)
    return found


def test_a_world_in_order_is_refused_nothing(shop: Shop, git_token: str, tls_registry: TlsRegistry) -> None:
    done = shop.hybrid_ci("doctor", "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = by_check(done)
    assert "refusal" not in {one["severity"] for listed in found.values() for one in listed}
    assert found["engine"][0]["severity"] == "ok"
    assert [one["severity"] for one in found["registry"]] == ["ok", "ok"]
    assert found["environments"][0]["what"] == "dev holds 2 images of 2"
    assert found["clock"][0]["severity"] == "ok"
    assert found["policy branch"][0]["severity"] == "ok"
    assert git_token not in done.stdout + done.stderr
    assert tls_registry.password not in done.stdout + done.stderr
    assert shop.pull_requests() == []
    assert shop.release().returncode == 0


def test_everything_that_is_wrong_is_told_at_once(shop: Shop, git_token: str) -> None:
    wrong = {
        "DOCKER_HOST": "unix:///nowhere/docker.sock",
        "HYBRID_CI_REGISTRY_PASSWORD": "wrong-canary-0123456789",
        "CI": "true",
        "KUBE_TOKEN": "kube-canary-0123456789",
        "HYBRID_CI_SIGNING_KEY": "no key at all 0123456789",
    }
    done = shop.hybrid_ci("doctor", "--output", "json", environment=wrong)
    assert done.returncode == 3, done.stderr
    found = by_check(done)
    for check in ("engine", "registry", "cluster credentials", "signing"):
        refused = [one for one in found[check] if one["severity"] == "refusal"]
        assert refused, check
        assert all(one["why"] and one["fix"] for one in refused)
    assert found["policy"][0]["severity"] == "ok"
    told = done.stdout + done.stderr
    for secret in ("wrong-canary-0123456789", "kube-canary-0123456789", "no key at all 0123456789", git_token):
        assert secret not in told


def test_a_wrong_git_login_hides_no_other_finding(shop: Shop) -> None:
    done = shop.hybrid_ci("doctor", environment={"HYBRID_CI_GIT_TOKEN": "wrong-canary-0123456789"})
    assert done.returncode == 3
    assert "REFUSED    git login" in done.stdout
    assert "ok         engine" in done.stdout
    assert "A release would be refused, or fail" in done.stdout
    assert "wrong-canary-0123456789" not in done.stdout + done.stderr
