"""Builds on a real engine, and docker's own client as the judge of what belongs to a context."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.images.base import BuildFailed, BuildSpec, BuiltImage, RunSpec
from orchestrator.images.context import plan_context
from orchestrator.images.docker_engine import DockerEngine
from tests.servers.engine_scripted import VERSION, Events, Status, scripted_engine
from tests.simulators.reporter import RecordingReporter

pytestmark = pytest.mark.engine


@pytest.fixture
def folder(tmp_path: Path, base_image: str) -> Path:
    made = tmp_path / "context"
    made.mkdir()
    (made / "Dockerfile").write_text(f"FROM {base_image}\nCOPY . /w\n")
    return made


@pytest.fixture
def inside(engine: DockerEngine) -> Callable[..., list[str]]:
    """The files below /w of the image that is built from this folder."""

    def made(folder: Path, dockerfile: Path | None = None) -> list[str]:
        reporter = RecordingReporter()
        image = engine.build(BuildSpec("api", folder, dockerfile or folder / "Dockerfile"), reporter)
        found = engine.run(image, RunSpec(("/bin/sh", "-c", "cd /w && find . ! -type d | sort")), reporter, "test")
        return [line.removeprefix("./") for line in found.log_tail]

    return made


Inside = Callable[..., list[str]]


def test_secrets_beside_the_code_do_not_reach_the_image(folder: Path, inside: Inside) -> None:
    for name in (".env", "id_rsa", "app.py"):
        (folder / name).write_text("x")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")
    assert inside(folder) == ["Dockerfile", "app.py"]


def test_a_foreign_dockerfile_and_our_additions_do_not_reach_the_image(
    folder: Path, inside: Inside, tmp_path: Path
) -> None:
    (folder / "Dockerfile").rename(tmp_path / "outside.Dockerfile")
    (folder / "app.py").write_text("x")
    assert inside(folder, tmp_path / "outside.Dockerfile") == ["app.py"]


def test_an_ignored_dockerfile_is_used_and_not_copied(folder: Path, inside: Inside) -> None:
    (folder / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    (folder / "app.py").write_text("x")
    assert inside(folder) == ["app.py"]


def test_a_symlink_arrives_as_a_symlink(engine: DockerEngine, folder: Path) -> None:
    (folder / "link").symlink_to("/etc/hostname")
    reporter = RecordingReporter()
    image = engine.build(BuildSpec("api", folder, folder / "Dockerfile"), reporter)
    result = engine.run(image, RunSpec(("readlink", "/w/link")), reporter, "test")
    assert result.log_tail == ("/etc/hostname",)


def test_the_output_of_a_failing_step_is_in_the_error(build: Callable[..., BuiltImage]) -> None:
    with pytest.raises(BuildFailed) as caught:
        build("RUN echo the reason; exit 7")
    assert "the reason" in caught.value.details
    assert "ended with 7" in str(caught.value.hint)
    assert str(caught.value.where).endswith("Dockerfile:3")


def test_a_base_that_does_not_exist_is_a_failed_build_or_an_unreachable_registry(
    engine: DockerEngine, folder: Path, registry: object
) -> None:
    (folder / "Dockerfile").write_text(f"FROM {registry}/nobody/nothing:1\n")
    with pytest.raises(BuildFailed) as caught:
        engine.build(BuildSpec("api", folder, folder / "Dockerfile"), RecordingReporter())
    assert caught.value.exit_code == 1
    assert "base image" in str(caught.value.hint)


# --- docker's own client as the judge ----------------------------------------------------------------------------

TREE = (
    "a.txt", "b.log", "README.md", "src/main.py", "src/main.log", "src/lib/util.py", "src/lib/deep/x.log",
    "node_modules/m/index.js", "node_modules/m/package.json", "docs/a.md", "docs/README.md", "build/out.bin",
    "src/build/out.bin", "!odd", "#odd", "sp ace.txt", "src/[x].txt",
)  # fmt: skip
PATTERNS = (
    "*.log", "**/*.log", "src", "src/", "/src", "./src", "src/*", "src/**", "**/build", "build/**", "**", "*",
    "*\n!README.md", "*\n!src", "*\n!src/lib", "**\n!src/main.py", "src\n!src/lib/util.py", "src/*\n!src/lib",
    "*.md\n!README.md", "**/*.md\n!**/README.md", "node_modules/*\n!node_modules/m", "docs\n!docs/*.md",
    "*/*.md", "*/*/*.py", "?.txt", "[ab].txt", "[!a].txt", "[^a].txt", "src/\\[x].txt", "[a-c]*",
    "\\!odd", "\\#odd", "+.txt", "a.tx.",
    "a.txt\n!a.txt\na.txt", "src/../docs", "../context/docs",
    "# comment\ndocs", "  docs  ", "sp ace.txt", "**/main.*", "!docs\ndocs", "src/lib/\n!src/lib/deep", ".",
    "*/lib", "**/lib/**", "s?c", "src/**/x.log", "**/deep/../util.py", "README.md/", "/",
)  # fmt: skip


def names(raw: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        return {member.name.rstrip("/") for member in tar if not member.isdir()}


def test_the_context_is_the_one_that_dockers_own_client_sends(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    assert docker, "the docker client comes with the engine's package"
    root = tmp_path / "context"
    for path in TREE:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    (root / "Dockerfile").write_text("FROM scratch\n")
    differences = {}
    with scripted_engine() as scripted:
        scripted.on("HEAD", "/_ping", Status(200))
        scripted.on("GET", "/_ping", Status(200, b"OK"))
        scripted.on("GET", "/info", Status(200, {"OSType": "linux", "IndexServerAddress": "https://example.com"}))
        scripted.on("GET", "/version", Status(200, VERSION))
        scripted.on("POST", "/build", Events([{"stream": "Successfully built 0123456789ab\n"}]))
        for pattern in PATTERNS:
            (root / ".dockerignore").write_text(pattern + "\n")
            environment = {
                "DOCKER_HOST": scripted.host,
                "DOCKER_BUILDKIT": "0",
                "HOME": str(tmp_path),
                "DOCKER_API_VERSION": "1.41",
            }
            done = subprocess.run(
                [docker, "build", "--quiet", str(root)], env=environment, capture_output=True, timeout=60, check=False
            )
            (asked,) = [asked for asked in scripted.asked if asked.path == "/build"] or [None]
            assert asked is not None, (pattern, done.stderr)
            scripted.asked.clear()
            theirs = names(asked.body)
            ours = names(b"".join(plan_context(BuildSpec("x", root, root / "Dockerfile")).stream()))
            if theirs != ours:
                differences[pattern] = (sorted(ours - theirs), sorted(theirs - ours))
    assert differences == {}
