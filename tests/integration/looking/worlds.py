"""A GitOps repository with a past: releases that were merged, promoted, squashed and held, each at its hour."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.core.change import Action, Change, Position
from orchestrator.core.image import Digest, PinnedImage, Repository
from orchestrator.core.names import BranchName, CommitId
from orchestrator.core.trailers import trailers
from orchestrator.forges.base import PullRequestDraft
from orchestrator.forges.local import LocalForge
from tests.servers.git_repositories import commit_files, git

API = Repository.parse("ghcr.io/acme/shop/api")
WORKER = Repository.parse("ghcr.io/acme/shop/worker")
PROXY = Repository.parse("docker.io/library/nginx")
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ENVIRONMENTS = ("dev", "staging", "prod")

POLICY = """\
version: 1
base: main
environments:
  dev: {paths: ["apps/{application}/overlays/dev/**"]}
  staging: {paths: ["apps/{application}/overlays/staging/**"], after: [dev]}
  prod: {paths: ["apps/{application}/overlays/prod/**"], after: [staging]}
applications:
  shop: {images: ["ghcr.io/acme/shop/*", "docker.io/library/nginx"]}
"""

CONFIG = """\
version: 1
application: shop
gitops:
  repository: ../gitops.git
  environment: dev
images:
  api: {repository: ghcr.io/acme/shop/api}
  worker: {repository: ghcr.io/acme/shop/worker}
"""

DEPLOYMENT = b"""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    spec:
      containers:
        - {name: api, image: ghcr.io/acme/shop/api}
        - {name: worker, image: ghcr.io/acme/shop/worker}
