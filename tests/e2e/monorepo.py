"""The monorepo example as a world to release in: its five images, at this machine's registry and engine."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.forges.local import LocalForge
from tests.e2e.shop import Shop, git

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "monorepo"
IMAGES = ("base", "database", "api", "worker", "migrations")


class Monorepo(Shop):
    """The example, with this machine's registry, base image and forge in the place of the ones it names."""

    def _make_gitops(self) -> None:
        LocalForge.init(self.gitops)
        seed = self.root / "seed"
        self._take(EXAMPLE / "gitops", seed)
        git(self.gitops, "fetch", "-q", str(seed), "+refs/heads/main:refs/heads/main")

    def _make_app(self) -> None:
        self._take(EXAMPLE / "app", self.app)

    def _take(self, source: Path, target: Path) -> None:
        shutil.copytree(source, target)
        for file in target.rglob("*"):
            if file.is_file():
                file.write_text(self._here(file.read_text()))
        git(target, "init", "-q", "-b", "main")
        git(target, "add", "-A")
        git(target, "commit", "-q", "-m", "Seed")

    def _here(self, text: str) -> str:
        forge = f"  repository: {self.gitops_url or self.gitops}\n  forge: {self.gitops}"
        return (
            text.replace("registry.example.com", self.registry)
            .replace("busybox:1.36", self.base_image)
            .replace("  repository: https://git.example.com/acme/gitops.git", forge)
        )

    def edit_app(self, file: str, old: str, new: str) -> None:
        """Change a file of the application, and commit."""
        path = self.app / file
        text = path.read_text()
        assert old in text, (file, old)
        path.write_text(text.replace(old, new))
        self.commit_app(f"Change {file}")
