"""Makes a GitOps monorepo of a given size, once, and keeps it: N services in three environments with a history.

Each service has a kustomization and Helm values for each environment (six files); the values hold a block of
random text, as sealed secrets are, so that nothing compresses better than in real life.

    python -m bench.git_repo 1000        prints where it is
"""

from __future__ import annotations

import base64
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ENVIRONMENTS = ("dev", "staging", "prod")
HISTORY = 2000
_BLOCK = 5 * 1024
_FORMAT = 5  # raise it when the content below changes, so that kept repositories are made again

_POLICY = b"""\
version: 1
registries:
  - ghcr.io/acme/**
environments:
  dev:
    paths: ["apps/{application}/overlays/dev/**"]
  staging:
    paths: ["apps/{application}/overlays/staging/**"]
    after: [dev]
  prod:
    paths: ["apps/{application}/overlays/prod/**"]
    after: [staging]
"""


def service(number: int) -> str:
    """The name of a service."""
    return f"svc-{number:05}"


def image(number: int) -> str:
    """The image of a service, without tag."""
    return f"ghcr.io/acme/{service(number)}"


def prepared(services: int) -> Path:
    """A bare repository with this many services; made when it is not there yet."""
    home = Path(os.environ.get("BENCH_DIR", ".cache/bench")).resolve()
    path = home / f"gitops-{services}-v{_FORMAT}.git"
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".tmp{os.getpid()}")
        _make(draft, services)
        draft.rename(path)
    return path


def _make(path: Path, services: int) -> None:
    print(f"making a repository of {services} services …", file=sys.stderr, flush=True)
    _git(path.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(path))
    for key, value in {
        "http.receivepack": "true",
        "uploadpack.allowFilter": "true",
        "uploadpack.allowAnySHA1InWant": "true",
        "gc.auto": "0",
        "receive.autogc": "false",
        "pack.threads": "2",
    }.items():
        _git(path, "config", key, value)
    with subprocess.Popen(["git", "fast-import", "--quiet", "--depth=50"], cwd=path, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        for part in _stream(services):
            child.stdin.write(part)
        child.stdin.close()
    if child.returncode:
        raise SystemExit("git fast-import failed")
    _git(path, "repack", "-adbq", "--depth=50", "--window=10")


def _stream(services: int) -> Iterator[bytes]:
    rng = random.Random(services)
    yield _commit("Start")
    yield _file(".hybrid-ci/environments.yaml", _POLICY)
    yield _file("README.md", b"# GitOps\n")
    for cluster in ("eu-1", "us-1"):
        yield _file(f"clusters/{cluster}/apps.yaml", b"kind: ApplicationSet\n")
    for number in range(services):
        for environment in ENVIRONMENTS:
            folder = f"apps/{service(number)}/overlays/{environment}"
            yield _file(f"{folder}/kustomization.yaml", _kustomization(number, rng))
            yield _file(f"{folder}/values.yaml", _values(number, environment, rng))
    for commit in range(HISTORY):
        number, environment = rng.randrange(services), rng.choice(ENVIRONMENTS)
        yield _commit(f"Release {service(number)} to {environment} ({commit})")
        yield _file(f"apps/{service(number)}/overlays/{environment}/kustomization.yaml", _kustomization(number, rng))


def _commit(subject: str) -> bytes:
    text = subject.encode()
    return b"commit refs/heads/main\ncommitter Bench <bench@example.com> 1767225600 +0000\ndata %d\n%s\n" % (
        len(text),
        text,
    )


def _file(path: str, content: bytes) -> bytes:
    return b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content)


def _kustomization(number: int, rng: random.Random) -> bytes:
    digest = rng.randbytes(32).hex()
    return (
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"namespace: {service(number)}\nresources:\n  - ../../base\nimages:\n"
        f"  - name: {image(number)}\n    newTag: v{rng.randrange(1000)}\n    digest: sha256:{digest}\n"
        "patches:\n  - path: values.yaml  # kept beside it\n"
    ).encode()


def _values(number: int, environment: str, rng: random.Random) -> bytes:
    sealed = base64.b64encode(rng.randbytes(_BLOCK)).decode()
    return f"# {service(number)} in {environment}\nreplicas: 3\nsealed: {sealed}\n".encode()


def _git(directory: Path, *argv: str) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *argv], cwd=directory, check=True, env=environment)


if __name__ == "__main__":
    for size in sys.argv[1:] or ["100"]:
        print(prepared(int(size)))
