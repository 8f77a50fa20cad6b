"""What environments run by the pins in their files."""

from __future__ import annotations

from orchestrator.core.environment import Environment
from orchestrator.core.image import Digest, Repository
from orchestrator.core.names import RepoPath
from orchestrator.gitops.running import Watched, runs_in

API = Repository("ghcr.io", "acme/shop/api")
OLD, NEW = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
STAGING = Watched("shop", (Environment("staging", ("staging/**",)),))


def deployment(image: str) -> bytes:
    return (
        "apiVersion: apps/v1\nkind: Deployment\n"
        f"spec: {{template: {{spec: {{containers: [{{name: api, image: '{image}'}}]}}}}}}\n"
    ).encode()


def test_what_a_kustomization_puts_another_version_on_does_not_run() -> None:
    kustomization = f"images:\n- {{name: {API}, newTag: '1', digest: '{OLD}'}}\n".encode()
    files = {
        RepoPath("staging/kustomization.yaml"): kustomization,
        RepoPath("staging/api.yaml"): deployment(f"{API}:2@{NEW}"),
    }
    assert [run.digest for run in runs_in(STAGING, files)] == [OLD]


def test_each_digest_comes_once_and_from_the_environments_own_files_alone() -> None:
    files = {
        RepoPath("staging/one.yaml"): deployment(f"{API}:1@{OLD}"),
        RepoPath("staging/two.yaml"): deployment(f"{API}:1@{OLD}"),
        RepoPath("prod/one.yaml"): deployment(f"{API}:2@{NEW}"),
    }
    (run,) = runs_in(STAGING, files)
    assert (run.environment, run.repository, run.digest) == ("staging", API, OLD)
