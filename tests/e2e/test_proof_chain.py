"""An image that somebody planted in the real registry, under the very key that a release looks for."""

from __future__ import annotations

import json
import secrets
from functools import partial
from pathlib import Path

import pytest

from orchestrator.core.errors import ExitCode
from orchestrator.core.image import Digest, Repository, TaggedImage
from orchestrator.images.base import BuildSpec
from orchestrator.images.content_key import is_key_tag
from orchestrator.images.docker_engine import DockerEngine
from orchestrator.images.engine_client import connect
from orchestrator.images.registry import HttpRegistry
from orchestrator.images.tagging import labels_of
from tests.contract.engines import OneLogin
from tests.e2e.shop import Shop
from tests.servers import TlsRegistry
from tests.simulators.reporter import RecordingReporter

pytestmark = pytest.mark.engine


def test_key_tag_planted_with_forged_labels(
    shop: Shop, tls_registry: TlsRegistry, engine_host: str, base_image: str, tmp_path: Path
) -> None:
    """Its labels are those of the real one, its digest is not: it is tested again, fails, and goes nowhere."""
    released = shop.released()
    assert shop.hybrid_ci("forge", "merge", "1").returncode == 0
    (api,) = (image for image in released["images"] if image["name"] == "api")
    plant(shop, tls_registry, engine_host, base_image, Digest(api["digest"]), tmp_path / "evil")
    shop.commit_app("Change nothing that is built")

    done = shop.release()

    assert done.returncode == ExitCode.WORK_FAILED, done.stderr
    assert "tests of the image api failed" in done.stderr
    assert "the GitOps base branch says that it was tested" in done.stderr  # of the worker, and of the worker alone
    assert "test api: skipped" not in done.stderr
    assert len(shop.pull_requests()) == 1


def plant(shop: Shop, tls: TlsRegistry, host: str, base: str, honest: Digest, folder: Path) -> None:
    """Build another image with the labels of the real one, and push it under the real one's key tag."""
    repository = Repository.parse(f"{shop.registry}/acme/api")
    logins = OneLogin(tls.host, tls.username, tls.password)
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {base}\nRUN echo {secrets.token_hex(8)} > /evil\n")
    with DockerEngine(partial(connect, host), logins) as engine, HttpRegistry(logins, ca_bundle=tls.ca) as registry:
        labels = {name: str(value) for name, value in labels_of(registry, repository, honest).items()}
        tag = next(tag for tag in tags_of(registry, repository) if is_key_tag(tag))
        assert registry.resolve(TaggedImage(repository, tag)) == honest
        evil = engine.build(BuildSpec("api", folder, folder / "Dockerfile", labels=labels), RecordingReporter())
        engine.push(evil, TaggedImage(repository, tag), RecordingReporter(), "plant")
        assert registry.resolve(TaggedImage(repository, tag)) != honest


def tags_of(registry: HttpRegistry, repository: Repository) -> list[str]:
    answer = registry._session.find(repository, "GET", "tags/list", 1 << 20)
    assert answer is not None
    return list(json.loads(answer.body)["tags"])