"""
SECRET = b"""\
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {token: hunter2-is-not-shown}
"""


def digest(name: str) -> Digest:
    return Digest.of(name.encode())


def pinned(image: Repository, version: int) -> PinnedImage:
    return PinnedImage(image, digest(f"{image}:{version}"), f"1.{version}.0")


def source(version: int) -> CommitId:
    return CommitId(hashlib.sha1(str(version).encode(), usedforsecurity=False).hexdigest())


def kustomization(*images: PinnedImage) -> bytes:
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "resources: [../../base]", "images:"]
    for one in images:
        lines += [f"- name: {one.repository}", f"  newTag: {one.tag}", f"  digest: {one.digest}"]
    return ("\n".join(lines) + "\n").encode()


def overlay(environment: str) -> str:
    return f"apps/shop/overlays/{environment}/kustomization.yaml"


def change(action: Action, environment: str, *images: PinnedImage, version: int, branch: str = "main") -> Change:
    return Change(action, environment, "shop", images, f"release{version}", source(version), Position(branch, version))


def message(subject: str, made: Change) -> str:
    return "\n".join([subject, "", "What moved.", "", *trailers(made), ""])


@dataclass
class World:
    """The bare repository behind a local forge; ``hour`` is the time of the next commit."""

    root: Path
    running: dict[str, dict[Repository, PinnedImage]] = field(default_factory=dict)
    hours: int = 0

    @property
    def gitops(self) -> Path:
        return self.root / "gitops.git"

    @property
    def app(self) -> Path:
        return self.root / "app"

    def build(self) -> World:
        """An empty past: the policy, and every environment at version 1 of two images."""
        LocalForge.init(self.gitops)
        self.app.mkdir()
        (self.app / "hybrid-ci.yaml").write_text(CONFIG)
        files: dict[str | bytes, bytes] = {".hybrid-ci/environments.yaml": POLICY.encode()}
        files |= {"apps/shop/base/kustomization.yaml": b"resources: [api.yaml, token.yaml]\n"}
        files |= {"apps/shop/base/api.yaml": DEPLOYMENT, "apps/shop/base/token.yaml": SECRET}
        for name in ENVIRONMENTS:
            self.running[name] = {API: pinned(API, 1), WORKER: pinned(WORKER, 1)}
            files[overlay(name)] = kustomization(*self.running[name].values())
        commit_files(self.gitops, dict(files), message="Begin")
        self.rewrite_tip()
        return self

    def merge(self, number: int, made: Change) -> str:
        """A pull request with this change, and its merge commit."""
        base = self.tip()
        head = self.commit_change(made, f"refs/heads/{made.branch}", parent=base)
        tree = git(self.gitops, "rev-parse", f"{head}^{{tree}}")
        text = f"Merge pull request #{number} from {made.branch}\n\n{made.action} {made.release}\n"
        merged = self._commit_tree(tree, [base, head], text, "Mary <mary@example.com>")
        git(self.gitops, "update-ref", "refs/heads/main", merged)
        return merged

    def squash(self, number: int, made: Change) -> str:
        """The same as one commit without its trailers."""
        base = self.tip()
        head = self.commit_change(made, f"refs/heads/{made.branch}", parent=base)
        tree = git(self.gitops, "rev-parse", f"{head}^{{tree}}")
        squashed = self._commit_tree(
            tree, [base], f"{made.action} {made.release} (#{number})\n", "Sam <sam@example.com>"
        )
        git(self.gitops, "update-ref", "refs/heads/main", squashed)
        return squashed

    def propose(self, made: Change, title: str) -> int:
        """An open pull request."""
        self.commit_change(made, f"refs/heads/{made.branch}", parent=self.tip(), keep=False)
        draft = PullRequestDraft(title, "body", made.branch, BranchName("main"))
        return LocalForge(self.gitops).open(draft).number

    def commit_change(self, made: Change, ref: str, parent: str, *, keep: bool = True) -> str:
        images = self.running[made.environment] | {one.repository: one for one in made.images}
        if keep:
            self.running[made.environment] = images
        files: dict[str | bytes, bytes] = {overlay(made.environment): kustomization(*images.values())}
        return self.commit(dict(files), message(f"{made.action} to {made.environment}", made), ref, parent)

    def commit(
        self, files: dict[str | bytes, bytes | None], text: str, ref: str = "refs/heads/main", parent: str = ""
    ) -> str:
        """Files on a branch, an hour after what came before."""
        commit = commit_files(
            self.gitops, dict(files), ref=ref, message=text, parent=parent, committer="hybrid-ci <ci@acme.example>"
        )
        tree = git(self.gitops, "rev-parse", f"{commit}^{{tree}}")
        parents = git(self.gitops, "rev-list", "--parents", "-1", commit).split()[1:]
        new = self._commit_tree(tree, parents, text, "hybrid-ci <ci@acme.example>")
        git(self.gitops, "update-ref", ref, new)
        return new

    def rewrite_tip(self) -> None:
        """The first commit, at its hour."""
        tree = git(self.gitops, "rev-parse", "main^{tree}")
        git(self.gitops, "update-ref", "refs/heads/main", self._commit_tree(tree, [], "Begin\n", "A <a@example.com>"))

    def tip(self) -> str:
        return git(self.gitops, "rev-parse", "refs/heads/main")

    def _commit_tree(self, tree: str, parents: list[str], text: str, who: str) -> str:
        when = (START + timedelta(hours=self.hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.hours += 1
        name, _, address = who.rstrip(">").partition(" <")
        stamps = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", name), ("EMAIL", address), ("DATE", when))
        }
        argv = [one for parent in parents for one in ("-p", parent)]
        return git(self.gitops, "commit-tree", tree, *argv, stdin=text.encode(), **stamps)


def story(folder: Path) -> World:
    """Two releases to dev, one promoted to staging and prod, one squashed, and one that is on its way."""
    world = World(folder).build()
    world.merge(1, change(Action.RELEASE, "dev", pinned(API, 2), pinned(WORKER, 2), version=2))
    world.merge(2, change(Action.PROMOTE, "staging", pinned(API, 2), pinned(WORKER, 2), version=2))
    world.squash(3, change(Action.PROMOTE, "prod", pinned(API, 2), version=2))
    world.commit({"README.md": b"hello\n"}, "Say hello\n")
    world.merge(4, change(Action.RELEASE, "dev", pinned(API, 5), version=5))
    world.propose(change(Action.PROMOTE, "staging", pinned(API, 5), version=5), "Promote shop to staging: api 1.5.0")
    return world
