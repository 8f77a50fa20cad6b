"""A small world to release in: an application with two images, a GitOps repository, and the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.forges.base import PullRequest
from orchestrator.forges.local import LocalForge

POLICY = """\
version: 1
environments:
  dev:
    paths: ["apps/{application}/overlays/dev/**"]
  staging:
    paths: ["apps/{application}/overlays/staging/**"]
    after: [dev]
applications:
  shop:
    images: ["REGISTRY/acme/*"]
registries: ["REGISTRY/**"]
"""

KUSTOMIZATION = """\
# dev of the shop; the numbers here are looked at by people
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- ../../base
images:
- name: shop-api            # the placeholder in the base
  newName: REGISTRY/acme/api
  newTag: "0"
"""

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  template:
    spec:
      containers:
        - name: worker
          image: REGISTRY/acme/worker:0   # moved by hybrid-ci
        - name: sidecar
          image: REGISTRY/acme/worker-sidecar:1
"""

CONFIG = """\
version: 1
application: shop
gitops:
  repository: GITOPS
  environment: dev
  forge: FORGE
images:
  api:
    repository: REGISTRY/acme/api
    context: api
    args: {BASE: "BASE_IMAGE"}
    tests:
      - name: unit
        run: [/tests.sh]
        junit: /tmp/junit.xml
        timeout: 1m
      - name: smoke
        http: {port: 8080, path: /, contains: hello}
        timeout: 30s
  worker:
    repository: REGISTRY/acme/worker
    context: worker
    args: {BASE: "BASE_IMAGE"}
    tests:
      - name: answers
        run: test "$(/worker)" = 42
        timeout: 1m
"""

API_DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY . /
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""

WORKER_DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY worker /worker
CMD ["/worker"]
"""

API_TESTS = """\
#!/bin/sh
echo running the unit tests
echo '<testsuite tests="2"><testcase name="a"/><testcase name="b"><skipped/></testcase></testsuite>' > /tmp/junit.xml
"""


Done = subprocess.CompletedProcess[str]


@dataclass
class Shop:
    """The application's checkout, the GitOps repository behind it, and how to run hybrid-ci there."""

    root: Path
    registry: str
    base_image: str
    gitops_url: str
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def app(self) -> Path:
        return self.root / "app"

    @property
    def gitops(self) -> Path:
        return self.root / "gitops.git"

    def build(self) -> None:
        """Make both repositories, with a first commit each."""
        self._make_gitops()
        self._make_app()

    def configure(self, text: str) -> None:
        (self.app / "hybrid-ci.yaml").write_text(self._filled(text))
        self.commit_app("Configure")

    def commit_app(self, subject: str) -> str:
        git(self.app, "add", "-A")
        git(self.app, "commit", "-q", "--allow-empty", "-m", subject)
        return git(self.app, "rev-parse", "HEAD")

    def hybrid_ci(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Done:
        """Run the command as a user does, in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "orchestrator", *arguments],
            cwd=self.app if self.app.exists() else self.root,
            env={**os.environ, **self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def release(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Done:
        return self.hybrid_ci("release", *arguments, environment=environment)

    def released(self, *arguments: str) -> dict[str, Any]:
        """A release that must succeed; its record."""
        done = self.release("--output", "json", *arguments)
        assert done.returncode == 0, done.stderr
        record: dict[str, Any] = json.loads(done.stdout)
        return record

    def pull_requests(self) -> Sequence[PullRequest]:
        return LocalForge(self.gitops).list()

    def file(self, ref: str, path: str) -> str:
        """A file of the GitOps repository, as git itself shows it."""
        return subprocess.run(
            ["git", "-C", str(self.gitops), "show", f"{ref}:{path}"], capture_output=True, text=True, check=True
        ).stdout

    def _make_gitops(self) -> None:
        LocalForge.init(self.gitops)
        seed = self.root / "seed"
        seed.mkdir()
        git(seed, "init", "-q", "-b", "main")
        self._write(seed / ".hybrid-ci/environments.yaml", POLICY)
        for environment in ("dev", "staging"):
            self._write(seed / f"apps/shop/overlays/{environment}/kustomization.yaml", KUSTOMIZATION)
            self._write(seed / f"apps/shop/overlays/{environment}/worker.yaml", DEPLOYMENT)
        git(seed, "add", "-A")
        git(seed, "commit", "-q", "-m", "Seed")
        # The forge protects its base branch: an owner writes it beside the server hook.
        git(self.gitops, "fetch", "-q", str(seed), "+refs/heads/main:refs/heads/main")

    def _make_app(self, config: str = CONFIG) -> None:
        self.app.mkdir()
        git(self.app, "init", "-q", "-b", "main")
        self._write(self.app / "api/Dockerfile", API_DOCKERFILE)
        self._write(self.app / "api/www/index.html", "hello\n")
        self._write(self.app / "api/tests.sh", API_TESTS, mode=0o755)
        self._write(self.app / "worker/Dockerfile", WORKER_DOCKERFILE)
        self._write(self.app / "worker/worker", "#!/bin/sh\necho 42\n", mode=0o755)
        self.configure(config)

    def _write(self, file: Path, text: str, mode: int = 0o644) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._filled(text))
        file.chmod(mode)

    def _filled(self, text: str) -> str:
        filled = text.replace("REGISTRY", self.registry).replace("BASE_IMAGE", self.base_image)
        return filled.replace("GITOPS", self.gitops_url or str(self.gitops)).replace("FORGE", str(self.gitops))


def git(directory: Path, *arguments: str) -> str:
    """Git as a person uses it, for setting a stage."""
    done = subprocess.run(["git", "-C", str(directory), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
