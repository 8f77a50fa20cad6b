"""Makes a GitOps repository of many environments with many images each: what those who look at all of them read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from orchestrator.core.change import Action, Change, Position, branch_for
from orchestrator.core.environment import POLICY_PATH
from orchestrator.core.image import Digest, PinnedImage, Repository
from orchestrator.core.names import CommitId
from orchestrator.core.trailers import trailers

APPLICATION = "shop"
_RELEASES = 20  # of which the last one has come to staging, and not to the clusters of prod
_BEGIN = 1767225600
_DAY = 86_400
_POLICY = f"""\
version: 1
registries: ["ghcr.io/acme/**"]
applications:
  {APPLICATION}: {{images: ["ghcr.io/acme/**"]}}
environments:
  dev: {{paths: ["apps/{{application}}/dev"]}}
  staging: {{paths: ["apps/{{application}}/staging"], after: [dev]}}
  prod:
    paths: ["{{cluster}}/{{application}}"]
    after: [staging]
    waves: {{clusters: "clusters/prod-*", sizes: [1, 10%, rest]}}
"""


def made(path: Path, environments: int, images: int) -> Path:
    """A bare repository at ``path`` with so many environments (three or more) of so many images each."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", path], check=True, env=environment)
    stream = b"".join(_History(environments - 2, images).commits())
    subprocess.run(["git", "fast-import", "--quiet"], cwd=path, input=stream, check=True, env=environment)
    return path


class _History:
    """Releases to dev, each promoted to staging, and all but the last to every cluster."""

    def __init__(self, clusters: int, images: int) -> None:
        self._clusters = [f"clusters/prod-{number:03}" for number in range(clusters)]
        self._images = [Repository("ghcr.io", f"acme/service-{number:03}") for number in range(images)]
        self._count = 0

    def commits(self) -> Iterator[bytes]:
        """Everything, as git fast-import reads it."""
        yield self._commit("Begin")
        yield _file(POLICY_PATH, _POLICY)
        for release in range(1, _RELEASES + 1):
            yield self._lands("dev", Action.RELEASE, release)
            yield self._lands("staging", Action.PROMOTE, release)
            if release < _RELEASES:
                yield self._commit(f"Promote to prod: {release}\n\n{self._trailers('prod', Action.PROMOTE, release)}")
                yield from (self._manifest(folder, release) for folder in self._clusters)

    def _lands(self, environment: str, action: Action, release: int) -> bytes:
        told = f"{action} to {environment}: {release}\n\n{self._trailers(environment, action, release)}"
        return self._commit(told) + self._manifest(f"apps/{{}}/{environment}", release)

    def _trailers(self, environment: str, action: Action, release: int) -> str:
        images = tuple(self._pinned(image, release) for image in self._images)
        source = CommitId(f"{release:040x}")
        change = Change(action, environment, APPLICATION, images, f"r{release}", source, Position("main", release))
        assert change.branch == branch_for(environment, APPLICATION)
        return "\n".join(trailers(change))

    def _pinned(self, image: Repository, release: int) -> PinnedImage:
        return PinnedImage(image, Digest.of(f"{image} {release}".encode()), f"1.{release}.0")

    def _manifest(self, folder: str, release: int) -> bytes:
        """A kustomization with all images; what differs between environments is its name prefix."""
        inside = folder.format(APPLICATION) if "{}" in folder else f"{folder}/{APPLICATION}"
        lines = ["kind: Kustomization", f"namePrefix: {inside.replace('/', '-')}-", "resources: [../base]", "images:"]
        for image in self._images:
            pinned = self._pinned(image, release)
            lines += [f"- name: {image}", f"  newTag: {pinned.tag}", f"  digest: {pinned.digest}"]
        return _file(f"{inside}/kustomization.yaml", "\n".join(lines) + "\n")

    def _commit(self, message: str) -> bytes:
        self._count += 1
        text = message.encode()
        who = b"Bench <bench@example.com> %d +0000" % (_BEGIN + self._count * _DAY)
        return b"commit refs/heads/main\ncommitter %s\ndata %d\n%s\n" % (who, len(text), text)


def _file(path: str, text: str) -> bytes:
    content = text.encode()
    return b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content)
