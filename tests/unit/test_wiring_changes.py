"""What a push changes, as the surroundings of a job tell it: from the CI's own words to the paths."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.wiring import open_building

CONFIG = """\
version: 1
application: shop
gitops: {repository: ./gitops.git, environment: dev}
images: {api: {repository: ghcr.io/acme/shop/api}}
"""


@dataclass(frozen=True)
class _Options:
    """The global options of a command line."""

    config: Path
    log_format: str = "text"
    quiet: bool = True
    verbose: bool = False
    git_cache: Path | None = None


class Checkout:
    """A repository with three commits: the configuration, then a file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._git("init", "-q", "-b", "main")
        self.commits = [self._commit(name) for name in ("hybrid-ci.yaml", "schema.sql", "README.md")]

    def changed(self) -> frozenset[str] | None:
        with open_building(_Options(self.folder / "hybrid-ci.yaml")) as (_, job):
            return job.changed()

    def shallow(self, target: Path) -> Checkout:
        """A clone of the last two commits alone."""
        self._git("clone", "-q", "--depth=2", self.folder.as_uri(), str(target))
        clone = object.__new__(Checkout)
        clone.folder, clone.commits = target, self.commits
        return clone

    def _commit(self, name: str) -> str:
        (self.folder / name).write_text(CONFIG)
        self._git("add", name)
        self._git("commit", "-q", "-m", f"Add {name}")
        return self._git("rev-parse", "HEAD")

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "app")


def pushed_from(before: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A job that GitHub started for a push to main; the event's own file says from where."""
    payload = tmp_path / "event.json"
    payload.write_text(json.dumps({} if before is None else {"before": before}))
    for name, value in (
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_EVENT_PATH", str(payload)),
        ("GITHUB_REF", "refs/heads/main"),
    ):
        monkeypatch.setenv(name, value)


def test_on_a_person_s_machine_it_is_the_last_commit_that_counts(checkout: Checkout) -> None:
    assert checkout.changed() == {"README.md"}


def test_a_push_of_several_commits_counts_as_a_whole(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pushed_from(checkout.commits[0], monkeypatch, tmp_path)
    assert checkout.changed() == {"schema.sql", "README.md"}


@pytest.mark.parametrize("before", ["0" * 40, "f" * 40, None], ids=["new branch", "rewritten history", "not told"])
def test_a_push_from_nowhere_known_may_have_changed_anything(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: str | None
) -> None:
    pushed_from(before, monkeypatch, tmp_path)
    assert checkout.changed() is None


def test_a_shallow_checkout_without_the_commit_before_the_push_may_have_changed_anything(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pushed_from(checkout.commits[0], monkeypatch, tmp_path)
    assert checkout.shallow(tmp_path / "shallow").changed() is None
