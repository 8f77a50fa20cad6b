"""``check``: both files, and what the application's configuration points to."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.checks import check_files
from orchestrator.core.errors import ConfigurationError
from tests.unit.config.test_loader import POLICY

CONFIG = """\
version: 1
application: shop
gitops: {repository: ../gitops.git, environment: dev}
images:
  api:
    repository: ghcr.io/acme/api
    context: services/api
    tests: [{name: starts, run: "true"}]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "services/api").mkdir(parents=True)
    (tmp_path / "services/api/Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "hybrid-ci.yaml").write_text(CONFIG)
    return tmp_path


def test_a_sound_configuration_is_told_so(shop: Path) -> None:
    report = check_files(shop / "hybrid-ci.yaml", None)
    assert report.sound == [f"{shop}/hybrid-ci.yaml: valid, 1 image"]
    assert report.warnings == []


def test_an_image_without_tests_is_a_warning(shop: Path) -> None:
    text = (
        CONFIG.partition("    tests")[0] + "  worker:\n    repository: ghcr.io/acme/worker\n    context: services/api\n"
    )
    (shop / "hybrid-ci.yaml").write_text(text)
    report = check_files(shop / "hybrid-ci.yaml", None)
    assert report.sound == [f"{shop}/hybrid-ci.yaml: valid, 2 images"]
    assert [warning.partition(":")[0] for warning in report.warnings] == [
        "images.api has no tests",
        "images.worker has no tests",
    ]


def test_files_that_are_not_there_are_listed_at_once_with_their_lines(shop: Path) -> None:
    config = shop / "hybrid-ci.yaml"
    config.write_text(
        CONFIG
        + "  worker:\n    repository: ghcr.io/acme/worker\n    context: services/worker\n"
        + "  web:\n    repository: ghcr.io/acme/web\n    context: services/api\n    dockerfile: services/Webfile\n"
        + "  root:\n    repository: ghcr.io/acme/root\n"
    )
    with pytest.raises(ConfigurationError, match="files that are not there") as caught:
        check_files(config, None)
    assert caught.value.details == (
        f"{config}:11: images.worker.context: there is no folder {shop}/services/worker",
        f"{config}:15: images.web.dockerfile: there is no file {shop}/services/Webfile",
        f"{config}:16: images.root.dockerfile: there is no file {shop}/Dockerfile",
    )


def test_a_policy_is_checked_by_its_own_word(shop: Path) -> None:
    policy = shop / "environments.yaml"
    policy.write_text(POLICY.replace("version: 1", "version: 1\nbase: trunk"))
    report = check_files(shop / "hybrid-ci.yaml", policy)
    assert report.sound[1] == f"{policy}: valid, environments dev, prod, edge"


def test_in_a_gitops_repository_the_policy_stands_alone(tmp_path: Path) -> None:
    policy = tmp_path / "environments.yaml"
    policy.write_text(POLICY)
    assert check_files(tmp_path / "hybrid-ci.yaml", policy).sound == [f"{policy}: valid, environments dev, prod, edge"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no mapping"),
        (b"- a", "holds no mapping"),
        (b"base: 2026-13-45", "is no timestamp"),
        (b"base: [", "not valid YAML"),
        (b"\xff", "not UTF-8"),
        (b"[" * 80_000, "too deep"),
        (b"#" * (2 << 20), "larger than 1 MiB"),
        (b"version: 1\nbase: a..b\nenvironments: {dev: {paths: [x]}}", "1 problem"),
    ],
    ids=range(8),
)
def test_a_broken_policy_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    policy = tmp_path / "environments.yaml"
    policy.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as caught:
        check_files(tmp_path / "hybrid-ci.yaml", policy)
    assert (caught.value.where or "").startswith(str(policy))


def test_a_missing_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read: No such file") as caught:
        check_files(tmp_path / "hybrid-ci.yaml", tmp_path / "environments.yaml")
    assert caught.value.hint


def test_problems_of_both_files_are_told_at_once(shop: Path) -> None:
    (shop / "hybrid-ci.yaml").write_text(CONFIG + "tagg: x\n")
    policy = shop / "environments.yaml"
    policy.write_text(POLICY + "writer: x\n")
    with pytest.raises(ConfigurationError) as caught:
        check_files(shop / "hybrid-ci.yaml", policy)
    text = "\n".join(caught.value.details)
    assert "unknown key 'tagg'" in text
    assert "unknown key 'writer'" in text
