"""A GitOps repository on the embedded forge to promote in: real git, the real command, no engine and no registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.change import Action, Change, Position
from orchestrator.core.image import Digest, PinnedImage, Repository
from orchestrator.core.names import CommitId
from orchestrator.core.trailers import trailers
from orchestrator.forges.base import PullRequest, PullRequestState
from orchestrator.forges.local import LocalForge
from tests.servers.git_repositories import Content, commit_files, git

API, WORKER = Repository("ghcr.io", "acme/shop/api"), Repository("ghcr.io", "acme/shop/worker")

POLICY = """\
version: 1
environments:
  dev: {paths: ["apps/{application}/dev"]}
  staging: {paths: ["apps/{application}/staging"], after: [dev]}
  prod:
    paths: ["{cluster}/{application}"]
    after: [staging]
    waves: {clusters: "clusters/prod-*", sizes: [1, rest]}
applications:
  shop: {images: ["ghcr.io/acme/shop/*"]}
registries: ["ghcr.io/acme/**"]
"""
FOLDERS = (
    "apps/shop/dev",
    "apps/shop/staging",
    "clusters/prod-eu/shop",
    "clusters/prod-us/shop",
    "clusters/prod-ap/shop",
)
UNSET = """\
# {folder}
images:
- name: api
  newName: ghcr.io/acme/shop/api
- name: worker
  newName: ghcr.io/acme/shop/worker
"""
Done = subprocess.CompletedProcess[str]


def pinned(repository: Repository, version: int) -> PinnedImage:
    """The image of this version: its digest tells which."""
    return PinnedImage(repository, Digest.of(f"{repository} {version}".encode()), f"1.{version}")


@dataclass
class Estate:
    """The repository, and how to run hybrid-ci against it from anywhere."""

    root: Path
    policy: str = POLICY
    folders: tuple[str, ...] = FOLDERS
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bare = self.root / "gitops.git"
        LocalForge.init(self.bare)
        files: dict[str | bytes, Content] = {
            f"{folder}/kustomization.yaml": UNSET.format(folder=folder).encode() for folder in self.folders
        }
        commit_files(self.bare, {".hybrid-ci/environments.yaml": self.policy.encode(), **files})

    def release(
        self, version: int, *repositories: Repository, folder: str = "apps/shop/dev", branch: str = "main"
    ) -> None:
        """A release landed in dev: what its pull request would have left on the base branch."""
        images = tuple(pinned(one, version) for one in repositories or (API, WORKER))
        source = CommitId(f"{version:040x}")
        change = Change(Action.RELEASE, "dev", "shop", images, f"release{version}", source, Position(branch, version))
        path = f"{folder}/kustomization.yaml"
        text = self.file("main", path)
        for image in images:
            text = repinned(text, image)
        message = "\n".join([f"Release {version}", "", *trailers(change)])
        commit_files(self.bare, {path: text.encode()}, message=message)

    def write(self, files: Mapping[str, str | None], message: str = "By hand") -> None:
        """Somebody commits."""
        commit_files(
            self.bare,
            {path: text.encode() if text is not None else None for path, text in files.items()},
            message=message,
        )

    def run(self, *arguments: str) -> Done:
        """The command, as a person or a job calls it, in a folder without any configuration."""
        folder = self.root / "elsewhere"
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-m", "orchestrator", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **self.environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def promote(self, *arguments: str) -> Done:
        return self.run("promote", "--gitops", str(self.bare), *arguments)

    def promoted(self, *arguments: str) -> dict[str, Any]:
        """The record of a promotion that must end well."""
        done = self.promote("--output", "json", *arguments)
        assert done.returncode == 0, done.stderr
        record: dict[str, Any] = json.loads(done.stdout)
        return record

    def pulls(self, state: PullRequestState | None = None) -> list[PullRequest]:
        return [one for one in LocalForge(self.bare).list() if state in (None, one.state)]

    def merge(self, number: int) -> None:
        forge = LocalForge(self.bare)
        head = forge.show(number).head_commit
        assert head is not None
        forge.merge(number, head)

    def file(self, ref: str, path: str) -> str:
        """As git itself shows it."""
        return git(self.bare, "show", f"{ref}:{path}") + "\n"


def repinned(text: str, image: PinnedImage) -> str:
    """The kustomization with this image at its version."""
    lines, at = [], False
    for line in text.splitlines():
        if at and line.strip().startswith(("newTag:", "digest:")):
            continue
        at = line.strip() == f"newName: {image.repository}"
        lines.append(line)
        if at:
            lines += [f'  newTag: "{image.tag}"', f"  digest: {image.digest}"]
    return "\n".join(lines) + "\n"
