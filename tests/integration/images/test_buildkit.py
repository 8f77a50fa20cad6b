"""BuildKit for real, and what reaches the docker command: secrets in no layer, logins for this build alone."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from orchestrator.core.errors import ConfigurationError
from orchestrator.core.image import Platform
from orchestrator.core.secret import Redactor, Secret
from orchestrator.images.base import BuildKitOptions, BuildSecret, BuildSpec
from orchestrator.images.buildkit import Builders, BuildKit
from orchestrator.images.buildkit_cli import DockerCli
from orchestrator.images.credentials import Anonymous
from orchestrator.images.docker_engine import DockerEngine
from orchestrator.images.engine_client import connect
from tests.contract.engines import OneLogin
from tests.simulators.reporter import RecordingReporter

pytestmark = pytest.mark.engine
CANARY = "canary-0b5c3e71-secret"
RECORDER = """#!/bin/sh
printf '%s\\n' "$@" > {folder}/argv
env > {folder}/environment
cp "$DOCKER_CONFIG/config.json" {folder}/config.json
stat -c %a "$DOCKER_CONFIG/config.json" > {folder}/mode
cat > /dev/null
exit 7
"""


@pytest.fixture
def engine(engine_host: str) -> Iterator[DockerEngine]:
    with DockerEngine(partial(connect, engine_host)) as made:
        yield made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    return folder


def spec(root: Path, dockerfile: str, **options: object) -> BuildSpec:
    (root / "Dockerfile").write_text(dockerfile)
    return BuildSpec("api", root, root / "Dockerfile", **options)  # type: ignore[arg-type]


def builder(engine: DockerEngine) -> BuildKit:
    return BuildKit(engine, Anonymous(), os.environ, Redactor())


def test_a_build_secret_is_read_and_stays_in_no_layer(engine: DockerEngine, base_image: str, root: Path) -> None:
    dockerfile = (
        f"FROM {base_image}\n"
        f"RUN --mount=type=secret,id=npm test $(wc -c < /run/secrets/npm) = {len(CANARY)}\n"
        "RUN test ! -s /run/secrets/npm\n"
    )
    options = BuildKitOptions(secrets=(BuildSecret("npm", Secret(CANARY, "$NPM")),))
    reporter = RecordingReporter()
    image = builder(engine).build(spec(root, dockerfile, buildkit=options), reporter)
    client = engine._client
    history = json.dumps(client.history(image.engine_id.value))  # type: ignore[no-untyped-call]
    exported = b"".join(client.get_image(image.engine_id.value))
    described = json.dumps(client.inspect_image(image.engine_id.value))  # type: ignore[no-untyped-call]
    for text in (history, reporter.text, described):
        assert CANARY not in text
    assert CANARY.encode() not in exported


def test_the_times_of_an_image_are_the_commits(engine: DockerEngine, base_image: str, root: Path) -> None:
    dockerfile = f"FROM {base_image}\nARG SOURCE_DATE_EPOCH\nLABEL epoch=$SOURCE_DATE_EPOCH\n"
    made = spec(root, dockerfile, buildkit=BuildKitOptions(created=1_700_000_000))
    image = builder(engine).build(made, RecordingReporter())
    inspected = engine._client.inspect_image(image.engine_id.value)  # type: ignore[no-untyped-call]
    labels = inspected["Config"]["Labels"]
    assert labels["epoch"] == "1700000000"


def test_an_image_for_another_platform_is_built(engine: DockerEngine, root: Path) -> None:
    (root / "file").write_text("x")
    made = spec(root, "FROM scratch\nCOPY file /file\n", platform=Platform("linux", "arm64"))
    assert builder(engine).build(made, RecordingReporter()).platform == Platform("linux", "arm64")


def test_the_classic_builder_says_that_a_secret_takes_buildkit(
    engine: DockerEngine, base_image: str, root: Path
) -> None:
    options = BuildKitOptions(secrets=(BuildSecret("npm", Secret(CANARY, "$NPM")),))
    with pytest.raises(ConfigurationError, match="BuildKit"):
        engine.build(spec(root, f"FROM {base_image}\n", buildkit=options), RecordingReporter())


@pytest.mark.parametrize(
    ("choice", "word"), [("auto", "[internal]"), ("buildkit", "[internal]"), ("engine", "Step 1/2")]
)
def test_the_builder_is_chosen(engine: DockerEngine, base_image: str, root: Path, choice: str, word: str) -> None:
    reporter = RecordingReporter()
    (root / "file").write_text(choice)
    chosen = Builders(engine, builder(engine), os.environ, choice)
    chosen.build(spec(root, f"FROM {base_image}\nCOPY file /file\n"), reporter)
    assert word in reporter.text


# --- what the docker command is told -------------------------------------------------------------------------------


def recorded(
    engine: DockerEngine, root: Path, folder: Path, made: BuildSpec, *, buildx: bool = True
) -> tuple[list[str], dict[str, str]]:
    """The arguments and the environment that a docker command gets for this build."""
    folder.mkdir()
    program = folder / "docker"
    program.write_text(RECORDER.format(folder=folder))
    program.chmod(0o755)
    made_builder = BuildKit(
        engine,
        OneLogin("ghcr.io", "ci", CANARY),
        dict(os.environ),
        Redactor(),
        find=lambda environment, why: DockerCli(program, buildx),
    )
    with pytest.raises(Exception, match="api"):
        made_builder.build(made, RecordingReporter())
    environment = dict(line.split("=", 1) for line in (folder / "environment").read_text().splitlines() if "=" in line)
    return (folder / "argv").read_text().splitlines(), environment


def test_a_login_goes_to_the_docker_command_for_the_registries_of_the_dockerfile_alone(
    engine: DockerEngine, root: Path, tmp_path: Path
) -> None:
    argv, environment = recorded(engine, root, tmp_path / "one", spec(root, "FROM ghcr.io/acme/base:1\n"))
    config = json.loads((tmp_path / "one" / "config.json").read_text())
    assert base64.b64decode(config["auths"]["ghcr.io"]["auth"]).decode() == f"ci:{CANARY}"
    assert (tmp_path / "one" / "mode").read_text().strip() == "600"
    assert not Path(environment["DOCKER_CONFIG"]).exists(), "the logins outlived the build"
    assert CANARY not in "\n".join([*argv, *environment.values()])
    recorded(engine, root, tmp_path / "two", spec(root, "FROM quay.io/acme/base:1\n"))
    assert json.loads((tmp_path / "two" / "config.json").read_text())["auths"] == {}


def test_buildx_gets_every_wish(engine: DockerEngine, root: Path, tmp_path: Path) -> None:
    options = BuildKitOptions(
        secrets=(BuildSecret("npm", Secret(CANARY, "$NPM")),),
        ssh=("default",),
        cache_from=("ghcr.io/acme/cache:api",),
        cache_to=("ghcr.io/acme/cache:api",),
        created=1_700_000_000,
        builder="remote",
    )
    made = spec(
        root,
        "FROM scratch\n",
        arguments={"A": "1"},
        labels={"l": "2"},
        target="final",
        platform=Platform("linux", "arm64"),
        buildkit=options,
    )
    argv, environment = recorded(engine, root, tmp_path / "one", made)
    assert argv[:2] == ["buildx", "build"]
    for option in (
        "--build-arg=A=1",
        "--build-arg=SOURCE_DATE_EPOCH=1700000000",
        "--label=l=2",
        "--target=final",
        "--platform=linux/arm64",
        "--ssh=default",
        "--cache-from=type=registry,ref=ghcr.io/acme/cache:api",
        "--cache-to=type=registry,ref=ghcr.io/acme/cache:api,mode=max",
        "--builder=remote",
        "--provenance=false",
        "--load",
    ):
        assert option in argv
    assert any(option.startswith("--secret=id=npm,src=/dev/fd/") for option in argv)
    assert CANARY not in "\n".join([*argv, *environment.values()])
    assert argv[-1] == "-"
    assert environment["DOCKER_HOST"] == engine.host


def test_what_takes_buildx_is_refused_without_it(engine: DockerEngine, root: Path, tmp_path: Path) -> None:
    made = spec(root, "FROM scratch\n", buildkit=BuildKitOptions(cache_to=("ghcr.io/acme/cache:api",)))
    plain = BuildKit(
        engine, Anonymous(), os.environ, Redactor(), find=lambda environment, why: DockerCli(tmp_path / "docker", False)
    )
    with pytest.raises(ConfigurationError, match="cache-to"):
        plain.build(made, RecordingReporter())
