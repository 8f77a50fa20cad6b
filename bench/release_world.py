"""The worlds of ``make bench-release``: applications, a GitOps repository that is a local forge, and the commands."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.git import run_git
from scripts.services import Services

FILES, FILE_BYTES = 2_000, 50_000  # 100 MB
_SCRIPT = Path(sys.executable).with_name("hybrid-ci")

_POLICY = """\
version: 1
environments:
  dev:
    paths: ["apps/{application}/dev/**"]
applications:
  bench:
    images: ["REGISTRY/**"]
registries: ["REGISTRY/**"]
"""

_HEAD = """\
version: 1
application: bench
gitops: {repository: ../gitops.git, environment: dev, forge: ../gitops.git}
images:
"""

_IMAGE = """\
  imageN:
    repository: REGISTRY/bench/imageN
    context: imageN
    tests:
      - {name: works, run: COMMAND}
"""


class World:
    """One application whose ``images`` are numbered, its GitOps repository, and how both are used."""

    def __init__(self, folder: Path, running: Services, images: int, command: str) -> None:
        self.app = folder / "app"
        self.registry = f"{running.plain.host}/{secrets.token_hex(4)}"
        self.base = f"{self.registry}/base:1"
        self._folder = folder
        self.environment = _environment(folder, running.engine.host)
        folder.mkdir()
        (folder / "home").mkdir()
        self._make_gitops(images)
        self._make_app(images, command)
        self.run("docker", "tag", running.base_image, self.base)
        self.run("docker", "push", "--quiet", self.base)

    def context(self, number: int) -> Path:
        """The build context of one image."""
        return self.app / f"image{number}"

    def image(self, number: int) -> str:
        """Where it is pushed."""
        return f"{self.registry}/bench/image{number}"

    def commit(self, note: str) -> None:
        """A commit that changes a file beside all build contexts, and whatever else was written."""
        (self.app / "NOTES").write_text(f"{note}\n")
        run_git(self.app, "add", "-A")
        run_git(self.app, "commit", "--quiet", "-m", note)

    def hybrid_ci(self, *arguments: str) -> str:
        """The installed command, in a process of its own; what it said on stderr. Raises CalledProcessError."""
        return self.run(str(_SCRIPT), *arguments)

    def run(self, *argv: str) -> str:
        """A command in the checkout; its stderr. Raises CalledProcessError, with the output on our stderr."""
        done = subprocess.run(argv, cwd=self.app, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.stderr.write(done.stdout + done.stderr)
            done.check_returncode()
        return done.stderr

    def _make_gitops(self, images: int) -> None:
        bare, seed = self._folder / "gitops.git", self._folder / "seed"
        subprocess.run([_SCRIPT, "forge", "init", bare], env=self.environment, check=True, capture_output=True)
        pins = "".join(f"- {{name: {self.image(number)}, newTag: none}}\n" for number in range(images))
        _write(seed / ".hybrid-ci/environments.yaml", _POLICY.replace("REGISTRY", self.registry))
        _write(seed / "apps/bench/dev/kustomization.yaml", f"images:\n{pins}")
        run_git(seed, "init", "--quiet", "-b", "main")
        run_git(seed, "add", "-A")
        run_git(seed, "commit", "--quiet", "-m", "Seed")
        run_git(bare, "fetch", "--quiet", str(seed), "+refs/heads/main:refs/heads/main")

    def _make_app(self, images: int, command: str) -> None:
        config = "".join(_IMAGE.replace("imageN", f"image{number}") for number in range(images))
        _write(
            self.app / "hybrid-ci.yaml", _HEAD + config.replace("REGISTRY", self.registry).replace("COMMAND", command)
        )
        for number in range(images):
            _write(self.context(number) / "Dockerfile", f"FROM {self.base}\nCOPY . /srv\n")
        run_git(self.app, "init", "--quiet", "-b", "main")
        self.commit("Begin")


def fill(folder: Path) -> None:
    """2,000 files in 20 folders, 100 MB that nothing compresses: the same bytes each time."""
    draw = random.Random(5)
    for number in range(FILES):
        file = folder / f"part{number % 20:02}" / f"file{number:04}.bin"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(draw.randbytes(FILE_BYTES))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _environment(folder: Path, engine: str) -> Mapping[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder / "home"),
        "LANG": "C.UTF-8",
        "DOCKER_HOST": engine,
        "DOCKER_BUILDKIT": "0",  # the baseline says which builder it means
    }
