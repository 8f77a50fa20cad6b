"""Which docker can do BuildKit: several on PATH, and the first one may not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.images.buildkit_cli import DockerCli, find_docker_cli, required_docker_cli

WITH_BUILDX = 'case "$1 $2" in "buildx version") echo v0.12;; *) exit 1;; esac'
WITHOUT_BUILDX = (
    'case "$1 $2" in "build --help") [ "$DOCKER_BUILDKIT" = 1 ] && echo "  --secret stringArray";; *) exit 1;; esac'
)
WITHOUT_BUILDKIT = "exit 1"


def docker(folder: Path, script: str) -> Path:
    folder.mkdir()
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def environment(*folders: Path) -> dict[str, str]:
    return {"PATH": os.pathsep.join(map(str, folders)), "HOME": "/nonexistent"}


def test_the_docker_with_buildx_is_taken_wherever_it_stands(tmp_path: Path) -> None:
    docker(tmp_path / "a", WITHOUT_BUILDKIT)
    docker(tmp_path / "b", WITHOUT_BUILDX)
    program = docker(tmp_path / "c", WITH_BUILDX)
    found = find_docker_cli(environment(tmp_path / "a", tmp_path / "b", tmp_path / "c"))
    assert found == DockerCli(program, buildx=True)
    assert found.build == (str(program), "buildx", "build")


def test_a_docker_that_has_buildkit_built_in_will_do(tmp_path: Path) -> None:
    docker(tmp_path / "a", WITHOUT_BUILDKIT)
    program = docker(tmp_path / "b", WITHOUT_BUILDX)
    found = find_docker_cli(environment(tmp_path / "a", tmp_path / "b"))
    assert found == DockerCli(program, buildx=False)
    assert found.build == (str(program), "build")


def test_a_machine_without_either_has_none(tmp_path: Path) -> None:
    docker(tmp_path / "a", WITHOUT_BUILDKIT)
    assert find_docker_cli(environment(tmp_path / "a")) is None
    assert find_docker_cli(environment(tmp_path / "empty")) is None


def test_what_can_not_be_run_is_passed_over(tmp_path: Path) -> None:
    docker(tmp_path / "a", WITH_BUILDX).chmod(0o644)
    (tmp_path / "b" / "docker").mkdir(parents=True)
    assert find_docker_cli(environment(tmp_path / "a", tmp_path / "b")) is None


def test_a_build_that_needs_it_says_what_was_looked_at(tmp_path: Path) -> None:
    program = docker(tmp_path / "a", WITHOUT_BUILDKIT)
    with pytest.raises(ConfigurationError) as caught:
        required_docker_cli(environment(tmp_path / "a"), "the image api has a build secret")
    assert str(program) in (caught.value.where or "")
    assert "buildx" in (caught.value.hint or "")
    with pytest.raises(ConfigurationError, match="no docker command"):
        required_docker_cli(environment(tmp_path / "none"), "the image api has a build secret")
