"""Changes, policies and files that the tests of planning and handing off start from."""

from __future__ import annotations

from functools import cache

from orchestrator.config.loader import load_policy
from orchestrator.core.change import Action, Change, Position
from orchestrator.core.environment import Policy
from orchestrator.core.image import Digest, PinnedImage, Repository
from orchestrator.core.names import BranchName, CommitId, RepoPath

MAIN = BranchName("main")
API = Repository("ghcr.io", "acme/shop/api")
WORKER = Repository("ghcr.io", "acme/shop/worker")
SIDECAR = Repository("ghcr.io", "acme/shop/worker-sidecar")

POLICY = b"""\
version: 1
environments:
  dev: {paths: ["apps/{application}/dev/**"]}
  staging: {paths: ["apps/{application}/staging/**"], after: [dev]}
  lab: {paths: ["apps/{application}/lab/**"], strategy: commit, branch: lab}
applications:
  shop: {images: ["ghcr.io/acme/shop/*"]}
  free: {images: ["**"], environments: [dev], paths: ["apps/free/dev/own/**"]}
registries: ["ghcr.io/acme/**", "docker.io/**"]
writers: [ci@acme.example]
"""

KUSTOMIZATION = f"""\
images:
- name: api
  newName: {API}   # by hybrid-ci
  newTag: "1"
""".encode()

DEPLOYMENT = f"""\
kind: Deployment
apiVersion: apps/v1
spec: {{template: {{spec: {{containers: [
  {{name: worker, image: "{WORKER}:1"}},
  {{name: sidecar, image: "{SIDECAR}:1"}}]}}}}}}
""".encode()

FILES = {
    RepoPath("apps/shop/dev/kustomization.yaml"): KUSTOMIZATION,
    RepoPath("apps/shop/dev/worker.yaml"): DEPLOYMENT,
}


@cache
def policy() -> Policy:
    return load_policy(POLICY, "the policy", MAIN)


def digest(seed: int) -> Digest:
    return Digest.of(str(seed).encode())


def pinned(repository: Repository = API, version: int = 2) -> PinnedImage:
    return PinnedImage(repository, digest(version), str(version))


def change(version: int = 2, environment: str = "dev", *images: PinnedImage, branch: str = "main") -> Change:
    """Release ``version`` of the shop: its source commit stands at that position on its branch."""
    return Change(
        Action.RELEASE,
        environment,
        "shop",
        images or (pinned(API, version), pinned(WORKER, version)),
        f"release{version}",
        CommitId(f"{version:040x}"),
        Position(branch, version),
    )
